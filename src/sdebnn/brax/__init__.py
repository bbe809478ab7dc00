"""Bayesian SDE layers in JAX, as (init, apply) pairs in the manner of `jax.example_libraries.stax`."""

from sdebnn.brax import devices, diffeq_layers
from sdebnn.brax.bayesian import BayesianLayer, Layer, bnn_serial
from sdebnn.brax.bfloat16 import Bfloat16
from sdebnn.brax.drift_network import drift_network
from sdebnn.brax.independent_paths import independent_paths
from sdebnn.brax.learner import JaxLearner, build_learner
from sdebnn.brax.likelihoods import Categorical, Cauchy, Gaussian, Laplace
from sdebnn.brax.mean_field import MeanField
from sdebnn.brax.model import Model
from sdebnn.brax.ode_block import HyperODEBlock, ODEBlock
from sdebnn.brax.recomputing_serial import recomputing_serial
from sdebnn.brax.resnet import ResNet32
from sdebnn.brax.sdebnn_block import SDEBNN
from sdebnn.brax.shape_layers import Augment, Squeeze
from sdebnn.brax.weight_path import draw_path
from sdebnn.brax.weight_process import WeightProcess

__all__ = [
    "SDEBNN",
    "Augment",
    "BayesianLayer",
    "Bfloat16",
    "Categorical",
    "Cauchy",
    "Gaussian",
    "HyperODEBlock",
    "JaxLearner",
    "Laplace",
    "Layer",
    "MeanField",
    "Model",
    "ODEBlock",
    "ResNet32",
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
