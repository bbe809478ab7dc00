"""How gradients are computed, by name: each solves, to the last carry and the outputs."""

from collections.abc import Callable
from typing import Any

from jaxsde.adjoints.backprop import backprop
from jaxsde.adjoints.checkpoint import checkpoint
from jaxsde.adjoints.reversible import reversible
from jaxsde.adjoints.stochastic import stochastic

ADJOINTS: dict[str, Callable[..., Any]] = {
    adjoint.__name__: adjoint for adjoint in (backprop, checkpoint, reversible, stochastic)
}

__all__ = ["ADJOINTS"]
