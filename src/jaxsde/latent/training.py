"""Training by gradient ascent on the bound."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxsde import loops
from jaxsde.brownian.keys import check_key, derive_key, fold_in
from jaxsde.counts import check_count
from jaxsde.latent.bound import Bound
from jaxsde.latent.model import LatentSDE, check_model
from jaxsde.latent.path_bound import pathwise
from jaxsde.latent.series import Series
from jaxsde.types import Index, Key


class Fitted(NamedTuple):
    """What `fit` returns.

    - `params`: like those that it was given.
    - `bounds`: (steps,), the bound at each step, in nats: a mean over the series of the step.
    """

    params: PyTree
    bounds: Float[Array, " steps"]


def fit(
    model: LatentSDE,
    params: PyTree,
    series: Series,
    optimiser: Any,
    rng: Key,
    *,
    steps: int,
    objective: Callable[..., Bound] = pathwise,
    batch: int | None = None,
    kl_weight: float | Callable[[Index], Any] = 1.0,
) -> Fitted:
    """Raises the bound by steps of an optimiser, in one compiled loop.

    **Arguments:**

    - `model`, `params`: as `neural` gives them, or your own.
    - `series`: those to learn from.
    - `optimiser`: one of optax, such as `optax.adam(1e-2)`, or whatever has its `init` and `update`.
    - `rng`: a JAX key.
    - `steps`: how many.
    - `objective`: `pathwise` or `matching`, with choices of theirs by `functools.partial`.
    - `batch`: how many series a step takes at random; all unless given.
    - `kl_weight`: of both KLs, a number or a function of the number of the step.

    **Returns:** a `Fitted`.

    **Raises:** `TypeError` for what is no optimiser; `ValueError` for numbers of steps or series that there are not;
    what the objective refuses; `FloatingPointError` where the bound stops being finite, and says when.
    """
    check_key(rng)
    check_model(model, params, series)
    count = series.times.shape[0]
    if not (hasattr(optimiser, "init") and hasattr(optimiser, "update")):
        raise TypeError(
            f"optimiser is {type(optimiser).__name__}; it has `init` and `update` as optax has them: optax.adam(1e-2), "
            "say."
        )
    check_count("steps", steps)
    if batch is not None:
        check_count("batch", batch, count)
    key = derive_key(rng, "jaxsde.latent.fit")

    def step(state: Any, number: Any) -> Any:
        params, moments = state
        of_step = fold_in(key, number)
        chosen = series
        if batch is not None:
            which = jax.random.choice(derive_key(of_step, "batch"), count, (batch,), replace=False)
            chosen = jax.tree.map(lambda x: x[which], series)
        weight = kl_weight(number) if callable(kl_weight) else kl_weight

        def loss(params: PyTree) -> Any:
            return -objective(model, params, chosen, of_step, kl_weight=weight).value.mean()

        value, slope = jax.value_and_grad(loss)(params)
        updates, moments = optimiser.update(slope, moments, params)
        return (jax.tree.map(jnp.add, params, updates), moments), -value

    @jax.jit
    def run(params: PyTree) -> Any:
        return loops.scan(step, (params, optimiser.init(params)), jnp.arange(steps))

    (trained, _), bounds = run(params)
    finite = np.isfinite(np.asarray(bounds))
    if not finite.all():
        raise FloatingPointError(
            f"The bound stops being finite at step {int(np.argmin(finite))} of {steps}. Take a lower learning rate, "
            "clip gradients, or make series with a shorter dt; at step 0 the model itself is not finite."
        )
    return Fitted(trained, bounds)
