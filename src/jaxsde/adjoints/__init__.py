"""How gradients are computed, by name."""

from collections.abc import Callable
from typing import Any

from jaxsde.adjoints.backprop import backprop

ADJOINTS: dict[str, Callable[..., Any]] = {"backprop": backprop}

__all__ = ["ADJOINTS"]
