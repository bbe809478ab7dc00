"""Series on grids, and what is refused of them."""

import numpy as np
import pytest
import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent import Series

TIMES = np.array([0.0, 0.5, 0.6, 2.0])
VALUES = np.arange(8.0, dtype=np.float32).reshape(1, 4, 2)


def test_a_grid_has_every_time_and_no_longer_step():
    series = Series.of(TIMES, VALUES, dt=0.2)
    grid = series.times[0].numpy()
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
    more = series.with_times([0.5, 0.55, 3.0])
    assert more.times[0, -1] == 3.0
    assert more.times[0].diff().max() <= 0.2 + 1e-6
    assert np.isin(np.array([0.5, 0.55, 3.0], np.float32), more.times[0]).all()
    assert more.mask.sum() == 8
    assert more.end[0] == series.end[0]
    assert torch.equal(more.values[more.mask], series.values[series.mask])


def test_last_rows_without_observations_are_dropped():
    times, values = np.append(TIMES, [np.nan, 0.0]), np.pad(VALUES, ((0, 0), (0, 2), (0, 0)))
    padded = Series.of(times, values, np.array([[True] * 4 + [False] * 2]), dt=0.2)
    plain = Series.of(TIMES, VALUES, dt=0.2)
    assert all(torch.equal(getattr(padded, name), getattr(plain, name)) for name in ("times", "values", "mask", "end"))


def test_some_of_a_batch():
    series = Series.of(TIMES, np.concatenate([VALUES, VALUES + 1]), dt=0.2)
    for which in (slice(1, None), [1], torch.tensor([1])):
        one = series[which]
        assert torch.equal(one.values, series.values[1:])
        assert one.times.shape == one.mask.shape[:2] == (1, series.times.shape[1])
    assert series.to("cpu").values.device == torch.device("cpu")


@pytest.mark.parametrize(
    ("values", "dtype", "wanted"),
    [
        (VALUES, None, torch.float32),
        (VALUES.astype(np.float64), None, torch.float64),
        (VALUES.astype(np.float64), torch.float32, torch.float32),
        (VALUES.tolist(), None, torch.float32),
        (VALUES.astype(np.int64), None, torch.float32),
        (torch.from_numpy(VALUES).to(torch.bfloat16), None, torch.float32),
        (torch.from_numpy(VALUES).double(), None, torch.float64),
    ],
)
def test_the_precision_is_that_of_the_values_or_asked_for(values, dtype, wanted):
    series = Series.of(torch.from_numpy(TIMES), values, dt=0.2, dtype=dtype)
    assert {series.times.dtype, series.values.dtype, series.end.dtype} == {wanted}


def with_entry(value):
    values = VALUES.copy()
    values[0, 2, 1] = value
    return values


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"times": TIMES[[0, 2, 1, 3]]}, "Of series 0 the times go from 0.6 to 0.5; .*strictly"),
        ({"times": TIMES[::-1]}, "decreases"),
        ({"times": TIMES + 1e9}, "float32"),
        ({"times": TIMES[:3]}, r"times has shape \(3,\)"),
        ({"times": TIMES.astype("datetime64[s]")}, "time since the first"),
        ({"values": VALUES[0]}, r"\(batch, n, width\)"),
        ({"values": VALUES * 1j}, "real numbers"),
        ({"values": [VALUES[0].tolist(), VALUES[0, :2].tolist()]}, "pad the shorter"),
        ({"values": torch.ones(1, 4, 2, requires_grad=True)}, "lose the gradient"),
        ({"values": with_entry(np.nan)}, r"Series 0 has nan at entry \(2, 1\)"),
        ({"values": with_entry(-np.inf)}, r"-inf at entry \(2, 1\)"),
        ({"mask": np.zeros((1, 4), bool)}, "no observation"),
        ({"mask": np.array([[True, False, False, False]])}, "one time alone"),
        ({"mask": np.ones((1, 3), bool)}, "mask has shape"),
        ({"mask": np.ones((1, 4))}, "booleans"),
        ({"dt": 0.0}, "dt is 0.0"),
        ({"dt": 1e-7}, "longer dt"),
        ({"dtype": torch.float16}, "torch.float32 or torch.float64"),
    ],
)
def test_refusals(change, says):
    call = {"times": TIMES, "values": VALUES, "mask": None, "dt": 0.1, "dtype": None} | change
    with pytest.raises(InputError, match=says):
        Series.of(call["times"], call["values"], call["mask"], dt=call["dt"], dtype=call["dtype"])


@pytest.mark.parametrize("times", [[-0.1, 1.0], [np.nan], [np.inf]])
def test_more_times_are_finite_and_not_before_the_first(times):
    with pytest.raises(InputError, match=r"none is before 0\.0"):
        Series.of(TIMES, VALUES, dt=0.2).with_times(np.array(times))
