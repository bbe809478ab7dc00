"""Compound Poisson jumps: closed forms of Merton's and Kou's prices, laws of times and counts, gradients, refusals."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxsde import SDE, AdaptiveSteps, CounterPath, FixedSteps, Jumps, Langevin, Result, VirtualTree, solve

STILL = SDE(lambda y, t, args: 0 * y)
ONE_STEP, ENDS = FixedSteps(1), np.array([0.0, 1.0])
PATHS = 20_000
KEYS = jax.random.split(jax.random.key(0), PATHS)


def ends(sde, jumps, y0, ts=ENDS, steps=ONE_STEP, keys=KEYS, **choices):
    """The solution at the last time, of as many paths as there are keys."""
    return np.asarray(
        jax.jit(jax.vmap(lambda key: solve(sde, y0, ts, key, steps=steps, jumps=jumps, **choices).ys[-1]))(keys)
    )


def test_the_price_of_a_call_under_mertons_jumps_is_the_mixture_of_black_and_scholes() -> None:
    """Merton (1976). In the logarithm one step is exact between jumps."""
    r, s, rate, m, d, strike = 0.05, 0.2, 1.5, -0.1, 0.15, 1.05
    k = math.exp(m + d * d / 2) - 1
    sde = SDE(lambda y, t, args: 0 * y + (r - rate * k - s * s / 2), lambda y, t, args: 0 * y + s)
    jumps = Jumps(lambda y, t, key, args: y + m + d * jax.random.normal(key, dtype=y.dtype), rate)
    logarithm = ends(sde, jumps, jnp.float32(0))
    payoff = math.exp(-r) * np.maximum(np.exp(logarithm) - strike, 0)

    def black_scholes(r: float, s: float) -> float:
        d1 = (-math.log(strike) + r + s * s / 2) / s
        return stats.norm.cdf(d1) - strike * math.exp(-r) * stats.norm.cdf(d1 - s)

    weights = stats.poisson.pmf(np.arange(40), rate * (1 + k))
    price = sum(
        w * black_scholes(r - rate * k + n * (m + d * d / 2), math.sqrt(s * s + n * d * d))
        for n, w in enumerate(weights)
    )
    assert abs(payoff.mean() - price) < 4 * payoff.std() / PATHS**0.5
    assert abs(np.exp(logarithm).mean() - math.exp(r)) < 4 * np.exp(logarithm).std() / PATHS**0.5


def test_a_share_under_kous_jumps_grows_at_the_rate_of_interest() -> None:
    """Kou (2002): the logarithm of a jump is exponential to either side."""
    r, rate, up, e1, e2 = 0.05, 2.0, 0.4, 10.0, 5.0
    k = up * e1 / (e1 - 1) + (1 - up) * e2 / (e2 + 1) - 1

    def change(y, t, key, args):
        side, size = jax.random.split(key)
        size = jax.random.exponential(size, dtype=y.dtype)
        return y * jnp.exp(jnp.where(jax.random.bernoulli(side, up), size / e1, -size / e2))

    sde = SDE(lambda y, t, args: (r - rate * k) * y, lambda y, t, args: 0.2 * y)
    found = ends(sde, Jumps(change, rate), jnp.float32(1), steps=FixedSteps(20), method="milstein")
    assert abs(found.mean() - math.exp(r)) < 4 * found.std() / PATHS**0.5 + 1e-3


def test_a_rate_that_depends_on_the_state_is_thinned_out_of_its_bound() -> None:
    """A pure birth process of rate l X is geometric with mean exp(l t); 60 is exceeded once in 1e10 paths."""
    birth = Jumps(lambda y, t, key, args: y + 1, lambda y, t, args: args * y, bound=60.0)
    found = ends(STILL, birth, jnp.float32(1), args=1.0)
    assert abs(found.mean() - math.e) < 4 * found.std() / PATHS**0.5
    observed = np.array([(found == n).mean() for n in range(1, 6)])
    expected = stats.geom.pmf(np.arange(1, 6), math.exp(-1))
    np.testing.assert_allclose(observed, expected, atol=4 * 0.5 / PATHS**0.5)


def test_times_are_uniform_numbers_are_poissons_and_neither_knows_the_noise() -> None:
    """The state is W, the number of jumps, the sum of their times, and the time of the latest."""
    sde = SDE(lambda y, t, args: 0 * y, lambda y, t, args: jnp.array([1.0, 0, 0, 0], y.dtype), noise="additive")
    jumps = Jumps(lambda y, t, key, args: jnp.stack([y[0], y[1] + 1, y[2] + t, t]), 3.0)
    W, number, times, last = ends(sde, jumps, jnp.zeros(4), ts=np.array([2.0, 4.0])).T
    assert abs(number.mean() - 6) < 4 * (6 / PATHS) ** 0.5
    assert abs(number.var() - 6) < 4 * (2 * 36 + 6) ** 0.5 / PATHS**0.5
    assert abs((times.sum() / number.sum()) - 3) < 4 * (1 / 3) ** 0.5 / number.sum() ** 0.5
    assert stats.kstest(4 - last[number > 0], stats.truncexpon(b=6, scale=1 / 3).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(W, number)[0, 1]) < 4 / PATHS**0.5
    assert stats.kstest(W, stats.norm(scale=2**0.5).cdf).pvalue > 1e-3


def test_the_same_key_jumps_alike_whatever_the_steps_which_keep_their_order() -> None:
    """They are ends of steps, so a method of order 2 keeps it."""
    decay = SDE(lambda y, t, args: -y, sde_type="stratonovich")
    jumps = Jumps(lambda y, t, key, args: y + jax.random.uniform(key, dtype=y.dtype), 4.0)
    ts, key = np.array([0.0, 0.3, 1.0, 2.0]), jax.random.key(1)
    with jax.enable_x64(True):
        coarse, middle, fine = (
            solve(decay, jnp.float64(1), ts, key, steps=FixedSteps(n), jumps=jumps).ys for n in (42, 168, 1344)
        )
        ratio = (coarse - fine)[1:] / (middle - fine)[1:]
        assert ((ratio > 12) & (ratio < 22)).all(), "order 2 with jumps between: 16 at four times the steps"
        batch = jax.vmap(lambda key: solve(decay, jnp.float64(1), ts, key, steps=FixedSteps(42), jumps=jumps).ys)
        np.testing.assert_allclose(batch(key[None])[0], coarse, rtol=1e-12)
        traced = jax.jit(
            lambda ts: (
                solve(decay, jnp.float64(1), ts, key, steps=FixedSteps(40), jumps=Jumps(jumps.change, 4.0, most=48)).ys
            )
        )
        assert jumps.room(ts) == 60
        assert np.isfinite(traced(jnp.asarray(ts))).all()
    assert np.ptp(np.diff(coarse)) > 0


def test_many_output_times_are_the_same_paths() -> None:
    """Rows of one step each in place of one row for an interval."""
    jumps = Jumps(lambda y, t, key, args: y + t, 4.0)
    few = ends(STILL, jumps, jnp.float32(0), ts=np.linspace(0, 1, 3), steps=FixedSteps(200), keys=KEYS[:20])
    many = ends(STILL, jumps, jnp.float32(0), ts=np.linspace(0, 1, 201), steps=FixedSteps(200), keys=KEYS[:20])
    np.testing.assert_allclose(many, few, rtol=1e-5)
    assert (few > 0).any()


def test_time_may_decrease_and_zero_jumps_are_none() -> None:
    count = Jumps(lambda y, t, key, args: y + 1, 5.0)
    found = ends(STILL, count, jnp.float32(0), ts=np.array([1.0, 0.0]), keys=KEYS[:2000])
    assert abs(found.mean() - 5) < 4 * (5 / 2000) ** 0.5
    none = Jumps(lambda y, t, key, args: y + 1, 0.0)
    np.testing.assert_array_equal(ends(STILL, none, jnp.float32(0), keys=KEYS[:5]), 0)


def test_sums_are_over_all_steps_and_have_derivatives() -> None:
    ts = np.array([0.0, 0.5, 2.0])
    sde = SDE(lambda y, t, args: 0 * y, lambda y, t, args: 0 * y + 1, noise="additive")
    jumps = Jumps(lambda y, t, key, args: y + 10, 3.0)

    def lengths_and_noise(y, t, h, dW, args):
        return jnp.stack([h, dW / h * h])

    def sums(scale):
        scaled = lambda *given: scale * lengths_and_noise(*given)  # noqa: E731
        return solve(
            sde, jnp.float32(0), ts, jax.random.key(2), steps=FixedSteps(8), jumps=jumps, running=scaled,
            brownian=CounterPath(jax.random.key(5)),
        )  # fmt: skip

    found = sums(jnp.float32(1))
    np.testing.assert_allclose(found.sums[:, 0], ts, rtol=1e-5)
    jumped = (found.ys - found.sums[:, 1]) / 10
    np.testing.assert_allclose(jumped, np.round(jumped), atol=1e-5)
    assert jumped[-1] > 0
    # A quotient by the length of a step, of which some have none.
    np.testing.assert_allclose(jax.jacrev(lambda scale: sums(scale).sums)(jnp.float32(1)), found.sums, rtol=1e-5)


@pytest.mark.parametrize("method", ["reversible_heun", "coupled_heun", "sriw1", "implicit_euler"])
def test_a_jump_begins_any_method_anew(method: str) -> None:
    """y' = -y from 1, jumps to 1: at the end it is exp of the time since the last one, which the second entry is."""
    sde = SDE(
        lambda y, t, args: -y * jnp.array([1, 0], y.dtype), sde_type="stratonovich" if "heun" in method else "ito"
    )
    jumps = Jumps(lambda y, t, key, args: jnp.stack([jnp.ones((), y.dtype), t]), 3.0)
    found = ends(sde, jumps, jnp.array([1.0, 0.0]), steps=FixedSteps(100), keys=KEYS[:50], method=method)
    np.testing.assert_allclose(found[:, 0], np.exp(found[:, 1] - 1), atol=6e-3)


def test_a_langevin_equation_may_be_kicked() -> None:
    equation = Langevin(lambda q, t, args: -q, 1.0, 0.5)
    kick = Jumps(lambda y, t, key, args: (y[0], y[1] + 1), 2.0)

    def momentum(jumps, key):
        return solve(equation, (jnp.float32(0), jnp.float32(0)), ENDS, key, steps=FixedSteps(16), jumps=jumps).ys[1][-1]

    kicked = jax.vmap(lambda key: momentum(kick, key))(KEYS[:4000])
    # The mean of p obeys p' = -q - p + 2, q' = p.
    q = p = 0.0
    for _ in range(20_000):
        q, p = q + p / 20_000, p + (2 - q - p) / 20_000
    assert abs(kicked.mean() - p) < 4 * kicked.std() / 4000**0.5 + 2e-3


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "stochastic"])
def test_gradients_by_sizes_are_those_of_finite_differences(adjoint: str) -> None:
    def end(size):
        sde = SDE(lambda y, t, args: -y, lambda y, t, args: 0.3 * y)
        jumps = Jumps(lambda y, t, key, args: y * jnp.exp(args * jax.random.normal(key, dtype=y.dtype)), 6.0)
        key = jax.random.key(3)
        return solve(sde, 1 + size, ENDS, key, size, steps=FixedSteps(8), jumps=jumps, adjoint=adjoint).ys[-1]

    with jax.enable_x64(True):
        size = jnp.float64(0.4)
        found, by_hand = jax.grad(end)(size), (end(size + 1e-5) - end(size - 1e-5)) / 2e-5
        np.testing.assert_allclose(found, by_hand, rtol=1e-7)


def test_a_gradient_by_the_rate_is_refused() -> None:
    add = lambda y, t, key, args: y + 1  # noqa: E731

    def by_rate(rate):
        return solve(STILL, jnp.float32(0), ENDS, KEYS[0], steps=ONE_STEP, jumps=Jumps(add, rate, most=30)).ys[-1]

    def by_state(y0):
        jumps = Jumps(add, lambda y, t, args: y, bound=20.0)
        return solve(STILL, y0, ENDS, KEYS[0], steps=ONE_STEP, jumps=jumps).ys[-1]

    def by_time(end):
        ts = jnp.stack([jnp.zeros(()), end])
        return solve(STILL, jnp.float32(0), ts, KEYS[0], steps=ONE_STEP, jumps=Jumps(add, 3.0, most=30)).ys[-1]

    for function in (by_rate, by_state, jax.jit(by_state), by_time):
        with pytest.raises(TypeError, match="rate of jumps, its bound or ts depends on what is differentiated"):
            jax.grad(function)(jnp.float32(1))
    with pytest.raises(TypeError, match="its bound or ts depends on"):
        jax.jvp(by_time, (jnp.float32(1),), (jnp.float32(1),))


@pytest.mark.parametrize(
    ("jumps", "says"),
    [
        (Jumps(lambda y, t, key, args: y + 1, lambda y, t, args: 5 * y, bound=20.0), "above its bound"),
        (Jumps(lambda y, t, key, args: y + 1, lambda y, t, args: 1.5 - t, bound=20.0), "below zero"),
        (Jumps(lambda y, t, key, args: y + 1, lambda y, t, args: jnp.sqrt(1 - t), bound=20.0), "NaN"),
        (
            Jumps(lambda y, t, key, args: y + 1, lambda y, t, args: jnp.maximum(t - 1, 0), bound=0.0),
            "pass a larger bound",
        ),
        (Jumps(lambda y, t, key, args: y + 1, 20.0, most=3), "than there is room for; pass a larger most"),
    ],
    ids=["above its bound", "below zero", "none", "a bound of zero", "more than there is room for"],
)
@pytest.mark.parametrize("save", [None, lambda y: y > 2], ids=["", "saved as truth"])
def test_a_rate_that_cannot_be_makes_nan_and_says_so(jumps: Jumps, says: str, save) -> None:
    with pytest.warns(RuntimeWarning, match=f"The solution is NaN from some time before t = 3.0: .*{says}"):
        found = solve(
            STILL, jnp.float32(1), np.array([0.0, 1e-6, 3.0]), KEYS[0], steps=FixedSteps(20), jumps=jumps, save=save
        )  # fmt: skip
    assert found.result == Result.JUMPS_UNKNOWN
    if save is None:
        assert np.isfinite(found.ys[:2]).all()
        assert np.isnan(found.ys[2])


def test_what_stops_being_finite_between_jumps_is_said_too() -> None:
    explodes = SDE(lambda y, t, args: y**3 * 1e30, sde_type="stratonovich")
    with pytest.warns(RuntimeWarning, match="The solution stops being finite"):
        solve(
            explodes, jnp.float32(1), ENDS, KEYS[0], steps=FixedSteps(4), jumps=Jumps(lambda y, t, key, args: y, 1.0),
            check_finite=True,
        )  # fmt: skip


def test_a_traced_rate_below_zero_or_nan_is_no_silent_zero() -> None:
    def count(rate):
        jumps = Jumps(lambda y, t, key, args: y + 1, rate, most=30)
        return solve(STILL, jnp.float32(0), ENDS, KEYS[0], steps=ONE_STEP, jumps=jumps).ys[-1]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(jax.jit(count)(-1.0))
        assert np.isnan(jax.jit(count)(jnp.nan))
        assert np.isfinite(jax.jit(count)(1.0))


CHANGE = lambda y, t, key, args: y + 1  # noqa: E731


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Jumps(CHANGE, -1.0), "rate is -1.0; it is a finite number of zero or more"),
        (lambda: Jumps(CHANGE, math.nan), "rate is nan; it is a finite number"),
        (lambda: Jumps(CHANGE, "often"), "rate is 'often'; it is one real number"),
        (lambda: Jumps(CHANGE, np.ones(2)), "it is one real number of zero or more"),
        (lambda: Jumps(CHANGE, lambda y, t, args: y), "rate is a function and bound is not given"),
        (lambda: Jumps(CHANGE, 1.0, bound=2.0), "it is for a rate that is a function"),
        (lambda: Jumps(1.0, 1.0), "change is float; it is a function"),  # type: ignore[arg-type]
        (lambda: Jumps(CHANGE, 1.0, most=0), "most is 0; it is a whole number from one to 10000000"),
    ],
)
def test_what_are_no_jumps_is_refused(make, says: str, unchecked) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        make()


@pytest.mark.parametrize(
    ("jumps", "choices", "says"),
    [
        (3.0, {}, "jumps is float; it is Jumps of jaxsde"),
        (Jumps(CHANGE, 1.0), {"steps": AdaptiveSteps()}, "fixed steps between them; take FixedSteps"),
        (Jumps(CHANGE, 1.0), {"adjoint": "reversible", "method": "heun"}, "a jump cannot be undone"),
        (
            Jumps(CHANGE, 1.0),
            {"brownian": VirtualTree(KEYS[0], 0.0, 1.0, 1e-3)},
            "whose increments a VirtualTree may not have; take a CounterPath",
        ),
        (Jumps(CHANGE, 1.0), {"rng": None}, "rng is NoneType"),
        (
            Jumps(lambda y, t, key, args: (y, y), 1.0),
            {},
            r"jumps.change gives \(Shape.* it has to give a pytree like y0",
        ),
        (Jumps(CHANGE, lambda y, t, args: jnp.ones(2), bound=2.0), {}, r"rate gives float32 of shape \(2,\)"),
        (Jumps(lambda y, t, key, args: jnp.stack([y, y]), 1.0), {}, r"jumps.change gives shape \(2,\)"),
        (Jumps(lambda y, t, key, args: y + 1e-9 * t, 1.0), {"ts": ENDS + 1e8}, "f and g could not tell them apart"),
        (Jumps(CHANGE, lambda y, t, args: t, bound=2.0), {"ts": ENDS + 1e8}, "f and g could not tell them apart"),
        (Jumps(CHANGE, 2e7, most=10_000_000), {"steps": FixedSteps(10_000_000)}, "of which 2.24 are counted"),
        (Jumps(CHANGE, 1e9), {}, "about 1e.09 jumps .* there is room for 10000000"),
    ],
)
def test_what_does_not_go_with_jumps_is_refused(jumps, choices, says: str, unchecked) -> None:
    sde = SDE(lambda y, t, args: -y, lambda y, t, args: 0.1 * y, "stratonovich")
    choices = {"rng": KEYS[0], "steps": ONE_STEP, "y0": jnp.float32(0), "ts": ENDS} | choices
    with pytest.raises((TypeError, ValueError), match=says):
        solve(sde, jumps=jumps, **choices)


def test_between_output_times_no_state_is_kept() -> None:
    """Temporary memory of a gradient, in states, with the adjoints that need few."""
    sde = SDE(lambda y, t, args: -y, lambda y, t, args: 0.1 * y)

    def states(steps: int, adjoint: str) -> float:
        def end(y0):
            jumps = Jumps(lambda y, t, key, args: 0.9 * y, 3.0)
            return solve(sde, y0, ENDS, KEYS[0], steps=FixedSteps(steps), jumps=jumps, adjoint=adjoint).ys[-1].sum()

        program = jax.jit(jax.grad(end)).lower(jnp.zeros(10_000)).compile()
        return program.memory_analysis().temp_size_in_bytes / 40_000

    assert states(1000, "stochastic") < 30
    assert states(1000, "checkpoint") < 120


def test_clocks_far_from_zero_lose_no_jumps_that_do_not_read_them() -> None:
    found = ends(STILL, Jumps(CHANGE, 5.0), jnp.float32(0), ts=ENDS + 1.7e9, keys=KEYS[:4000])
    assert abs(found.mean() - 5) < 4 * (5 / 4000) ** 0.5


def test_how_many_there_are_has_to_be_known() -> None:
    def count(rate):
        return solve(STILL, jnp.float32(0), ENDS, KEYS[0], steps=ONE_STEP, jumps=Jumps(CHANGE, rate)).ys[-1]

    with pytest.raises(TypeError, match="the number of jumps is not known; pass most="):
        jax.jit(count)(1.0)
