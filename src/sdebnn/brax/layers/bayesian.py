"""Layers as (init, apply) pairs, and how Bayesian ones compose."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from jaxsde.brownian.keys import derive_key
from sdebnn.errors import InputError

# NumPy's integers too: the convolutions of stax give such shapes.
Shape = tuple[int | np.integer, ...]
# Arrays by name, in dictionaries and tuples.
Params: TypeAlias = PyTree
# What a layer takes and gives: an array, examples first, or of a module of another library a pytree of them.
Hidden: TypeAlias = PyTree
# From 0 to 1. Layers refuse what is none by sentences of their own.
if TYPE_CHECKING:
    Depth = float | Array
else:
    Depth = object
Init = Callable[..., tuple[Shape, Params]]


class Layer(NamedTuple):
    """A deterministic layer, in the manner of `jax.example_libraries.stax`.

    `init(rng, input_shape)` returns `(output_shape, params)`; `apply(params, inputs, rng=..., **kwargs)` returns the
    outputs. Any pair of functions that keeps this contract is a layer: those of stax are.
    """

    init: Init
    apply: Callable[..., Any]


class PairForArrayError(InputError, AttributeError):
    """A layer got what a Bayesian one gives. It is an `AttributeError` as well, so that `hasattr` may ask."""

    def __init__(self) -> None:
        super().__init__(
            "A layer got the pair (outputs, kl) of a Bayesian layer in place of an array: put sdebnn.brax.bnn_serial "
            "in place of stax.serial, which adds up the KL, or write outputs, kl = apply(params, x, rng=rng)."
        )


class Output(NamedTuple):
    """What a Bayesian layer returns: outputs, and this draw's KL in nats."""

    outputs: Any
    kl: Float[Array, ""]

    def __jax_array__(self) -> NoReturn:
        """**Raises:** `InputError`, as JAX asks here for the array that it needs."""
        raise PairForArrayError

    def __getattr__(self, name: str) -> NoReturn:
        """**Raises:** `InputError` for what an array has."""
        if hasattr(jax.Array, name) and not name.startswith("_"):
            raise PairForArrayError
        raise AttributeError(name)


def _refuse_arithmetic(*_: Any) -> NoReturn:
    raise PairForArrayError


# A tuple would grow by some of these, without a word.
for _name in ("add", "radd", "mul", "rmul", "sub", "truediv", "matmul", "pow", "neg"):
    setattr(Output, f"__{_name}__", _refuse_arithmetic)


class BayesianLayer(NamedTuple):
    """A layer whose weights are random: `apply(params, inputs, rng=..., **kwargs)` returns `(outputs, kl)`.

    `kl` is this draw's contribution, in nats, to the Kullback-Leibler divergence of the approximate posterior from the
    prior.
    """

    init: Init
    apply: Callable[..., tuple[Any, Float[Array, ""]]]


class DrawnFirstLayer(BayesianLayer):
    """A `BayesianLayer` whose weights can be drawn before its inputs are known, so that many calls share one draw: with
    `drawn = draw(params, rng)`, `run(params, drawn, inputs)` gives the outputs of `apply(params, inputs, rng=rng)`, to
    rounding.
    """

    draw: Callable[[Params, PRNGKeyArray], Any]
    run: Callable[[Params, Any, Any], Any]

    def __new__(
        cls,
        init: Init,
        apply: Callable[..., Any],
        draw: Callable[[Params, PRNGKeyArray], Any],
        run: Callable[[Params, Any, Any], Any],
    ) -> "DrawnFirstLayer":
        layer = super().__new__(cls, init, apply)
        layer.draw, layer.run = draw, run
        return layer


def draw_first(layer: tuple[Init, Any], params: Params, rng: PRNGKeyArray) -> Any:
    """The weights that a layer draws by `rng`, or `rng` itself where it draws them when it sees its inputs."""
    return layer.draw(params, rng) if isinstance(layer, DrawnFirstLayer) else rng


def as_layer(given: object, called: str) -> Layer:
    """A deterministic (init, apply) pair, whose `apply` may be called with the depth `t`, whether it takes it or not.

    **Raises:** `InputError`, which names what it was given for as `called`, for anything but a deterministic pair.
    """
    if isinstance(given, BayesianLayer):
        raise InputError(
            f"{called} is a Bayesian layer, whose KL would be lost there; it takes a deterministic (init, apply) pair. "
            "Put Bayesian layers one after the other by sdebnn.brax.bnn_serial."
        )
    layer = Layer(*check_pair(given, called))
    try:
        arguments = inspect.signature(layer.apply).parameters
    except (TypeError, ValueError):
        return layer
    if "t" in arguments or len(arguments) != 2 or any(a.kind == a.VAR_KEYWORD for a in arguments.values()):
        return layer
    return Layer(layer.init, lambda params, inputs, **kwargs: layer.apply(params, inputs))


def check_pair(given: object, called: str) -> tuple[Init, Callable[..., Any]]:
    """**Raises:** `InputError` for anything but a pair of functions."""
    if isinstance(given, tuple | list) and len(given) == 2 and all(map(callable, given)):
        return given[0], given[1]
    kind = given if isinstance(given, type) else type(given)
    modules = [base.__module__ for base in kind.__mro__]
    advice = "write sdebnn.brax.Layer(init, apply)"
    for start, advised in _ADVICE.items():
        if any(module == start or module.startswith(f"{start}.") for module in modules):
            advice = advised
            break
    else:
        if callable(given):
            advice = "call it first if it makes a pair, as stax.Dense(8) and drift_network() do, or " + advice
    name = getattr(given, "__name__", kind.__name__)
    raise InputError(f"{called} is {name}; it takes an (init, apply) pair of functions: {advice}.")


_ADVICE = {
    "equinox": "write sdebnn.brax.adapters.from_equinox(module)",
    "flax.nnx": "write sdebnn.brax.adapters.from_nnx(module)",
    "flax.linen": "write sdebnn.brax.adapters.from_linen(module)",
    "torch": "modules of PyTorch go into the blocks of sdebnn.torchbnn",
}


def initialise(layer: Layer, rng: PRNGKeyArray, input_shape: Shape, called: str) -> tuple[Shape, Params]:
    """`layer.init(rng, input_shape)`. **Raises:** `InputError` where it gives anything but a shape and parameters."""
    found: Any = layer.init(rng, input_shape)
    if not (isinstance(found, tuple | list) and len(found) == 2 and isinstance(found[0], tuple | list)):
        raise InputError(
            f"The init of {called} gives a {type(found).__name__}; init(rng, input_shape) returns "
            "(output_shape, params), as the layers of jax.example_libraries.stax do."
        )
    return tuple(found[0]), found[1]


def check_params(block: str, params: Params, names: tuple[str, ...]) -> None:
    """Refuses parameters of something else."""
    if not (hasattr(params, "keys") and set(names) <= set(params.keys())):
        got = list(params.keys()) if hasattr(params, "keys") else type(params).__name__
        raise InputError(
            f"{block} got parameters that are {got}; its parameters are a dictionary of {' and '.join(names)}, which "
            "init gives: output_shape, params = block.init(rng, input_shape)."
        )


def without_kl(outputs: Hidden, called: str) -> Any:
    """The outputs of a deterministic layer. **Raises:** `InputError` where a KL is among them."""
    if any(isinstance(leaf, Output) for leaf in jax.tree.leaves(outputs, is_leaf=_is_output)) or _looks_like(outputs):
        raise InputError(
            f"{called} gives the pair (outputs, kl) of a Bayesian layer, so there is one within it, and its KL would "
            "be lost: put sdebnn.brax.bnn_serial in place of stax.serial and of other ways to compose layers."
        )
    return outputs


def with_kl(outputs: Hidden, called: str) -> Output:
    """What a Bayesian layer gives. **Raises:** `InputError` for anything but outputs and a KL."""
    if not (isinstance(outputs, tuple) and len(outputs) == 2 and jnp.shape(outputs[1]) == ()):
        raise InputError(
            f"{called} gives a {type(outputs).__name__}, and a Bayesian layer gives (outputs, kl), where kl is one "
            "number: make a deterministic layer one by sdebnn.brax.bnn_serial(layer)."
        )
    return Output(*outputs)


def _is_output(x: object) -> bool:
    return isinstance(x, Output)


def _looks_like(outputs: Hidden) -> bool:
    """Whether it is the pair of a Bayesian layer that a user wrote."""
    if not (type(outputs) is tuple and len(outputs) == 2 and all(hasattr(part, "dtype") for part in outputs)):
        return False
    return bool(outputs[0].ndim > 0 and outputs[1].ndim == 0 and jnp.issubdtype(outputs[1].dtype, jnp.floating))


def bnn_serial(*layers: tuple[Init, Callable[..., Any]]) -> BayesianLayer:
    """Composes layers one after the other, as `stax.serial` does, and adds up the KL of those that are Bayesian.

    **Arguments:**

    - `layers`: `BayesianLayer`s and deterministic (init, apply) pairs, in any order.

    **Returns:** a `BayesianLayer`; its params are the list of the layers' params.

    **Raises:** `InputError` for what is no (init, apply) pair; when `apply` is called, for a Bayesian layer within a
    deterministic one, such as `stax.serial`, that hands its KL on to another layer. Where the KL comes out of such a
    layer, it is added up.
    """
    for number, layer in enumerate(layers):
        check_pair(layer, f"Layer {number} of bnn_serial")

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, list[Params]]:
        params = []
        keys = jax.random.split(derive_key(rng, "sdebnn.bnn_serial.init"), len(layers))
        for key, (layer_init, _) in zip(keys, layers, strict=True):
            input_shape, layer_params = layer_init(key, input_shape)
            params.append(layer_params)
        return input_shape, params

    def apply(params: list[Params], inputs: Hidden, *, rng: PRNGKeyArray, **kwargs: Any) -> Output:
        kls = []
        for number, (key, layer, layer_params) in enumerate(zip(keys_of(rng), layers, checked(params), strict=True)):
            outputs = layer[1](layer_params, inputs, rng=key, **kwargs)
            inputs, layer_kls = _apart(outputs, layer, f"Layer {number} of bnn_serial")
            kls += layer_kls
        dtype = widest(jnp.float32, *(jnp.result_type(kl) for kl in kls))
        return Output(inputs, sum((jnp.asarray(kl, dtype) for kl in kls), jnp.zeros((), dtype)))

    def draw(params: list[Params], rng: PRNGKeyArray) -> list[Any]:
        return [draw_first(*given) for given in zip(layers, checked(params), keys_of(rng), strict=True)]

    def run(params: list[Params], drawn: list[Any], inputs: Hidden) -> Any:
        for number, (layer, layer_params, of_layer) in enumerate(zip(layers, checked(params), drawn, strict=True)):
            if isinstance(layer, DrawnFirstLayer):
                inputs = layer.run(layer_params, of_layer, inputs)
            else:
                outputs = layer[1](layer_params, inputs, rng=of_layer)
                inputs = _apart(outputs, layer, f"Layer {number} of bnn_serial")[0]
        return inputs

    def keys_of(rng: PRNGKeyArray) -> Any:
        return jax.random.split(derive_key(rng, "sdebnn.bnn_serial"), len(layers))

    def checked(params: list[Params]) -> list[Params]:
        if len(params) != len(layers):
            raise InputError(f"bnn_serial got parameters of {len(params)} layers and has {len(layers)}.")
        return params

    return DrawnFirstLayer(init, apply, draw, run)


def _apart(outputs: Hidden, layer: tuple[Init, Any], called: str) -> tuple[Any, list[Any]]:
    """The outputs of a layer, and every KL that is among them."""
    if isinstance(layer, BayesianLayer):
        outputs = with_kl(outputs, called)
    # By identity, as stax.FanOut gives one pair twice.
    pairs = {id(x): x for x in jax.tree.leaves(outputs, is_leaf=_is_output) if _is_output(x)}
    inputs = jax.tree.map(lambda x: x.outputs if _is_output(x) else x, outputs, is_leaf=_is_output)
    return without_kl(inputs, called), [pair.kl for pair in pairs.values()]


def widest(*dtypes: Any) -> Any:
    """The precision that holds all of these, also where JAX is told to promote nothing by itself."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*dtypes)
