"""What a network's outputs say about a target."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import stats
from jaxtyping import Array, Float, Int, PRNGKeyArray

from sdebnn.errors import InputError
from sdebnn.metrics.contract import check_target_shape


@runtime_checkable
class Likelihood(Protocol):
    """p(y | outputs). A user's own has the same names in JAX and in PyTorch.

    Two methods more are optional: `variance(params, outputs)` and `cdf(params, outputs, targets)`, each (n, d), the
    second the probability of values up to the targets. Without them, what a prediction needs of them is estimated from
    1,000 draws of `sample`.
    """

    @property
    def outputs(self) -> int:
        """How many numbers the network has to give for one example."""

    def init(self) -> Any:
        """The likelihood's own parameters at the start of training, arrays by name; `{}` for none."""

    def log_prob(self, params: Any, outputs: Float[Array, "n o"], targets: Any) -> Float[Array, " n"]:
        """log p(y | outputs) of every example, in nats.

        **Arguments:**

        - `targets`: (n, d), or labels (n,).
        """

    def mean(self, params: Any, outputs: Float[Array, "n o"]) -> Float[Array, "n d"]:
        """The expected targets, or for labels the probabilities of the classes. Where d is not that of the targets,
        predictions have no `rmse` and no `coverage_95`.
        """

    def sample(self, params: Any, outputs: Float[Array, "n o"], rng: PRNGKeyArray) -> Any:
        """Targets drawn for each example, of the shape of `mean`; or labels (n,)."""


class Categorical(NamedTuple):
    """Class labels 0..num_classes-1; the network gives logits."""

    num_classes: int

    @property
    def outputs(self) -> int:
        return self.num_classes

    def init(self) -> dict[str, Any]:
        return {}

    def log_prob(self, params: Any, outputs: Float[Array, "n o"], targets: Int[Array, " n"]) -> Float[Array, " n"]:
        log_probabilities = jax.nn.log_softmax(outputs)
        return jnp.take_along_axis(log_probabilities, targets[:, None], axis=1)[:, 0]

    def mean(self, params: Any, outputs: Float[Array, "n o"]) -> Float[Array, "n o"]:
        return jax.nn.softmax(outputs)

    def sample(self, params: Any, outputs: Float[Array, "n o"], rng: PRNGKeyArray) -> Int[Array, " n"]:
        return jax.random.categorical(rng, outputs)


class Gaussian(NamedTuple):
    """Real targets with independent Gaussian noise, whose standard deviation is learned, one for each target
    dimension.
    """

    dimensions: int
    initial_std: float = 0.5

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> dict[str, Float[Array, " d"]]:
        return _log_scale("log_std", self.dimensions, self.initial_std)

    def log_prob(self, params: Any, outputs: Float[Array, "n d"], targets: Float[Array, "..."]) -> Float[Array, " n"]:
        return _independent(stats.norm.logpdf, params["log_std"], outputs, targets)

    def mean(self, params: Any, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return outputs

    def variance(self, params: Any, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return _scale(params["log_std"], outputs) ** 2

    def cdf(self, params: Any, outputs: Float[Array, "n d"], targets: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return stats.norm.cdf(targets, outputs, _scale(params["log_std"], outputs))

    def sample(self, params: Any, outputs: Float[Array, "n d"], rng: PRNGKeyArray) -> Float[Array, "n d"]:
        return outputs + _scale(params["log_std"], outputs) * jax.random.normal(rng, outputs.shape, outputs.dtype)


class Laplace(NamedTuple):
    """Real targets with independent Laplace noise, whose scale, the mean absolute deviation, is learned, one for each
    target dimension. Outliers count by their distance, not by its square.
    """

    dimensions: int
    initial_scale: float = 0.5

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> dict[str, Float[Array, " d"]]:
        return _log_scale("log_scale", self.dimensions, self.initial_scale)

    def log_prob(self, params: Any, outputs: Float[Array, "n d"], targets: Float[Array, "..."]) -> Float[Array, " n"]:
        return _independent(stats.laplace.logpdf, params["log_scale"], outputs, targets)

    def mean(self, params: Any, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return outputs

    def variance(self, params: Any, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return 2 * _scale(params["log_scale"], outputs) ** 2

    def cdf(self, params: Any, outputs: Float[Array, "n d"], targets: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return stats.laplace.cdf(targets, outputs, _scale(params["log_scale"], outputs))

    def sample(self, params: Any, outputs: Float[Array, "n d"], rng: PRNGKeyArray) -> Float[Array, "n d"]:
        return outputs + _scale(params["log_scale"], outputs) * jax.random.laplace(rng, outputs.shape, outputs.dtype)


class Cauchy(NamedTuple):
    """Real targets with independent Cauchy noise, whose scale, half the distance between its quartiles, is learned, one
    for each target dimension. Outliers, however far, hardly count. The law has no moments: its `mean` is its centre.
    """

    dimensions: int
    initial_scale: float = 0.5

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> dict[str, Float[Array, " d"]]:
        return _log_scale("log_scale", self.dimensions, self.initial_scale)

    def log_prob(self, params: Any, outputs: Float[Array, "n d"], targets: Float[Array, "..."]) -> Float[Array, " n"]:
        return _independent(stats.cauchy.logpdf, params["log_scale"], outputs, targets)

    def mean(self, params: Any, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return outputs

    def variance(self, params: Any, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return jnp.full_like(outputs, jnp.inf)

    def cdf(self, params: Any, outputs: Float[Array, "n d"], targets: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return stats.cauchy.cdf(targets, outputs, _scale(params["log_scale"], outputs))

    def sample(self, params: Any, outputs: Float[Array, "n d"], rng: PRNGKeyArray) -> Float[Array, "n d"]:
        return outputs + _scale(params["log_scale"], outputs) * jax.random.cauchy(rng, outputs.shape, outputs.dtype)


LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "categorical": Categorical,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "cauchy": Cauchy,
}
"""By name; each takes the number of classes or of target dimensions."""


def initial_params(likelihood: Any) -> Any:
    """What `init` gives, as arrays. **Raises:** `InputError` for parameters that are no real numbers."""
    # An array, and not a number of Python's, whose dtype JAX would hold for a weak one.
    params = jax.tree.map(
        lambda leaf: jnp.asarray(leaf if hasattr(leaf, "dtype") else np.asarray(leaf)), likelihood.init()
    )
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise InputError(
                f"The parameter {jax.tree_util.keystr(path)} of the likelihood {type(likelihood).__name__} is "
                f"{leaf.dtype}; parameters are trained, so they are floating-point numbers. Constants are its own."
            )
    return params


def _log_scale(name: str, dimensions: int, scale: float) -> dict[str, Float[Array, " d"]]:
    return {name: jnp.full((dimensions,), jnp.log(scale))}


def _scale(log_scale: Any, outputs: Any) -> Float[Array, "n d"]:
    return jnp.exp(jnp.broadcast_to(log_scale, outputs.shape))


def _independent(logpdf: Callable[..., Any], log_scale: Any, outputs: Any, targets: Any) -> Float[Array, " n"]:
    check_target_shape(outputs.shape, targets.shape)
    return jnp.sum(logpdf(targets, outputs, _scale(log_scale, outputs)), axis=1)
