"""What a network's outputs say about a target."""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.scipy import special, stats
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from sdebnn.brax.layers.bayesian import Params
from sdebnn.brax.layers.precision import strong_types
from sdebnn.errors import InputError
from sdebnn.metrics.contract import check_target_shape
from sdebnn.metrics.noise_laws import (
    MOST_LOG_RATE,
    STUDENT_T_DOF,
    STUDENT_T_INPUT_DOF,
    bounded_logarithm,
    check_dof,
    poisson_log_prob,
    student_t_variance,
)

__all__ = [
    "LIKELIHOODS", "Categorical", "Cauchy", "Gaussian", "GaussianInput", "InputScale", "Laplace", "Likelihood",
    "LocationScale", "Poisson", "StudentT", "StudentTInput",
]  # fmt: skip

# Of n examples, d of each.
Values = Float[Array, "n d"]
# Of the incomplete gamma function: a shape from which its expansion is right to single precision.
MANY = 1000.0


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

    def log_prob(self, params: Params, outputs: Float[Array, "n o"], targets: Any) -> Float[Array, " n"]:
        """log p(y | outputs) of every example, in nats.

        **Arguments:**

        - `targets`: (n, d), or labels (n,).
        """

    def mean(self, params: Params, outputs: Float[Array, "n o"]) -> Float[Array, "n d"]:
        """The expected targets, or for labels the probabilities of the classes. Where d is not that of the targets,
        predictions have no `rmse` and no `coverage_95`.
        """

    def sample(self, params: Params, outputs: Float[Array, "n o"], rng: PRNGKeyArray) -> Any:
        """Targets drawn for each example, of the shape of `mean`; or labels (n,)."""


@dataclasses.dataclass(frozen=True)
class Categorical:
    """Class labels 0..num_classes-1; the network gives logits."""

    num_classes: int

    @property
    def outputs(self) -> int:
        return self.num_classes

    def init(self) -> dict[str, Any]:
        return {}

    def log_prob(self, params: Params, outputs: Float[Array, "n o"], targets: Int[Array, " n"]) -> Float[Array, " n"]:
        log_probabilities = jax.nn.log_softmax(outputs)
        return jnp.take_along_axis(log_probabilities, targets[:, None], axis=1)[:, 0]

    def mean(self, params: Params, outputs: Float[Array, "n o"]) -> Float[Array, "n o"]:
        return jax.nn.softmax(outputs)

    def sample(self, params: Params, outputs: Float[Array, "n o"], rng: PRNGKeyArray) -> Int[Array, " n"]:
        return jax.random.categorical(rng, outputs)


class LocationScale(abc.ABC):
    """Real targets: the outputs plus independent noise of one law, whose scale is learned, one for each target
    dimension. What `Likelihood` asks for, of what a law says of itself.
    """

    dimensions: int
    initial_scale: float

    @property
    @abc.abstractmethod
    def unit_variance(self) -> float:
        """That of the law of scale 1."""

    @abc.abstractmethod
    def log_density(self, targets: Values, outputs: Values, scale: Values) -> Values:
        """Of every target, in nats."""

    @abc.abstractmethod
    def distribution(self, targets: Values, outputs: Values, scale: Values) -> Values:
        """The probability of values up to each target."""

    @abc.abstractmethod
    def noise(self, rng: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "n d"]:
        """Draws of the law of scale 1."""

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> dict[str, Float[Array, " d"]]:
        return {"log_scale": _logarithms(self.initial_scale, self.dimensions)}

    def log_prob(
        self, params: Params, outputs: Float[Array, "n d"], targets: Float[Array, "..."]
    ) -> Float[Array, " n"]:
        check_target_shape(outputs.shape, targets.shape)
        return jnp.sum(self.log_density(targets, outputs, _scale(params, outputs)), axis=1)

    def mean(self, params: Params, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return outputs

    def variance(self, params: Params, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return self.unit_variance * _scale(params, outputs) ** 2

    def cdf(self, params: Params, outputs: Float[Array, "n d"], targets: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return self.distribution(targets, outputs, _scale(params, outputs))

    def sample(self, params: Params, outputs: Float[Array, "n d"], rng: PRNGKeyArray) -> Float[Array, "n d"]:
        return outputs + _scale(params, outputs) * self.noise(rng, outputs.shape, outputs.dtype)


@dataclasses.dataclass(frozen=True)
class Gaussian(LocationScale):
    """Independent Gaussian noise, whose scale is the standard deviation."""

    dimensions: int
    initial_std: float = 0.5

    unit_variance = 1.0

    def init(self) -> dict[str, Float[Array, " d"]]:
        return {"log_std": _logarithms(self.initial_std, self.dimensions)}

    def log_density(self, targets: Values, outputs: Values, scale: Values) -> Values:
        return stats.norm.logpdf(targets, outputs, scale)

    def distribution(self, targets: Values, outputs: Values, scale: Values) -> Values:
        return stats.norm.cdf(targets, outputs, scale)

    def noise(self, rng: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "n d"]:
        return jax.random.normal(rng, shape, dtype)


@dataclasses.dataclass(frozen=True)
class Laplace(LocationScale):
    """Independent Laplace noise, whose scale is the mean absolute deviation. Outliers count by their distance, not by
    its square.
    """

    dimensions: int
    initial_scale: float = 0.5

    unit_variance = 2.0

    def log_density(self, targets: Values, outputs: Values, scale: Values) -> Values:
        return stats.laplace.logpdf(targets, outputs, scale)

    def distribution(self, targets: Values, outputs: Values, scale: Values) -> Values:
        return stats.laplace.cdf(targets, outputs, scale)

    def noise(self, rng: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "n d"]:
        return jax.random.laplace(rng, shape, dtype)


@dataclasses.dataclass(frozen=True)
class Cauchy(LocationScale):
    """Independent Cauchy noise, whose scale is half the distance between its quartiles. Outliers, however far, hardly
    count. The law has no moments: its `mean` is its centre.
    """

    dimensions: int
    initial_scale: float = 0.5

    unit_variance = math.inf

    def log_density(self, targets: Values, outputs: Values, scale: Values) -> Values:
        return stats.cauchy.logpdf(targets, outputs, scale)

    def distribution(self, targets: Values, outputs: Values, scale: Values) -> Values:
        return stats.cauchy.cdf(targets, outputs, scale)

    def noise(self, rng: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "n d"]:
        return jax.random.cauchy(rng, shape, dtype)


@dataclasses.dataclass(frozen=True)
class StudentT(LocationScale):
    """Independent noise of Student's t, of `dof` degrees of freedom: Gaussian in the middle, with the scale for
    standard deviation, and with outliers, which count by the logarithm of their distance. The fewer degrees, the more;
    1 is Cauchy's law. There is a variance above 2, and below it is infinite; up to 1 the `mean` is the centre.

    **Raises:** `InputError` for `dof` that is not above 0.
    """

    dimensions: int
    initial_scale: float = 0.5
    dof: float = STUDENT_T_DOF

    def __post_init__(self) -> None:
        check_dof(self, self.dof)

    @property
    def unit_variance(self) -> float:
        return student_t_variance(self.dof)

    def log_density(self, targets: Values, outputs: Values, scale: Values) -> Values:
        return stats.t.logpdf(targets, self.dof, outputs, scale)

    def distribution(self, targets: Values, outputs: Values, scale: Values) -> Values:
        z = (targets - outputs) / scale
        # The probability of residuals up to that size, either way; at 0 the fraction is 1 / (1 + infinity).
        within = special.betainc(0.5, self.dof / 2, 1 / (1 + self.dof / z**2))
        return 0.5 + 0.5 * jnp.sign(z) * within

    def noise(self, rng: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Float[Array, "n d"]:
        return jax.random.t(rng, self.dof, shape, dtype)


class InputScale(abc.ABC):
    """Independent noise of a law whose scale depends on the input: of every example the network gives the centres and,
    after them, the logarithms of the scales in units of a learned one, one for each target (Nix and Weigend, Estimating
    the mean and variance of the target probability distribution, 1994).
    """

    dimensions: int

    @property
    @abc.abstractmethod
    def family(self) -> LocationScale:
        """The law, of one scale for all inputs."""

    @property
    def outputs(self) -> int:
        return 2 * self.dimensions

    def init(self) -> dict[str, Float[Array, " d"]]:
        return self.family.init()

    def log_prob(
        self, params: Params, outputs: Float[Array, "n o"], targets: Float[Array, "..."]
    ) -> Float[Array, " n"]:
        centre, scale = self._of(params, outputs)
        check_target_shape(centre.shape, targets.shape)
        return jnp.sum(self.family.log_density(targets, centre, scale), axis=1)

    def mean(self, params: Params, outputs: Float[Array, "n o"]) -> Float[Array, "n d"]:
        return self._of(params, outputs)[0]

    def variance(self, params: Params, outputs: Float[Array, "n o"]) -> Float[Array, "n d"]:
        return self.family.unit_variance * self._of(params, outputs)[1] ** 2

    def cdf(self, params: Params, outputs: Float[Array, "n o"], targets: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return self.family.distribution(targets, *self._of(params, outputs))

    def sample(self, params: Params, outputs: Float[Array, "n o"], rng: PRNGKeyArray) -> Float[Array, "n d"]:
        centre, scale = self._of(params, outputs)
        return centre + scale * self.family.noise(rng, centre.shape, centre.dtype)

    def _of(self, params: Params, outputs: Float[Array, "n o"]) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
        centre, log_ratio = jnp.split(outputs, 2, axis=1)
        # The one parameter, whatever its name.
        (log_scale,) = params.values()
        log_scales = jnp.broadcast_to(log_scale, centre.shape) + log_ratio
        return centre, jnp.exp(bounded_logarithm(jnp, log_scales))


@dataclasses.dataclass(frozen=True)
class GaussianInput(InputScale):
    """Independent Gaussian noise whose standard deviation depends on the input."""

    dimensions: int
    initial_std: float = 0.5

    @property
    def family(self) -> Gaussian:
        return Gaussian(self.dimensions, self.initial_std)


@dataclasses.dataclass(frozen=True)
class StudentTInput(InputScale):
    """Independent noise of Student's t, of `dof` degrees of freedom, whose scale depends on the input. An input where
    it is guessed too small costs little.

    **Raises:** `InputError` for `dof` that is not above 0.
    """

    dimensions: int
    initial_scale: float = 0.5
    dof: float = STUDENT_T_INPUT_DOF

    def __post_init__(self) -> None:
        check_dof(self, self.dof)

    @property
    def family(self) -> StudentT:
        return StudentT(self.dimensions, self.initial_scale, self.dof)


@dataclasses.dataclass(frozen=True)
class Poisson:
    """Counts, whole numbers from 0, of Poisson's law: of every example the network gives the logarithms of the rates,
    one for each target. A rate is the mean of a count and its variance.
    """

    dimensions: int

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> dict[str, Any]:
        return {}

    def log_prob(
        self, params: Params, outputs: Float[Array, "n d"], targets: Float[Array, "..."]
    ) -> Float[Array, " n"]:
        check_target_shape(outputs.shape, targets.shape)
        log_rate = self._log_rate(outputs)
        return jnp.sum(poisson_log_prob(jnp, special.gammaln, log_rate, targets), axis=1)

    def mean(self, params: Params, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return jnp.exp(self._log_rate(outputs))

    def variance(self, params: Params, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return self.mean(params, outputs)

    def cdf(self, params: Params, outputs: Float[Array, "n d"], targets: Float[Array, "n d"]) -> Float[Array, "n d"]:
        shape = jnp.floor(jnp.maximum(targets, 0)) + 1
        log_rate = self._log_rate(outputs)
        return jnp.where(targets < 0, 0, _upper_gamma(shape, log_rate))

    def sample(self, params: Params, outputs: Float[Array, "n d"], rng: PRNGKeyArray) -> Float[Array, "n d"]:
        return jax.random.poisson(rng, self.mean(params, outputs)).astype(outputs.dtype)

    def _log_rate(self, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return bounded_logarithm(jnp, outputs, MOST_LOG_RATE)


def _upper_gamma(shape: Float[Array, "n d"], log_x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The regularised upper incomplete gamma function Q(shape, x). That of JAX is wrong for large shapes, where Temme's
    uniform expansion (The asymptotic expansion of the incomplete gamma functions, 1979), to its first terms, is right
    to single precision.
    """
    large = jnp.maximum(shape, MANY)
    t = log_x - jnp.log(large)
    eta = jnp.sign(t) * jnp.sqrt(2 * jnp.maximum(jnp.expm1(t) - t, 0))
    near = jnp.clip(eta, -1, 1)
    first = -1 / 3 + near / 12 - 2 / 135 * near**2 + near**3 / 864
    rest = first * jnp.exp(-0.5 * large * eta**2) / jnp.sqrt(2 * math.pi * large)
    by_series = 0.5 * special.erfc(eta * jnp.sqrt(large / 2)) + rest
    return jnp.where(shape < MANY, special.gammaincc(jnp.minimum(shape, MANY), jnp.exp(log_x)), by_series)


LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "categorical": Categorical,
    "gaussian": Gaussian,
    "gaussian_input": GaussianInput,
    "laplace": Laplace,
    "cauchy": Cauchy,
    "student_t": StudentT,
    "student_t_input": StudentTInput,
    "poisson": Poisson,
}
"""By name; each takes the number of classes or of target dimensions."""


def initial_params(likelihood: Any) -> Any:
    """What `init` gives, as arrays. **Raises:** `InputError` for parameters that are no real numbers."""
    params = strong_types(likelihood.init())
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise InputError(
                f"The parameter {jax.tree_util.keystr(path)} of the likelihood {type(likelihood).__name__} is "
                f"{leaf.dtype}; parameters are trained, so they are floating-point numbers. Constants are its own."
            )
    return params


def _logarithms(value: float, dimensions: int) -> Float[Array, " d"]:
    return jnp.full((dimensions,), jnp.log(value))


def _scale(params: Params, outputs: Float[Array, "n d"]) -> Float[Array, "n d"]:
    # The one parameter, whatever its name.
    (log_scale,) = params.values()
    return jnp.exp(jnp.broadcast_to(log_scale, outputs.shape))
