"""The parameters of a module as named arrays: the names and the layout that `sdebnn.brax` gives to the same network, so
that either framework reads what the other wrote.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.parameter_names import named_parameters


def to_named_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """A copy of every parameter, under its path, like `network/0/w0/1/bias`."""
    return {name: parameter.detach().cpu().numpy().copy() for name, parameter in named_parameters(module).items()}


def load_named_arrays(module: nn.Module, named: Mapping[str, np.ndarray]) -> None:
    """Copies arrays into the parameters.

    **Raises:** `InputError` naming the first array that is missing, left over, or of another shape or dtype; nothing is
    changed then.
    """
    parameters = named_parameters(module)
    check_names(named, parameters)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(np.array(named[name])))


def check_names(named: Mapping[str, np.ndarray], tensors: Mapping[str, torch.Tensor]) -> None:
    """**Raises:** `InputError` unless the arrays have the names, shapes and dtypes of the tensors."""
    for name, tensor in tensors.items():
        if name not in named:
            raise InputError(f"The checkpoint has no array {name!r}; it is of another model or configuration.")
        got, dtype = named[name], str(tensor.dtype).removeprefix("torch.")
        if got.shape != tuple(tensor.shape) or str(got.dtype) != dtype:
            raise InputError(
                f"The checkpoint's array {name!r} is {got.dtype}{list(got.shape)}, but this model needs "
                f"{dtype}{list(tensor.shape)}; it is of another model or configuration."
            )
    extra = sorted(set(named) - set(tensors))
    if extra:
        raise InputError(
            f"The checkpoint has an array {extra[0]!r} that this model does not have; "
            "it is of another model or configuration."
        )
