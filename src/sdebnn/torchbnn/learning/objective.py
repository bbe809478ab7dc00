"""Stochastic variational inference: the loss of a mini-batch.

loss = mean negative log-likelihood + kl_coef / N_train * KL
"""

import torch
from torch import nn

from sdebnn.torchbnn.learning.likelihoods import Categorical
from sdebnn.torchbnn.learning.model import Model
from sdebnn.torchbnn.weights.independent_paths import independent_paths


class Objective(nn.Module):
    """The loss of a mini-batch under one draw of the weights. With `kl_coef` 1 its expectation is minus the evidence
    lower bound of the training data, divided by its size.

    **Arguments:**

    - `kl_coef`: weight of the KL. Below 1 the posterior is colder than Bayes' rule has it.
    - `train_size`: how many examples the whole training set has: the KL is paid once for all of them.
    - `batch_paths`: weight paths that share the batch, each seen by an equal part of it; 0 is one an example.
    - `class_weights`: of an example's log-likelihood, by its label; all are 1 unless given.
    - `kl_gradient`: whether the gradient is that of the KL too; an optimiser that knows the prior takes that of the
      likelihood alone.
    """

    def __init__(
        self,
        model: Model,
        *,
        kl_coef: float,
        train_size: int,
        batch_paths: int = 1,
        class_weights: tuple[float, ...] | None = None,
        kl_gradient: bool = True,
    ) -> None:
        super().__init__()
        self._class_weights = class_weights
        self.model = model
        self._kl_weight, self._batch_paths, self._kl_gradient = kl_coef / train_size, batch_paths, kl_gradient

    def forward(
        self, x: torch.Tensor, y: torch.Tensor, *, rng: torch.Generator, kl_share: float = 1.0
    ) -> dict[str, torch.Tensor]:
        """`loss`, `nll`, `kl`, and for labels `accuracy`; `kl_share` multiplies the weight of the KL."""
        network, likelihood = self.model.network, self.model.likelihood
        if self._batch_paths == 1:
            outputs, kl = network(x, rng=rng)
        else:
            outputs, kl = independent_paths(network, self._batch_paths or None)(x, rng=rng)
        log_probs = likelihood.log_prob(dict(self.model.likelihood_params.items()), outputs, y)
        if self._class_weights is not None:
            log_probs = log_probs.new_tensor(self._class_weights)[y.long()] * log_probs
        nll = -log_probs.mean()
        kl = kl if self._kl_gradient else kl.detach()
        parts = {"loss": nll + kl_share * self._kl_weight * kl, "nll": nll.detach(), "kl": kl.detach()}
        if isinstance(likelihood, Categorical):
            parts["accuracy"] = (outputs.argmax(dim=1) == y).float().mean()
        return parts
