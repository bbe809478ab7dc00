import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax import WeightProcess, draw_path, drift_network
from sdebnn.errors import InputError

KEY = jax.random.key(0)


def test_depths_that_miss_a_cut_by_a_rounding_error_lie_on_it() -> None:
    process = WeightProcess(drift_network((2,)), noisy_depth=(0.3, 0.7))
    params = process.init(KEY, jnp.ones((1,)))
    cut = np.array([0.0, 0.3, 0.7, 1.0])
    missed = np.array([0.0, np.nextafter(0.3, 1), np.nextafter(0.7, 0), 1.0])
    paths = [draw_path(process, params, KEY, ts, steps=10)[0] for ts in (cut, missed)]
    np.testing.assert_array_equal(*paths)
    assert paths[0].shape == (4, 1)
    with pytest.raises(InputError, match="must increase from 0 to 1"):
        draw_path(process, params, KEY, np.array([0.0, 0.3, np.nextafter(0.3, 1), 1.0]), steps=10)
