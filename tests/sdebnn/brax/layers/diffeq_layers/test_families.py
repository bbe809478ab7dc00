import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.example_libraries import stax

from sdebnn.brax import diffeq_layers
from sdebnn.brax.diffeq_layers import FAMILIES
from sdebnn.errors import InputError

KINDS = {
    "dense": (lambda family, **options: diffeq_layers.dense(family, 5, **options), (-1, 3), (-1, 5)),
    "conv": (
        lambda family, **options: diffeq_layers.conv(family, 5, (3, 3), stride=2, **options),
        (-1, 6, 4, 3),
        (-1, 3, 2, 5),
    ),
    "conv_transpose": (
        lambda family, **options: diffeq_layers.conv_transpose(family, 5, (3, 3), stride=2, **options),
        (-1, 3, 2, 3),
        (-1, 6, 4, 5),
    ),
}


def inputs_of(shape):
    return jax.random.normal(jax.random.key(1), (2, *shape[1:]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_shape_time_gradient_jit_and_vmap(x64, family, kind):
    make, input_shape, expected = KINDS[kind]
    init, apply = make(family)
    output_shape, params = init(jax.random.key(0), input_shape)
    assert output_shape == expected
    x = inputs_of(input_shape)
    evaluate = jax.jit(lambda params, x, t: apply(params, x, t=t))
    y = evaluate(params, x, 0.3)
    assert y.shape == (2, *expected[1:])

    # t matters, to every family but one.
    moved = float(jnp.abs(evaluate(params, x, 0.31) - y).max())
    assert (moved == 0) if family == "ignore" else (moved > 1e-4)

    # The gradient in the weights, the inputs and t is that of finite differences.
    @jax.jit
    def along(params, x, t, directions):
        def loss(params, x, t):
            return jnp.sum(jnp.sin(apply(params, x, t=t)))

        gradients = jax.grad(loss, (0, 1, 2))(params, x, t)
        inner = sum(jax.tree.leaves(jax.tree.map(lambda g, d: jnp.sum(g * d), gradients, directions)))

        def shifted(h):
            return loss(*jax.tree.map(lambda a, d: a + h * d, (params, x, t), directions))

        return inner, (shifted(1e-5) - shifted(-1e-5)) / 2e-5

    t = jnp.asarray(0.3)
    directions = jax.tree.map(lambda a: jnp.cos(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape), (params, x, t))
    exact, differences = along(params, x, t, directions)
    np.testing.assert_allclose(exact, differences, rtol=1e-7)

    # Several depths, inputs and weights at once.
    def many(a):
        return jnp.stack([a, 2 * a])

    batched = jax.jit(jax.vmap(evaluate))(jax.tree.map(many, params), many(x), many(t))
    np.testing.assert_allclose(batched[0], y, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_composes_with_stax_both_ways(family):
    conv = diffeq_layers.conv(family, 4)
    dense = diffeq_layers.dense(family, 3)
    init, apply = stax.serial(stax.Conv(2, (3, 3), padding="SAME"), conv, stax.Relu, stax.Flatten, dense, stax.Dense(2))
    output_shape, params = init(jax.random.PRNGKey(0), (-1, 4, 4, 1))
    assert output_shape == (-1, 2)
    key = jax.random.PRNGKey(1)
    x = inputs_of((-1, 4, 4, 1))
    # stax's own dense layer adds its bias by rank promotion.
    with jax.numpy_rank_promotion("allow"):
        now, later = (apply(params, x, t=t, rng=key) for t in (0.1, 0.9))
    assert now.shape == (2, 2)
    assert bool(jnp.all(now == later)) == (family == "ignore")


def test_weights_start_with_variance_one_over_fan_in():
    _, params = diffeq_layers.conv("ignore", 64).init(jax.random.key(0), (-1, 8, 8, 64))
    assert params["weight"].shape == (3, 3, 64, 64)
    # 36,864 normals: the standard deviation of the estimate is 0.4 %.
    np.testing.assert_allclose(jnp.std(params["weight"]) * (9 * 64) ** 0.5, 1, atol=0.015)
    assert not params["bias"].any()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_that_starts_at_zero(family):
    init, apply = diffeq_layers.dense(family, 3, w_init=jax.nn.initializers.zeros)
    _, params = init(jax.random.key(0), (-1, 2))
    assert not apply(params, jnp.ones((4, 2)), t=0.7).any()


def test_values_of_each_family():
    x, t = jnp.asarray([[2.0, -1.0]]), 0.25
    w, b = jnp.asarray([[1.0, 0.5], [3.0, 2.0]]), jnp.asarray([0.1, 0.2])
    layer = {"weight": w, "bias": b}
    base, depth = np.asarray([[-0.9, -0.8]]), np.asarray([[1.0, 2.0]])
    row = jnp.asarray([[4.0, 8.0]])
    with_t = {"weight": jnp.concatenate([w, row]), "bias": b}

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    cases = {
        "ignore": (layer, base),
        "concat": (with_t, base + depth),
        "concat_coord": (with_t, base + depth),
        "concat_squash": (
            {**layer, "gate": row, "gate_bias": b, "shift": row / 2},
            base * sigmoid(np.asarray([[1.1, 2.2]])) + [[0.5, 1.0]],
        ),
        "blend": ({"start": layer, "end": {"weight": 0 * w, "bias": row[0]}}, 0.75 * base + 0.25 * np.asarray(row)),
        "hyper": (
            {"base": layer, "hidden": {"weight": row[:, :1], "bias": b[:1]}, "modes": [layer]},
            base * (1 + np.tanh(1.1)),
        ),
        "gated": (
            {
                "weight": jnp.concatenate([with_t["weight"], with_t["weight"]], axis=1),
                "bias": jnp.concatenate([b, b]),
            },
            (base + depth) * sigmoid(base + depth),
        ),
    }
    assert set(cases) == set(FAMILIES)
    for family, (params, expected) in cases.items():
        got = diffeq_layers.dense(family, 2).apply(params, x, t=t)
        np.testing.assert_allclose(got, expected, rtol=1e-5, err_msg=family)


def test_coordinates_go_from_minus_one_to_one():
    init, apply = diffeq_layers.conv("concat_coord", 2, (1, 1))
    _, params = init(jax.random.key(0), (-1, 3, 5, 1))
    row_and_column = jnp.zeros((1, 1, 4, 2)).at[0, 0, 1, 0].set(1).at[0, 0, 2, 1].set(1)
    y = apply({**params, "weight": row_and_column}, jnp.ones((1, 3, 5, 1)), t=0.0)
    np.testing.assert_allclose(y[0, :, 2, 0], [-1, 0, 1])
    np.testing.assert_allclose(y[0, 1, :, 1], [-1, -0.5, 0, 0.5, 1])


def test_an_unknown_family_is_refused_with_the_ones_there_are():
    with pytest.raises(InputError, match=r"'squash' is not a family.*ignore, concat, concat_squash"):
        diffeq_layers.dense("squash", 3)


@pytest.mark.parametrize(
    ("make", "input_shape", "words"),
    [
        (lambda: diffeq_layers.dense("concat", 0), (-1, 3), "must be positive"),
        (lambda: diffeq_layers.conv("concat", 2, (3, 0)), (-1, 8, 8, 3), "must be positive"),
        (lambda: diffeq_layers.conv("concat", 2, stride=0), (-1, 8, 8, 3), "must be positive"),
        (lambda: diffeq_layers.dense("hyper", 2, width=0), (-1, 3), "width=0"),
        (lambda: diffeq_layers.dense("concat", 2), (), "last axis"),
        (lambda: diffeq_layers.conv("concat", 2), (-1, 8), r"inputs of shape \(-1, 8\)"),
        (lambda: diffeq_layers.conv_transpose("concat", 2), (-1, 8), r"inputs of shape \(-1, 8\)"),
        (lambda: diffeq_layers.conv("ignore", 2, (5, 5), padding="VALID"), (-1, 4, 4, 1), "must fit"),
    ],
)
def test_refusals(make, input_shape, words):
    with pytest.raises(InputError, match=words):
        make().init(jax.random.key(0), input_shape)
