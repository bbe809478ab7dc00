"""`sdebnn demo`: an SDE-BNN beside a deterministic ODE network of the same size, on handwritten digits."""

import argparse
from pathlib import Path
from typing import Any

from sdebnn.cli.table import print_scores
from sdebnn.extras import require
from sdebnn.runs import RunFolder, TrainConfig

MODELS = ("sdebnn", "odenet")
SCORES = ("accuracy", "nll", "ece", "brier")


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "demo", help="train an SDE-BNN and an ODE network on digits; print their scores, draw what they know"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/demo"),
        metavar="DIR",
        help="folder for the two run folders, sdebnn and odenet (default: runs/demo)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains both networks, prints the table and draws the pictures into the SDE-BNN's run folder."""
    from sdebnn import plots
    from sdebnn.data import ood_images
    from sdebnn.frameworks import build_learner
    from sdebnn.runs.report_page import write_report
    from sdebnn.training import pictures, restore, sample_probabilities, start_run

    # Before minutes of training that would come to nothing.
    require("The demo", TrainConfig.for_data("digits").framework, "plots")
    for model in MODELS:
        RunFolder.check_new(options.output / model)
    rows, predictions = {}, {}
    for model in MODELS:
        print(f"Training {model} on scikit-learn's handwritten digits.", flush=True)
        done = start_run(build_learner, TrainConfig.for_data("digits", model=model), options.output / model)
        rows[model] = {name: done.fitted.scores[name] for name in SCORES} | {"training (s)": done.fitted.seconds}
        probabilities = sample_probabilities(done.learner, done.fitted.test_outputs).mean(axis=0)
        predictions[model] = (done.dataset.y_test, probabilities)
    folder = options.output / "sdebnn"
    restored = restore(build_learner, folder)
    strange = {
        name: sample_probabilities(restored.learner, restored.outputs(x)).mean(axis=0)
        for name, x in ood_images(restored.dataset).items()
    }
    pictures.draw_entropy(RunFolder.open(folder), predictions["sdebnn"][1], strange)
    plots.draw_reliability_diagram(predictions, path=folder / "pictures" / "reliability.png")
    write_report(RunFolder.open(folder))
    print()
    print_scores(rows)
    print(f"\nThe runs are in {options.output}; the pictures are in {folder / 'pictures'}.")
