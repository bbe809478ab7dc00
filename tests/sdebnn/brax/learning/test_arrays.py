import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax.learning.arrays import from_named_arrays, to_named_arrays
from sdebnn.errors import InputError

TREE = {"network": [{"w0": (jnp.ones((2, 3)), jnp.zeros(3))}, ()], "likelihood": {"log_std": jnp.asarray([0.5])}}
LIKE = jax.eval_shape(lambda: TREE)


def test_a_tree_survives_as_named_arrays() -> None:
    named = to_named_arrays(TREE)
    assert set(named) == {"network/0/w0/0", "network/0/w0/1", "likelihood/log_std"}
    again = from_named_arrays(named, LIKE)
    assert jax.tree.structure(again) == jax.tree.structure(TREE)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, again, TREE)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network/0/w0/0": None}, "no array 'network/0/w0/0'"),
        ({"network/0/w0/0": np.ones((3, 2), np.float32)}, r"float32\[3, 2\].*float32\[2, 3\]"),
        ({"network/0/w0/0": np.ones((2, 3), np.float64)}, "float64"),
        ({"more": np.ones(1, np.float32)}, "'more'"),
    ],
)
def test_arrays_of_another_model_are_refused_by_name(change: dict, message: str) -> None:
    named = {name: array for name, array in (to_named_arrays(TREE) | change).items() if array is not None}
    with pytest.raises(InputError, match=message):
        from_named_arrays(named, LIKE)
