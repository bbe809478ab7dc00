"""Layers that depend on depth t, as modules called `layer(x, t=...)`."""

from sdebnn.torchbnn.layers.diffeq_layers.activations import Activation, Swish, activation
from sdebnn.torchbnn.layers.diffeq_layers.blend import Blend
from sdebnn.torchbnn.layers.diffeq_layers.by_name import FAMILIES, conv, conv_transpose, dense
from sdebnn.torchbnn.layers.diffeq_layers.concat import Concat
from sdebnn.torchbnn.layers.diffeq_layers.concat_coord import ConcatCoord
from sdebnn.torchbnn.layers.diffeq_layers.concat_squash import ConcatSquash
from sdebnn.torchbnn.layers.diffeq_layers.fan_in import fan_in
from sdebnn.torchbnn.layers.diffeq_layers.gated import Gated
from sdebnn.torchbnn.layers.diffeq_layers.hyper import Hyper
from sdebnn.torchbnn.layers.diffeq_layers.ignore import DepthLayer, Ignore, fan_in_normal
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import ConvMap, ConvTransposeMap, DenseMap, LinearMap

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
    "DepthLayer",
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
