"""Bayesian SDE layers in JAX, as (init, apply) pairs in the manner of `jax.example_libraries.stax`."""

import importlib
from typing import TYPE_CHECKING, Any

from sdebnn.brax import diffeq_layers
from sdebnn.brax.layers.bayesian import BayesianLayer, Layer, bnn_serial
from sdebnn.brax.layers.bfloat16 import Bfloat16
from sdebnn.brax.layers.mean_field import MeanField
from sdebnn.brax.layers.monte_carlo_dropout import MonteCarloDropout
from sdebnn.brax.layers.recomputing_serial import recomputing_serial
from sdebnn.brax.layers.resnet import ResNet32
from sdebnn.brax.layers.shape_layers import Augment, Squeeze
from sdebnn.brax.learning import likelihoods
from sdebnn.brax.learning.likelihoods import *
from sdebnn.brax.weights.drift_network import drift_network
from sdebnn.brax.weights.independent_paths import independent_paths
from sdebnn.brax.weights.ode_block import HyperODEBlock, ODEBlock
from sdebnn.brax.weights.sdebnn_block import SDEBNN
from sdebnn.brax.weights.solver import Solver
from sdebnn.brax.weights.weight_path import draw_path
from sdebnn.brax.weights.weight_process import WeightProcess

if TYPE_CHECKING:
    from sdebnn.brax.learning import devices
    from sdebnn.brax.learning.learner import JaxLearner, build_learner
    from sdebnn.brax.learning.model import Model

# What trains needs optimisers and the files of runs, which layers do not: it is imported when it is asked for.
_LEARNING = {
    "JaxLearner": "learner",
    "build_learner": "learner",
    "Model": "model",
}

__all__ = [
    "SDEBNN",
    "Augment",
    "BayesianLayer",
    "Bfloat16",
    "HyperODEBlock",
    "JaxLearner",
    "Layer",
    "MeanField",
    "Model",
    "MonteCarloDropout",
    "ODEBlock",
    "ResNet32",
    "Solver",
    "Squeeze",
    "WeightProcess",
    "bnn_serial",
    "build_learner",
    "devices",
    "diffeq_layers",
    "draw_path",
    "drift_network",
    "independent_paths",
    "recomputing_serial",
]
# A likelihood is listed where it is written.
__all__ += likelihoods.__all__


def __getattr__(name: str) -> Any:
    if name in _LEARNING:
        return getattr(importlib.import_module(f"sdebnn.brax.learning.{_LEARNING[name]}"), name)
    if name == "devices":
        return importlib.import_module("sdebnn.brax.learning.devices")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
