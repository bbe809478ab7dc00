"""What is compared on images: the SDE-BNN and what people use instead, of one architecture."""

from typing import Any, NamedTuple

SAMPLES, MEMBERS, OF_MEMBER = 8, 5, 2
"""Networks that a prediction averages, where a method has so many; runs of a mixture, and networks of each of these."""
SINGLE, FIVE = "one run", "five runs"


class Model(NamedTuple):
    """A row: its name for people, what it costs, and its choices of a run.

    - `like`: the model whose own choices it takes: an ensemble is of five like the one alone.
    """

    title: str
    cost: str
    choices: dict[str, Any]
    like: str


def _single(title: str, model: str, **choices: Any) -> Model:
    return Model(title, SINGLE, {"model": model, "members": 1, "test_samples": SAMPLES} | choices, model)


def _five(title: str, model: str, **choices: Any) -> Model:
    return Model(title, FIVE, {"model": model, "members": MEMBERS, "test_samples": OF_MEMBER} | choices, model)


MODELS = {
    "sdebnn": _single("SDE-BNN", "sdebnn"),
    # Without noise one sample is all that there is.
    "odenet": _single("ODE network", "odenet", test_samples=1),
    "dropout": _single("MC dropout", "dropout_odenet"),
    "meanfield": _single("mean field", "meanfield_odenet"),
    "ivon": _single("IVON", "ivon_odenet"),
    "swag": _single("SWAG", "swag_odenet"),
    "sdebnn_5": _five("five SDE-BNNs", "sdebnn"),
    "odenet_5": _five("deep ensemble of 5", "odenet", test_samples=1),
    "swag_5": _five("MultiSWAG of 5", "swag_odenet"),
}
"""By the name that `--models` takes. Last-layer Laplace is not among them: it keeps a covariance of the last layer,
which has too many weights here. `swag_5` is the mixture of Wilson and Izmailov (2020)."""

OURS = ("sdebnn", "sdebnn_5")


def of_cost(cost: str) -> list[str]:
    """The names of the models that cost so much."""
    return [name for name, model in MODELS.items() if model.cost == cost]
