"""Deterministic and Bayesian modules, and how they compose."""

import inspect
from typing import Any

import torch
from torch import nn

from sdebnn.errors import InputError

Output = tuple[torch.Tensor, torch.Tensor]


class BayesianModule(nn.Module):
    """A module whose weights are random: `module(x, rng=generator)` returns `(outputs, kl)`.

    `kl` is this draw's contribution, in nats, to the Kullback-Leibler divergence of the approximate posterior from the
    prior. All randomness is drawn from the `torch.Generator` that is given, and from PyTorch's own without one. With
    `prior=True` weights are drawn from the prior, and `kl` is zero.
    """


class Serial(nn.Module):
    """Deterministic modules one after the other; depth t is handed to those that take it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)
        self._take_t = [takes_depth(layer) for layer in layers]

    def forward(self, x: torch.Tensor, *, t: Any = 0.0) -> torch.Tensor:
        for layer, takes_t in zip(_layers(self), self._take_t, strict=True):
            x = layer(x, t=t) if takes_t else layer(x)
        return x


class bnn_serial(BayesianModule):
    """Modules one after the other; the KL of those that are Bayesian is added up.

    **Raises:** `InputError` for a Bayesian module within one that is not.
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        for number, layer in enumerate(layers):
            if not isinstance(layer, BayesianModule):
                check_deterministic(layer, f"Layer {number} of bnn_serial")
            self.add_module(str(number), layer)

    def forward(self, x: torch.Tensor, *, rng: torch.Generator | None = None, prior: bool = False) -> Output:
        kl = torch.zeros((), dtype=x.dtype, device=x.device)
        for layer in _layers(self):
            if isinstance(layer, BayesianModule):
                x, layer_kl = layer(x, rng=rng, prior=prior)
                kl = kl + layer_kl
            else:
                x = layer(x)
        return x, kl


def _layers(module: nn.Module) -> list[nn.Module]:
    """In their order; `children()` would leave out a layer that comes a second time."""
    return [layer for layer in module._modules.values() if layer is not None]


def check_deterministic(module: nn.Module, called: str) -> None:
    """**Raises:** `InputError` where a module that returns no KL, which the sentence names as `called`, has a Bayesian
    one within.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, BayesianModule):
            raise InputError(
                f"{called} has the Bayesian module {name or type(layer).__name__!r} within, whose KL would be lost: "
                "take deterministic layers there, and bnn_serial in place of nn.Sequential around Bayesian ones."
            )


def device_of(rng: torch.Generator | None) -> torch.device:
    """Where the generator draws; PyTorch's own draws on the CPU, so that a seed gives the same weights everywhere."""
    return torch.device("cpu") if rng is None else rng.device


def takes_depth(module: nn.Module) -> bool:
    """Whether the module is called with depth, as the keyword `t`."""
    return "t" in forward_parameters(module)


def forward_parameters(module: nn.Module) -> dict[str, inspect.Parameter]:
    """What the module is called with, by name, also where `torch.compile` has wrapped it."""
    try:
        return dict(inspect.signature(getattr(module, "_orig_mod", module).forward).parameters)
    except ValueError:
        # Traced modules do not say; they take tensors by position.
        return {}
