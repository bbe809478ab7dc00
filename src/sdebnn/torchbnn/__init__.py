"""Bayesian SDE layers in PyTorch, as modules, on torchsde: the names of `sdebnn.brax`, in its order."""

import importlib
from typing import TYPE_CHECKING, Any

from sdebnn.torchbnn import diffeq_layers
from sdebnn.torchbnn.layers.bayesian import BayesianModule, Serial, bnn_serial
from sdebnn.torchbnn.layers.bfloat16 import Bfloat16
from sdebnn.torchbnn.layers.mean_field import MeanField
from sdebnn.torchbnn.layers.monte_carlo_dropout import MonteCarloDropout
from sdebnn.torchbnn.layers.resnet import ResNet32
from sdebnn.torchbnn.layers.shape_layers import Augment, Flatten, Squeeze
from sdebnn.torchbnn.learning import likelihoods
from sdebnn.torchbnn.learning.likelihoods import *
from sdebnn.torchbnn.solving.solver import Solver
from sdebnn.torchbnn.weights.drift_network import drift_network
from sdebnn.torchbnn.weights.independent_paths import independent_paths
from sdebnn.torchbnn.weights.ode_block import HyperODEBlock, ODEBlock
from sdebnn.torchbnn.weights.sdebnn_block import SDEBNN
from sdebnn.torchbnn.weights.weight_process import WeightProcess

if TYPE_CHECKING:
    from sdebnn.torchbnn.learning import processes
    from sdebnn.torchbnn.learning.learner import TorchLearner, build_learner
    from sdebnn.torchbnn.learning.model import Model

# What trains needs optimisers and the files of runs, which layers do not: it is imported when it is asked for.
_LEARNING = {
    "TorchLearner": "learner",
    "build_learner": "learner",
    "Model": "model",
}

__all__ = [
    "SDEBNN",
    "Augment",
    "BayesianModule",
    "Bfloat16",
    "Flatten",
    "HyperODEBlock",
    "MeanField",
    "Model",
    "MonteCarloDropout",
    "ODEBlock",
    "ResNet32",
    "Serial",
    "Solver",
    "Squeeze",
    "TorchLearner",
    "WeightProcess",
    "bnn_serial",
    "build_learner",
    "diffeq_layers",
    "drift_network",
    "independent_paths",
    "processes",
]
# A likelihood is listed where it is written.
__all__ += likelihoods.__all__


def __getattr__(name: str) -> Any:
    if name in _LEARNING:
        return getattr(importlib.import_module(f"sdebnn.torchbnn.learning.{_LEARNING[name]}"), name)
    if name == "processes":
        return importlib.import_module("sdebnn.torchbnn.learning.processes")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
