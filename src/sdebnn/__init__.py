"""Infinitely deep Bayesian neural networks: weights follow a stochastic differential equation through depth.

`sdebnn.brax` is the framework in JAX; `sdebnn.data`, `sdebnn.metrics`, `sdebnn.plots` and `sdebnn.runs` are numpy in,
numpy out. Importing `sdebnn` alone imports neither JAX nor PyTorch.
"""

from sdebnn import moved as moved

__version__ = "0.1.0"
