"""One-dimensional regression problems with gaps, where uncertainty can be seen.

Inputs and targets are columns (n, 1). The noise is numpy's `RandomState(0).randn`, drawn branch after branch in the
order of the training inputs, so the data are the same on every machine. Test targets have no noise, on a grid that goes
beyond the training inputs; a problem of two branches has the grid twice, once for each.

| name | training inputs | targets | test inputs |
|---|---|---|---|
| cos | 20 on [0, 2], 20 on [6, 8] | cos x + 0.1 eps | [-2, 8] |
| cos2 | the same, twice | cos x, then -cos x, + 0.1 eps | [-2, 8] |
| coscos | 5 on [0, 2], 5 on [2, 4]; 5 on [1, 2], 5 on [2, 4] | sqrt(x + 1), then -sqrt(x + 1), + 0.1 eps | [-1, 7] |
| b20 | 10 on [-2, -0.5], 10 on [0, 2] | x^3 + 3 eps | [-4, 4] |
| b40 | 10 each on [-4, -3], [-2.5, -1], [-1, 2], [2, 4] | x^3 + 3 eps | [-6, 6] |
| b40gap | 10 each on [-4, -3], [-2.5, -1], [1, 2], [3, 4] | x^3 + 3 eps | [-6, 6] |

The inputs of `cos` and `cos2` are then scaled to (x - 4) / 4, those of training and test alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from sdebnn.data.dataset import Dataset

Points = Float[np.ndarray, " n"]
TEST_POINTS = 200


@dataclass(frozen=True)
class Branch:
    """Targets `function(x)` at `points` evenly spaced inputs on each of the `intervals`, ends included."""

    function: Callable[[Points], Points]
    intervals: tuple[tuple[float, float], ...]
    points: int

    def inputs(self) -> Points:
        return np.concatenate([np.linspace(low, high, self.points) for low, high in self.intervals])


@dataclass(frozen=True)
class Toy:
    """`noise`: standard deviation around the branches; `test`: the grid's ends; `scaled`: inputs are (x - 4) / 4."""

    branches: tuple[Branch, ...]
    noise: float
    test: tuple[float, float]
    scaled: bool = False


def _cos(x: Points) -> Points:
    return np.cos(x)


def _minus_cos(x: Points) -> Points:
    return -np.cos(x)


def _root(x: Points) -> Points:
    return np.sqrt(x + 1)


def _minus_root(x: Points) -> Points:
    return -np.sqrt(x + 1)


def _cube(x: Points) -> Points:
    return x**3


_GAP = ((0.0, 2.0), (6.0, 8.0))
TOYS = {
    "cos": Toy((Branch(_cos, _GAP, 20),), 0.1, (-2.0, 8.0), scaled=True),
    "cos2": Toy((Branch(_cos, _GAP, 20), Branch(_minus_cos, _GAP, 20)), 0.1, (-2.0, 8.0), scaled=True),
    "coscos": Toy(
        (Branch(_root, ((0.0, 2.0), (2.0, 4.0)), 5), Branch(_minus_root, ((1.0, 2.0), (2.0, 4.0)), 5)), 0.1, (-1.0, 7.0)
    ),
    "b20": Toy((Branch(_cube, ((-2.0, -0.5), (0.0, 2.0)), 10),), 3.0, (-4.0, 4.0)),
    "b40": Toy((Branch(_cube, ((-4.0, -3.0), (-2.5, -1.0), (-1.0, 2.0), (2.0, 4.0)), 10),), 3.0, (-6.0, 6.0)),
    "b40gap": Toy((Branch(_cube, ((-4.0, -3.0), (-2.5, -1.0), (1.0, 2.0), (3.0, 4.0)), 10),), 3.0, (-6.0, 6.0)),
}


def load_toy(name: str) -> Dataset:
    """One of `TOYS`; x and y are float32 (n, 1)."""
    toy = TOYS[name]
    noise = np.random.RandomState(0)
    grid = np.linspace(*toy.test, TEST_POINTS)
    x_train = [branch.inputs() for branch in toy.branches]
    y_train = [b.function(x) + toy.noise * noise.randn(len(x)) for b, x in zip(toy.branches, x_train, strict=True)]
    x_test = [grid for _ in toy.branches]
    y_test = [branch.function(grid) for branch in toy.branches]
    if toy.scaled:
        x_train, x_test = [(x - 4) / 4 for x in x_train], [(x - 4) / 4 for x in x_test]
    return Dataset(
        name, "regression", _column(x_train), _column(y_train), _column(x_test), _column(y_test), num_classes=None
    )


def _column(parts: list[np.ndarray]) -> Float32[np.ndarray, "n 1"]:
    return np.concatenate(parts).astype(np.float32)[:, None]
