"""What a network's outputs say about a target, and how posterior samples of the outputs become one prediction."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Likelihood(Protocol):
    """p(y | outputs). Log-likelihoods are in nats."""

    def outputs(self) -> int:
        """How many numbers the network has to give for one example."""

    def init(self) -> Any:
        """The likelihood's own parameters at the start of training."""

    def log_prob(self, params: Any, outputs: Float[Array, "n o"], targets: Any) -> Float[Array, " n"]:
        """log p(y | outputs) of every example."""


class Categorical(NamedTuple):
    """Class labels 0..num_classes-1; the network gives logits."""

    num_classes: int

    def outputs(self) -> int:
        return self.num_classes

    def init(self) -> dict[str, Any]:
        return {}

    def log_prob(self, params: Any, outputs: Float[Array, "n o"], targets: Int[Array, " n"]) -> Float[Array, " n"]:
        log_probabilities = jax.nn.log_softmax(outputs)
        return jnp.take_along_axis(log_probabilities, targets[:, None], axis=1)[:, 0]


class Gaussian(NamedTuple):
    """Real targets with independent Gaussian noise, whose standard deviation is learned, one for each target
    dimension.
    """

    dimensions: int
    initial_std: float = 0.5

    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> dict[str, Float[Array, " d"]]:
        return {"log_std": jnp.full((self.dimensions,), jnp.log(self.initial_std))}

    def log_prob(self, params: Any, outputs: Float[Array, "n o"], targets: Float[Array, "n o"]) -> Float[Array, " n"]:
        log_std = jnp.broadcast_to(params["log_std"], outputs.shape)
        return jnp.sum(jax.scipy.stats.norm.logpdf(targets, outputs, jnp.exp(log_std)), axis=1)
