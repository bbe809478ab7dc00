"""What a network's outputs say about a target: the names of `sdebnn.brax.learning.likelihoods`."""

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from torch import distributions, nn

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

Parameters = Mapping[str, torch.Tensor]


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

    def init(self) -> Parameters:
        """The likelihood's own parameters at the start of training, tensors by name; `{}` for none."""

    def log_prob(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """log p(y | outputs) of every example, (n,), in nats.

        **Arguments:**

        - `outputs`: (n, outputs).
        - `targets`: (n, d), or labels (n,).
        """

    def mean(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        """The expected targets (n, d), or for labels the probabilities (n, classes). Where d is not that of the
        targets, predictions have no `rmse` and no `coverage_95`.
        """

    def sample(self, params: Parameters, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Targets drawn for each example, of the shape of `mean`; or labels (n,). What draws without a generator,
        as `torch.distributions` do, is seeded for the call too.
        """


@dataclasses.dataclass(frozen=True)
class Categorical:
    """Class labels 0..num_classes-1; the network gives logits."""

    num_classes: int

    @property
    def outputs(self) -> int:
        return self.num_classes

    def init(self) -> Parameters:
        return {}

    def log_prob(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return -F.cross_entropy(outputs, targets.long(), reduction="none")

    def mean(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.softmax(dim=1)

    def sample(self, params: Parameters, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return torch.multinomial(outputs.softmax(dim=1), 1, generator=rng)[:, 0]


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
    def law(self, outputs: torch.Tensor, scale: torch.Tensor) -> distributions.Distribution:
        """Of the targets: `outputs` (n, d) and `scale` (d,). It is not asked whether they are finite: numbers that
        are not are found where training says at which step they began.
        """

    def distribution(self, targets: torch.Tensor, outputs: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """The probability of values up to each target."""
        return self.law(outputs, scale).cdf(targets)

    @abc.abstractmethod
    def noise(self, like: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draws of the law of scale 1, of the shape, type and device of `like`, whose numbers do not matter."""

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> Parameters:
        return {"log_scale": torch.full((self.dimensions,), math.log(self.initial_scale))}

    def log_prob(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        check_target_shape(outputs.shape, targets.shape)
        return self.law(outputs, _log_scale(params).exp()).log_prob(targets).sum(dim=1)

    def mean(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return outputs

    def variance(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return self.unit_variance * (2 * _log_scale(params)).exp().expand_as(outputs)

    def cdf(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.distribution(targets, outputs, _log_scale(params).exp())

    def sample(self, params: Parameters, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return outputs + _log_scale(params).exp() * self.noise(outputs, rng)


@dataclasses.dataclass(frozen=True)
class Gaussian(LocationScale):
    """Independent Gaussian noise, whose scale is the standard deviation."""

    dimensions: int
    initial_std: float = 0.5

    unit_variance = 1.0

    def init(self) -> Parameters:
        return {"log_std": torch.full((self.dimensions,), math.log(self.initial_std))}

    def law(self, outputs: torch.Tensor, scale: torch.Tensor) -> distributions.Distribution:
        return distributions.Normal(outputs, scale, validate_args=False)

    def noise(self, like: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return torch.empty_like(like).normal_(generator=rng)


@dataclasses.dataclass(frozen=True)
class Laplace(LocationScale):
    """Independent Laplace noise, whose scale is the mean absolute deviation. Outliers count by their distance, not by
    its square.
    """

    dimensions: int
    initial_scale: float = 0.5

    unit_variance = 2.0

    def law(self, outputs: torch.Tensor, scale: torch.Tensor) -> distributions.Distribution:
        return distributions.Laplace(outputs, scale, validate_args=False)

    def noise(self, like: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        # The difference of two exponential draws.
        first, second = (torch.empty_like(like).exponential_(generator=rng) for _ in range(2))
        return first - second


@dataclasses.dataclass(frozen=True)
class Cauchy(LocationScale):
    """Independent Cauchy noise, whose scale is half the distance between its quartiles. Outliers, however far, hardly
    count. The law has no moments: its `mean` is its centre.
    """

    dimensions: int
    initial_scale: float = 0.5

    unit_variance = math.inf

    def law(self, outputs: torch.Tensor, scale: torch.Tensor) -> distributions.Distribution:
        return distributions.Cauchy(outputs, scale, validate_args=False)

    def noise(self, like: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return torch.empty_like(like).cauchy_(generator=rng)


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

    def law(self, outputs: torch.Tensor, scale: torch.Tensor) -> distributions.Distribution:
        return distributions.StudentT(self.dof, outputs, scale, validate_args=False)

    def distribution(self, targets: torch.Tensor, outputs: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        # PyTorch has no incomplete beta function.
        z = (targets - outputs) / scale
        return torch.from_numpy(scipy.special.stdtr(self.dof, z.detach().double().cpu().numpy())).to(outputs)

    def noise(self, like: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        # Bailey, Polar generation of random variates with the t-distribution, 1994: gamma draws take no generator.
        exponential = torch.empty_like(like).exponential_(generator=rng)
        turn = torch.empty_like(like).uniform_(generator=rng)
        return (self.dof * torch.expm1(2 / self.dof * exponential)).sqrt() * torch.cos(2 * math.pi * turn)


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

    def init(self) -> Parameters:
        return self.family.init()

    def log_prob(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        centre, scale = self._of(params, outputs)
        check_target_shape(centre.shape, targets.shape)
        return self.family.law(centre, scale).log_prob(targets).sum(dim=1)

    def mean(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return self._of(params, outputs)[0]

    def variance(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return self.family.unit_variance * self._of(params, outputs)[1] ** 2

    def cdf(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.family.distribution(targets, *self._of(params, outputs))

    def sample(self, params: Parameters, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        centre, scale = self._of(params, outputs)
        return centre + scale * self.family.noise(centre, rng)

    def _of(self, params: Parameters, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        centre, log_ratio = outputs.chunk(2, dim=1)
        return centre, bounded_logarithm(torch, _log_scale(params) + log_ratio).exp()


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

    def init(self) -> Parameters:
        return {}

    def log_prob(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        check_target_shape(outputs.shape, targets.shape)
        log_rate = self._log_rate(outputs)
        return poisson_log_prob(torch, torch.lgamma, log_rate, targets).sum(dim=1)

    def mean(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return self._log_rate(outputs).exp()

    def variance(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return self.mean(params, outputs)

    def cdf(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        whole = targets.clamp(min=0).floor()
        return torch.special.gammaincc(whole + 1, self.mean(params, outputs)) * (targets >= 0)

    def sample(self, params: Parameters, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return torch.poisson(self.mean(params, outputs), generator=rng)

    def _log_rate(self, outputs: torch.Tensor) -> torch.Tensor:
        return bounded_logarithm(torch, outputs, MOST_LOG_RATE)


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


def initial_params(likelihood: Any) -> nn.ParameterDict:
    """What `init` gives, to be trained. **Raises:** `InputError` for parameters that are no real numbers by name."""
    params = likelihood.init()
    if not isinstance(params, Mapping):
        raise InputError(
            f"init() of the likelihood {type(likelihood).__name__} gave a {type(params).__name__}; it takes a dict of "
            "tensors by name, {} for none."
        )
    tensors = {
        str(name): value.detach().clone()
        if isinstance(value, torch.Tensor)
        else torch.tensor(np.asarray(value).tolist())
        for name, value in params.items()
    }
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InputError(
                f"The parameter {name!r} of the likelihood {type(likelihood).__name__} is {tensor.dtype}; parameters "
                "are trained, so they are floating-point numbers. Constants are its own."
            )
    return nn.ParameterDict({name: nn.Parameter(tensor) for name, tensor in tensors.items()})


def _log_scale(params: Parameters) -> torch.Tensor:
    # The one parameter, whatever its name.
    (log_scale,) = params.values()
    return log_scale
