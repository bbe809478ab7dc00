"""Classifies images with an SDE-BNN, or with one of its baselines, and writes a run folder.

    python examples/jax/sdebnn_classification.py --output runs/cifar10 --model sdenet --aug 2 --nblocks 2-2-2
        --diff_coef 0.2 --fx_dim 64 --fw_dims 2-64-2 --nsteps 20 --nsamples 1

The names below are those of the reference; every other choice of `sdebnn train` is a flag too.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from sdebnn.brax import build_learner
from sdebnn.cli.flags import add_choices, add_data_dir, choices_given
from sdebnn.cli.outcome import outcome
from sdebnn.cli.parser import Parser
from sdebnn.cli.train import print_run, scored_for_a_trial
from sdebnn.runs import TrainConfig
from sdebnn.training import start_run

FLAGS = {
    "data": "ds",
    "augment": "aug",
    "blocks": "nblocks",
    "sigma": "diff_coef",
    "width": "fx_dim",
    "drift_widths": "fw_dims",
    "steps": "nsteps",
    "train_samples": "nsamples",
    "batch_size": "bs",
    "learning_rate": "lr",
    "epochs": "nepochs",
    "framework": None,
    "accumulate": None,
}
MODELS = {"sdenet": "sdebnn", "odenet": "odenet", "hyperodenet": "hyperodenet", "resnet": "resnet32"}


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="run folder, new or empty")
    parser.add_argument("--model", dest="network", choices=MODELS, default="sdenet", help="network (default: sdenet)")
    parser.add_argument(
        "--meanfield_sdebnn",
        action="store_true",
        help="an independent Gaussian for every weight outside the SDE: with sdenet those of the last layer, with the "
        "other networks all",
    )
    parser.add_argument("--stl", action="store_true", help="sticking the landing: --kl_estimator stl, else analytic")
    parser.add_argument(
        "--remat", action="store_true", help="compute states again to save memory: --adjoint checkpoint"
    )
    parser.add_argument(
        "--acc_grad",
        dest="accumulate",
        nargs="?",
        const="2",
        default=argparse.SUPPRESS,
        metavar="N",
        help="gradient accumulation: slices of a batch that go through the network one after the other, to save memory "
        "(2 when given without a number)",
    )
    add_data_dir(parser)
    defaults = {"data": "cifar10", "kl_estimator": "analytic", "test_samples": "as many as --nsamples"}
    add_choices(parser, flags={"model": None} | FLAGS, defaults=defaults, separator="_")
    return parser.parse_args()


def config(options: argparse.Namespace) -> TrainConfig:
    choices: dict[str, Any] = {"kl_estimator": "stl" if options.stl else "analytic"}
    if options.remat:
        choices["adjoint"] = "checkpoint"
    choices |= choices_given(options)
    # As many posterior samples for predictions as in training, unless told otherwise.
    choices.setdefault("test_samples", choices.get("train_samples", 1))
    model = ("meanfield_" if options.meanfield_sdebnn else "") + MODELS[options.network]
    data = choices.pop("data", "cifar10")
    return scored_for_a_trial(TrainConfig.for_data(data, model=model, **choices), choices)


def main() -> None:
    options = parse()
    print_run(start_run(build_learner, config(options), options.output, data_dir=options.data_dir))


if __name__ == "__main__":
    sys.exit(outcome("sdebnn_classification", main))
