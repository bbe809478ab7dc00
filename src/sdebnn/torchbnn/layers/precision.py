"""What modules take as inputs, and in which precision they compute."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from sdebnn.errors import InputError


class PairForTensorError(InputError, AttributeError):
    """A layer got what a Bayesian module returns. It is an `AttributeError` as well, so that `hasattr` may ask."""

    def __init__(self) -> None:
        super().__init__(
            "A layer got the pair (outputs, kl) of a Bayesian module in place of a tensor: put "
            "sdebnn.torchbnn.bnn_serial in place of nn.Sequential, which adds up the KL, or write "
            "outputs, kl = module(x, rng=rng)."
        )


def precision(x: object, parameters: Iterable[torch.Tensor], called: str) -> torch.dtype:
    """The dtype of what a module makes of x: the highest precision of x and of its parameters, as PyTorch promotes
    them; whole numbers have none.

    **Raises:** `InputError`, which names the module as `called`, for anything but a tensor of real numbers.
    """
    if not isinstance(x, torch.Tensor):
        if isinstance(x, tuple):
            raise PairForTensorError
        raise InputError(f"{called} got a {type(x).__name__}; it takes a tensor: write torch.as_tensor(x).")
    if x.is_complex():
        raise InputError(f"{called} got complex numbers ({x.dtype}); it takes real ones: write torch.view_as_real(x).")
    found = x.dtype
    for parameter in parameters:
        found = torch.promote_types(found, parameter.dtype)
    return found


def working(dtype: torch.dtype) -> torch.dtype:
    """The precision of a solver's states for outputs of that dtype. Small steps are lost in half precision."""
    return torch.promote_types(dtype, torch.float32)


def check_weights(module: nn.Module, called: str) -> None:
    """**Raises:** `InputError` for a module whose parameters are not real numbers, or not there yet, as in lazy modules
    that were never called.
    """
    for name, parameter in module.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise InputError(
                f"{called} has the parameter {name!r} without a shape, as it is of a lazy module that was never "
                "called: call it once with an input, or write the module with its sizes."
            )
        if not parameter.is_floating_point():
            raise InputError(f"{called} has the parameter {name!r} of {parameter.dtype}; it takes real numbers.")


def called_with(
    layer: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, parameters: Iterable[torch.Tensor], called: str
) -> torch.Tensor:
    """`layer(x)`. **Raises:** `InputError` where x is of another dtype than the parameters and the layer fails."""
    try:
        return layer(x)
    except RuntimeError as error:
        # Of other errors PyTorch's sentence is the right one.
        if not isinstance(x, torch.Tensor) or "type" not in str(error):
            raise
        dtype = next((p.dtype for p in parameters), x.dtype)
        if x.dtype == dtype:
            raise
        raise InputError(
            f"{called} has parameters of {dtype} and got inputs of {x.dtype} ({error}): convert the inputs, "
            f"x.to({dtype}), or the network, network.to({x.dtype})."
        ) from error
