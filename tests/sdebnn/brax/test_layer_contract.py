"""What layers take of other people's: right, or refused in a sentence."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx
from jax.example_libraries import stax

from sdebnn.brax import (
    SDEBNN,
    HyperODEBlock,
    Layer,
    MeanField,
    ODEBlock,
    WeightProcess,
    bnn_serial,
    drift_network,
    independent_paths,
)
from sdebnn.brax.diffeq_layers import dense
from sdebnn.errors import InputError

KEY = jax.random.key(0)
X = jnp.linspace(-1, 1, 8).reshape(2, 4)
# A drift that is not zero, so that there is a KL to lose.
DRIFT = Layer(lambda rng, shape: (shape, ()), lambda params, w, t: 0.5 * jnp.ones_like(w))


def process(**choices):
    return WeightProcess(DRIFT, **choices)


def square(apply):
    """A layer with a matrix for its weights."""
    return Layer(lambda rng, shape: (shape, jnp.eye(shape[-1])), apply)


BLOCK = SDEBNN(square(lambda p, x, t: x @ p), process(), steps=2)


@pytest.fixture
def loose():
    """The layers of stax add biases of lower rank, which the strict lane of these tests refuses."""
    with jax.numpy_rank_promotion("allow"):
        yield


def test_a_kl_that_comes_out_of_other_combinators_is_added_up(loose, unchecked) -> None:
    block = SDEBNN(square(lambda p, x, t: x @ p), process(sigma_scale="constant"), steps=2, kl_estimator="analytic")
    # Of 16 weights, at every depth: u = 0.5 / 0.1.
    kl = 16 * 0.5 * 5.0**2
    layers = {
        "serial": stax.serial(stax.Identity, block),
        "fan out": stax.serial(block, stax.FanOut(2)),
        "parallel": stax.serial(stax.FanOut(2), stax.parallel(block, stax.Identity)),
    }
    for name, layer in layers.items():
        network = bnn_serial(layer)
        _, params = network.init(KEY, (-1, 4))
        outputs, got = network.apply(params, X, rng=KEY)
        assert got == pytest.approx(kl, rel=1e-5)
        assert all(leaf.shape == (2, 4) for leaf in jax.tree.leaves(outputs))
        assert len(jax.tree.leaves(outputs)) == (1 if name == "serial" else 2)


LAYERS = {
    "Dense": stax.Dense(4),
    "Relu": stax.Relu,
    "Flatten": stax.Flatten,
    "Softmax": stax.Softmax,
    "BatchNorm": stax.BatchNorm(0),
    "Dropout": stax.Dropout(0.5),
    "FanInSum": stax.serial(stax.FanOut(2), stax.FanInSum),
    "FanInConcat": stax.serial(stax.FanOut(2), stax.FanInConcat()),
    "shape_dependent": stax.shape_dependent(lambda shape: stax.Dense(shape[-1])),
    "doubled": Layer(lambda rng, shape: (shape, ()), lambda params, x, **kwargs: 2 * x),
    "ours": dense("ignore", 4),
    "MeanField": MeanField(dense("ignore", 4)),
    "block": BLOCK,
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_behind_a_block_in_stax_serial_is_refused(loose, name) -> None:
    layer = stax.serial(BLOCK, LAYERS[name])
    params = layer[0](KEY, (-1, 4))[1]
    with pytest.raises(InputError, match=r"pair \(outputs, kl\).*bnn_serial"):
        layer[1](params, X, rng=KEY)


def test_bayesian_layers_within_what_takes_none_are_refused() -> None:
    hidden = stax.serial(BLOCK)
    for make in (MeanField, ODEBlock, lambda f: SDEBNN(f, process()), lambda f: HyperODEBlock(f, DRIFT), WeightProcess):
        with pytest.raises(InputError, match=r"is a Bayesian layer.*bnn_serial"):
            make(BLOCK)
    for make in (ODEBlock, lambda f: SDEBNN(f, process()), lambda f: HyperODEBlock(f, DRIFT)):
        with pytest.raises(InputError, match=r"gives the pair \(outputs, kl\).*bnn_serial"):
            make(hidden).init(KEY, (-1, 4))
    mean_field = MeanField(hidden)
    with pytest.raises(InputError, match=r"gives the pair \(outputs, kl\).*bnn_serial"):
        mean_field.apply(mean_field.init(KEY, (-1, 4))[1], X, rng=KEY)
    written = Layer(lambda rng, shape: (shape, ()), lambda params, x, **kwargs: (x, jnp.ones(())))
    with pytest.raises(InputError, match=r"Layer 0 of bnn_serial gives the pair \(outputs, kl\)"):
        bnn_serial(written).apply([()], X, rng=KEY)
    with pytest.raises(InputError, match=r"a Bayesian layer gives \(outputs, kl\)"):
        independent_paths(dense("ignore", 4)).apply(dense("ignore", 4).init(KEY, (-1, 4))[1], X, rng=KEY)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("images", [False, True])
def test_batch_normalisation_is_refused_by_what_it_does(loose, images, jitted) -> None:
    shape = (-1, 4, 4, 2) if images else (-1, 4)
    linear = stax.Conv(2, (3, 3), padding="SAME") if images else stax.Dense(4)
    # The weights of the last layer are zero at the start, which hides what is before it.
    last = dense("ignore", shape[-1], w_init=jax.nn.initializers.zeros)
    normalised = stax.serial(linear, stax.BatchNorm((0, 1, 2) if images else 0), last)
    for block in (SDEBNN(normalised, process()), ODEBlock(normalised), HyperODEBlock(normalised, DRIFT)):

        def init(key, block=block):
            return block.init(key, shape)[1]

        with pytest.raises(InputError, match=r"other examples of the batch change.*BatchNorm"):
            (jax.jit(init) if jitted else init)(KEY)


def test_normalisation_of_each_example_is_taken() -> None:
    def normalised(params, x, t):
        return (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + 0.1) @ params

    for shape in ((-1, 4), (1, 4), (3, 4)):
        assert SDEBNN(square(normalised), process()).init(KEY, shape)[0] == shape
    # A state without a batch may mix what it has.
    assert ODEBlock(square(lambda params, x, t: params @ x)).init(KEY, (4,))[0] == (4,)


def test_dropout_in_f_x_has_one_mask_for_a_solution() -> None:
    def drops(params, x, *, t, rng, **kwargs):
        # Depth by depth the same mask: the state moves by 1 where it is kept, and not at all where it is dropped.
        return jax.random.bernoulli(rng, 0.5, x.shape).astype(x.dtype) + 0 * params

    one = Layer(lambda rng, shape: (shape, jnp.zeros(())), drops)
    start = jnp.zeros((8, 8))
    for block, params in ((SDEBNN(one, process(), steps=5), None), (ODEBlock(one, steps=5), jnp.zeros(()))):
        params = block.init(KEY, (-1, 8))[1] if params is None else params
        ends = [block.apply(params, start, rng=jax.random.key(seed)) for seed in (1, 2)]
        ends = [np.asarray(end[0] if isinstance(end, tuple) else end) for end in ends]
        for end in ends:
            np.testing.assert_allclose(end, np.round(end), atol=1e-6)
            assert 0.2 < end.mean() < 0.8
        assert (ends[0] != ends[1]).any()
    with pytest.raises(InputError, match="cannot be evaluated"):
        ODEBlock(one).apply(jnp.zeros(()), start)


GIVEN: dict[str, Any] = {
    "from_equinox": eqx.nn.Linear(4, 4, key=KEY),
    "from_nnx": nnx.Linear(4, 4, rngs=nnx.Rngs(0)),
    "from_linen": linen.Dense(4),
    "sdebnn.torchbnn": torch.nn.Linear(4, 4),
    "call it first if it makes a pair": drift_network,
    r"call it first if it makes a pair, as stax.Dense\(8\)": stax.Dense,
    "NoneType; it takes": None,
}


@pytest.mark.parametrize("advice", GIVEN)
def test_what_is_no_pair_is_refused_with_advice(unchecked, advice) -> None:
    given = GIVEN[advice]
    for make in (MeanField, ODEBlock, WeightProcess, bnn_serial, independent_paths, lambda f: SDEBNN(f, process())):
        with pytest.raises(InputError, match=advice):
            make(given)


def test_pairs_of_other_libraries_and_other_processes_are_refused(unchecked) -> None:
    theirs: Any = (lambda rng, inputs: {"params": {}}, lambda variables, inputs: inputs)
    with pytest.raises(InputError, match=r"init.*gives a dict.*\(output_shape, params\)"):
        ODEBlock(theirs).init(KEY, (-1, 4))
    with pytest.raises(InputError, match="takes a WeightProcess"):
        SDEBNN(dense("ignore", 4), DRIFT)  # type: ignore[arg-type]


WRONG = {
    "must give one array": lambda p, x, t: (x, x),
    r"\(2, 2\) for inputs of shape \(2, 4\)": lambda p, x, t: x[:, :2],
    "int32 numbers": lambda p, x, t: jnp.zeros(x.shape, jnp.int32),
    "arrays of JAX": lambda p, x, t: np.sin(x) @ p,
    "called as apply": lambda p, x, depth: x @ p,
}


@pytest.mark.parametrize("sentence", WRONG)
def test_an_f_x_or_a_drift_that_does_not_give_a_change_is_refused(sentence) -> None:
    fx = square(WRONG[sentence])
    for block in (SDEBNN(fx, process()), ODEBlock(fx)):
        with pytest.raises(InputError, match=sentence):
            block.init(KEY, (-1, 4))
    drift = Layer(lambda rng, shape: (shape, ()), lambda p, w, t: w[:2])
    with pytest.raises(InputError, match="posterior drift gives"):
        SDEBNN(square(lambda p, x, t: x @ p), WeightProcess(drift)).init(KEY, (-1, 4))


def test_an_f_x_need_not_take_depth() -> None:
    outputs = [
        ODEBlock(square(apply), steps=2).apply(jnp.eye(4), X)
        for apply in (lambda p, x: x @ p, lambda p, x, t: x @ p, lambda p, x, *, t: x @ p, lambda p, x, **kwargs: x @ p)
    ]
    for other in outputs:
        np.testing.assert_allclose(other, 1.5**2 * X, rtol=1e-6)


def test_weights_are_real_numbers() -> None:
    def init(rng, shape):
        return shape, {"w": jnp.eye(4), "none": None, "table": jnp.arange(3)}

    whole = Layer(init, lambda p, x, t: x @ p["w"])
    for layer in (SDEBNN(whole, process()), MeanField(whole), HyperODEBlock(whole, DRIFT)):
        with pytest.raises(InputError, match=r"parameter \['table'\] of int32"):
            layer.init(KEY, (-1, 4))
    params = whole.init(KEY, (-1, 4))[1]
    np.testing.assert_allclose(ODEBlock(whole, steps=1).apply(params, X), 2 * X, rtol=1e-6)
    with pytest.raises(InputError, match="no weights"):
        SDEBNN(stax.Tanh, process()).init(KEY, (-1, 4))


def test_parameters_of_something_else_are_refused(unchecked) -> None:
    for layer in (BLOCK, MeanField(dense("ignore", 4)), HyperODEBlock(dense("ignore", 4), DRIFT)):
        with pytest.raises(InputError, match=r"output_shape, params = block.init"):
            layer.apply(layer.init(KEY, (-1, 4)), X, rng=KEY)
    network = bnn_serial(BLOCK)
    with pytest.raises(InputError, match="parameters of 2 layers and has 1"):
        network.apply(network.init(KEY, (-1, 4)), X, rng=KEY)


@pytest.mark.parametrize("rng", [0, None, np.int64(3), jax.random.split(jax.random.key(0))])
def test_what_is_no_key_is_refused_by_every_layer(unchecked, rng) -> None:
    for layer in (BLOCK, MeanField(dense("ignore", 4)), bnn_serial(BLOCK), independent_paths(BLOCK)):
        with pytest.raises(TypeError, match="needs one JAX key"):
            layer.init(rng, (-1, 4))
        with pytest.raises(TypeError, match="needs one JAX key"):
            layer.apply(layer.init(KEY, (-1, 4))[1], X, rng=rng)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "0.1", None, np.ones(3), jnp.ones(3)])
def test_a_process_takes_one_positive_number(unchecked, value) -> None:
    with pytest.raises(InputError, match="sigma="):
        process(sigma=value)
    with pytest.raises(InputError, match="prior_std="):
        MeanField(dense("ignore", 4), prior_std=value)


def test_numbers_of_a_process_are_known_and_python_s(unchecked) -> None:
    with pytest.raises(InputError, match=r"rate=.*JAX traces"):
        jax.jit(lambda rate: process(rate=rate).rate)(0.5)
    made = process(rate=np.float64(0.5), sigma=jnp.float32(0.5), noisy_depth=[np.float32(0), 1])
    assert (type(made.prior.rate), type(made.prior.sigma), made.prior.noisy_depth) == (float, float, (0.0, 1.0))
    for depths in (0.5, (0,), (0, 1, 1)):
        with pytest.raises(InputError, match="noisy_depth"):
            process(noisy_depth=depths)
    with pytest.raises(InputError, match=r"steps=2\.5"):
        ODEBlock(dense("ignore", 4), steps=2.5)


def as_dtype(tree, dtype):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


@pytest.mark.parametrize("standard", [False, True])
def test_outputs_and_kl_have_the_highest_precision_of_inputs_and_parameters(x64, standard) -> None:
    layers = {
        "SDEBNN": SDEBNN(dense("ignore", 4), process(start="gaussian"), steps=1),
        "MeanField": MeanField(dense("ignore", 4)),
        "ODEBlock": ODEBlock(dense("ignore", 4), steps=1),
        "HyperODEBlock": HyperODEBlock(dense("ignore", 4), DRIFT, steps=1),
    }
    with jax.numpy_dtype_promotion("standard" if standard else "strict"):
        for layer in layers.values():
            start = layer.init(KEY, (-1, 4))[1]

            def given(params, x, layer=layer, start=start):
                found = layer.apply(as_dtype(start, params), as_dtype(X, x), rng=KEY)
                return found if isinstance(found, tuple) else (found, jnp.zeros((), jnp.promote_types(x, x)))

            exact, _ = given(jnp.float64, jnp.float64)
            for params, x, expected in (
                (jnp.float32, jnp.float64, jnp.float64),
                (jnp.float64, jnp.float32, jnp.float64),
                (jnp.float32, jnp.bfloat16, jnp.float32),
                (jnp.float16, jnp.float16, jnp.float16),
            )[: 2 if standard else 4]:
                outputs, kl = given(params, x)
                assert outputs.dtype == expected
                assert layer in (layers["ODEBlock"], layers["HyperODEBlock"]) or kl.dtype == (
                    jnp.float64 if expected == jnp.float64 else jnp.float32
                )
                if expected == jnp.float64 and isinstance(layer, Layer):
                    np.testing.assert_allclose(outputs, exact, rtol=1e-5)


def test_whole_numbers_are_solved_as_real_ones() -> None:
    block = SDEBNN(dense("ignore", 4), process(), steps=1)
    params = block.init(KEY, (-1, 4))[1]
    whole = np.arange(8).reshape(2, 4)
    expected = block.apply(params, whole.astype(np.float32), rng=KEY)
    for got, like in zip(block.apply(params, whole, rng=KEY), expected, strict=True):
        np.testing.assert_array_equal(got, like)
    np.testing.assert_array_equal(whole, np.arange(8).reshape(2, 4))
    with pytest.raises(InputError, match="complex"):
        block.apply(params, np.asarray(X) + 1j, rng=KEY)


def test_the_kl_of_single_and_double_precision_add_up(x64) -> None:
    network = bnn_serial(MeanField(dense("ignore", 4)), MeanField(dense("ignore", 4)))
    first, second = network.init(KEY, (-1, 4))[1]
    outputs, kl = network.apply([as_dtype(first, jnp.float32), as_dtype(second, jnp.float64)], X, rng=KEY)
    assert outputs.dtype == kl.dtype == jnp.float64
