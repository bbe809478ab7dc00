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
    path, again = (draw_path(process, params, KEY, ts, steps=10)[0] for ts in (cut, missed))
    np.testing.assert_array_equal(path, again)
    assert path.shape == (4, 1)
    with pytest.raises(InputError, match="must increase from 0 to 1"):
        draw_path(process, params, KEY, np.array([0.0, 0.3, np.nextafter(0.3, 1), 1.0]), steps=10)


@pytest.mark.parametrize(
    "choices", [{}, {"noisy_depth": (0.3, 0.7)}, {"noisy_weights": 0.5}, {"noisy_depth": (0.0, 0.0)}], ids=str
)
def test_kept_weights_are_those_of_the_whole_path(choices: dict) -> None:
    process = WeightProcess(drift_network((2,)), **choices)
    params = process.init(KEY, jnp.linspace(-1.0, 1.0, 7))
    # The last layer of the drift starts at zero.
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    ts, keep = np.linspace(0.0, 1.0, 6), np.array([0, 3, 6])

    def drawn(keep: np.ndarray | None) -> tuple:
        return draw_path(
            process, params, KEY, ts, steps=10, hidden=jnp.ones(2), hidden_drift=lambda w, x, t: w[:2], keep=keep
        )

    (whole, hidden, kl), (kept, same_hidden, same_kl) = drawn(None), drawn(keep)
    assert kept.shape == (6, 3)
    np.testing.assert_array_equal(kept, whole[:, keep])
    np.testing.assert_array_equal(same_hidden, hidden)
    assert same_kl == kl


def test_what_is_not_kept_takes_no_memory() -> None:
    process = WeightProcess(drift_network((2,)))
    params = process.init(KEY, jnp.ones((10_000,)))
    ts = np.linspace(0.0, 1.0, 101)

    def temporary(keep: np.ndarray | None) -> int:
        drawn = jax.jit(lambda params: draw_path(process, params, KEY, ts, steps=100, keep=keep)[0])
        memory = drawn.lower(params).compile().memory_analysis()
        return memory.temp_size_in_bytes + memory.output_size_in_bytes

    whole = 101 * 10_000 * 4
    assert temporary(None) >= whole
    assert temporary(np.array([0, 5_000])) < whole / 5
