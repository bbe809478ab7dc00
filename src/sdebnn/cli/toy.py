"""What the toy examples of both frameworks share: their flags, the standardised problem and the picture."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np
from jaxtyping import Float

from sdebnn import plots
from sdebnn.cli.parser import Parser
from sdebnn.data import Dataset, load
from sdebnn.data.toy import TOYS
from sdebnn.errors import InputError
from sdebnn.kl_estimators import KL_ESTIMATORS
from sdebnn.priors import PRIORS, OrnsteinUhlenbeck, Prior
from sdebnn.runs import MetricsLog, RunFolder

# The posterior of the initial weights starts at e^-3 of the prior's spread: from the prior itself nothing is learned.
START_LOG_RATIO = -3.0
# Inputs are scaled so that the data reach this far from 0: the default prior puts its units there, in the gaps and a
# little beyond.
REACH = 2.5

LOG_EVERY = 10

PRIORS_BY_NAME = {"bm" if name == "brownian" else name: law for name, law in PRIORS.items()}

Functions = dict[str, Float[np.ndarray, "samples n"]]
Log = Callable[[int, Mapping[str, SupportsFloat]], None]
"""Takes what there is to log after a gradient step, counted from 1. Numbers are read only when it is time to."""
Fit = Callable[[Any, Any, Any, float, argparse.Namespace, Log], Functions]
"""Fits standardised targets, `(x, y, grid, noise, options, log)`, and gives functions of the prior and of the posterior
on the grid."""


def parse_toy_flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags of `examples/jax/sdebnn_toy1d.py` and `examples/torch/sdebnn_toy1d.py`."""

    def at_least(lowest: int) -> Any:
        def whole(text: str) -> int:
            if not lowest <= int(text) < 2**32:
                raise argparse.ArgumentTypeError(f"{text} is not allowed: it takes {lowest} to {2**32 - 1}")
            return int(text)

        return whole

    def real(*, zero: bool) -> Any:
        def number(text: str) -> float:
            value = float(text)
            if not (0 < value < math.inf or (zero and value == 0)):
                allowed = "0 or a positive number" if zero else "a positive number"
                raise argparse.ArgumentTypeError(f"{text} is not allowed: it takes {allowed}")
            return value

        return number

    positive, not_negative = real(zero=False), real(zero=True)
    parser = Parser(
        description="Fits a toy set and draws the predictive prior and posterior.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--ds", default="cos", choices=tuple(TOYS), help="toy set")
    add(
        "--output",
        "--output_dir",
        type=Path,
        default=Path("runs/toy1d"),
        help="folder; <ds>.png, and the log in <ds>, are (over)written",
    )
    add("--num_samples", type=at_least(1), default=100, help="functions that are drawn")
    add(
        "--stl",
        dest="kl_estimator",
        action="store_const",
        const="stl",
        default=argparse.SUPPRESS,
        help="the same as --kl_estimator stl",
    )
    add("--kl_estimator", default="stl", choices=KL_ESTIMATORS, help="of the path KL")
    add("--kl_coef", type=not_negative, default=0.1, help="weight of the KL; 1 is the evidence lower bound")
    add(
        "--prior_dw",
        default="ou",
        choices=tuple(PRIORS_BY_NAME),
        help="prior: ou, a stationary Ornstein-Uhlenbeck process; the others start at learned weights, bm as Brownian "
        "motion",
    )
    add(
        "--diff_const",
        "--sigma",
        type=positive,
        default=0.2,
        help="diffusion of a weight with one input; with n inputs it is diff_const / sqrt(n)",
    )
    add(
        "--ou_rate",
        type=positive,
        default=0.0005,
        help="rate of the prior ou; its std is diff_const / sqrt(2 ou_rate) for a weight with one input",
    )
    add(
        "--noise",
        type=positive,
        default=None,
        help="std of the targets' noise, in their units; that of the set if None",
    )
    add("--nsteps", type=at_least(1), default=10, help="steps of the solver over depth")
    add("--aug", type=at_least(1), default=1, help="channels of zeros that f_x moves; the last is the output")
    add("--fx_dim", type=at_least(1), default=64, help="width of the network f_x")
    add("--fw_dim", type=at_least(1), default=32, help="width of the posterior's drift")
    add("--activation", default="gaussian", help="inside f_x, by its name in diffeq_layers")
    add("--train_samples", type=at_least(1), default=4, help="weight paths in a gradient step")
    add("--lr", type=positive, default=2e-2, help="peak step size of Adam")
    add("--iters", type=at_least(1), default=2000, help="gradient steps")
    add("--seed", type=at_least(0), default=0, help="of all randomness")
    return parser.parse_args(arguments)


def prior_of_weights(options: argparse.Namespace) -> Prior:
    """The prior that the options name."""
    if options.prior_dw != "ou":
        return PRIORS_BY_NAME[options.prior_dw](sigma=options.diff_const)
    # The prior takes the standard deviation of the weights in place of their diffusion.
    sigma = options.diff_const / (2 * options.ou_rate) ** 0.5
    return OrnsteinUhlenbeck(sigma=sigma, rate=options.ou_rate, centre="zero", start="gaussian")


def _nowhere(step: int, values: Mapping[str, SupportsFloat]) -> None:
    """Logs nothing."""


def fit_and_sample(
    dataset: Dataset, fit: Fit, options: argparse.Namespace, log: Log = _nowhere
) -> tuple[Float[np.ndarray, " n"], Functions]:
    """The grid of inputs (n,), and functions of the prior and of the posterior on it, in the targets' units."""
    toy = TOYS[dataset.name]
    x, y = dataset.x_train, dataset.y_train
    scale = REACH / np.abs(x).max()
    y_mean, y_std = float(y.mean()), float(y.std())
    # One function cannot follow two branches; the distance between them is noise to it.
    noise = options.noise or (toy.noise if len(toy.branches) == 1 else y_std)
    grid = dataset.x_test[: len(dataset.x_test) // len(toy.branches)]
    functions = fit(scale * x, ((y - y_mean) / y_std).astype(np.float32), scale * grid, noise / y_std, options, log)
    return grid[:, 0], {f"Predictive {name}": y_mean + y_std * drawn for name, drawn in functions.items()}


def draw_toy(fit: Fit, options: argparse.Namespace) -> None:
    """Fits the toy set that the options name, and draws the picture. What an earlier fit of it has logged goes.

    **Raises:** `InputError`, before anything is fitted, for a folder that cannot be made or written.
    """
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {options.output} can't be made ({error.strerror}); choose one that can be written."
        ) from None
    dataset = load(options.ds)
    with MetricsLog(RunFolder(options.output / options.ds), resume=(0, 0)) as metrics:

        def log(step: int, values: Mapping[str, SupportsFloat]) -> None:
            if step % LOG_EVERY == 0 or step == options.iters:
                metrics.write(step, values, split="train")

        x, predictives = fit_and_sample(dataset, fit, options, log)
    picture = options.output / f"{options.ds}.png"
    plots.draw_predictive_percentiles(x, predictives, dataset.x_train[:, 0], dataset.y_train[:, 0], picture)
    print(f"The picture is {picture}; the losses are in {options.output / options.ds}, for TensorBoard too.")
