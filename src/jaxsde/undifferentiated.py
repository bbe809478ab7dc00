"""What has no derivative, or one in one mode alone: the others are refused in a sentence."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, PyTree


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def undifferentiated(x: Array, sentence: str) -> Array:
    """x, of what decides whether something happens. **Raises:** `TypeError` with the sentence, when what x depends on
    is differentiated, in either mode.
    """
    return x


def _refuse(sentence: str, primals: tuple[Array], tangents: tuple[Any]) -> tuple[Array, Array]:
    if type(tangents[0]) is not jax.custom_derivatives.SymbolicZero:
        raise TypeError(sentence)
    return primals[0], jnp.zeros_like(primals[0])


undifferentiated.defjvp(_refuse, symbolic_zeros=True)


def reverse_only(tree: PyTree, sentence: str) -> Any:
    """The tree. **Raises:** `TypeError` with the sentence, when a derivative of it in forward mode is computed, or
    compiled.
    """
    return _marked(_REVERSE_ONLY, tree, sentence)


def forward_only(tree: PyTree, sentence: str) -> Any:
    """The tree. **Raises:** `TypeError` with the sentence, when a derivative of it in reverse mode is taken."""
    return _marked(_FORWARD_ONLY, tree, sentence)


def _marked(primitive: Primitive, tree: PyTree, sentence: str) -> Any:
    leaves, treedef = jax.tree.flatten(tree)
    moving = [i for i, x in enumerate(leaves) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
    for i, x in zip(moving, primitive.bind(*(leaves[i] for i in moving), sentence=sentence), strict=True):
        leaves[i] = x
    return jax.tree.unflatten(treedef, leaves)


def _same(*leaves: Any, sentence: str) -> list[Any]:
    return list(leaves)


def _raise(*leaves: Any, sentence: str) -> Any:
    raise TypeError(sentence)


def _identity(name: str, computed: Callable[..., Any] = _same) -> Primitive:
    """A primitive of its own, not a function with a rule: JAX drops such rules where it differentiates twice."""
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(computed)
    primitive.def_abstract_eval(_same)
    mlir.register_lowering(primitive, lambda context, *leaves, sentence: computed(*leaves, sentence=sentence))

    def batched(leaves: Any, axes: Any, sentence: str) -> Any:
        # JAX's own refusal would come here, of the derivative that follows.
        return primitive.bind(*computed(*leaves, sentence=sentence), sentence=sentence), axes

    batching.primitive_batchers[primitive] = batched
    return primitive


def _linear(primitive: Primitive, transposed: Callable[..., Any]) -> Primitive:
    ad.deflinear2(primitive, lambda cotangents, *leaves, sentence: transposed(*cotangents, sentence=sentence))
    return primitive


def _with_tangents_uncomputed(leaves: Any, tangents: Any, sentence: str) -> Any:
    # All in one, so that those that are zero are computed with the others or not at all.
    moved = _UNCOMPUTED.bind(*map(ad.instantiate_zeros, tangents), sentence=sentence)
    # Forward mode over a gradient is well.
    return list(leaves), moved


_FORWARD_ONLY = _linear(_identity("forward_only"), transposed=_raise)
_UNCOMPUTED = _linear(_identity("uncomputed", computed=_raise), transposed=_same)
_REVERSE_ONLY = _identity("reverse_only")
ad.primitive_jvps[_REVERSE_ONLY] = _with_tangents_uncomputed
