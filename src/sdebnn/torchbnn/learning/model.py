"""A network with its likelihood, built from a run's choices."""

from typing import Any

import torch
from torch import nn

from sdebnn.data import Dataset, check_images
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.layers.bayesian import BayesianModule
from sdebnn.torchbnn.layers.randomness import drawing_from
from sdebnn.torchbnn.learning.likelihoods import LIKELIHOODS, Likelihood, initial_params
from sdebnn.torchbnn.learning.networks import build_network
from sdebnn.training.likelihood_protocol import check_likelihood
from sdebnn.training.prediction_choices import prediction_choices
from sdebnn.training.predictions import likelihood_of


class Model(nn.Module):
    """`network` gives outputs and KL, `likelihood` says what the outputs mean; its parameters are `likelihood_params`.

    **Raises:** `InputError` for a likelihood that lacks what training or predictions need.
    """

    network: BayesianModule
    likelihood: Likelihood

    # Of the likelihood, which may be a user's own, the check below answers for the type.
    def __init__(self, network: BayesianModule, likelihood: Any) -> None:
        super().__init__()
        check_likelihood(likelihood)
        self.network, self.likelihood = network, likelihood
        self.likelihood_params = initial_params(likelihood)


def build_model(config: TrainConfig, dataset: Dataset) -> Model:
    """The model that `config` describes, for data of this shape; its weights start from the run's seed.

    **Raises:** `InputError` when the configuration does not fit the data.
    """
    check_images(dataset.x_train.shape[1:], config.augmentation)
    name = likelihood_of(config, dataset)
    likelihood = LIKELIHOODS[name](dataset.num_classes or dataset.y_train.shape[1])
    # Not PyTorch's own generator, which all threads of a program share.
    with drawing_from(torch.Generator().manual_seed(config.seed)):
        network = build_network(config, tuple(dataset.x_train.shape[1:]), likelihood.outputs)
    return Model(network, likelihood)


def build_predictor(config: TrainConfig, dataset: Dataset) -> Model:
    """The same model with the solver that predictions take."""
    return build_model(prediction_choices(config), dataset).requires_grad_(False)
