"""The names of parameters and their order: those that `sdebnn.brax` gives to the same network."""

from torch import nn


def array_name(parameter: str) -> str:
    """The name of an array: parts joined by `/`. What holds one network, as an `ODEBlock` does, has its names."""
    parts = (part for part in parameter.split(".") if part not in ("_fx", "_layer"))
    return "/".join("likelihood" if part == "likelihood_params" else part for part in parts)


def natural_order(parameter: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts parameters as JAX orders the leaves of a pytree: numbers by size, names by the alphabet."""
    parts = array_name(parameter).split("/")
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def named_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters by the names of arrays, in their order."""
    found = sorted(module.named_parameters(), key=lambda item: natural_order(item[0]))
    return {array_name(name): parameter for name, parameter in found}
