"""Layers as (init, apply) pairs, and how Bayesian ones compose."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxsde.brownian.keys import derive_key

# NumPy's integers too: the convolutions of stax give such shapes.
Shape = tuple[int | np.integer, ...]
Params = Any
Init = Callable[..., tuple[Shape, Params]]


class Layer(NamedTuple):
    """A deterministic layer, in the manner of `jax.example_libraries.stax`.

    `init(rng, input_shape)` returns `(output_shape, params)`; `apply(params, inputs, rng=..., **kwargs)` returns the
    outputs. Any pair of functions that keeps this contract is a layer: those of stax are.
    """

    init: Init
    apply: Callable[..., Any]


class BayesianLayer(NamedTuple):
    """A layer whose weights are random: `apply(params, inputs, rng=..., **kwargs)` returns `(outputs, kl)`.

    `kl` is this draw's contribution, in nats, to the Kullback-Leibler divergence of the approximate posterior from the
    prior.
    """

    init: Init
    apply: Callable[..., tuple[Any, Float[Array, ""]]]


def bnn_serial(*layers: tuple[Init, Callable[..., Any]]) -> BayesianLayer:
    """Composes layers one after the other, as `stax.serial` does, and adds up the KL of those that are Bayesian.

    **Arguments:**

    - `layers`: `BayesianLayer`s and deterministic (init, apply) pairs, in any order.

    **Returns:** a `BayesianLayer`; its params are the list of the layers' params.
    """

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, list[Params]]:
        params = []
        keys = jax.random.split(derive_key(rng, "sdebnn.bnn_serial.init"), len(layers))
        for key, (layer_init, _) in zip(keys, layers, strict=True):
            input_shape, layer_params = layer_init(key, input_shape)
            params.append(layer_params)
        return input_shape, params

    def apply(params: list[Params], inputs: Any, *, rng: PRNGKeyArray, **kwargs: Any) -> tuple[Any, Float[Array, ""]]:
        kl = jax.numpy.zeros(())
        keys = jax.random.split(derive_key(rng, "sdebnn.bnn_serial"), len(layers))
        for key, layer, layer_params in zip(keys, layers, params, strict=True):
            outputs = layer[1](layer_params, inputs, rng=key, **kwargs)
            if isinstance(layer, BayesianLayer):
                inputs, layer_kl = outputs
                kl = kl + layer_kl
            else:
                inputs = outputs
        return inputs, kl

    return BayesianLayer(init, apply)
