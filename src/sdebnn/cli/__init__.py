"""The command `sdebnn`: `train`, `evaluate`, `predict` and `demo`."""

from sdebnn.cli.main import main

__all__ = ["main"]
