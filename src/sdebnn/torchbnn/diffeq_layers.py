"""Layers that depend on depth t, as modules called `layer(x, t=...)`."""

from sdebnn.torchbnn.layers.diffeq_layers import *  # noqa: F403
from sdebnn.torchbnn.layers.diffeq_layers import __all__ as __all__
