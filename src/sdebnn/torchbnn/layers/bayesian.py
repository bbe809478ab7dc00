"""Deterministic and Bayesian modules, and how they compose."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.dropout import layers_that_draw
from sdebnn.torchbnn.layers.precision import PairForTensorError, called_with, precision, working
from sdebnn.torchbnn.layers.randomness import check_generator, drawing_from


class Output(NamedTuple):
    """What a Bayesian module returns: outputs, and this draw's KL in nats."""

    outputs: torch.Tensor
    kl: torch.Tensor

    @classmethod
    def __torch_function__(cls, *_: Any, **__: Any) -> NoReturn:
        """**Raises:** `InputError`, as PyTorch asks here what to do where it was given the pair for a tensor."""
        raise PairForTensorError

    def __getattr__(self, name: str) -> NoReturn:
        """**Raises:** `InputError` for what a tensor has."""
        if hasattr(torch.Tensor, name) and not name.startswith("_"):
            raise PairForTensorError
        raise AttributeError(name)


class BayesianModule(nn.Module):
    """A module whose weights are random: `module(x, rng=generator)` returns `(outputs, kl)`.

    `kl` is this draw's contribution, in nats, to the Kullback-Leibler divergence of the approximate posterior from the
    prior. All randomness is drawn from the `torch.Generator` that is given, and from PyTorch's own without one. With
    `prior=True` weights are drawn from the prior, and `kl` is zero.

    Those of this package also take their noise as an input: `module(x, noise=module.draw_noise(rng=generator))` is
    `module(x, rng=generator)`, as a function that draws nothing, for `torch.func.vmap`, `torch.export`, `torch.compile`
    and `torch.utils.checkpoint`. Noise is a structure of tensors (a tuple or a dictionary) that these functions know.
    """

    def draw_first(self, *, rng: torch.Generator) -> Any:
        """What is drawn before any input is known, so that many calls share one draw: with
        `drawn = module.draw_first(rng=generator)`, `module.run_drawn(x, drawn)` gives the outputs of
        `module(x, rng=generator)`, to rounding. It is a structure of tensors.

        **Raises:** `InputError` for a module that takes no noise.
        """
        return draw_noise(self, rng)

    def run_drawn(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        """The outputs with what `draw_first` drew."""
        return self(x, noise=drawn)[0]


class Serial(nn.Module):
    """Deterministic modules one after the other; depth t is handed to those that take it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)
        self._take_t = [takes_depth(layer) for layer in layers]

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
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
        self._drops = [any(True for _ in layers_that_draw(layer)) for layer in layers]

    def forward(
        self, x: torch.Tensor, *, rng: torch.Generator | None = None, prior: bool = False, noise: Any = None
    ) -> Output:
        """**Arguments:** `noise`: of `draw_noise`, in place of `rng`. **Raises:** `InputError` for noise of another
        number of modules.
        """
        kl = torch.zeros((), dtype=working(precision(x, (), "bnn_serial")), device=x.device)
        if noise is not None and len(noise) != len(bayesian := self._bayesian()):
            raise InputError(
                f"bnn_serial got noise for {len(noise)} modules and has {len(bayesian)} that are Bayesian."
            )
        noises = iter(() if noise is None else noise)
        for number, (layer, drops) in enumerate(zip(_layers(self), self._drops, strict=True)):
            if isinstance(layer, BayesianModule):
                given = {"rng": rng} if noise is None else {"noise": next(noises)}
                x, layer_kl = layer(x, prior=prior, **given)
                kl = kl + layer_kl
            else:
                called = f"Layer {number} of bnn_serial"
                x = called_with(masks_from(rng, layer, called) if drops else layer, x, layer.parameters(), called)
        return Output(x, kl)

    def draw_noise(self, *, rng: torch.Generator | None = None) -> tuple[Any, ...]:
        """The noise of every Bayesian module, in their order."""
        check_generator(rng, "bnn_serial")
        return tuple(draw_noise(layer, rng) for layer in self._bayesian())

    def draw_first(self, *, rng: torch.Generator) -> Any:
        return tuple(layer.draw_first(rng=rng) for layer in self._bayesian())

    def run_drawn(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        rest = iter(drawn)
        for layer in _layers(self):
            x = layer.run_drawn(x, next(rest)) if isinstance(layer, BayesianModule) else layer(x)
        return x

    def _bayesian(self) -> list[BayesianModule]:
        return [layer for layer in _layers(self) if isinstance(layer, BayesianModule)]


def masks_from(
    rng: torch.Generator | None, layer: Callable[[torch.Tensor], torch.Tensor], called: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The layer, whose dropout draws from `rng` too."""
    if rng is None:
        return layer

    def drawn(x: torch.Tensor) -> torch.Tensor:
        check_generator(rng, called)
        with drawing_from(rng):
            return layer(x)

    return drawn


def draw_noise(module: Any, rng: torch.Generator | None) -> Any:
    """The module's noise. **Raises:** `InputError` for a module that does not take any."""
    if not hasattr(module, "draw_noise"):
        raise InputError(
            f"{type(module).__name__} draws its weights when it is called: for noise=... give it a method "
            "draw_noise(*, rng) and let its forward take noise."
        )
    return module.draw_noise(rng=rng)


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
    """Whether the module is called with depth, as the keyword `t`, which it may also take as one of `**kwargs`."""
    parameters = forward_parameters(module)
    return "t" in parameters or any(argument.kind is argument.VAR_KEYWORD for argument in parameters.values())


def forward_parameters(module: nn.Module) -> dict[str, inspect.Parameter]:
    """What the module is called with, by name, also where `torch.compile` has wrapped it."""
    try:
        return dict(inspect.signature(getattr(module, "_orig_mod", module).forward).parameters)
    except ValueError:
        # Traced modules do not say; they take tensors by position.
        return {}
