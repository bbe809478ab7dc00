import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sdebnn.brax import Layer, WeightProcess, draw_path, drift_network
from sdebnn.brax.diffeq_layers import dense
from sdebnn.errors import InputError

KEY = jax.random.key(0)
STEPS = 32
TS = np.linspace(0.0, 1.0, STEPS + 1)
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
        ws, _, kl = draw_path(process, params, key, TS, steps=STEPS, kl_estimator=estimator)
        return ws, kl

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(seed), n))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_fresh_process_is_its_prior_with_kl_zero(estimator: str) -> None:
    process = WeightProcess(drift_network((2, 8, 2)), sigma=0.3)
    params = process.init(KEY, [jnp.ones((3, 2)), jnp.ones((2,))])
    ws, kl = paths_and_kl(process, params, estimator, 4)
    np.testing.assert_array_equal(kl, np.zeros(4))
    prior = jax.vmap(lambda key: draw_path(process, params, key, TS, steps=STEPS, prior=True)[0])(
        jax.random.split(jax.random.key(1), 4)
    )
    np.testing.assert_allclose(ws, prior, rtol=1e-6)


@pytest.mark.parametrize("depths", [[0.5, 1.0], [0.0, 0.5], [0.0, 1.0, 1.0], [0.0, 0.5, 1.5], [1.0, 0.0], [0.0]])
def test_a_path_is_asked_for_from_0_to_1(depths: list[float]) -> None:
    process = WeightProcess(drift_network((2,)))
    params = process.init(KEY, jnp.ones((1,)))
    with pytest.raises(InputError, match="must increase from 0 to 1"):
        draw_path(process, params, KEY, np.array(depths), steps=2)


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

    key = jax.random.key(5)

    def of(params, estimator):
        return draw_path(process, params, key, TS, steps=STEPS, kl_estimator=estimator)[2]

    gradients = {name: jax.grad(of)(params, name)["drift"] for name in ESTIMATORS}
    ws = draw_path(process, params, key, TS, steps=STEPS)[0][:, 0]
    # The increments that moved the path, from its Euler-Maruyama steps.
    dB = (jnp.diff(ws) + (process.prior.rate + KAPPA) * ws[:-1] / STEPS) / 0.5
    ito_sum = jax.grad(lambda kappa: jnp.sum(-kappa * ws[:-1] / 0.5 * dB))
    # full_mc differs from stl by exactly the derivative of the Ito sum through the parameters of u along a fixed path.
    np.testing.assert_allclose(
        gradients["full_mc"] - gradients["stl"], ito_sum(jnp.asarray(KAPPA)), rtol=1e-4, atol=1e-5
    )
    assert gradients["stl"] != pytest.approx(gradients["analytic"])


def test_a_gaussian_start_has_the_kl_of_two_gaussians_and_their_law() -> None:
    rate, sigma, w0, log_ratio = 2.0, 0.7, 0.9, -0.4
    process = WeightProcess(
        linear_drift, sigma=sigma, sigma_scale="constant", rate=rate, centre="zero", start="gaussian"
    )
    params = process.init(KEY, jnp.full((1,), w0)) | {"w0_log_ratio": jnp.full((1,), log_ratio)}
    prior_std = sigma / (2 * rate) ** 0.5
    std = prior_std * np.exp(log_ratio)
    draws, kl = jax.vmap(lambda key: process.draw_start(key, params))(jax.random.split(KEY, 2000))
    assert stats.kstest(np.asarray(draws)[:, 0], stats.norm(w0, std).cdf).pvalue > SIGNIFICANCE
    expected = np.log(prior_std / std) + (std**2 + w0**2) / (2 * prior_std**2) - 0.5
    np.testing.assert_allclose(kl, expected, rtol=1e-5)
    prior, nothing = jax.vmap(lambda key: process.draw_start(key, params, prior=True))(jax.random.split(KEY, 2000))
    assert stats.kstest(np.asarray(prior)[:, 0], stats.norm(0, prior_std).cdf).pvalue > SIGNIFICANCE
    assert not nothing.any()


def test_a_stationary_prior_stays_what_it_is() -> None:
    process = WeightProcess(
        drift_network((2,)), sigma=0.7, sigma_scale="constant", rate=2.0, centre="zero", start="gaussian"
    )
    params = process.init(KEY, jnp.full((1,), 3.0))
    draw = jax.jit(jax.vmap(lambda key: draw_path(process, params, key, TS, steps=STEPS, prior=True)[0][:, 0]))
    ws = np.asarray(draw(jax.random.split(KEY, 4000)), np.float64)
    known = process.prior_moments(params, TS)
    assert known is not None
    mean, std = known
    # Euler-Maruyama's own stationary law, wider by 1 / (1 - rate h / 2), is reached from the exact one.
    wider = (1 / (1 - 2.0 / STEPS / 2)) ** 0.5
    np.testing.assert_allclose(ws.mean(0), mean[:, 0], atol=5 * 0.35 / 4000**0.5)
    assert 0.95 < ws[:, -1].std() / (std[-1, 0] * wider) < 1.05


@pytest.mark.parametrize(("first", "last"), [(0.25, 1.0), (0.0, 0.5), (0.3, 0.8), (0.0, 0.0)])
def test_outside_the_noisy_depth_weights_follow_an_ode_and_the_kl_counts_the_rest(first: float, last: float) -> None:
    process = WeightProcess(linear_drift, sigma=0.5, sigma_scale="constant", centre="zero", noisy_depth=(first, last))
    params = process.init(KEY, jnp.full((3,), 1.2))
    keys = jax.random.split(jax.random.key(2), 3)
    ws, _, kl = jax.vmap(lambda key: draw_path(process, params, key, TS, steps=320, kl_estimator="analytic"))(keys)
    # Before the noise the weights decay by NN alone; after it, so do those that it has left.
    before, after = first + 1e-9 >= TS, last - 1e-9 <= TS
    decay = np.broadcast_to(1.2 * np.exp(-KAPPA * TS[before])[None, :, None], (3, before.sum(), 3))
    np.testing.assert_allclose(ws[:, before], decay, rtol=2e-3)
    at_end = np.exp(-KAPPA * (TS[after] - TS[after][0]))[None, :, None]
    np.testing.assert_allclose(ws[:, after], ws[:, after][:, :1] * at_end, rtol=3e-3)
    u2 = np.sum((KAPPA * np.asarray(ws) / 0.5) ** 2, axis=2)
    inside = (first <= TS) & (last >= TS)
    expected = 0.5 * np.trapezoid(u2[:, inside], TS[inside], axis=1)
    np.testing.assert_allclose(kl, expected, rtol=0.15, atol=1e-6)
    assert np.all(np.asarray(kl) == 0) == (first == last)


def test_a_share_of_the_weights_has_noise_and_the_kl_counts_it_alone() -> None:
    process = WeightProcess(linear_drift, sigma=0.5, sigma_scale="constant", centre="zero", noisy_weights=0.5)
    params = process.init(KEY, {"a": jnp.full((2,), 1.0), "b": jnp.full((2,), 1.0)})
    ws, _, kl = draw_path(process, params, KEY, TS, steps=STEPS, kl_estimator="analytic")
    np.testing.assert_allclose(ws[:, 2:], np.repeat((1 - KAPPA / STEPS) ** np.arange(33)[:, None], 2, 1), rtol=1e-4)
    assert np.std(np.diff(ws[:, 0])) > 0.05
    np.testing.assert_allclose(kl, 0.5 * np.sum((KAPPA * ws[:-1, :2] / 0.5) ** 2) / STEPS, rtol=1e-4)
    prior = draw_path(process, params, KEY, TS, steps=STEPS, prior=True)[0]
    np.testing.assert_allclose(prior[:, 2:], ws[:, 2:], rtol=1e-6)
    assert not np.allclose(prior[:, :2], ws[:, :2])


def test_a_prior_without_drift_is_brownian_motion() -> None:
    process = WeightProcess(drift_network((2,)), sigma=0.4, rate=0.0)
    params = process.init(KEY, {"kernel": jnp.ones((9, 5))})
    np.testing.assert_allclose(process.diffusion(params), np.full(45, 0.4 / 3), rtol=1e-6)
    moves = jax.vmap(lambda key: draw_path(process, params, key, TS, steps=4)[0][-1] - 1)(jax.random.split(KEY, 50))
    assert stats.kstest(np.asarray(moves).ravel() * 3 / 0.4, stats.norm.cdf).pvalue > SIGNIFICANCE
    known = process.prior_moments(params, TS)
    assert known is not None
    np.testing.assert_allclose(known[1][-1], process.diffusion(params), rtol=1e-6)


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
        ({"rate": -1.0}, "rate=-1.0"),
        ({"rate": 0.0, "start": "gaussian"}, "no stationary law"),
        ({"start": "point"}, "'learned' or 'gaussian'"),
        ({"noisy_weights": 0.0}, "noisy_weights=0.0"),
        ({"noisy_weights": 1.5}, "noisy_weights=1.5"),
        ({"noisy_depth": (0.5, 0.2)}, "two depths"),
        ({"noisy_depth": (0.0, 1.1)}, "two depths"),
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
