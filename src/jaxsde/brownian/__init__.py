"""Brownian paths."""

from jaxsde.brownian.counter_path import CounterPath, brownian_increments
from jaxsde.brownian.increment import Increment, no_increment
from jaxsde.brownian.path import BrownianPath
from jaxsde.brownian.replayed_path import ReplayedPath
from jaxsde.brownian.virtual_tree import VirtualTree

__all__ = [
    "BrownianPath",
    "CounterPath",
    "Increment",
    "ReplayedPath",
    "VirtualTree",
    "brownian_increments",
    "no_increment",
]
