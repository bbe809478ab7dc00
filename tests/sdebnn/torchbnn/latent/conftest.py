"""The Ornstein-Uhlenbeck process of `ornstein_uhlenbeck` as a model, with its exact posterior in either family."""

from typing import Any, NamedTuple

import numpy as np
import ornstein_uhlenbeck
import pytest
import torch
from ornstein_uhlenbeck import NOISE, RATE, SIZE, TIMES, VALUES, OrnsteinUhlenbeck
from torch import nn

from sdebnn.torchbnn.latent import DriftPosterior, Gaussian, LatentSDE, MarginalPosterior, Series, gaussian


class Truth(nn.Module):
    """The posterior is exact with a gain of one. With others its drift is pulled so many times as much towards what was
    observed, and its marginals are mixed with wrong ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self.a, self.s, self.gain = (nn.Parameter(torch.tensor(x)) for x in (RATE, SIZE, 1.0))
        self.likelihood = gaussian()
        self.likelihood.log_noise.data.fill_(np.log(NOISE))
        self.double()

    def initial(self) -> Gaussian:
        return Gaussian(torch.zeros_like(self.a)[None], (self.s / (2 * self.a).sqrt())[None])

    def drift(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return -self.a * z

    def diffusion(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.s[None]

    def messages(self, times: torch.Tensor, values: torch.Tensor, mask: torch.Tensor) -> Any:
        """What is observed at each time and after it: an information filter."""
        noise = (-2 * self.likelihood.log_noise).exp()
        y, seen = torch.where(mask, values, 0.0)[..., 0], mask[..., 0].to(values)
        later, b, J = times[:, -1], torch.zeros_like(times[:, 0]), torch.zeros_like(times[:, 0])
        found = []
        for k in reversed(range(times.shape[1])):
            b, J = self.carried(later, b, J, times[:, k])
            later, b, J = times[:, k], b + seen[:, k] * y[:, k] * noise, J + seen[:, k] * noise
            found.append((b, J))
        return times, *(torch.stack(x[::-1], 1) for x in zip(*found, strict=True))

    def carried(self, later: Any, b: Any, J: Any, t: Any) -> Any:
        return ornstein_uhlenbeck.carried(torch.exp, later, b, J, t, self.a, self.s)

    def exact_initial(self, context: Any) -> Gaussian:
        _, b, J = (x[:, :1] for x in context)
        variance = 1 / (1 / self.initial().std ** 2 + J)
        return Gaussian(variance * b, variance.sqrt())

    def exact_drift(self, z: torch.Tensor, t: torch.Tensor, context: Any) -> torch.Tensor:
        after = (context[0] <= t).sum(-1).clamp(max=context[0].shape[1] - 1)
        later, b, J = (x[torch.arange(len(x)), after][..., None] for x in context)
        b, J = self.carried(later, b, J, t)
        return -self.a * z + self.gain * self.s**2 * (b - J * z)

    def regression(self, times: torch.Tensor, values: torch.Tensor, mask: torch.Tensor) -> Any:
        """The observations as a Gaussian process has them: a missing one has no covariance with any."""
        some = mask.any(0)[:, 0]
        times, values, mask = times[:, some], values[:, some], mask[:, some]
        seen = mask[..., 0].to(values)
        K = self.covariance(times[:, :, None], times[:, None]) * seen[:, :, None] * seen[:, None]
        noise = torch.where(mask[..., 0], (2 * self.likelihood.log_noise).exp(), 1.0)
        return times, seen, torch.where(mask, values, 0.0)[..., 0], torch.linalg.inv(K + torch.diag_embed(noise))

    def covariance(self, s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.initial().std ** 2 * torch.exp(-self.a * (s - t).abs())

    def exact_marginal(self, t: torch.Tensor, context: Any) -> Gaussian:
        times, seen, y, inverse = context
        k = self.covariance(t, times) * seen
        weights = torch.einsum("pbn,bnm->pbm", k, inverse)
        mean, variance = (weights * y).sum(-1, keepdim=True), (weights * k).sum(-1, keepdim=True)
        std, wrong = (self.initial().std ** 2 - variance).sqrt(), 1 - self.gain
        return Gaussian(
            self.gain * mean + wrong * (self.a * t).sin(), self.gain * std + wrong * (0.3 + 0.2 * torch.exp(-(t**2)))
        )

    def model(self, posterior: DriftPosterior | MarginalPosterior) -> LatentSDE:
        model = LatentSDE(self.initial, self.drift, self.diffusion, posterior, lambda z: z, self.likelihood)
        # Its functions are methods of a module, which is a part of the model.
        model.truth = self
        return model


class OU(NamedTuple):
    series: Series
    evidence: np.ndarray

    @property
    def by_drift(self) -> LatentSDE:
        truth = Truth()
        return truth.model(DriftPosterior(truth.messages, truth.exact_initial, truth.exact_drift))

    @property
    def by_marginals(self) -> LatentSDE:
        truth = Truth()
        return truth.model(MarginalPosterior(truth.regression, truth.exact_marginal))

    def law(self, noise: float = NOISE) -> OrnsteinUhlenbeck:
        return OrnsteinUhlenbeck(RATE, SIZE, noise)


@pytest.fixture
def ou() -> OU:
    evidence = OrnsteinUhlenbeck(RATE, SIZE, NOISE).evidence(TIMES, VALUES[..., 0])
    return OU(Series.of(TIMES, VALUES, np.isfinite(VALUES), dt=0.05), evidence)


@pytest.fixture
def slopes_are_right():
    """Asserts that the gradient of `value()` by each parameter is that of finite differences."""

    def check(value, parameters):
        slopes = torch.autograd.grad(value(), parameters)
        for parameter, slope in zip(parameters, slopes, strict=True):
            ends = []
            for step in (1e-5, -2e-5):
                parameter.data += step
                ends.append(value())
            parameter.data += 1e-5
            torch.testing.assert_close((ends[0] - ends[1]) / 2e-5, slope.sum(), rtol=1e-6, atol=1e-8)

    return check
