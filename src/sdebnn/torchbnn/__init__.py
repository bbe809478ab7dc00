"""Bayesian SDE layers in PyTorch, as modules, on torchsde: the names of `sdebnn.brax`, in its order."""

from sdebnn.torchbnn import diffeq_layers, processes
from sdebnn.torchbnn.bayesian import BayesianModule, Serial, bnn_serial
from sdebnn.torchbnn.bfloat16 import Bfloat16
from sdebnn.torchbnn.drift_network import drift_network
from sdebnn.torchbnn.independent_paths import independent_paths
from sdebnn.torchbnn.learner import TorchLearner, build_learner
from sdebnn.torchbnn.likelihoods import Categorical, Cauchy, Gaussian, Laplace
from sdebnn.torchbnn.mean_field import MeanField
from sdebnn.torchbnn.model import Model
from sdebnn.torchbnn.ode_block import HyperODEBlock, ODEBlock
from sdebnn.torchbnn.resnet import ResNet32
from sdebnn.torchbnn.sdebnn_block import SDEBNN
from sdebnn.torchbnn.shape_layers import Augment, Flatten, Squeeze
from sdebnn.torchbnn.solver import Solver
from sdebnn.torchbnn.weight_process import WeightProcess

__all__ = [
    "SDEBNN",
    "Augment",
    "BayesianModule",
    "Bfloat16",
    "Categorical",
    "Cauchy",
    "Flatten",
    "Gaussian",
    "HyperODEBlock",
    "Laplace",
    "MeanField",
    "Model",
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
