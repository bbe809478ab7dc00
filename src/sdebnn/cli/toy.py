"""What the toy examples of both frameworks share of a command: their flags, the log and the picture."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsFloat

from sdebnn import plots
from sdebnn.cli.parser import Parser
from sdebnn.data import load
from sdebnn.data.toy import TOYS
from sdebnn.errors import InputError
from sdebnn.kl_estimators import KL_ESTIMATORS
from sdebnn.priors import PRIORS, Prior
from sdebnn.runs import MetricsLog, RunFolder
from sdebnn.training.toy_problem import Functions, ToyProblem, fit_and_sample, toy_prior

LOG_EVERY = 10

PRIOR_NAMES = {"bm" if name == "brownian" else name: name for name in PRIORS}
"""The names of priors, by those of the flag."""

Log = Callable[[int, Mapping[str, SupportsFloat]], None]
"""Takes what there is to log after a gradient step, counted from 1. Numbers are read only when it is time to."""
Fit = Callable[[ToyProblem, argparse.Namespace, Log], Functions]
"""Fits a problem as the options say, and gives functions of the prior and of the posterior on its grid."""


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
        choices=tuple(PRIOR_NAMES),
        help="prior: ou, a stationary Ornstein-Uhlenbeck process; the others start at learned weights, bm as Brownian "
        "motion",
    )
    add(
        "--diff_const",
        "--sigma",
        type=positive,
        default=0.2,
        help="diffusion of a weight with one input; of priors whose paths come back or are smooth, its std where it "
        "is widest; with n inputs diff_const / sqrt(n)",
    )
    add(
        "--ou_rate",
        type=positive,
        default=None,
        help="rate of the prior; 0.0005 if None for ou, whose std is diff_const / sqrt(2 ou_rate) for a weight with "
        "one input, and 1 for others that have one",
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
    return toy_prior(PRIOR_NAMES[options.prior_dw], options.diff_const, options.ou_rate)


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

        x, predictives = fit_and_sample(dataset, lambda problem: fit(problem, options, log), options.noise)
    picture = options.output / f"{options.ds}.png"
    plots.draw_predictive_percentiles(x, predictives, dataset.x_train[:, 0], dataset.y_train[:, 0], path=picture)
    print(f"The picture is {picture}; the losses are in {options.output / options.ds}, for TensorBoard too.")
