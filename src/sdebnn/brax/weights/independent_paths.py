"""A weight path for every example of a batch, or for every few, in place of one for all."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from jaxsde.brownian.keys import threefry_key
from sdebnn.brax.layers.bayesian import BayesianLayer, Hidden, Init, Output, Params, Shape, check_pair, with_kl
from sdebnn.errors import InputError


def independent_paths(layer: tuple[Init, Any], groups: int | None = None) -> BayesianLayer:
    """Makes equal parts of a batch see weights of their own, each drawn by the Bayesian layer or network `layer`.

    The gradient has less variance than with one draw for the batch, at the price of convolutions and matrix products
    that differ between the parts.

    **Arguments:**

    - `layer`: a Bayesian (init, apply) pair: a block, or a whole network.
    - `groups`: the number of parts; one an example unless given.

    **Returns:** a `BayesianLayer` with the same params, whose KL is the mean over the parts.

    **Raises:** `InputError` when the batch cannot be divided into so many equal parts.
    """
    layer_init, layer_apply = check_pair(layer, "The layer of independent_paths")
    if groups is not None and groups < 1:
        raise InputError(f"independent_paths got groups={groups}; it takes 1 or more.")

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        return layer_init(rng, input_shape)

    def apply(params: Params, inputs: Hidden, *, rng: PRNGKeyArray, **kwargs: Any) -> Output:
        batch = inputs.shape[0]
        parts = batch if groups is None else groups
        if not parts or batch % parts:
            raise InputError(
                f"A batch of {batch} examples cannot be divided into {parts} equal parts, each with a weight path of "
                "its own; take a number that divides it."
            )
        divided = inputs.reshape(parts, batch // parts, *inputs.shape[1:])
        keys = jax.random.split(threefry_key(rng), parts)

        def of_part(x: Hidden, key: PRNGKeyArray) -> Output:
            return with_kl(layer_apply(params, x, rng=key, **kwargs), "The layer of independent_paths")

        outputs, kl = jax.vmap(of_part)(divided, keys)
        return Output(outputs.reshape(batch, *outputs.shape[2:]), jnp.mean(kl))

    return BayesianLayer(init, apply)
