"""Brownian paths."""

from jaxsde.brownian.counter_path import CounterPath, brownian_increments
from jaxsde.brownian.increment import Increment
from jaxsde.brownian.replayed_path import ReplayedPath

__all__ = ["CounterPath", "Increment", "ReplayedPath", "brownian_increments"]
