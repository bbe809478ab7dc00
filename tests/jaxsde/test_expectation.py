"""Multilevel Monte Carlo against closed forms: means, the errors that are said of them, what they cost, refusals.

A state of many entries with noise of their own is as many estimates of the same number, which one call makes.
"""

import math
import re
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxsde import METHODS, SDE, AdaptiveSteps, FixedSteps, Increment, Langevin, Result, expectation
from jaxsde.expectation import _posed
from jaxsde.levels import AT_ONCE, LARGEST_BATCH, PILOT, joined
from jaxsde.moments import Moments

KEY, ENDS = jax.random.key(0), np.array([0.0, 1.0])
RATE, VOLATILITY = 0.5, 0.4
# Numbers are arguments, so that tests share their programs.
GBM = SDE(lambda y, t, args: args[0] * y, lambda y, t, args: args[1] * y)
NUMBERS = (jnp.float32(RATE), jnp.float32(VOLATILITY))
OU = SDE(lambda y, t, args: -args[0] * y, lambda y, t, args: args[1] + 0 * y, noise="additive")


def end(ys):
    return ys[-1]


def gbm(of=end, tolerance=0.02, replicas=1, args=NUMBERS, key=KEY, **choices):
    return expectation(GBM, jnp.ones(replicas), ENDS, key, args, of=of, tolerance=tolerance, **choices)


def holds(found, exact, errors=4.0):
    """Whether the mean is within so many of the standard errors that are said, and the bias."""
    return (np.abs(found.mean - exact) <= errors * found.standard_error + found.bias).all()


@pytest.fixture(scope="module")
def hundred():
    """Of a hundred shares the mean and ten times the mean square; the method's own are known on every grid."""
    tolerance = {"mean": 0.02, "square": 0.5}
    found = expectation(
        GBM, jnp.ones(100), ENDS, KEY, NUMBERS,
        of=lambda ys: {"mean": ys[-1], "square": 10 * ys[-1] ** 2}, tolerance=tolerance,
    )  # fmt: skip
    n = found.levels[-1].steps
    exact = {"mean": math.exp(RATE), "square": 10 * math.exp(2 * RATE + VOLATILITY**2)}
    on_grid = {
        "mean": (1 + RATE / n) ** n,
        "square": 10 * ((1 + RATE / n) ** 2 + VOLATILITY**2 / n) ** n,
    }
    return found, tolerance, exact, on_grid


@pytest.mark.parametrize("name", ["mean", "square"])
def test_entries_of_other_scale_have_errors_of_their_own(hundred, name):
    found, tolerance, exact, _ = hundred
    mean, error, bias = (tree[name] for tree in (found.mean, found.standard_error, found.bias))
    assert found.result == Result.SUCCESSFUL
    assert mean.shape == (100,)
    assert mean.dtype == np.float64
    assert (np.hypot(error, bias) <= tolerance[name]).all()
    assert (np.abs(mean - exact[name]) <= 4 * error + bias).all()
    np.testing.assert_allclose(sum(level.mean[name] for level in found.levels), mean)
    assert found.steps == sum(level.cost for level in found.levels)


@pytest.mark.parametrize("name", ["mean", "square"])
def test_the_standard_error_is_that_of_the_mean(hundred, name):
    """Of a hundred independent estimates."""
    found, _, _, on_grid = hundred
    z = (found.mean[name] - on_grid[name]) / found.standard_error[name]
    assert stats.chi2(100).ppf(1e-3) < (z**2).sum() < stats.chi2(100).ppf(1 - 1e-3)
    assert abs(z.mean()) < 0.33
    assert stats.kstest(z, "norm").pvalue > 1e-3


@pytest.mark.parametrize("name", ["mean", "square"])
def test_the_bias_is_no_less_than_that_of_the_steps(hundred, name):
    found, _, exact, on_grid = hundred
    true = exact[name] - on_grid[name]
    assert (found.bias[name] >= true).mean() > 0.9
    assert np.median(found.bias[name]) < 3 * true


def test_moments_of_an_ornstein_uhlenbeck_process_at_several_times(x64):
    """Of a function of the path, with a method that needs areas, and in double precision."""
    rate, size, ts = 1.5, 0.8, np.array([0.0, 0.4, 1.0])
    found = expectation(
        OU, jnp.ones(16), ts, KEY, (jnp.float64(rate), jnp.float64(size)),
        of=lambda ys: (ys[1], ys[1] * ys[2]), tolerance=0.01, method="sra1",
    )  # fmt: skip
    early = math.exp(-0.4 * rate)
    variance = size**2 / (2 * rate) * (1 - early**2)
    exact = early, (early**2 + variance) * math.exp(-0.6 * rate)
    for k in (0, 1):
        assert (np.abs(found.mean[k] - exact[k]) <= 4 * found.standard_error[k] + found.bias[k]).all()
        assert (np.hypot(found.standard_error[k], found.bias[k]) <= 0.01).all()
    # As many steps on the shorter interval.
    assert [level.steps for level in found.levels][:3] == [2, 4, 8]


@pytest.mark.parametrize("case", ["general noise with areas", "stratonovich", "langevin"])
def test_other_equations(case):
    sde: Any
    y0: Any
    if case == "general noise with areas":
        # dX = dW1, dY = X dW2: E Y^2 = t^2 / 2.
        def g(y, t, args):
            zero, one = jnp.zeros(()), jnp.ones(())
            return jnp.stack([jnp.stack([one, zero]), jnp.stack([zero, y[0]])])

        sde, y0, method, exact = SDE(lambda y, t, a: 0 * y, g, noise="general"), jnp.zeros(2), "platen_weak2", 0.5
        of = lambda ys: ys[-1, 1] ** 2  # noqa: E731
    elif case == "stratonovich":
        sde, y0, method, exact = SDE(GBM.drift, GBM.diffusion, "stratonovich"), jnp.ones(()), None, math.exp(0.58)
        of = end
    else:
        # From rest at one on a harmonic potential, of which the mean is a damped oscillation.
        sde, y0, method = Langevin(lambda q, t, a: -q, 1.0, 0.5), (jnp.ones(()), jnp.zeros(())), None
        root = math.sqrt(3) / 2
        exact = math.exp(-0.5) * (math.cos(root) + 0.5 / root * math.sin(root))
        of = lambda ys: ys[0][-1]  # noqa: E731
    found = expectation(sde, y0, ENDS, KEY, NUMBERS, of=of, tolerance=0.02, method=method)
    assert found.result == Result.SUCCESSFUL
    assert holds(found, exact)


def test_it_takes_less_than_plain_monte_carlo():
    """Which has half of the squared error for chance, and steps as short as the finest here."""
    for method, share in (("euler_maruyama", 0.5), ("milstein", 0.2)):
        found = gbm(tolerance=0.004, method=method)
        variance = math.exp(2 * RATE) * (math.exp(VOLATILITY**2) - 1)
        assert found.steps < share * (2 * variance / 0.004**2) * found.levels[-1].steps
        assert holds(found, math.exp(RATE))


@pytest.mark.parametrize(("option", "method"), [("antithetic", "milstein"), ("extrapolate", "euler_maruyama")])
def test_options_pay(option, method):
    plain, other = (gbm(tolerance=0.0015, method=method, **choices) for choices in ({}, {option: True}))
    assert other.steps < 0.8 * plain.steps
    assert holds(other, math.exp(RATE))


@pytest.mark.parametrize(("level", "tolerance"), [(1.5, 0.01), (4.0, 0.003)])
def test_probabilities(level, tolerance):
    """Differences are rare and large, and of the second, a rare event, they grow at first: 4 is beyond a step of 1."""
    found = gbm(lambda ys: jnp.where(ys[-1] > level, 1.0, 0.0), tolerance)
    exact = stats.norm.sf((math.log(level) - RATE + VOLATILITY**2 / 2) / VOLATILITY)
    assert holds(found, exact)
    assert np.hypot(found.standard_error, found.bias) <= tolerance


STILL = SDE(lambda y, t, args: 0 * y, lambda y, t, args: 1 + 0 * y, noise="additive")


def of_still(of, tolerance, key=KEY, **choices):
    return expectation(STILL, jnp.zeros(()), ENDS, key, of=of, tolerance=tolerance, **choices)


def test_an_event_that_no_path_saw_is_not_certain():
    """P(W > 4.5) = 3e-6. With a range it is as if one path more had seen it, on each level."""
    found = of_still(
        lambda ys: (jnp.where(ys[-1] > 4.5, 1.0, 0.0), jnp.where(ys[-1] > 4.5, 0.0, 10.0)),
        (0.005, 0.05), value_range=(1, 10),
    )  # fmt: skip
    error = math.sqrt(sum(1 / level.paths**2 for level in found.levels))
    assert found.result == Result.SUCCESSFUL
    assert found.mean == (0, 10)
    np.testing.assert_allclose(found.standard_error, (error, 10 * error), rtol=1e-5)
    assert stats.norm.sf(4.5) < error < 0.005


def test_what_is_rare_and_of_unknown_size_is_not_known():
    few = pytest.warns(RuntimeWarning, match="very few paths make the variance")
    with few, pytest.warns(RuntimeWarning, match="no two of 26624 paths differ .* pass value_range"):
        found = of_still(lambda ys: jnp.where(ys[-1] > 4.5, 1e6, 0.0), 0.1)
    assert found.result == Result.TOLERANCE_NOT_MET
    assert found.standard_error == math.inf
    with pytest.raises(ValueError, match=r"Values are .* times as far apart as value_range says"):
        of_still(end, 0.1, value_range=0.5)


@pytest.mark.parametrize(
    ("of", "tolerance", "exact"),
    [
        (lambda ys: jnp.where(ys[-1] > 3.5, 1e3, 0.0), 0.3, 1e3 * stats.norm.sf(3.5)),
        (lambda ys: jax.nn.sigmoid(100 * (ys[-1] - 3.7)), 6e-5, 1.085e-4),
        (lambda ys: jnp.exp(2 * ys[-1]), 0.6, math.exp(2)),
    ],
    ids=["rare and large", "rare and smooth", "lognormal"],
)
def test_no_answer_that_few_paths_decide_is_wrong_in_silence(of, tolerance, exact):
    """Over 20 keys. Of a normal law that knows its scale one would be beyond twice its error."""
    wrong = 0
    for seed in range(20):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = of_still(of, tolerance, jax.random.key(1000 + seed))
        error = np.hypot(found.standard_error, found.bias)
        wrong += found.result == Result.SUCCESSFUL and abs(found.mean - exact) > 2 * error
    assert wrong <= 1


def test_entries_that_do_not_depend_on_the_noise_are_exact():
    found = expectation(
        GBM, jnp.full((), 100.0), ENDS, KEY, (jnp.zeros(()), jnp.float32(0.2)),
        of=lambda ys: (ys, jnp.full(2, 2026.0)), tolerance=(0.5, 1e-3),
    )  # fmt: skip
    assert found.result == Result.SUCCESSFUL
    assert found.mean[0][0] == 100
    assert found.standard_error[0][0] == found.bias[0][0] == 0
    np.testing.assert_array_equal(found.mean[1], 2026)
    np.testing.assert_array_equal(found.standard_error[1], 0)
    assert found.standard_error[0][1] > 0
    assert found.steps < 10**6


def test_paths_that_are_not_finite_are_not_left_out_with_their_levels():
    """One of 4300, which the few first paths of finer levels miss."""
    with pytest.warns(RuntimeWarning) as said:
        found = of_still(lambda ys: jnp.where(ys[-1] > 3.5, jnp.inf, ys[-1]), 0.1, max_steps=10**6)
    sentence = r"\d+ of \d+ paths of \d+ steps were not finite, and too few of shorter steps were drawn"
    assert any(re.match(sentence, str(warning.message)) for warning in said)
    assert found.result == Result.TOLERANCE_NOT_MET


def test_no_power_of_a_value_is_lost(x64):
    found = expectation(
        STILL, jnp.zeros((), jnp.float64), ENDS, KEY, of=lambda ys: 1e-200 * ys[-1] ** 2, tolerance=2e-202
    )  # fmt: skip
    assert found.result == Result.SUCCESSFUL
    assert holds(found, 1e-200)
    assert 0 < found.standard_error < 2e-202


def test_a_variance_that_few_paths_make_is_said():
    """P(W > 3.3) = 5e-4, where the bound on the work leaves few paths to see it."""
    few = pytest.warns(RuntimeWarning, match="On levels of .* steps very few paths make the variance, so that standard")
    with few, pytest.warns(RuntimeWarning, match="The tolerance was not reached"):
        found = of_still(lambda ys: jnp.where(ys[-1] > 3.3, 1.0, 0.0), 3e-4, max_steps=100_000)
    assert holds(found, stats.norm.sf(3.3))


def test_unstable_levels_are_told_whatever_the_function_says():
    """On unstable steps an even number of them ends above zero, and a probability of one half looks like one."""
    wrong = 0
    for seed in range(20):
        found = expectation(
            OU, jnp.ones(()), ENDS, jax.random.key(1000 + seed), (jnp.float32(20), jnp.float32(1)),
            of=lambda ys: jnp.where(ys[-1] > 0, 1.0, 0.0), tolerance=0.05,
        )  # fmt: skip
        assert found.left_out[:4] == (1, 2, 4, 8)
        wrong += abs(found.mean - 0.5) > 2 * np.hypot(found.standard_error, found.bias)
    assert wrong <= 1


def test_unstable_coarse_levels_are_left_out():
    """A drift that decays at a rate of 50 takes steps of less than 1 / 25; with those of 1 / 8 it is largest."""
    numbers = jnp.float32(50), jnp.float32(0.5)
    found = expectation(OU, jnp.ones(4), ENDS, KEY, numbers, of=lambda ys: ys[-1] ** 2, tolerance=5e-4)
    assert found.left_out[:5] == (1, 2, 4, 8, 16)
    assert found.levels[0].steps in (32, 64)
    assert found.result == Result.SUCCESSFUL
    assert holds(found, 0.5**2 / 100)
    assert found.steps < 10**7


def test_coarse_levels_that_are_not_finite_are_left_out():
    """dy = -y^3 dt + dW / 100 from 5: about 5 / sqrt(1 + 50 t)."""
    cubic = SDE(lambda y, t, args: -(y**3), lambda y, t, args: 0.01 + 0 * y, noise="additive")
    found = expectation(cubic, jnp.full((), 5.0), ENDS, KEY, of=end, tolerance=2e-3, steps=FixedSteps(8))
    assert found.left_out[0] == 8
    assert found.result == Result.SUCCESSFUL
    assert abs(found.mean - 5 / math.sqrt(51)) < 3e-3
    with pytest.warns(
        RuntimeWarning, match="no level is finite and stable, up to .* steps, where .* see to the equation"
    ):
        nothing = expectation(
            cubic, jnp.full((), 5.0), ENDS, KEY, of=lambda ys: jnp.log(-(ys[-1] ** 2)), tolerance=2e-3,
            steps=FixedSteps(8), max_steps=150_000,
        )  # fmt: skip
    assert np.isnan(nothing.mean)
    assert np.isnan(nothing.standard_error)
    assert nothing.result == Result.TOLERANCE_NOT_MET


def test_levels_that_do_not_pay_are_left_out():
    """cos(100 Y), where Y is the integral of W: on coarse steps two grids differ in it as two paths do."""
    turning = SDE(
        lambda y, t, args: jnp.stack([0 * y[0], y[0]]), lambda y, t, args: jnp.array([1.0, 0.0]), noise="additive"
    )
    found = expectation(turning, jnp.zeros(2), ENDS, KEY, of=lambda ys: jnp.cos(100 * ys[-1, 1]), tolerance=0.05)
    assert found.left_out[:3] == (1, 2, 4)
    assert found.levels[0].variance > found.levels[1].variance
    assert holds(found, 0)


def test_the_bound_on_the_work_holds_and_the_error_is_what_was_reached():
    with pytest.warns(RuntimeWarning, match="tolerance was not reached: max_steps=100000 is not enough"):
        found = gbm(tolerance=1e-3, max_steps=100_000)
    assert found.result == Result.TOLERANCE_NOT_MET
    assert 50_000 < found.steps <= 100_000
    error = np.hypot(found.standard_error, found.bias)
    assert (error > 1e-3).all()
    assert (error < 0.1).all()
    assert holds(found, math.exp(RATE))


def test_rounding_is_an_error_too():
    with pytest.warns(RuntimeWarning, match="values are rounded by .*; pass y0 in double precision"):
        found = gbm(tolerance=1e-7)
    assert found.result == Result.TOLERANCE_NOT_MET
    assert found.bias > 1e-7


def test_levels_end_where_times_cannot_be_told_apart():
    late = SDE(lambda y, t, args: y + 0 * t, lambda y, t, args: 0.1 * y)
    with pytest.warns(RuntimeWarning, match="there are no shorter steps. .* could not tell them apart"):
        found = expectation(
            late, jnp.ones(()), np.array([1e4, 1e4 + 1]), KEY, of=end, tolerance=1e-3, steps=FixedSteps(32)
        )  # fmt: skip
    assert found.levels[-1].steps == 512
    assert holds(found, math.e)


def test_towards_smaller_times():
    found = expectation(GBM, jnp.ones(1), ENDS[::-1], KEY, NUMBERS, of=end, tolerance=0.02)
    assert holds(found, math.exp(-RATE))


def test_what_is_compiled_serves_other_numbers_and_tolerances():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    for number, tolerance in ((2.0, 0.01), (3.0, 0.002)):
        compiled.clear()
        gbm(lambda ys, number=number: number * ys[-1], number * tolerance, method="milstein")
    assert not compiled


def test_batches_are_of_bounded_size():
    for size in (1, 10**3, 10**6):
        problem = _posed(OU, jnp.zeros(size), ENDS, NUMBERS, end, None)
        for steps in (1, 64, 2**16):
            batch = problem.batch(steps, 2)
            assert batch == 1 or batch * size * 2 <= LARGEST_BATCH
            assert batch <= max(AT_ONCE // steps, PILOT)


def test_joined_increments_are_those_of_the_long_step(x64):
    """Of a polygon, whose areas are sums; leaves without noise have none."""
    path = np.append(0, np.random.default_rng(0).normal(size=16)).cumsum()

    def stretch(part, areas):
        dW = part[-1] - part[0]
        # The mean of W - W_start less that of its chord.
        H = np.mean((part[1:] + part[:-1]) / 2) - part[0] - dW / 2
        return Increment((jnp.asarray(dW), None), (jnp.asarray(H), None) if areas else None)

    for areas in (False, True):
        found = joined(stretch(path[:9], areas), stretch(path[8:], areas), jnp.asarray(0.25))
        jax.tree.map(np.testing.assert_allclose, found, stretch(path, areas))


def test_moments_of_batches_are_those_of_all():
    samples = np.random.default_rng(0).gamma(0.5, size=(1000, 2)) + np.array([0, 1e3])
    found = Moments(2)
    for batch in np.split(samples, [3, 100, 700]):
        found.add(batch)
    np.testing.assert_allclose(found.mean, samples.mean(0))
    np.testing.assert_allclose(found.variance, samples.var(0, ddof=1))
    np.testing.assert_allclose(found.telling, 1000 * samples.var(0) / (samples - samples.mean(0)).max(0) ** 2)
    np.testing.assert_allclose(found.farthest, (samples - samples.mean(0)).max(0))


def test_the_same_key_gives_the_same_numbers_and_another_key_others():
    one, same, other = (gbm(key=jax.random.key(seed)) for seed in (0, 0, 1))
    assert one.mean == same.mean != other.mean
    assert one.steps == same.steps


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"tolerance": 0.0}, ValueError, "tolerance is 0.0; it is an error, a positive number, or a pytree"),
        ({"tolerance": -1}, ValueError, "tolerance is -1"),
        ({"tolerance": math.nan}, ValueError, "tolerance is nan"),
        ({"tolerance": math.inf}, ValueError, "tolerance is inf"),
        ({"tolerance": "small"}, ValueError, "tolerance is 'small'"),
        ({"tolerance": {"a": 1.0}}, ValueError, "or a pytree of them like the value of `of`"),
        ({"tolerance": 1e200}, ValueError, "tolerance is 1e.200; it is an error, a number of no more than 1e.70"),
        ({"value_range": 0}, ValueError, "value_range is 0; it is a positive number"),
        ({"of": None}, TypeError, "of is None; it is a function of the solution"),
        ({"of": lambda ys: ys[:0]}, ValueError, "which has no entries: nothing is to be averaged"),
        ({"antithetic": "no"}, TypeError, "antithetic is 'no'; it is True or False"),
        ({"of": lambda ys: ys[-1] > 0}, TypeError, r"arrays of floating point: .* say jnp.where\(..., 1.0, 0.0\)"),
        ({"of": lambda ys: jnp.argmax(ys)}, TypeError, "arrays of floating point"),
        ({"of": lambda ys: None}, TypeError, "arrays of floating point"),
        ({"steps": AdaptiveSteps()}, TypeError, "steps is AdaptiveSteps; levels halve equal steps"),
        ({"max_steps": 0}, ValueError, "max_steps is 0; it is a whole number"),
        ({"max_steps": 1000}, ValueError, "the first paths, 256 or more on each of 5 levels, take 90112 steps"),
        ({"method": "davie"}, ValueError, "method 'davie' is not offered"),
        ({"method": "heun"}, ValueError, "method 'heun' is not offered"),
        ({"method": "coupled_milstein"}, ValueError, "method is 'coupled_milstein'; allowed are"),
        ({"sde": SDE(lambda y, t, a: y)}, ValueError, "The equation has no noise, so nothing is to be averaged"),
        ({"sde": lambda y, t, a: y}, TypeError, "sde is function; it is an SDE of jaxsde"),
        (
            {"sde": SDE(GBM.drift, GBM.diffusion, "strat")},  # type: ignore[arg-type]
            ValueError,
            "sde_type is .strat.; allowed are .* Did you mean",
        ),
        ({"sde": SDE(lambda y, t, a: y, lambda y, t, a: y, noise="additive")}, ValueError, "noise is 'additive' and"),
        ({"y0": jnp.ones(1, int)}, TypeError, "y0 has a leaf of dtype int32"),
        ({"ts": [0.0]}, ValueError, "it is a vector of two or more times"),
        ({"rng": 0}, TypeError, "rng is int"),
    ],
)
def test_what_cannot_be_is_refused(unchecked, changes, error, sentence):
    given = {"sde": GBM, "y0": jnp.ones(1), "ts": ENDS, "rng": KEY, "args": NUMBERS, "of": end, "tolerance": 0.1}
    with pytest.raises(error, match=sentence):
        expectation(**(given | changes))


@pytest.mark.parametrize("antithetic", [False, True])
def test_as_many_steps_as_the_refusal_names_suffice_for_an_answer(antithetic):
    with pytest.raises(ValueError, match="take") as refused:
        gbm(tolerance=0.1, max_steps=1, antithetic=antithetic)
    named = int(str(refused.value).split(" steps:")[0].split()[-1])
    with pytest.raises(ValueError, match="take"):
        gbm(tolerance=0.1, max_steps=named - 1, antithetic=antithetic)
    found = gbm(tolerance=0.1, max_steps=named, antithetic=antithetic)
    assert found.steps <= named
    assert holds(found, math.exp(RATE))


def test_levy_areas_are_refused_with_what_is_offered():
    general = SDE(lambda y, t, a: y, lambda y, t, a: jnp.ones((1, 2)), noise="general")
    with pytest.raises(ValueError, match=r"needs Levy areas, which are drawn with .* 'euler_maruyama', 'platen_weak2'"):
        expectation(general, jnp.ones(1), ENDS, KEY, of=end, tolerance=0.1, method="davie")
    # No others need them.
    assert [method.name for method in METHODS.values() if method.area] == ["davie", "log_ode"]


def test_traced_calls_are_refused():
    def mean(rate):
        return gbm(args=(rate, NUMBERS[1])).mean

    def closes_over(rate):
        sde = SDE(lambda y, t, args: rate * y, lambda y, t, args: y)
        return expectation(sde, jnp.ones(1), ENDS, KEY, of=end, tolerance=0.1).mean[0]

    with warnings.catch_warnings():
        for function in (jax.jit(mean), jax.grad(mean), jax.grad(closes_over), jax.jit(closes_over)):
            with pytest.raises(TypeError, match="within jit, vmap or grad"):
                function(jnp.float32(0.5))
        with pytest.raises(TypeError, match="within jit, vmap or grad"):
            jax.vmap(lambda key: gbm(key=key).mean)(jax.random.split(KEY, 2))
