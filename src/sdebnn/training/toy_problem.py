"""Toy sets as problems on which the predictive prior and posterior are seen, as in figure 3 of Xu et al. (2021)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from sdebnn.data import Dataset
from sdebnn.data.toy import TOYS
from sdebnn.priors import OrnsteinUhlenbeck, Prior, prior_by_name

# The posterior of the initial weights starts at e^-3 of the prior's spread: from the prior itself nothing is learned.
START_LOG_RATIO = -3.0
# Inputs are scaled so that the data reach this far from 0: the default prior puts its units there, in the gaps and a
# little beyond.
REACH = 2.5

Functions = dict[str, Float[np.ndarray, "samples n"]]
"""Functions of the `prior` and of the `posterior`, on a grid."""


class ToyProblem(NamedTuple):
    """Standardised targets (n, 1) at scaled inputs (n, 1), a scaled grid of inputs (m, 1), and the standard deviation
    of the targets' noise.
    """

    x: Float32[np.ndarray, "n 1"]
    y: Float32[np.ndarray, "n 1"]
    grid: Float32[np.ndarray, "m 1"]
    noise: float


def toy_prior(name: str, diffusion: float, rate: float | None = None) -> Prior:
    """The prior of a toy network's weights.

    **Arguments:**

    - `name`: one of `sdebnn.priors.PRIORS`. With `"ou"` the weights are stationary around zero; with the others they
      start at learned ones.
    - `diffusion`: of a weight with one input; see `--diff_const`.
    - `rate`: of those that have one; 0.0005 for `"ou"` and 1 for others unless given.

    **Raises:** `InputError` for a rate with a prior that has none.
    """
    if name != "ou":
        choices = {"sigma": diffusion, "rate": 1.0 if rate is None else rate}
        return prior_by_name(name, choices, {"rate": 1.0}, {"rate": "ou_rate"})
    rate = 0.0005 if rate is None else rate
    # The prior takes the standard deviation of the weights in place of their diffusion.
    return OrnsteinUhlenbeck(sigma=diffusion / (2 * rate) ** 0.5, rate=rate, centre="zero", start="gaussian")


def fit_and_sample(
    dataset: Dataset, fit: Callable[[ToyProblem], Functions], noise: float | None = None
) -> tuple[Float[np.ndarray, " m"], Functions]:
    """Standardises a toy set, fits it, and takes the functions back to the targets' units.

    **Arguments:**

    - `dataset`: of `sdebnn.data.load`, by a name in `TOYS`.
    - `fit`: gives functions of the prior and of the posterior on the grid.
    - `noise`: standard deviation of the targets' noise, in their units; that of the set unless given.

    **Returns:** the grid of inputs, and the functions by what the picture calls them.
    """
    toy = TOYS[dataset.name]
    x, y = dataset.x_train, dataset.y_train
    scale = REACH / np.abs(x).max()
    y_mean, y_std = float(y.mean()), float(y.std())
    # One function cannot follow two branches; the distance between them is noise to it.
    noise = noise or (toy.noise if len(toy.branches) == 1 else y_std)
    grid = dataset.x_test[: len(dataset.x_test) // len(toy.branches)]
    functions = fit(ToyProblem(scale * x, ((y - y_mean) / y_std).astype(np.float32), scale * grid, noise / y_std))
    return grid[:, 0], {f"Predictive {name}": y_mean + y_std * drawn for name, drawn in functions.items()}
