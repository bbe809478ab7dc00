"""What a network's outputs say about a target: the names of `sdebnn.brax.learning.likelihoods`."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import distributions, nn

from sdebnn.errors import InputError
from sdebnn.metrics.contract import check_target_shape

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


class Categorical(NamedTuple):
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


class Gaussian(NamedTuple):
    """Real targets with independent Gaussian noise, whose standard deviation is learned, one for each dimension."""

    dimensions: int
    initial_std: float = 0.5

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> Parameters:
        return {"log_std": torch.full((self.dimensions,), math.log(self.initial_std))}

    def log_prob(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _independent(distributions.Normal, params["log_std"], outputs, targets)

    def mean(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return outputs

    def variance(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return (2 * params["log_std"]).exp().expand_as(outputs)

    def cdf(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _law(distributions.Normal, params["log_std"], outputs).cdf(targets)

    def sample(self, params: Parameters, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return outputs + params["log_std"].exp() * _like(outputs).normal_(generator=rng)


class Laplace(NamedTuple):
    """Real targets with independent Laplace noise, whose scale, the mean absolute deviation, is learned."""

    dimensions: int
    initial_scale: float = 0.5

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> Parameters:
        return {"log_scale": torch.full((self.dimensions,), math.log(self.initial_scale))}

    def log_prob(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _independent(distributions.Laplace, params["log_scale"], outputs, targets)

    def mean(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return outputs

    def variance(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return 2 * (2 * params["log_scale"]).exp().expand_as(outputs)

    def cdf(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _law(distributions.Laplace, params["log_scale"], outputs).cdf(targets)

    def sample(self, params: Parameters, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        # The difference of two exponential draws.
        drawn = _like(outputs).exponential_(generator=rng) - _like(outputs).exponential_(generator=rng)
        return outputs + params["log_scale"].exp() * drawn


class Cauchy(NamedTuple):
    """Real targets with independent Cauchy noise, whose scale, half the distance of its quartiles, is learned. The law
    has no moments: its `mean` is its centre.
    """

    dimensions: int
    initial_scale: float = 0.5

    @property
    def outputs(self) -> int:
        return self.dimensions

    def init(self) -> Parameters:
        return {"log_scale": torch.full((self.dimensions,), math.log(self.initial_scale))}

    def log_prob(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _independent(distributions.Cauchy, params["log_scale"], outputs, targets)

    def mean(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return outputs

    def variance(self, params: Parameters, outputs: torch.Tensor) -> torch.Tensor:
        return torch.full_like(outputs, math.inf)

    def cdf(self, params: Parameters, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _law(distributions.Cauchy, params["log_scale"], outputs).cdf(targets)

    def sample(self, params: Parameters, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return outputs + params["log_scale"].exp() * _like(outputs).cauchy_(generator=rng)


LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "categorical": Categorical,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "cauchy": Cauchy,
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


def _law(law: Any, log_scale: torch.Tensor, outputs: torch.Tensor) -> Any:
    # Unchecked: numbers that are not finite are found where training says at which step they began.
    return law(outputs, log_scale.exp(), validate_args=False)


def _independent(law: Any, log_scale: torch.Tensor, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    check_target_shape(outputs.shape, targets.shape)
    return _law(law, log_scale, outputs).log_prob(targets).sum(dim=1)


def _like(outputs: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(outputs)
