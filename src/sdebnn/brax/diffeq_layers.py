"""Layers that depend on depth t, as (init, apply) pairs: `apply(params, inputs, t=...)`.

They compose with the layers of `jax.example_libraries.stax` both ways: `stax.serial` hands `t` on to every layer.
"""

from sdebnn.brax.layers.diffeq_layers import *  # noqa: F403
from sdebnn.brax.layers.diffeq_layers import __all__ as __all__
