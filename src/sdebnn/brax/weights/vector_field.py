"""The network f_x that moves the hidden state of a block, checked before the block is solved."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from jaxsde.brownian.keys import derive_key
from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape, initialise, without_kl
from sdebnn.brax.layers.precision import precision, working
from sdebnn.errors import InputError


def init_vector_field(fx: Layer, rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
    """The shape of the hidden state and the parameters of f_x.

    **Raises:** `InputError` for an f_x that changes the shape, that gives anything but one array, that cannot be
    evaluated, or whose outputs for an example depend on the others of the batch.
    """
    output_shape, params = initialise(fx, derive_key(rng, "sdebnn.block.w0"), input_shape, "f_x")
    if tuple(output_shape) != tuple(input_shape):
        raise InputError(
            f"f_x maps inputs of shape {input_shape} to {output_shape}; it moves the hidden state through depth, "
            "so it must keep its shape."
        )
    if all(isinstance(side, int | np.integer) for side in input_shape):
        x = jax.ShapeDtypeStruct(
            tuple(2 if side == -1 else int(side) for side in input_shape), working(precision("f_x", params))
        )
        field = vector_field(fx, params, x, jax.random.key(0))
        if input_shape[:1] == (-1,) or len(input_shape) > 1:
            _check_examples_apart(field, params, x)
    return output_shape, params


def vector_field(
    fx: Layer, params: Params, x: Hidden, rng: PRNGKeyArray | None, called: str = "f_x"
) -> Callable[[Params, Any, Any], Any]:
    """The function (params, x, t) -> dx/dt. An f_x that draws at random, as `stax.Dropout` does, draws the same
    whenever it is called: a solution has one right-hand side.

    **Raises:** `InputError` for an f_x that cannot be evaluated at such params and x, or gives anything but what is
    like x.
    """
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(x)]
    t = jax.ShapeDtypeStruct((), dtypes[0] if dtypes else jnp.float32)

    def without_key(params: Params, x: Hidden, t: Depth) -> Any:
        return fx.apply(params, x, t=t)

    def with_key(params: Params, x: Hidden, t: Depth) -> Any:
        return fx.apply(params, x, t=t, rng=derive_key(rng, "sdebnn.block.f_x"))

    field = without_key
    try:
        outputs = jax.eval_shape(field, params, x, t)
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        field = with_key
        try:
            outputs = jax.eval_shape(field, params, x, t)
        except (TypeError, ValueError, AttributeError):
            shapes = jax.tree.map(lambda leaf: leaf.shape, x)
            raise InputError(
                f"{called} cannot be evaluated at inputs of shape {shapes} and depth t: {error} It is called as "
                "apply(params, inputs, t=t), with arrays of JAX."
            ) from error
    without_kl(outputs, called)
    structure: Any = jax.tree.structure(x)
    if jax.tree.structure(outputs) != structure:
        raise InputError(
            f"{called} gives {jax.tree.structure(outputs)} where its input is {structure}; it must give one array, the "
            "change of what it is given."
            if structure == _ONE_ARRAY
            else f"{called} gives {jax.tree.structure(outputs)}; it must give what is like its input, {structure}."
        )
    for got, like in zip(jax.tree.leaves(outputs), jax.tree.leaves(x), strict=True):
        if got.shape != like.shape or not jnp.issubdtype(got.dtype, jnp.floating):
            raise InputError(
                f"{called} gives {got.dtype} numbers of shape {got.shape} for inputs of shape {like.shape}; it must "
                "give the change of each of them, a real number."
            )
    return field


_ONE_ARRAY = jax.tree.structure(0)


def _check_examples_apart(field: Callable[..., Any], params: Params, like: Array | jax.ShapeDtypeStruct) -> None:
    """Refuses statistics of the batch, which no type tells: whether the outputs of the first example change with the
    others. Weights are random numbers, as those at the start may be zero, or traced.
    """
    draws = np.random.default_rng(0)
    shape = (max(2, like.shape[0]), *like.shape[1:])

    def number(leaf: Any) -> Any:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros(leaf.shape, leaf.dtype) if isinstance(leaf, jax.core.Tracer) else leaf
        inputs = max(1, leaf.size // leaf.shape[-1]) if leaf.ndim > 1 and leaf.size else 1
        return jnp.asarray(draws.normal(size=leaf.shape) / inputs**0.5, leaf.dtype)

    with jax.ensure_compile_time_eval(), jax.debug_nans(False), jax.debug_infs(False):
        weights = jax.tree.map(lambda leaf: number(leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf)), params)
        batches = draws.normal(size=(2, *shape))
        batches[1, 0] = batches[0, 0]
        x, t = jnp.asarray(batches, like.dtype), jnp.asarray(0.5, like.dtype)
        try:
            # Once for networks that are alike. Functions within are printed with where they lie.
            program = hash(re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(field)(weights, x[0], t))))
            if program in _known_apart:
                return
            run = jax.jit(field)
            one, other = (np.asarray(run(weights, batch, t)[0], np.float64) for batch in x)
        except (
            TypeError,
            ValueError,
            IndexError,
        ):  # An f_x for a batch of this size alone, or that closes over tracers.
            return
    finite = np.isfinite(one) & np.isfinite(other)
    if np.any(np.abs(one - other)[finite] > 1e-3 * np.abs(one[finite]).max(initial=0)):
        raise InputError(
            "f_x gives an example other outputs when the other examples of the batch change, as batch normalisation "
            "does (stax.BatchNorm), so that predictions would depend on what is predicted beside them: take a "
            "normalisation of each example, such as one over its channels."
        )
    _known_apart.add(program)


_known_apart: set[int] = set()
