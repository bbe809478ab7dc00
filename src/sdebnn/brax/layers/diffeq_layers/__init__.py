"""Layers that depend on depth t, as (init, apply) pairs: `apply(params, inputs, t=...)`.

They compose with the layers of `jax.example_libraries.stax` both ways: `stax.serial` hands `t` on to every layer.
"""

from sdebnn.brax.layers.diffeq_layers.activations import Activation, Swish, activation
from sdebnn.brax.layers.diffeq_layers.blend import Blend
from sdebnn.brax.layers.diffeq_layers.by_name import FAMILIES, conv, conv_transpose, dense
from sdebnn.brax.layers.diffeq_layers.concat import Concat
from sdebnn.brax.layers.diffeq_layers.concat_coord import ConcatCoord
from sdebnn.brax.layers.diffeq_layers.concat_squash import ConcatSquash
from sdebnn.brax.layers.diffeq_layers.fan_in import fan_in
from sdebnn.brax.layers.diffeq_layers.gated import Gated
from sdebnn.brax.layers.diffeq_layers.hyper import Hyper
from sdebnn.brax.layers.diffeq_layers.ignore import Ignore
from sdebnn.brax.layers.diffeq_layers.initializers import fan_in_normal
from sdebnn.brax.layers.diffeq_layers.linear_map import ConvMap, ConvTransposeMap, DenseMap, LinearMap

__all__ = [
    "FAMILIES",
    "Activation",
    "Blend",
    "Concat",
    "ConcatCoord",
    "ConcatSquash",
    "ConvMap",
    "ConvTransposeMap",
    "DenseMap",
    "Gated",
    "Hyper",
    "Ignore",
    "LinearMap",
    "Swish",
    "activation",
    "conv",
    "conv_transpose",
    "dense",
    "fan_in",
    "fan_in_normal",
]
