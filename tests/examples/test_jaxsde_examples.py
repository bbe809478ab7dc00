"""The examples of torchsde in JAX, and one of prices, at sizes of seconds: they draw, and what they learn is what they
are for.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

pytest.importorskip("matplotlib")

FOLDER = Path(__file__).parents[2] / "examples" / "jaxsde"


@pytest.fixture(autouse=True)
def as_a_user_runs_it():
    """Optax does not pass this suite's strict lane."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, picture: Path, flags: str):
    found = example(name).main([*flags.split(), "--output", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG")
    return found


def test_the_posterior_of_one_series_is_narrow_at_observations_alone(tmp_path: Path) -> None:
    found = run("latent_sde", tmp_path / "series.png", "--steps 800 --paths 8 --hidden 32 --dt 0.05")
    assert found.bounds[-20:].mean() > found.bounds[:20].mean() + 50
    middle = np.interp(found.observed_times, found.times, np.median(found.paths, axis=0))
    # Of the prior's mean, zero, it is 0.6.
    assert np.abs(middle - found.observed).mean() < 0.2
    # The prior is as wide everywhere.
    spread = found.paths.std(axis=0)
    on_data = np.interp(found.observed_times, found.times, spread).mean()
    assert np.interp([0.0, 2.0], found.times, spread).min() > 1.3 * on_data


def test_the_posterior_of_lorenz_series_it_has_not_seen(tmp_path: Path) -> None:
    size = "--series 32 --times 20 --hidden 16 --batch 8 --steps 400"
    found = run("latent_sde_lorenz", tmp_path / "lorenz.png", size)
    assert found.bounds[-10:].mean() > found.bounds[:10].mean() + 50
    # Whoever says the mean of the data at each time is 0.94 off.
    assert found.rmse < 0.8
    assert found.prior.shape == found.data.shape == (10, 20, 3)
    assert np.isfinite(found.prior).all()


def test_generated_paths_come_nearer_to_the_data(tmp_path: Path) -> None:
    size = "--times 9 --batch 64 --state 8 --hidden 8 --steps 500"
    rates = "--generator-rate 3e-3 --discriminator-rate 1e-2"
    found = run("sde_gan", tmp_path / "gan.png", f"{size} {rates}")
    # Three keys gave 0.36, 0.57 and 0.76.
    assert found.after < 0.85 * found.before
    weights = [w for w in jax.tree.leaves(found.discriminator) if w.ndim == 2]
    assert len(weights) == 5
    assert all(np.abs(w).max() <= 1 / w.shape[1] for w in weights)


def test_the_discriminator_is_the_solution_of_its_equation_along_the_path() -> None:
    """With a field that is constant, H moves by the field times what (t, Y) moves by."""
    module = example("sde_gan")
    times = np.linspace(0, 1, 9)
    networks = module.Networks(times, 3, 4)
    params = networks.init("discriminator", jax.random.key(0))
    (into, bias), _, (out, last), _ = params["field"]
    params["field"] = [(into, bias), (), (0 * out, last), ()]
    ys = jax.random.normal(jax.random.key(1), (9,))
    field = np.tanh(np.asarray(last)).reshape(3, 2)
    h0 = networks.parts["discriminator"]["initial"][1][1](params["initial"], np.array([0.0, ys[0]]))
    h = np.asarray(h0) + field @ np.array([1.0, ys[-1] - ys[0]])
    weight, offset = params["readout"]
    np.testing.assert_allclose(networks.score(params, ys), (h @ weight + offset)[0], rtol=1e-4)


def log_likelihood(shares, first: float, mu: float, sigma: float, error: float) -> float:
    """Of the quotes of a share, on average: a Kalman filter of their logarithms, whose errors are relative to the price
    that it expects.
    """
    times, log_quotes, total = shares.times, np.log(shares.quotes), 0.0
    mean, variance = np.zeros(len(times)), np.full(len(times), first**2)
    for i in range(1, times.shape[1]):
        gap = times[:, i] - times[:, i - 1]
        mean, variance = mean + (mu - sigma**2 / 2) * gap, variance + sigma**2 * gap
        of_error = (error / np.exp(mean)) ** 2
        off, size = log_quotes[:, i] - mean, variance + of_error
        total = total - np.mean(off**2 / size + np.log(2 * np.pi * size)) / 2
        mean, variance = mean + variance / size * off, variance * of_error / size
    return total


def test_the_law_of_prices_is_learned_as_well_as_by_a_kalman_filter(tmp_path: Path) -> None:
    module = example("geometric_brownian_motion")
    found = run("geometric_brownian_motion", tmp_path / "prices.png", "--new-shares 500")
    assert found.sigma == pytest.approx(module.SIGMA, rel=0.05)
    assert found.error == pytest.approx(module.ERROR, rel=0.1)
    # Of the drift even prices without errors say no more than sigma / sqrt(256 shares and years) = 0.02.
    assert found.mu == pytest.approx(module.MU, abs=0.04)
    assert 0.93 < found.covered < 0.97

    shares = module.draw_shares(256, seed=0)
    start = [0.0, *np.log([0.5, 0.05])]
    most = minimize(lambda x: -log_likelihood(shares, module.FIRST, x[0], *np.exp(x[1:])), start, method="Nelder-Mead")
    sigma, error = np.exp(most.x[1:])
    # Three keys gave at most 0.8 % and 2.6 % off, and 0.006 of mu.
    assert found.sigma == pytest.approx(sigma, rel=0.015)
    assert found.error == pytest.approx(error, rel=0.05)
    assert found.mu == pytest.approx(most.x[0], abs=0.015)
