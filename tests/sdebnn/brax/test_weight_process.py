import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sdebnn.brax import Layer, WeightProcess, drift_network
from sdebnn.brax.diffeq_layers import dense
from sdebnn.errors import InputError

KEY = jax.random.key(0)
TS = jnp.linspace(0.0, 1.0, 33)
SIGNIFICANCE = 1e-3
ESTIMATORS = ["analytic", "full_mc", "stl"]

# A posterior that is itself an OU process: NN(w, t) = -kappa w pulls harder than the prior does.
KAPPA = 0.8
linear_drift = Layer(lambda rng, shape: (shape, jnp.asarray(KAPPA)), lambda kappa, w, t: -kappa * w)


def discrete_moments(rate: float, sigma: float, w0: float, h: float, steps: int) -> list[tuple[float, float]]:
    """Mean and variance of the Euler-Maruyama chain of dw = -rate w dt + sigma dB at every step."""
    mean, variance, moments = w0, 0.0, []
    for _ in range(steps + 1):
        moments.append((mean, variance))
        mean, variance = (1 - rate * h) * mean, (1 - rate * h) ** 2 * variance + sigma**2 * h
    return moments


def paths_and_kl(process, params, estimator, n, seed=1):
    def one(key):
        increments = process.increments(key, TS, params)
        ws = process.sample(key, params, TS)
        return ws, process.kl(params, ws, TS, increments, estimator)

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(seed), n))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_fresh_process_is_its_prior_with_kl_zero(estimator: str) -> None:
    process = WeightProcess(drift_network((2, 8, 2)), sigma=0.3)
    params = process.init(KEY, [jnp.ones((3, 2)), jnp.ones((2,))])
    ws, kl = paths_and_kl(process, params, estimator, 4)
    np.testing.assert_array_equal(kl, np.zeros(4))
    prior = jax.vmap(lambda key: process.sample(key, params, TS, prior=True))(jax.random.split(jax.random.key(1), 4))
    np.testing.assert_allclose(ws, prior, rtol=1e-6)


@pytest.mark.parametrize("centre", ["zero", "w0"])
def test_fresh_weight_paths_follow_the_ornstein_uhlenbeck_law(centre: str) -> None:
    w0, rate, sigma = 1.5, 2.0, 0.7
    process = WeightProcess(drift_network((2,)), sigma=sigma, sigma_scale="constant", rate=rate, centre=centre)
    params = process.init(KEY, jnp.full((1,), w0))
    ws, _ = paths_and_kl(process, params, "analytic", 4000)
    at_centre = w0 if centre == "w0" else 0.0
    moments = discrete_moments(rate, sigma, w0 - at_centre, float(TS[1]), len(TS) - 1)
    for k in (1, 16, 32):
        mean, variance = moments[k]
        sample = np.asarray(ws)[:, k, 0].astype(np.float64) - at_centre
        assert stats.kstest(sample, stats.norm(mean, variance**0.5).cdf).pvalue > SIGNIFICANCE
    # The chain's law is itself within its first-order error of the continuous one.
    exact_mean = (w0 - at_centre) * np.exp(-rate)
    exact_variance = sigma**2 / (2 * rate) * (1 - np.exp(-2 * rate))
    assert moments[-1][0] == pytest.approx(exact_mean, abs=0.02)
    assert moments[-1][1] == pytest.approx(exact_variance, rel=0.05)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_kl_between_two_ornstein_uhlenbeck_processes_matches_its_closed_form(estimator: str) -> None:
    w0, rate, sigma, n = 1.0, 1.0, 0.5, 4000
    process = WeightProcess(linear_drift, sigma=sigma, sigma_scale="constant", rate=rate, centre="zero")
    params = process.init(KEY, jnp.full((1,), w0))
    _, kl = paths_and_kl(process, params, estimator, n)
    h = float(TS[1])
    moments = discrete_moments(rate + KAPPA, sigma, w0, h, len(TS) - 1)
    expected = sum(KAPPA**2 * (mean**2 + variance) * h / (2 * sigma**2) for mean, variance in moments[:-1])
    kl = np.asarray(kl, np.float64)
    assert abs(kl.mean() - expected) < 4 * kl.std() / n**0.5
    # The continuous closed form: E w_t^2 = w0^2 exp(-2 a t) + sigma^2 / (2 a) (1 - exp(-2 a t)), with a = rate + kappa.
    a = rate + KAPPA
    decay = (1 - np.exp(-2 * a)) / (2 * a)
    continuous = KAPPA**2 / (2 * sigma**2) * (w0**2 * decay + sigma**2 / (2 * a) * (1 - decay))
    assert expected == pytest.approx(continuous, rel=0.05)


def test_only_the_sampled_estimators_have_the_ito_sum_and_it_has_mean_zero() -> None:
    process = WeightProcess(linear_drift, sigma=0.5, sigma_scale="constant", centre="zero")
    params = process.init(KEY, jnp.ones((1,)))
    ito_sum = np.asarray(
        paths_and_kl(process, params, "full_mc", 4000)[1] - paths_and_kl(process, params, "analytic", 4000)[1]
    )
    assert ito_sum.std() > 0.1
    assert abs(ito_sum.mean()) < 4 * ito_sum.std() / 4000**0.5


def test_stl_stops_the_gradient_at_the_parameters_of_u_only() -> None:
    process = WeightProcess(linear_drift, sigma=0.5, sigma_scale="constant", centre="zero")
    params = process.init(KEY, jnp.ones((1,)))

    def of(params, estimator, key):
        ws = process.sample(key, params, TS)
        return process.kl(params, ws, TS, process.increments(key, TS, params), estimator)

    key = jax.random.key(5)
    gradients = {name: jax.grad(of)(params, name, key)["drift"] for name in ESTIMATORS}

    def ito_sum_at_fixed_path(kappa):
        ws = process.sample(key, params, TS)
        u = -kappa * ws[:-1, 0] / 0.5
        return jnp.sum(u * process.increments(key, TS, params)[:, 0])

    # full_mc differs from stl by exactly the derivative of the Ito sum through the parameters of u along a fixed path.
    np.testing.assert_allclose(
        gradients["full_mc"] - gradients["stl"], jax.grad(ito_sum_at_fixed_path)(jnp.asarray(KAPPA)), rtol=1e-4
    )
    assert gradients["stl"] != pytest.approx(gradients["analytic"])


def test_fan_in_scaling_gives_the_prior_the_stationary_spread_of_the_initialisation() -> None:
    process = WeightProcess(drift_network((2,)), sigma=0.4, sigma_scale="fan_in", rate=3.0)
    params = process.init(KEY, {"kernel": jnp.ones((9, 5))})
    stationary_std = process.diffusion(params) / np.sqrt(2 * 3.0)
    np.testing.assert_allclose(stationary_std, np.full(45, 0.4 / 9**0.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"sigma": 0.0}, "sigma=0.0"),
        ({"sigma": -1.0}, "sigma=-1.0"),
        ({"sigma": float("nan")}, "sigma=nan"),
        ({"rate": 0.0}, "rate=0.0"),
        ({"sigma_scale": "fanin"}, "'fan_in' or 'constant'"),
        ({"centre": "one"}, "'w0' or 'zero'"),
    ],
)
def test_what_is_not_a_process_is_refused(choice: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        WeightProcess(drift_network((2,)), **choice)


def test_a_drift_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match="one number for each weight"):
        WeightProcess(dense("ignore", 3)).init(KEY, jnp.ones((4,)))
