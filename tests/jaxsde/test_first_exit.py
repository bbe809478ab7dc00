"""First exit: closed forms of times and places, gradients of ODEs, refusals."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxsde import SDE, AdaptiveSteps, BrownianPath, CounterPath, FirstExit, FixedSteps, Jumps, solve

PATHS = 20_000
KEYS = jax.random.split(jax.random.key(0), PATHS)
INTERVAL = FirstExit(lambda y, t, args: jnp.minimum(y + 1, 1 - y))
POSITIVE = FirstExit(lambda y, t, args: y)
BROWNIAN = SDE(lambda y, t, args: 0 * y + args, lambda y, t, args: 0 * y + 1, noise="additive")


def exits(sde, region, y0, end, dt, args=None, keys=KEYS, **choices):
    """Times of exit, and the last states, of as many paths as there are keys."""

    def one(key):
        found = solve(
            sde, y0, np.array([0.0, end]), key, args, steps=FixedSteps(dt=dt), first_exit=region, **choices
        )  # fmt: skip
        return found.exit_time, jax.tree.map(lambda y: y[-1], found.ys)

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(keys))


def within(sample: np.ndarray, expected: float, bias: float = 0.0) -> bool:
    return abs(sample.mean() - expected) < 4 * sample.std() / len(sample) ** 0.5 + bias


def test_a_brownian_motion_leaves_an_interval_when_and_where_it_does() -> None:
    """E tau = 1, Var tau = 2/3, E exp(-l tau) = 1 / cosh(sqrt(2 l)); without the bridge E tau is .23 more here."""
    time, y = exits(BROWNIAN, INTERVAL, jnp.float32(0), 12.0, 0.04, jnp.float32(0))
    assert np.isfinite(time).all()
    assert within(time, 1, 5e-3)
    assert within((time - 1) ** 2, 2 / 3, 1e-2)
    assert within(np.exp(-2 * time), 1 / math.cosh(2), 5e-3)
    np.testing.assert_allclose(np.abs(y), 1, atol=1e-6)


@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_it_leaves_to_either_side_with_the_right_probability(drift: float) -> None:
    _, y = exits(BROWNIAN, INTERVAL, jnp.float32(0.3), 12.0, 0.04, jnp.float32(drift))
    right = 0.65 if drift == 0 else (1 - math.exp(-2 * drift * 1.3)) / (1 - math.exp(-4 * drift))
    assert within((y > 0).astype(float), right, 5e-3)


def test_with_one_straight_boundary_any_step_is_exact() -> None:
    """The first passage of Brownian motion with drift -1 from 1 to 0 is inverse Gaussian; here are two steps of it."""
    time, y = exits(BROWNIAN, POSITIVE, jnp.float32(1), 2.0, 1.0, jnp.float32(-1))
    law = stats.invgauss(mu=1.0)
    left = np.isfinite(time)
    assert within(left.astype(float), law.cdf(2.0))
    assert stats.kstest(time[left], lambda x: law.cdf(x) / law.cdf(2.0)).pvalue > 1e-3
    np.testing.assert_allclose(y[left], 0, atol=1e-6)
    # And those that stay have the law of Brownian motion above its boundary.
    grid = np.linspace(0, 6, 2001)
    density = stats.norm.pdf(grid, -1, 2**0.5) - math.exp(2) * stats.norm.pdf(grid, -3, 2**0.5)
    cdf = np.cumsum(density) / density.sum()
    assert stats.kstest(y[~left], lambda x: np.interp(x, grid, cdf)).pvalue > 1e-3


@pytest.mark.parametrize(("rate", "start", "bridge", "order"), [(-0.5, 2.0, True, 1.0), (1.0, 1.0, False, 0.5)])
def test_what_is_left_falls_like_the_step_and_without_the_bridge_like_its_root(
    rate: float, start: float, bridge: bool, order: float
) -> None:
    """dX = a X dt + dB is out of X > 0 by time 1 with twice the probability of an end below 0, by reflection: that of a
    normal of mean e^a and variance (e^2a - 1) / 2a. Rates and starts are such that steps of 1/4 show the order.
    """
    sde = SDE(lambda y, t, args: rate * y, lambda y, t, args: 0 * y + 1, noise="additive")
    exact = 2 * stats.norm.sf(start / math.sqrt((1 - math.exp(-2 * rate)) / (2 * rate)))
    keys = jax.random.split(jax.random.key(0), 400_000)

    def bias(steps: int) -> float:
        def left(key):
            first_exit = POSITIVE if bridge else None
            grid, each = np.linspace(0, 1, steps + 1), FixedSteps(1)
            found = solve(
                sde, jnp.float32(start), grid, key, steps=each, method="euler_maruyama", first_exit=first_exit
            )
            return found.exit_time <= 1 if bridge else (found.ys <= 0).any()

        return float(jax.jit(jax.vmap(left))(keys).mean()) - exact

    coarse, fine = bias(4), bias(16)
    assert abs(math.log(coarse / fine) / math.log(4) - order) < 0.2, (coarse, fine)


@pytest.mark.parametrize("noise", ["diagonal", "scalar", "general", "matrix-free"])
def test_the_noise_counts_by_its_part_towards_the_boundary(noise: str) -> None:
    """Two coordinates with noise a and b leave y0 + y1 > 0 as one Brownian motion of variance a^2 + b^2, or (a + b)^2
    where one Brownian motion drives both: inverse Gaussian without drift, whose distribution is 2 - 2 cdf.
    """
    a, b = 1.0, 0.5
    size = math.hypot(a, b) if noise != "scalar" else a + b
    g = {
        "diagonal": lambda y, t, args: (a + 0 * y[0], b + 0 * y[1]),
        "scalar": lambda y, t, args: (a + 0 * y[0], b + 0 * y[1]),
        "general": lambda y, t, args: (jnp.array([a, 0]), jnp.array([0, b])),
        "matrix-free": lambda y, t, args: lambda v: (a * v[0], b * v[1]),
    }[noise]
    free = {"noise": "general", "noise_shape": (2,)} if noise == "matrix-free" else {"noise": noise}
    sde = SDE(lambda y, t, args: (0 * y[0], 0 * y[1]), g, **free)
    region = FirstExit(lambda y, t, args: y[0] + y[1])
    time, y = exits(sde, region, (jnp.float32(0.7), jnp.float32(0.3)), 1.0, 0.5, keys=KEYS[:8000])
    left = np.isfinite(time)
    assert within(left.astype(float), 2 * stats.norm.sf(1 / size))
    np.testing.assert_allclose((y[0] + y[1])[left], 0, atol=1e-6)


def test_after_its_end_a_solution_stays_and_sums_in_y_do_too() -> None:
    """A second entry adds up time: it is the time of exit."""
    sde = SDE(
        lambda y, t, args: jnp.array([0, 1], y.dtype), lambda y, t, args: jnp.array([1, 0], y.dtype), noise="additive"
    )
    ts = np.linspace(0, 6, 25)
    found = solve(
        sde, jnp.zeros(2), ts, KEYS[1], steps=FixedSteps(240), first_exit=FirstExit(lambda y, t, args: 1 - y[0] ** 2)
    )  # fmt: skip
    gone = ts >= found.exit_time
    assert 2 < gone.sum() < 25
    assert (found.ys[gone] == found.ys[-1][None]).all()
    np.testing.assert_allclose(found.ys[-1, 1], np.asarray(found.exit_time), rtol=1e-5)
    np.testing.assert_allclose(found.ys[~gone, 1], ts[~gone], atol=1e-5)


def test_starts_at_the_boundary_and_solutions_that_stay() -> None:
    time, y = exits(BROWNIAN, INTERVAL, jnp.float32(1), 1.0, 0.5, jnp.float32(0), keys=KEYS[:3])
    np.testing.assert_array_equal(time, 0)
    np.testing.assert_array_equal(y, 1)
    far = FirstExit(lambda y, t, args: 100 - y)
    time, y = exits(BROWNIAN, far, jnp.float32(0), 1.0, 0.5, jnp.float32(0), keys=KEYS[:3])
    assert np.isinf(time).all()
    plain = jax.vmap(
        lambda key: solve(BROWNIAN, jnp.float32(0), np.array([0.0, 1]), key, jnp.float32(0), steps=FixedSteps(2)).ys
    )
    np.testing.assert_allclose(y, plain(KEYS[:3])[:, -1], rtol=1e-6)


def test_on_several_devices_paths_leave_as_on_one() -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("paths",))
    sde = SDE(lambda y, t, args: -y, lambda y, t, args: 0.1 * y)

    def leave(keys):
        def one(key):
            choices: dict[str, Any] = {"steps": FixedSteps(4), "first_exit": FirstExit(lambda y, t, args: y - 0.5)}
            found = solve(sde, jnp.float32(1), np.array([0.0, 1.0]), key, **choices)
            return found.exit_time, found.ys[-1]

        return jax.vmap(one)(keys)

    spec = jax.sharding.PartitionSpec("paths")
    time, y = jax.jit(jax.shard_map(leave, mesh=mesh, in_specs=spec, out_specs=spec))(KEYS[:4])
    expected, at = leave(KEYS[:4])
    np.testing.assert_allclose(time, expected, rtol=1e-5)
    np.testing.assert_allclose(y, at, rtol=1e-5)
    assert np.isfinite(expected).any()


def test_what_is_nan_neither_stays_nor_leaves() -> None:
    explodes = SDE(lambda y, t, args: y**3 * 1e30, sde_type="stratonovich")
    with pytest.warns(RuntimeWarning, match="stops being finite"):
        found = solve(explodes, jnp.float32(1), np.array([0.0, 1]), steps=FixedSteps(4), first_exit=POSITIVE)
    assert np.isnan(np.asarray(found.exit_time))
    nowhere = FirstExit(lambda y, t, args: jnp.log(y))
    assert np.isnan(exits(BROWNIAN, nowhere, jnp.float32(-1), 1.0, 0.5, jnp.float32(0), keys=KEYS[:2])[0]).all()


def test_an_ode_may_pass_where_the_distance_has_no_slope() -> None:
    """y' = a from 0 leaves |y| < 1 at 1 / a."""
    disc = FirstExit(lambda y, t, args: 1 - y**2)

    def time(a):
        sde = SDE(lambda y, t, args: 0 * y + args, sde_type="stratonovich")
        choices: dict[str, Any] = {"steps": FixedSteps(100), "first_exit": disc}
        return solve(sde, jnp.float32(0), np.array([0.0, 2.0]), None, a, **choices).exit_time

    found, slope = jax.vmap(jax.value_and_grad(time))(jnp.float32([0.8, 1.25]))
    np.testing.assert_allclose(found, [1.25, 0.8], rtol=1e-3)
    np.testing.assert_allclose(slope, [-(1.25**2), -(0.8**2)], rtol=3e-2)


def test_time_may_decrease_and_methods_carry_more_than_the_state() -> None:
    sde = SDE(lambda y, t, args: 0 * y, lambda y, t, args: 0 * y + 1, "stratonovich", "additive")

    def one(key):
        choices: dict[str, Any] = {"steps": FixedSteps(2), "first_exit": POSITIVE, "method": "reversible_heun"}
        return solve(sde, jnp.float32(1), np.array([1.0, 0.0]), key, **choices).exit_time

    time = np.asarray(jax.jit(jax.vmap(one))(KEYS))
    left = np.isfinite(time)
    assert within(left.astype(float), 2 * stats.norm.sf(1))
    assert ((time[left] < 1) & (time[left] > 0)).all()


DRAWN: list[int] = []


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counted(BrownianPath):
    """Which says how many increments are drawn: one in each step that a solve looks at."""

    path: CounterPath

    def increment(self, k, t, h, like, space_time=False):
        jax.debug.callback(lambda: DRAWN.append(1))
        return self.path.increment(k, t, h, like, space_time)


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "stochastic"])
@pytest.mark.parametrize("ts", [np.array([0.0, 1.0]), np.linspace(0, 1, 2501)], ids=["few outputs", "all"])
def test_the_solve_ends_there(adjoint: str, ts: np.ndarray) -> None:
    """Of 2500 steps no more than 50 are looked at after the last path of a batch has left; none of a longer solve."""
    shares: list[float] = []

    def one(key, drift):
        steps = FixedSteps(2500)
        choices: dict[str, Any] = {"steps": steps, "first_exit": POSITIVE, "brownian": Counted(CounterPath(key))}
        choices["progress"] = shares.append if adjoint == "stochastic" else None
        sde = SDE(lambda y, t, args: args, lambda y, t, args: 0 * y + 1e-3, noise="additive")
        found = solve(sde, jnp.float32(1), ts, key, drift, adjoint=adjoint, **choices)
        return found.exit_time, found.ys[-1], found.ys.size

    drifts, batch = -jnp.float32([2500 / 7.5, 2500 / 120.5]), jax.jit(jax.vmap(one))
    for steps, slowest in ((121, drifts), (2500, drifts.at[1].set(0.0))):
        DRAWN.clear()
        shares.clear()
        time, y, size = jax.block_until_ready(batch(KEYS[:2], slowest))
        jax.effects_barrier()
        np.testing.assert_allclose(time[0], 7.5 / 2500, rtol=1e-2)
        np.testing.assert_allclose(y[0], 0, atol=1e-6)
        assert size[0] == ts.size
        # Where the carry's shapes are found a step is traced, and not run.
        assert steps <= len(DRAWN) < steps + 50
        if adjoint == "stochastic":
            assert (shares[0], shares[-1]) == (0, 1)
            assert np.all(np.diff(shares) > 0)
    np.testing.assert_allclose(time[1], np.inf)


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "stochastic"])
def test_an_ode_ends_at_its_root_with_the_roots_derivative(adjoint: str) -> None:
    """y' = -a y from 1 leaves y > 1/2 at log(2) / a."""
    decay = SDE(lambda y, t, args: -args * y, sde_type="stratonovich")
    half = FirstExit(lambda y, t, args: y - 0.5)

    def time(a):
        choices: dict[str, Any] = {
            "steps": FixedSteps(400),
            "first_exit": half,
            "adjoint": adjoint,
            "method": "midpoint",
        }
        return solve(decay, jnp.float64(1), np.array([0.0, 2.0]), None, a, **choices).exit_time

    with jax.enable_x64(True):
        found, slope = jax.value_and_grad(time)(jnp.float64(0.7))
    assert abs(float(found) - math.log(2) / 0.7) < 1e-5
    assert abs(float(slope) + math.log(2) / 0.49) < 1e-2


def test_a_derivative_of_a_path_with_noise_is_refused() -> None:
    def end(y0, adjoint="backprop"):
        choices: dict[str, Any] = {"steps": FixedSteps(2), "first_exit": INTERVAL, "adjoint": adjoint}
        return solve(BROWNIAN, y0, np.array([0.0, 1.0]), KEYS[0], jnp.float32(0), **choices).ys[-1]

    for adjoint in ("backprop", "stochastic"):
        with pytest.raises(TypeError, match="Whether a path leaves the region depends on what is differentiated"):
            jax.grad(end)(jnp.float32(0), adjoint)
    with pytest.raises(TypeError, match="does not change smoothly"):
        jax.jvp(jax.jit(end), (jnp.float32(0),), (jnp.float32(1),))


@pytest.mark.parametrize(
    ("region", "choices", "says"),
    [
        (3.0, {}, "first_exit is float; it is FirstExit of jaxsde"),
        (FirstExit(lambda y, t, args: y > 0), {}, "inside gives bool of shape"),
        (FirstExit(lambda y, t, args: jnp.stack([y, 1 - y])), {}, r"shape \(2,\); .* of several, their smallest"),
        (POSITIVE, {"steps": AdaptiveSteps()}, "looks at fixed steps"),
        (POSITIVE, {"adjoint": "reversible"}, "of a solution that has ended they cannot be undone"),
        (POSITIVE, {"running": lambda y, t, h, dW, args: h}, "running would go on after the solution has ended"),
        (POSITIVE, {"jumps": Jumps(lambda y, t, key, args: y, 1.0)}, "and jumps is given; leave one out"),
        (POSITIVE, {"brownian": CounterPath(KEYS[0], np.eye(1))}, "brownian has cholesky; put that into g"),
        (POSITIVE, {"ts": np.array([0.0, 1]) + 1e8}, "f and g could not tell them apart"),
        (POSITIVE, {"steps": FixedSteps(2**24 + 1)}, "of which 2.24 are counted"),
        (POSITIVE, {"rng": None, "brownian": CounterPath(KEYS[0])}, "rng is NoneType"),
    ],
)  # fmt: skip
def test_what_is_no_end_is_refused(region, choices, says: str, unchecked) -> None:
    choices = {"rng": KEYS[0], "steps": FixedSteps(2), "ts": np.array([0.0, 1])} | choices
    with pytest.raises(TypeError, match=r"inside is float; it is a function inside\(y, t, args\)"):
        FirstExit(3.0)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match=says):
        solve(SDE(lambda y, t, args: -y, lambda y, t, args: y), jnp.float32(1), first_exit=region, **choices)
