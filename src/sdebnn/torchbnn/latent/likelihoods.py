"""What is observed of the latent state: the law of a value given what the decoder says of it."""

import abc
import math

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.metrics.noise_laws import poisson_log_prob
from sdebnn.torchbnn.latent.counts import check_count
from sdebnn.torchbnn.layers.bayesian import device_of
from sdebnn.torchbnn.learning import likelihoods as laws


class Likelihood(nn.Module, abc.ABC):
    """The law of the values that are observed at one time, independent of each other given the state. What it learns
    are its parameters.
    """

    @abc.abstractmethod
    def log_prob(self, decoded: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The log density of each value of y, (..., width), in nats; finite for every value that occurs.

        **Arguments:** `decoded`: what the decoder gives, with the leading axes of y.
        """

    @abc.abstractmethod
    def sample(self, decoded: torch.Tensor, rng: torch.Generator | None) -> torch.Tensor:
        """Values that are drawn, (..., width)."""


def gaussian(std: float | None = None, *, width: int = 1) -> Likelihood:
    """Gaussian noise about what the decoder gives.

    **Arguments:**

    - `std`: its standard deviation, positive, in the unit of the values; it is learned unless given, and then
      the parameter `log_noise`, (width,), is its logarithm.
    - `width`: of the values, for a size of noise each; one for all unless given.

    **Raises:** `InputError` for one that is not as above.
    """
    return _About(laws.Gaussian(width), std)


def student_t(degrees: float, scale: float | None = None, *, width: int = 1) -> Likelihood:
    """Student's t about what the decoder gives: for values of which some are far off.

    **Arguments:**

    - `degrees`: of freedom, positive.
    - `scale`: positive, in the unit of the values; learned as that of `gaussian` unless given.
    - `width`: as of `gaussian`.

    **Raises:** `InputError` for one that is not as above.
    """
    return _About(laws.StudentT(width, dof=degrees), scale)


def poisson() -> Likelihood:
    """Counts, whose log rate is what the decoder gives.

    What is no count has a density of zero; draws at rates beyond the integers are NaN.
    """
    return _Counts()


class _About(Likelihood):
    """Noise of one law about what the decoder gives, of a scale that is given or learned."""

    def __init__(self, law: laws.LocationScale, scale: float | None) -> None:
        super().__init__()
        check_count("width", law.dimensions)
        if scale is not None and not 0 < scale < math.inf:
            raise InputError(f"The scale of noise is {scale}; it is a positive, finite number, or None to be learned.")
        self._law, self._given = law, scale
        if scale is None:
            self.log_noise = nn.Parameter(torch.full((law.dimensions,), -1.0))

    def log_prob(self, decoded: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self._law.law(decoded, self._scale(decoded)).log_prob(y)

    def sample(self, decoded: torch.Tensor, rng: torch.Generator | None) -> torch.Tensor:
        there = torch.empty(decoded.shape, dtype=decoded.dtype, device=device_of(rng))
        # PyTorch's own generator is what None means to a tensor's methods.
        noise = self._law.noise(there, rng)  # type: ignore[arg-type]
        return decoded + self._scale(decoded) * noise.to(decoded.device)

    def _scale(self, decoded: torch.Tensor) -> torch.Tensor:
        if self._given is not None:
            return decoded.new_tensor(self._given)
        if self.log_noise.numel() not in (1, decoded.shape[-1]):
            raise InputError(
                f"The noise that is learned has {self.log_noise.numel()} sizes, for values of width "
                f"{decoded.shape[-1]}; take width=1, or that width."
            )
        return self.log_noise.exp()


class _Counts(Likelihood):
    def log_prob(self, decoded: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        density = poisson_log_prob(torch, torch.lgamma, decoded, y.clamp(min=0))
        return torch.where((y < 0) | (y != y.floor()), -torch.inf, density)

    def sample(self, decoded: torch.Tensor, rng: torch.Generator | None) -> torch.Tensor:
        rate = decoded.exp().to(device_of(rng))
        # Integers end, and say nothing of it.
        drawn = torch.where(rate < 2.0**62, torch.poisson(rate.clamp(max=2.0**62), generator=rng), torch.nan)
        return drawn.to(decoded.device)
