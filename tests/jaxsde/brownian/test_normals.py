"""That our draws are those of `jax.random`, to the bit, however many keys and whatever the shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import AxisType
from jax.test_util import check_grads

from jaxsde import SDE, CounterPath, FixedSteps, brownian_increments, solve
from jaxsde.brownian import threefry
from jaxsde.brownian.normals import FEW, MANY, SHORT, VECTOR, normals

# One number, short rows of few and many numbers, rows that are vectorised, and axes of length one.
SHAPES = ((), (3,), (FEW, 3), (VECTOR,), (SHORT + 1,), (FEW, 5, 1), (MANY,))


def ours(key, shape, dtype):
    return normals(key, (jax.ShapeDtypeStruct(shape, dtype),))[0]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.float16, jnp.bfloat16])
def test_a_draw_is_that_of_jax_random(dtype, x64):
    key = jax.random.key(7)
    for shape in SHAPES if dtype == jnp.float32 else SHAPES[2:3]:
        found = ours(key, shape, dtype)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, jax.random.normal(key, shape, dtype))


@pytest.mark.parametrize("paths", [2, MANY])
def test_draws_of_many_keys_are_those_of_each(paths):
    keys = jax.random.split(jax.random.key(0), (3, paths))
    for shape in ((3,), (SHORT + 1,), (2, 5, 1)):
        each = jax.vmap(jax.vmap(lambda key, shape=shape: ours(key, shape, jnp.float32)))
        expected = jax.vmap(jax.vmap(lambda key, shape=shape: jax.random.normal(key, shape)))(keys)
        np.testing.assert_array_equal(each(keys), expected)
        np.testing.assert_array_equal(each(keys[:1])[0], expected[0])


def test_keys_may_be_shared_out_over_devices():
    """By `shard_map` with its checks, and over an explicit mesh, along either axis of a batch of batches."""
    keys, spec = jax.random.split(jax.random.key(0), (2, MANY)), jax.sharding.PartitionSpec
    draw = jax.vmap(jax.vmap(lambda key: ours(key, (3,), jnp.float32)))
    expected = jax.vmap(jax.vmap(lambda key: jax.random.normal(key, (3,))))(keys)

    def mesh(kind):
        return jax.make_mesh((2,), ("paths",), devices=jax.devices()[:2], axis_types=(kind,))

    mapped = jax.shard_map(draw, mesh=mesh(AxisType.Auto), in_specs=spec("paths"), out_specs=spec("paths"))
    np.testing.assert_array_equal(jax.jit(mapped)(keys), expected)
    with jax.set_mesh(mesh(AxisType.Explicit)):
        for axes in (("paths",), (None, "paths")):
            found = jax.jit(draw)(jax.device_put(keys, spec(*axes)))
            assert found.sharding.spec == spec(*axes, *(None,) * (3 - len(axes)))
            np.testing.assert_array_equal(found, expected)


def test_a_second_draw_outside_of_a_program_is_not_compiled_anew(caplog):
    def draw(seed):
        like = jax.ShapeDtypeStruct((3,), jnp.float32)
        return brownian_increments(jax.random.key(seed), np.linspace(0, 1, MANY + 1), like)

    draw(0)
    with jax.log_compiles():
        draw(1)
    assert not [record.getMessage() for record in caplog.records if "Compiling" in record.getMessage()]


def test_folded_and_split_keys_are_those_of_jax_random():
    key = jax.random.key(7)
    words = jax.random.key_data(key)
    for number in (0, 5, jnp.int32(-5), jnp.int32(2**31 - 1)):
        expected = jax.random.fold_in(key, number)
        np.testing.assert_array_equal(threefry.fold_in(words, number), jax.random.key_data(expected))
    np.testing.assert_array_equal(threefry.split(words, 5), jax.random.key_data(jax.random.split(key, 5)))


def increments(paths, size):
    like = (jax.ShapeDtypeStruct((size,), jnp.float32),)
    keys = jax.random.split(jax.random.key(0), paths)
    return (
        jax.jit(jax.vmap(lambda key: CounterPath(key).increment(3, None, 0.1, like).dW[0] ** 2)).lower(keys).compile()
    )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="what compilers for CPUs vectorise")
def test_many_draws_are_made_apart_from_what_they_are_for():
    """The condition that keeps XLA from making one program of both is still in what it made."""
    assert "conditional(" in increments(FEW, 3).as_text()
    assert "conditional(" in increments(MANY, SHORT).as_text()
    assert "conditional(" not in increments(2, 3).as_text()
    assert "conditional(" not in increments(2, SHORT).as_text()


def test_gradients_go_past_a_draw_of_many_keys(x64):
    sde = SDE(lambda y, t, args: -args * y, lambda y, t, args: 0.3 * args * y, "ito", "diagonal")
    keys = jax.random.split(jax.random.key(1), FEW)

    def mean(rate, y0):
        ends = jax.vmap(lambda key: solve(sde, y0, np.array([0.0, 1.0]), key, rate, steps=FixedSteps(4)).ys[-1])(keys)
        return ends.mean()

    check_grads(mean, (0.7, jnp.array([1.0, 2.0, 0.5])), order=2, modes=("fwd", "rev"))


def test_draws_are_exported_for_any_number_of_keys_and_entries():
    def draws(words, like):
        key = jax.random.wrap_key_data(words[0])
        each = jax.vmap(lambda key: ours(jax.random.wrap_key_data(key), (3,), jnp.float32))(words)
        return each, ours(key, (*like.shape, 3), jnp.float32)

    words = jax.random.key_data(jax.random.split(jax.random.key(0), 5))
    some = export.symbolic_shape("b")
    any_number = jax.ShapeDtypeStruct((*some, 2), jnp.uint32), jax.ShapeDtypeStruct(some, jnp.float32)
    exported = export.export(jax.jit(draws))(*any_number)
    for found, expected in zip(exported.call(words, jnp.ones(5)), draws(words, jnp.ones(5)), strict=True):
        np.testing.assert_array_equal(found, expected)
