"""Training by gradient ascent on the bound."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent.bound import Bound
from sdebnn.torchbnn.latent.counts import check_count
from sdebnn.torchbnn.latent.model import LatentSDE
from sdebnn.torchbnn.latent.path_bound import pathwise
from sdebnn.torchbnn.latent.series import Series, check_series
from sdebnn.torchbnn.layers.bayesian import device_of
from sdebnn.torchbnn.layers.randomness import check_generator


class Fitted(NamedTuple):
    """What `fit` returns.

    - `model`: the one that it was given, trained.
    - `bounds`: (steps,), the bound at each step, in nats: a mean over the series of the step.
    """

    model: LatentSDE
    bounds: torch.Tensor


def fit(
    model: LatentSDE,
    series: Series,
    optimiser: Any,
    rng: torch.Generator | None = None,
    *,
    steps: int,
    objective: Callable[..., Bound] = pathwise,
    batch: int | None = None,
    kl_weight: float | Callable[[int], Any] = 1.0,
    scheduler: Any = None,
) -> Fitted:
    """Raises the bound by steps of an optimiser, which change the model in place.

    **Arguments:**

    - `model`: as `neural` gives it, or your own.
    - `series`: those to learn from.
    - `optimiser`: one of `torch.optim` that has the model's parameters: `torch.optim.Adam(model.parameters(), 1e-2)`.
    - `rng`: a `torch.Generator`; PyTorch's own unless given.
    - `steps`: how many.
    - `objective`: `pathwise` or `matching`, with choices of theirs by `functools.partial`.
    - `batch`: how many series a step takes at random; all unless given.
    - `kl_weight`: of both KLs, a number or a function of the number of the step.
    - `scheduler`: one of `torch.optim.lr_scheduler`, which moves on after every step.

    **Returns:** a `Fitted`.

    **Raises:** `InputError` for what is no optimiser of this model or no scheduler of it, a bound of parameters that
    neither has, and numbers of steps or series that there are not;
    what the objective refuses; `FloatingPointError` where the bound or its gradient stops being finite: it says when,
    and the parameters are those of the step.
    """
    check_series(series)
    check_generator(rng, "fit")
    if not isinstance(optimiser, torch.optim.Optimizer):
        raise InputError(
            f"optimiser is {type(optimiser).__name__}; it is one of torch.optim: "
            "torch.optim.Adam(model.parameters(), 1e-2), say."
        )
    if isinstance(optimiser, torch.optim.LBFGS):
        raise InputError("optimiser is LBFGS, which asks for the bound many times a step; take another, Adam say.")
    if not isinstance(model, LatentSDE):
        raise InputError(f"model is {type(model).__name__}; it is a LatentSDE, such as neural gives.")
    if scheduler is not None:
        _check_scheduler(scheduler, optimiser)
    moved = [p for group in optimiser.param_groups for p in group["params"]]
    if not {id(p) for p in moved} & {id(p) for p in model.parameters()}:
        raise InputError(
            "optimiser has none of the model's parameters; make it of model.parameters(). What has parameters is a "
            "module of the model."
        )
    check_count("steps", steps)
    count = len(series.times)
    if batch is not None:
        check_count("batch", batch, count)
    bounds = []
    for step in range(steps):
        chosen = series
        if batch is not None:
            which = torch.randperm(count, generator=rng, device=device_of(rng))[:batch]
            chosen = series[which.to(series.times.device)]
        weight = kl_weight(step) if callable(kl_weight) else kl_weight
        optimiser.zero_grad()
        value = objective(model, chosen, rng, kl_weight=weight).value.mean()
        if step == 0:
            _check_all_known(value, {id(p) for p in (*moved, *model.parameters())})
        (-value).backward()
        found = (value, *(p.grad for p in moved if p.grad is not None))
        if not torch.stack([x.isfinite().all() for x in found]).all():
            raise FloatingPointError(
                f"The bound or its gradient stops being finite at step {step} of {steps}. Take a lower learning rate, "
                "clip gradients, or make series with a shorter dt; at step 0 the model itself is not "
                "finite, or a value has no density, such as a negative count."
            )
        bounds.append(value.detach())
        optimiser.step()
        if scheduler is not None:
            scheduler.step()
    return Fitted(model, torch.stack(bounds))


def _check_scheduler(scheduler: Any, optimiser: torch.optim.Optimizer) -> None:
    schedulers = torch.optim.lr_scheduler
    known = isinstance(scheduler, schedulers.LRScheduler) and not isinstance(scheduler, schedulers.ReduceLROnPlateau)
    if not known:
        raise InputError(
            f"scheduler is {type(scheduler).__name__}; it is one of torch.optim.lr_scheduler that goes by the "
            "number of the step."
        )
    if scheduler.optimizer is not optimiser:
        raise InputError("scheduler is that of another optimiser; make it of the one that fit gets.")


def _check_all_known(value: torch.Tensor, known: set[int]) -> None:
    """Refuses a bound of parameters that are neither the model's nor the optimiser's: they would never move."""
    if not value.requires_grad:
        raise InputError("The bound has no gradient: fit is called under no_grad, or no parameter requires one.")
    seen, ahead = set(), [value.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        parameter = getattr(node, "variable", None)
        if parameter is not None and id(parameter) not in known:
            raise InputError(
                f"The bound depends on a parameter of shape {tuple(parameter.shape)} that is neither the model's nor "
                "the optimiser's, so it would never be trained. A function that calls a module hides it: make the part "
                "a module that has it, or give the optimiser its parameters too."
            )
        ahead.extend(following for following, _ in node.next_functions)
