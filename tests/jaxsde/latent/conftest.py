"""An Ornstein-Uhlenbeck process with Gaussian observations, whose evidence and posterior are known."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import ornstein_uhlenbeck
import pytest
from ornstein_uhlenbeck import NOISE, RATE, SIZE, TIMES, VALUES, OrnsteinUhlenbeck

from jaxsde.latent import DriftPosterior, Gaussian, LatentSDE, MarginalPosterior, Series, gaussian


def covariance(s: Any, t: Any, params: Any) -> Any:
    """Of the stationary process, at every two times."""
    a, size = params["a"][0], params["s"][0]
    return size**2 / (2 * a) * jnp.exp(-a * jnp.abs(s[:, None] - t[None, :]))


def stationary(params: Any) -> Gaussian:
    return Gaussian(jnp.zeros_like(params["a"]), params["s"] / jnp.sqrt(2 * params["a"]))


def drift(z: Any, t: Any, params: Any) -> Any:
    return -params["a"] * z


def diffusion(z: Any, t: Any, params: Any) -> Any:
    return jnp.broadcast_to(params["s"], z.shape)


def messages(times: Any, values: Any, mask: Any, params: Any) -> Any:
    """What is observed at each time and after it, as exp(b z - J z^2 / 2) of the state then: an information filter."""
    noise = jnp.exp(-2 * params["log_noise"])
    y, seen = jnp.where(mask, values, 0.0)[:, 0], mask[:, 0].astype(values.dtype)

    def back(later: Any, row: Any) -> Any:
        t, y, seen = row
        at, b, J = later
        b, J = carried(at, b, J, t, params)
        here = t, b + seen * y * noise, J + seen * noise
        return here, here

    end = times[-1], jnp.zeros_like(times[0]), jnp.zeros_like(times[0])
    return jax.lax.scan(back, end, (times, y, seen), reverse=True)[1]


def carried(later: Any, b: Any, J: Any, t: Any, params: Any) -> Any:
    """A message to an earlier time."""
    return ornstein_uhlenbeck.carried(jnp.exp, later, b, J, t, params["a"][0], params["s"][0])


def exact_initial(context: Any, params: Any) -> Gaussian:
    _, b, J = (x[:1] for x in context)
    variance = 1 / (1 / stationary(params).std ** 2 + J)
    return Gaussian(variance * b, jnp.sqrt(variance))


def exact_drift(z: Any, t: Any, context: Any, params: Any) -> Any:
    times, b, J = context
    after = jnp.minimum(jnp.sum(times <= t), times.size - 1)
    b, J = carried(times[after], b[after], J[after], t, params)
    return -params["a"] * z + params["gain"] * params["s"] ** 2 * (b - J * z)


def regression(times: Any, values: Any, mask: Any, params: Any) -> Any:
    """The observations as a Gaussian process has them: a missing one has no covariance with any."""
    seen = mask[:, 0].astype(values.dtype)
    noise = jnp.exp(2 * params["log_noise"])
    K = covariance(times, times, params) * seen[:, None] * seen[None, :]
    inverse = jnp.linalg.inv(K + jnp.diag(jnp.where(mask[:, 0], noise, 1.0)))
    return times, seen, jnp.where(mask, values, 0.0)[:, 0], inverse


def exact_marginal(t: Any, context: Any, params: Any) -> Gaussian:
    times, seen, y, inverse = context
    k = covariance(t[None], times, params)[0] * seen
    gain = params["gain"]
    mean, std = (k @ inverse @ y)[None], jnp.sqrt(stationary(params).std ** 2 - k @ inverse @ k)
    return Gaussian(
        gain * mean + (1 - gain) * jnp.sin(params["a"] * t), gain * std + (1 - gain) * (0.3 + 0.2 * jnp.exp(-(t**2)))
    )


def observed(z: Any, params: Any) -> Any:
    return z


LIKELIHOOD = gaussian()
BY_DRIFT, BY_MARGINALS = (
    LatentSDE(stationary, drift, diffusion, posterior, observed, LIKELIHOOD)
    for posterior in (
        DriftPosterior(messages, exact_initial, exact_drift),
        MarginalPosterior(regression, exact_marginal),
    )
)


class OU(NamedTuple):
    """Two series with gaps, their evidence, and the exact posterior by its drift and by its marginals.

    It is exact with a gain of one. With others its drift is pulled so many times as much towards what was observed, and
    its marginals are mixed with wrong ones.
    """

    times: Any
    values: Any
    series: Any
    params: Any
    by_drift: LatentSDE
    by_marginals: LatentSDE

    def law(self, params: Any) -> OrnsteinUhlenbeck:
        return OrnsteinUhlenbeck(*(float(x) for x in (params["a"][0], params["s"][0], jnp.exp(params["log_noise"]))))

    def evidence(self, params: Any) -> Any:
        return self.law(params).evidence(self.times, self.values[..., 0])


@pytest.fixture
def ou(x64: None) -> OU:
    params = {"a": jnp.array([RATE]), "s": jnp.array([SIZE]), "log_noise": jnp.log(NOISE), "gain": jnp.asarray(1.0)}
    return OU(
        TIMES,
        VALUES,
        Series.of(TIMES, VALUES, np.isfinite(VALUES), dt=0.05),
        params,
        BY_DRIFT,
        BY_MARGINALS,
    )
