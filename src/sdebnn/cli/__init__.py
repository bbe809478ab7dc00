"""The command `sdebnn`: `train`, `evaluate` and `demo`."""

from sdebnn.cli.main import main

__all__ = ["main"]
