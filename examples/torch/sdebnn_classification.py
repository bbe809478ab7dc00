"""Classifies images with an SDE-BNN in PyTorch, or with one of its baselines, and writes a run folder.

    python examples/torch/sdebnn_classification.py --train-dir runs/cifar10 --data cifar10 --dt 0.05 --method midpoint
        --adjoint True --inhomogeneous True

The names below are those of the reference; every other choice of `sdebnn train` is a flag too.
"""

import argparse
import sys
from pathlib import Path

from sdebnn.cli.flags import add_choices, add_data_dir, choices_given
from sdebnn.cli.outcome import outcome
from sdebnn.cli.parser import Parser
from sdebnn.cli.train import print_run, scored_for_a_trial
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn import build_learner
from sdebnn.training import start_run

SWITCH = {"True": True, "False": False}
DEFAULTS = {"data": "cifar10", "method": "midpoint", "layer": "concat"}
TOLERANCES = {"rtol": 1e-3, "atol": 1e-4}
# Those that have a flag of another name above, and what PyTorch does not offer.
WITHOUT_FLAG = ("adjoint", "adjoint_adaptive", "framework", "steps", "snr")


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--train-dir", type=Path, required=True, metavar="DIR", help="run folder, new or empty")
    add(
        "--dt",
        type=float,
        default=0.05,
        help="step of the solver over depth 0 to 1; a whole number of them makes 1 (default 0.05)",
    )
    add(
        "--adjoint",
        dest="use_adjoint",
        choices=SWITCH,
        default="True",
        help="gradients by the adjoint SDE, whose memory does not grow with the steps; exact with reversible_heun "
        "(default True)",
    )
    add(
        "--adaptive",
        choices=SWITCH,
        default="False",
        help="adaptive steps; the first is --dt; see --rtol, --atol (default False)",
    )
    add(
        "--adjoint_adaptive",
        dest="adapt_adjoint",
        choices=SWITCH,
        default="False",
        help="adaptive steps in the adjoint SDE too (default False)",
    )
    add(
        "--inhomogeneous",
        choices=SWITCH,
        help="layers of f_x that depend on depth (--layer concat), beside the weights that do (default True)",
    )
    add_data_dir(parser)
    said = {name: f"0.0; {value} with --adaptive True" for name, value in TOLERANCES.items()}
    said["test_samples"] = "as many as --train-samples"
    add_choices(parser, flags=dict.fromkeys(WITHOUT_FLAG), defaults=DEFAULTS | said)
    return parser.parse_args()


def config(options: argparse.Namespace) -> TrainConfig:
    # No smaller step has ever been of use, and 1 / dt has to be a number.
    steps = round(1 / options.dt) if options.dt > 1e-9 else 0
    if steps < 1 or abs(steps * options.dt - 1) > 1e-6:
        raise InputError(f"--dt {options.dt} does not fit: a whole number of steps has to make 1, like 0.05 or 0.1.")
    given = choices_given(options)
    inhomogeneous = SWITCH.get(options.inhomogeneous)
    if "layer" in given and inhomogeneous is not None and inhomogeneous == (given["layer"] == "ignore"):
        raise InputError(
            f"--inhomogeneous {inhomogeneous} does not go with --layer {given['layer']}: leave one of them out."
        )
    choices = DEFAULTS | ({"layer": "ignore"} if inhomogeneous is False else {}) | given
    exact = choices["method"] == "reversible_heun"
    if SWITCH[options.adapt_adjoint] and (exact or not (SWITCH[options.adaptive] and SWITCH[options.use_adjoint])):
        raise InputError(
            "--adjoint_adaptive True takes --adaptive True, --adjoint True and a --method other than reversible_heun."
        )
    choices["adjoint_adaptive"] = SWITCH[options.adapt_adjoint]
    if SWITCH[options.adaptive]:
        choices = TOLERANCES | choices
        if not (choices["rtol"] or choices["atol"]):
            raise InputError("--adaptive True takes a tolerance: --rtol or --atol above 0.")
    elif choices.get("rtol") or choices.get("atol"):
        raise InputError("--rtol and --atol are tolerances of adaptive steps: add --adaptive True.")
    adjoint = ("reversible" if exact else "stochastic") if SWITCH[options.use_adjoint] else "backprop"
    # As many posterior samples for predictions as in training, unless told otherwise.
    choices.setdefault("test_samples", choices.get("train_samples", 1))
    data = choices.pop("data")
    return scored_for_a_trial(
        TrainConfig.for_data(data, **choices, framework="torch", steps=steps, adjoint=adjoint), choices
    )


def main() -> None:
    options = parse()
    print_run(start_run(build_learner, config(options), options.train_dir, data_dir=options.data_dir))


if __name__ == "__main__":
    sys.exit(outcome("sdebnn_classification", main))
