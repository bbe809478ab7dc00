"""How far can predictions be cheapened, or refined, after training? The curve of figure 6 of Xu et al. (2021): scores
of one trained network against the evaluations of f_x that its predictions take.

    JAX_PLATFORMS=cpu python benchmarks/speed_precision.py [RUN] [--picture PNG]

RUN is the folder of a finished run; without one, a network is trained on handwritten digits first.
"""

import argparse
import tempfile
from pathlib import Path

from timing import print_conditions, print_rows

from jaxsde import METHODS
from sdebnn.brax import build_learner
from sdebnn.plots.style import COLOURS, drawing, legend, panels
from sdebnn.runs import TrainConfig
from sdebnn.training import restore, start_run

STEPS = (1, 2, 4, 8, 16, 32)
SOLVERS = ("euler_maruyama", "midpoint", "heun")
SCORES = ("accuracy", "nll", "ece")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="folder of a finished run")
    parser.add_argument("--data-dir", type=Path, default=None, metavar="DIR", help="folder of data sets")
    parser.add_argument(
        "--picture", type=Path, default=Path("runs/speed_precision.png"), metavar="PNG", help="where to draw"
    )
    options = parser.parse_args()
    print_conditions("jax")
    folder = options.run
    if folder is None:
        folder = Path(tempfile.mkdtemp()) / "digits"
        start_run(build_learner, TrainConfig.for_data("digits"), folder)
    scores: dict[str, list[dict[str, float]]] = {}
    for method in SOLVERS:
        for steps in STEPS:
            changes = {"test_method": method, "test_steps": steps}
            found = restore(build_learner, folder, data_dir=options.data_dir, changes=changes).score()
            scores.setdefault(method, []).append(found)
    rows = {
        f"{method}, {steps} steps": [str(steps * METHODS[method].evaluations), *(f"{s[name]:.4f}" for name in SCORES)]
        for method in SOLVERS
        for steps, s in zip(STEPS, scores[method], strict=True)
    }
    print_rows("Test scores by solver", ["evaluations", *SCORES], rows)
    title = "The same weights, solved more or less finely"
    with drawing(None, options.picture, title, width=9.6, height=3.8) as ax:
        for axis, name in zip(panels(ax, 1, 2)[0], ("nll", "accuracy"), strict=True):
            for method, colour in zip(SOLVERS, COLOURS, strict=False):
                evaluations = [steps * METHODS[method].evaluations for steps in STEPS]
                axis.plot(evaluations, [s[name] for s in scores[method]], marker="o", color=colour, label=method)
            axis.set_xscale("log", base=2)
            axis.set(xlabel="Evaluations of f_x for a prediction", ylabel=name)
            legend(axis)


if __name__ == "__main__":
    main()
