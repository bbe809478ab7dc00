"""Series on grids, and what is refused of them."""

import jax
import numpy as np
import pytest

from jaxsde.latent import Series

TIMES = np.array([0.0, 0.5, 0.6, 2.0])
VALUES = np.arange(8.0).reshape(1, 4, 2)


def test_a_grid_has_every_time_and_no_longer_step():
    series = Series.of(TIMES, VALUES, dt=0.2)
    grid = np.asarray(series.times[0])
    assert np.diff(grid).max() <= 0.2 + 1e-6
    at = np.searchsorted(grid, TIMES.astype(np.float32))
    np.testing.assert_array_equal(grid[at], TIMES.astype(np.float32))
    np.testing.assert_array_equal(series.values[0, at], VALUES[0])
    assert series.mask.sum() == series.mask[0, at].sum() == 8
    assert series.end[0] == 2.0
    assert Series.of(TIMES, VALUES, dt=np.inf).times.shape == (1, 4)
    assert Series.of(TIMES, VALUES).times.shape[1] >= 100


def test_more_times_keep_what_was_observed():
    series = Series.of(TIMES, VALUES, dt=0.2)
    more = series.with_times(np.array([0.5, 0.55, 3.0]))
    assert more.times[0, -1] == 3.0
    assert np.diff(more.times[0]).max() <= 0.2 + 1e-6
    assert np.isin(np.array([0.5, 0.55, 3.0], np.float32), more.times[0]).all()
    assert more.mask.sum() == 8
    assert more.end[0] == series.end[0]
    np.testing.assert_array_equal(more.values[more.mask], series.values[series.mask])


def test_last_rows_without_observations_are_dropped():
    times, values = np.append(TIMES, [np.nan, 0.0]), np.pad(VALUES, ((0, 0), (0, 2), (0, 0)))
    mask = np.array([[True] * 4 + [False] * 2])
    padded, plain = Series.of(times, values, mask, dt=0.2), Series.of(TIMES, VALUES, dt=0.2)
    for a, b in zip(jax.tree.leaves(padded), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a, b)


def with_entry(value):
    values = VALUES.copy()
    values[0, 2, 1] = value
    return values


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"times": TIMES[[0, 2, 1, 3]]}, "Of series 0: .*strictly"),
        ({"times": TIMES[::-1]}, "decrease"),
        ({"times": TIMES + 1e9}, "float32"),
        ({"times": TIMES[:3]}, r"times has shape \(3,\)"),
        ({"values": VALUES[0]}, r"\(batch, n, width\)"),
        ({"values": VALUES * 1j}, "real numbers"),
        ({"values": with_entry(np.nan)}, r"Series 0 has nan at entry \(2, 1\)"),
        ({"values": with_entry(-np.inf)}, r"-inf at entry \(2, 1\)"),
        ({"mask": np.zeros((1, 4), bool)}, "no observation"),
        ({"mask": np.array([[True, False, False, False]])}, "one time alone"),
        ({"mask": np.ones((1, 3), bool)}, "mask has shape"),
        ({"mask": np.ones((1, 4))}, "booleans"),
        ({"dt": 0.0}, "dt is 0.0"),
        ({"dt": 1e-7}, "longer dt"),
    ],
)
def test_refusals(change, says):
    call = {"times": TIMES, "values": VALUES, "mask": None, "dt": 0.1} | change
    with pytest.raises((TypeError, ValueError), match=says):
        Series.of(call["times"], call["values"], call["mask"], dt=call["dt"])


@pytest.mark.parametrize("times", [[-0.1, 1.0], [np.nan], [np.inf]])
def test_more_times_are_finite_and_not_before_the_first(times):
    with pytest.raises(ValueError, match=r"none is before 0\.0"):
        Series.of(TIMES, VALUES, dt=0.2).with_times(np.array(times))


def test_traced_arrays_are_refused():
    with pytest.raises(TypeError, match="outside of jit"):
        jax.jit(lambda values: Series.of(TIMES, values).values)(VALUES)
    with pytest.raises(TypeError, match="outside of jit"):
        jax.jit(lambda series: series.with_times(np.array([1.0])))(Series.of(TIMES, VALUES, dt=0.2))
