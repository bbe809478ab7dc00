"""A network with its likelihood, built from a run's choices."""

import torch
from torch import nn

from sdebnn.data import Dataset, check_images
from sdebnn.prediction_choices import prediction_choices
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.bayesian import BayesianModule
from sdebnn.torchbnn.likelihoods import LIKELIHOODS, Likelihood
from sdebnn.torchbnn.networks import build_network
from sdebnn.training.predictions import likelihood_of


class Model(nn.Module):
    """`network` gives outputs and KL, `likelihood` says what the outputs mean."""

    network: BayesianModule
    likelihood: Likelihood

    def __init__(self, network: BayesianModule, likelihood: Likelihood) -> None:
        super().__init__()
        self.network, self.likelihood = network, likelihood


def build_model(config: TrainConfig, dataset: Dataset) -> Model:
    """The model that `config` describes, for data of this shape; its weights start from the run's seed.

    **Raises:** `InputError` when the configuration does not fit the data.
    """
    check_images(dataset.x_train.shape[1:], config.augmentation)
    name = likelihood_of(config, dataset)
    outputs = dataset.num_classes or dataset.y_train.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build_network(config, tuple(dataset.x_train.shape[1:]), outputs)
    return Model(network, LIKELIHOODS[name](outputs))


def build_predictor(config: TrainConfig, dataset: Dataset) -> Model:
    """The same model with the solver that predictions take."""
    return build_model(prediction_choices(config), dataset).requires_grad_(False)
