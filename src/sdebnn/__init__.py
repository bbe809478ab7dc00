"""Infinitely deep Bayesian neural networks: weights follow a stochastic differential equation through depth.

`sdebnn.load` reads what a run has learned and predicts; `sdebnn.brax` is the framework in JAX, `sdebnn.torchbnn` in
PyTorch; `sdebnn.data`, `sdebnn.metrics`, `sdebnn.plots` and `sdebnn.runs` are numpy in, numpy out. Importing `sdebnn`
alone imports neither JAX nor PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from sdebnn import moved as moved
from sdebnn.version import __version__ as __version__

if TYPE_CHECKING:
    from sdebnn.estimators import SDEBNNClassifier, SDEBNNRegressor
    from sdebnn.posterior import load

_FOUND_IN = {
    "load": "sdebnn.posterior",
    "SDEBNNClassifier": "sdebnn.estimators",
    "SDEBNNRegressor": "sdebnn.estimators",
}

__all__ = ["SDEBNNClassifier", "SDEBNNRegressor", "load"]


def __getattr__(name: str) -> Any:
    if name in _FOUND_IN:
        return getattr(importlib.import_module(_FOUND_IN[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
