"""How near is a trained latent SDE to the truth, and what does a step of each objective cost?

    JAX_PLATFORMS=cpu python benchmarks/latent_sde.py

On an Ornstein-Uhlenbeck process with noisy observations at random times the evidence, the smoother and the forecast are
known. The prior has the right form and learns its three numbers; the posterior is a network. On the stochastic Lorenz
attractor of Li et al. (2020) the prior is a network too, and objectives are compared: time and memory of a gradient
step, and how far the posterior's mean is from the path without noise.
"""

import argparse
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.stats import multivariate_normal
from timing import medians, print_conditions, print_rows

from jaxsde import SDE, FixedSteps, solve
from jaxsde.latent import Bound, Gaussian, LatentSDE, Series, fit, forecast, matching, neural, pathwise, posterior
from sdebnn.plots.style import BLUE, GREY, drawing, legend_below

RATE, SIZE, NOISE = 1.0, 1.0, 0.5
SERIES = 8192
LENGTH, OBSERVED, HORIZON = 4.0, 12, 2.0
FINE = 0.01
# Gradient steps in a turn: a training takes them one after the other, each with what the last left in the caches.
IN_A_ROW = 5


class OU(NamedTuple):
    """Rate, size and noise of an Ornstein-Uhlenbeck process that is observed."""

    rate: float
    size: float
    noise: float

    def covariance(self, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return self.size**2 / (2 * self.rate) * np.exp(-self.rate * np.abs(s[:, None] - t[None]))

    def evidence(self, t: np.ndarray, y: np.ndarray) -> float:
        return multivariate_normal.logpdf(y, np.zeros(t.size), self.covariance(t, t) + self.noise**2 * np.eye(t.size))

    def smoothed(self, t: np.ndarray, y: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the state at times."""
        k = self.covariance(at, t)
        gain = k @ np.linalg.inv(self.covariance(t, t) + self.noise**2 * np.eye(t.size))
        return gain @ y, np.diag(self.covariance(at, at) - gain @ k.T)


def ou_series(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times (count, n), values there, later times and values there."""
    rng, truth = np.random.default_rng(seed), OU(RATE, SIZE, NOISE)
    times = np.sort(rng.uniform(0, LENGTH, (count, OBSERVED)), axis=1)
    times[:, 0], times[:, -1] = 0, LENGTH
    later = LENGTH + np.linspace(HORIZON / 4, HORIZON, 4)
    z = [rng.multivariate_normal(np.zeros(OBSERVED + 4), truth.covariance(*[np.append(t, later)] * 2)) for t in times]
    y = np.stack(z) + NOISE * rng.normal(size=(count, OBSERVED + 4))
    return times, y[:, :OBSERVED], later, y[:, OBSERVED:]


def ou_model(family: str) -> tuple[LatentSDE, dict[str, Any]]:
    model, params = neural(
        jax.random.key(0), width=1, latent=1, posterior=family,
        initial=lambda p: Gaussian(jnp.zeros(1), jnp.exp(p["log_size"]) / jnp.sqrt(2 * jnp.exp(p["log_rate"]))),
        drift=lambda z, t, p: -jnp.exp(p["log_rate"]) * z,
        diffusion=lambda z, t, p: jnp.exp(p["log_size"]),
        decoder=lambda z, p: z,
    )  # fmt: skip
    return model, params | {"log_rate": jnp.zeros(1), "log_size": jnp.full(1, -0.5)}


class Trained(NamedTuple):
    """A model that learned from series: the process that it found; the mean bound of others, `(times, values)`; states
    of their posterior at times, (series, samples, times), `(times, values, at, samples)`; and the interval of the
    forecast at later times, low and high, `(times, values, later, samples)`.
    """

    learned: OU
    bound: Callable[..., float]
    states: Callable[..., np.ndarray]
    interval: Callable[..., tuple[np.ndarray, np.ndarray]]


def by_jax(family: str, objective: Callable[..., Bound], dt: float, steps: int, rate: float) -> Trained:
    times, values, _, _ = ou_series(SERIES, 0)
    model, params = ou_model(family)
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))
    series, key = Series.of(times, values[..., None], dt=dt), jax.random.key(1)
    trained = fit(model, params, series, optimiser, key, steps=steps, objective=objective, batch=32).params

    def bound(times: np.ndarray, values: np.ndarray) -> float:
        tested = Series.of(times, values[..., None], dt=tested_by(family))
        mean_bound = jax.jit(lambda key: objective(model, trained, tested, key).value.mean())
        return float(np.mean([mean_bound(key) for key in jax.random.split(jax.random.key(2), 1000)]))

    def states(times: np.ndarray, values: np.ndarray, at: np.ndarray, samples: int) -> np.ndarray:
        fine = Series.of(times, values[..., None], dt=FINE)
        return np.asarray(posterior(model, trained, fine, at, jax.random.key(3), samples=samples).z)[..., 0]

    def interval(times: np.ndarray, values: np.ndarray, later: np.ndarray, samples: int) -> Any:
        coarse = Series.of(times, values[..., None], dt=5 * FINE)
        ends = forecast(model, trained, coarse, later, jax.random.key(4), samples=samples).interval(0.95)
        return tuple(np.asarray(x)[..., 0] for x in ends)

    learned = OU(*(float(jnp.exp(trained[name][0])) for name in ("log_rate", "log_size", "log_noise")))
    return Trained(learned, bound, states, interval)


def tested_by(family: str) -> float:
    """The longest step: without steps there is no bias of them."""
    return FINE if family == "drift" else np.inf


def by_torch(family: str, objective: Callable[..., Any], dt: float, steps: int, rate: float) -> Trained:
    import torch

    from sdebnn.torchbnn import latent

    class Process(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.log_rate, self.log_size = (torch.nn.Parameter(torch.tensor([x])) for x in (0.0, -0.5))

        def initial(self) -> latent.Gaussian:
            return latent.Gaussian(torch.zeros(1), self.log_size.exp() / (2 * self.log_rate.exp()).sqrt())

        def drift(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return -self.log_rate.exp() * z

        def diffusion(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return self.log_size.exp()

    process, rng = Process(), torch.Generator().manual_seed(0)
    model = latent.neural(rng, width=1, latent=1, posterior=family, initial=process.initial, drift=process.drift,
                          diffusion=process.diffusion, decoder=torch.nn.Identity())  # fmt: skip
    model.process = process

    def series(times: np.ndarray, values: np.ndarray, dt: float) -> latent.Series:
        return latent.Series.of(times, values[..., None], dt=dt, dtype=torch.float32)

    times, values, _, _ = ou_series(SERIES, 0)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    latent.fit(model, series(times, values, dt), optimiser, rng, steps=steps, objective=objective, batch=32,
               scheduler=scheduler)  # fmt: skip

    @torch.no_grad()
    def bound(times: np.ndarray, values: np.ndarray) -> float:
        tested = series(times, values, tested_by(family))[list(range(len(times))) * 20]
        return float(np.mean([objective(model, tested, rng).value.mean().item() for _ in range(50)]))

    def states(times: np.ndarray, values: np.ndarray, at: np.ndarray, samples: int) -> np.ndarray:
        return latent.posterior(model, series(times, values, FINE), at, rng, samples=samples).z[..., 0].numpy()

    def interval(times: np.ndarray, values: np.ndarray, later: np.ndarray, samples: int) -> Any:
        ends = latent.forecast(model, series(times, values, 5 * FINE), later, rng, samples=samples).interval(0.95)
        return tuple(x[..., 0].numpy() for x in ends)

    noise: Any = model.likelihood.log_noise
    return Trained(OU(*(x.exp().item() for x in (process.log_rate, process.log_size, noise))), bound, states, interval)


def of_ou(trained: Trained) -> list[str]:
    """The row of one objective."""
    learned = trained.learned
    times, values, _, _ = ou_series(32, 1)
    true, evidence = (
        np.mean([process.evidence(t, y) for t, y in zip(times, values, strict=True)])
        for process in (OU(RATE, SIZE, NOISE), learned)
    )
    bound = trained.bound(times, values)
    at = np.linspace(0.2, LENGTH - 0.2, 19)
    z = trained.states(times, values, at, 4000)
    exact = [learned.smoothed(t, y, at) for t, y in zip(times, values, strict=True)]
    mean, variance = np.stack([e[0] for e in exact]), np.stack([e[1] for e in exact])

    times, values, later, truth = ou_series(512, 2)
    low, high = trained.interval(times, values, later, 400)
    percents = (
        1 - true / bound,
        1 - evidence / bound,
        np.sqrt(np.mean((z.mean(1) - mean) ** 2) / learned.covariance(at[:1], at[:1])[0, 0]),
        np.mean(z.var(1) / variance) - 1,
        ((low <= truth) & (truth <= high)).mean(),
    )
    return [*(f"{x:.2f}" for x in (*learned, true, evidence, bound)), *(f"{100 * x:.1f}" for x in percents)]


def lorenz_series(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (n,), paths without noise and values with it, (count, n, 3), in units of the paths' deviation."""

    def drift(y: jax.Array, t: Any, args: Any) -> jax.Array:
        return jnp.stack([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])

    times = np.linspace(0, 1, 41)
    sde = SDE(drift, lambda y, t, args: 0.15 * y)

    def path(key: jax.Array) -> jax.Array:
        first, noise = jax.random.split(key)
        warm = solve(sde, jax.random.normal(first, (3,)), [0.0, 5.0], noise, steps=FixedSteps(5000)).ys[-1]
        return solve(sde, warm, times, first, steps=FixedSteps(1000)).ys

    paths = np.asarray(jax.jit(jax.vmap(path))(jax.random.split(jax.random.key(seed), count)))
    # Of the attractor itself, so that every set of series has one unit.
    paths = (paths - [0.0, 0.0, 23.5]) / [7.9, 9.0, 8.6]
    return times, paths, paths + 0.1 * np.random.default_rng(seed).normal(size=paths.shape)


def of_lorenz(name: str, objective: Callable[..., Bound], steps: int) -> tuple[Callable[[], Any], list[str]]:
    """Steps to time; their memory in MiB, and what is learned, where the gradient is not that of another row by another
    way: in so many steps, or in five times as many of those that are cheaper. Of `reversible` it is that of a coupled
    form, whose solution is its own.
    """
    steps = 5 * steps if name == "matching" else steps
    family, dt = ("marginals", np.inf) if name == "matching" else ("drift", 0.01)
    trains = name != "pathwise, stochastic"
    times, _, values = lorenz_series(512, 0)
    model, params = neural(jax.random.key(0), width=3, latent=3, hidden=64, context=32, posterior=family)
    series, optimiser = Series.of(times, values, dt=dt), optax.adam(optax.cosine_decay_schedule(3e-3, steps))

    batch = jax.tree.map(lambda x: x[:32], series)
    step = jax.jit(jax.grad(lambda params, key: -objective(model, params, batch, key).value.mean()))
    compiled = step.lower(params, jax.random.key(0)).compile()
    memory = compiled.memory_analysis().temp_size_in_bytes / 2**20  # type: ignore[union-attr]

    def call() -> None:
        for _ in range(IN_A_ROW):
            jax.block_until_ready(compiled(params, jax.random.key(0)))

    row = [f"{memory:.2f}"]
    if not trains:
        return call, [*row, "", ""]
    fitted = fit(model, params, series, optimiser, jax.random.key(1), steps=steps, objective=objective, batch=32)
    _, truth, values = lorenz_series(64, 1)
    test = Series.of(times, values, dt=0.01)
    draws = posterior(model, fitted.params, test, times, jax.random.key(2), samples=64).decoded.mean(1)
    bound = jax.jit(lambda key: pathwise(model, fitted.params, test, key, paths=8).value.mean())(jax.random.key(3))
    rmse = np.sqrt(np.mean((np.asarray(draws) - truth) ** 2))
    return call, [*row, f"{rmse:.3f}", f"{float(bound):.1f}"]


def picture(path: Path, steps: int) -> None:
    """A series with a gap: its posterior, and the fan of its forecast."""
    times, values, later, truth = ou_series(256, 3)
    shown = np.isfinite(values)
    shown[0] = np.abs(times[0] - 2.0) > 0.8
    model, params = ou_model("marginals")
    series = Series.of(times, values[..., None], shown, dt=np.inf)
    optimiser = optax.adam(optax.cosine_decay_schedule(4e-3, steps))
    objective = functools.partial(matching, draws=32)
    params = fit(model, params, series, optimiser, jax.random.key(1), steps=steps, objective=objective, batch=32).params

    one = Series.of(times[0], values[:1, :, None], shown[:1], dt=FINE)
    past, future = np.linspace(0, float(one.end[0]), 100), float(one.end[0]) + np.linspace(FINE, HORIZON, 50)
    before = posterior(model, params, one, past, jax.random.key(2), samples=1000)
    after = forecast(model, params, one, future, jax.random.key(3), samples=1000)
    t = np.append(past, future)
    z, y = (
        np.concatenate(of_both, axis=2)[0, ..., 0] for of_both in ((before.z, after.z), (before.values, after.values))
    )
    with drawing(None, path, "The posterior of a series with a gap, and its forecast", width=7, height=3.2) as ax:
        for draw, alpha, label in ((y, 0.2, "95 % of values"), (z, 0.4, "95 % of latent paths")):
            ax.fill_between(t, *np.quantile(draw, [0.025, 0.975], axis=0), color=BLUE, alpha=alpha, lw=0, label=label)
        ax.plot(t, z.mean(0), color=BLUE)
        ax.plot(times[0][shown[0]], values[0][shown[0]], "o", color="black", label="observed")
        ax.plot(np.append(times[0][~shown[0]], later), np.append(values[0][~shown[0]], truth[0]), "o", color="black",
                mfc="white", label="held out")  # fmt: skip
        ax.axvline(float(one.end[0]), color=GREY, ls=":")
        legend_below(4, ax)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000, help="of training, of each row")
    parser.add_argument("--only", choices=("ou", "lorenz"))
    parser.add_argument("--framework", choices=("jax", "torch"), default="jax", help="torch: the OU process alone")
    parser.add_argument("--picture", type=Path, help="draws the picture of the documentation there, and no more")
    options = parser.parse_args()
    if options.picture:
        picture(options.picture, options.steps)
        return
    in_torch = options.framework == "torch"
    print_conditions(*(("torch", "torchsde") if in_torch else ("jax", "optax")))
    if options.only != "lorenz":
        by = by_torch if in_torch else by_jax
        bounds: Any = importlib.import_module("sdebnn.torchbnn.latent" if in_torch else "jaxsde.latent")
        # Steps bias what is learned; in PyTorch each costs Python.
        dt = 0.05 if in_torch else 0.01
        objectives = {
            f"pathwise, dt = {dt}": ("drift", functools.partial(bounds.pathwise, paths=2), dt, options.steps, 4e-3),
            # Cheaper steps, and more of them.
            "matching": ("marginals", functools.partial(bounds.matching, draws=32), np.inf, 6 * options.steps, 1e-2),
        }
        columns = ("rate", "size", "noise", "true evidence", "its evidence", "bound", "off truth %", "off its %",
                   "mean off %", "variance off %", "covered %")  # fmt: skip
        rows = {name: of_ou(by(*choices)) for name, choices in objectives.items()}
        print_rows("OU: nats a series", columns, rows)
    if options.only != "ou" and not in_torch:
        ways: dict[str, Callable[..., Bound]] = {
            "pathwise, backprop": pathwise,
            "pathwise, stochastic": functools.partial(pathwise, adjoint="stochastic"),
            "pathwise, reversible": functools.partial(pathwise, adjoint="reversible"),
            "matching": matching,
        }
        calls, rows = {}, {}
        for name, objective in ways.items():
            calls[name], rows[name] = of_lorenz(name, objective, options.steps)
        seconds = medians(calls)
        first = next(iter(seconds.values()))
        table = {n: [f"{1000 * seconds[n] / IN_A_ROW:.1f}", f"{seconds[n] / first:.2f}", *rows[n]] for n in ways}
        print_rows("Lorenz: a step of 32 series", ("ms", "ratio", "MiB", "RMSE", "bound"), table)


if __name__ == "__main__":
    main()
