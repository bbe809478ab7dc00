"""What a network's outputs say about a target, and how posterior samples of the outputs become one prediction."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from sdebnn.target_shape import check_target_shape


@runtime_checkable
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
        return _log_scale("log_std", self.dimensions, self.initial_std)

    def log_prob(self, params: Any, outputs: Float[Array, "n o"], targets: Float[Array, "..."]) -> Float[Array, " n"]:
        return _independent(jax.scipy.stats.norm.logpdf, params["log_std"], outputs, targets)


class Laplace(NamedTuple):
    """Real targets with independent Laplace noise, whose scale, the mean absolute deviation, is learned, one for each
    target dimension. Outliers count by their distance, not by its square.
    """

    dimensions: int
    initial_scale: float = 0.5

    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> dict[str, Float[Array, " d"]]:
        return _log_scale("log_scale", self.dimensions, self.initial_scale)

    def log_prob(self, params: Any, outputs: Float[Array, "n o"], targets: Float[Array, "..."]) -> Float[Array, " n"]:
        return _independent(jax.scipy.stats.laplace.logpdf, params["log_scale"], outputs, targets)


class Cauchy(NamedTuple):
    """Real targets with independent Cauchy noise, whose scale, half the distance between its quartiles, is learned, one
    for each target dimension. Outliers, however far, hardly count.
    """

    dimensions: int
    initial_scale: float = 0.5

    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> dict[str, Float[Array, " d"]]:
        return _log_scale("log_scale", self.dimensions, self.initial_scale)

    def log_prob(self, params: Any, outputs: Float[Array, "n o"], targets: Float[Array, "..."]) -> Float[Array, " n"]:
        return _independent(jax.scipy.stats.cauchy.logpdf, params["log_scale"], outputs, targets)


LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "categorical": Categorical,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "cauchy": Cauchy,
}
"""By name; each takes the number of classes or of target dimensions."""


def _log_scale(name: str, dimensions: int, scale: float) -> dict[str, Float[Array, " d"]]:
    return {name: jnp.full((dimensions,), jnp.log(scale))}


def _independent(logpdf: Callable[..., Any], log_scale: Any, outputs: Any, targets: Any) -> Float[Array, " n"]:
    check_target_shape(outputs.shape, targets.shape)
    scale = jnp.exp(jnp.broadcast_to(log_scale, outputs.shape))
    return jnp.sum(logpdf(targets, outputs, scale), axis=1)
