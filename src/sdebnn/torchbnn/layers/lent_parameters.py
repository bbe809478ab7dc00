"""A module that is called with other parameters than its own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def places_of(module: nn.Module) -> dict[str, str]:
    """Every place of a parameter within the module, and the name that `named_parameters` has for what is there: the
    same name where several layers share a parameter.

    A layer that is a part of the module twice is here once. PyTorch, told the name alone, would lend to it twice, take
    the first loan for its own, and leave it there in place of the parameter.
    """
    names: dict[int, str] = {}
    places = {}
    for path, layer in module.named_modules():
        for name, parameter in layer.named_parameters(recurse=False, remove_duplicate=False):
            place = f"{path}.{name}" if path else name
            places[place] = names.setdefault(id(parameter), place)
    return places


def call_with(
    module: nn.Module,
    places: Mapping[str, str],
    parameters: Mapping[str, torch.Tensor],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
) -> Any:
    """What the module returns with these in place of its parameters, which it has again afterwards.

    **Arguments:** `places`: those of `places_of`, found once for many calls. `parameters`: all of them, by name.
    """
    lent = {place: parameters[name] for place, name in places.items()}
    return torch.func.functional_call(module, lent, args, kwargs, tie_weights=False)
