"""What a likelihood has to have, in either framework. A user's own is held to it before training, not after."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.metrics.contract import ROW_SUM_TOLERANCE
from sdebnn.training.learner import Learner

# Enough to tell (n,) from (n, 1) and (n, n).
EXAMPLES = 5

REQUIRED = {
    "init": "init(): its parameters at the start of training, arrays by name, {} for none",
    "log_prob": "log_prob(params, outputs, targets): log p(y | outputs) of every example, (n,)",
    "mean": "mean(params, outputs): the expected targets (n, d), or for labels the probabilities (n, classes)",
    "sample": "sample(params, outputs, rng): targets that are drawn, (n, d), or labels, (n,)",
}
OPTIONAL = {
    "variance": "variance(params, outputs): that of the targets, (n, d)",
    "cdf": "cdf(params, outputs, targets): the probability of values up to the targets, (n, d)",
}


def number_of_outputs(likelihood: object) -> int:
    """How many numbers the network has to give for one example: `likelihood.outputs`, a number or a method.

    **Raises:** `InputError` for what is no whole number above 0.
    """
    outputs = getattr(likelihood, "outputs", None)
    number = outputs() if callable(outputs) else outputs
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise InputError(
            f"The likelihood {_name(likelihood)} has outputs={number!r}; it takes how many numbers the network gives "
            "for one example: a whole number, 1 or more."
        )
    return int(number)


def check_likelihood(likelihood: object) -> None:
    """**Raises:** `InputError` for an object that training or predictions would miss something of."""
    if isinstance(likelihood, type):
        raise InputError(f"The likelihood {likelihood.__name__} is a class; give an object of it, made by calling it.")
    missing = [text for name, text in REQUIRED.items() if not callable(getattr(likelihood, name, None))]
    if missing:
        raise InputError(
            f"The likelihood {_name(likelihood)} cannot be trained or scored: it lacks {'; '.join(missing)}."
        )
    for name, text in OPTIONAL.items():
        if not callable(getattr(likelihood, name, len)):
            raise InputError(f"The likelihood {_name(likelihood)} has a {name} that is no method; it takes {text}.")
    number_of_outputs(likelihood)


def check_outputs(got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """**Raises:** `InputError` when the network does not give the numbers that its likelihood takes."""
    if got != expected:
        raise InputError(
            f"The network's outputs have shape {got}, but its likelihood takes {expected}: (examples, numbers for one "
            "example); change the network's last layer or the likelihood's outputs."
        )


def check_predictions(learner: Learner, dataset: Dataset) -> None:
    """Predicts a few training examples, as the end of training will, with a network or a likelihood of a user's own.

    **Raises:** `InputError` for outputs that are not finite, and for anything that the likelihood says of them in
    another shape or beyond its range.
    """
    x, y = dataset.x_train[:EXAMPLES], dataset.y_train[:EXAMPLES]
    try:
        outputs = learner.outputs(x)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The network cannot be evaluated: {error}") from error
    if not np.isfinite(outputs).all():
        raise InputError("The network's outputs for the first training examples are NaN or infinite before training.")
    n, labels = len(y), y.ndim == 1
    means = _said(learner, "mean", outputs, (n, dataset.num_classes))
    if labels and (means.min() < 0 or np.abs(means.sum(axis=-1) - 1).max() > ROW_SUM_TOLERANCE):
        raise InputError(f"The likelihood's {REQUIRED['mean']}; it gave {means[0, 0]}, which do not sum to 1.")
    _said(learner, "log_prob", outputs, (n,), y)
    _said(learner, "sample", outputs, (n,) if labels else means.shape[1:])
    if not labels:
        _said(learner, "variance", outputs, means.shape[1:])
    if means.shape[1:] == y.shape:
        _said(learner, "cdf", outputs, y.shape, y)


_RANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "log_prob": (np.isfinite, "finite floating-point numbers are needed"),
    "mean": (np.isfinite, "finite numbers are needed"),
    "sample": (lambda values: ~np.isnan(values), "numbers are needed"),
    "variance": (lambda values: values >= 0, "numbers of 0 or more are needed"),
    "cdf": (lambda values: (values >= 0) & (values <= 1), "numbers from 0 to 1 are needed"),
}


def _said(
    learner: Learner, method: str, outputs: np.ndarray, shape: tuple[int | None, ...], *targets: np.ndarray
) -> np.ndarray:
    """What the likelihood says, in double precision, where the sizes that are not `None` are as expected."""
    what = f"The likelihood's {(REQUIRED | OPTIONAL)[method]}; for the first {shape[0]} training examples it"
    try:
        said = learner.of_likelihood(method, outputs, *targets)
    except Exception as error:
        raise InputError(f"{what} failed: {error}") from error
    if said is None:
        return np.empty(0)
    got = tuple(said.shape[1:])
    if len(got) != len(shape) or any(size not in (None, found) for size, found in zip(shape, got, strict=True)):
        given = " and ".join(str(tuple(array.shape)) for array in (outputs[0], *targets))
        expected = ", ".join("d" if size is None else str(size) for size in shape)
        raise InputError(f"{what} gave the shape {got} where ({expected}) is needed, of arguments of shape {given}.")
    in_range, needed = _RANGES[method]
    if said.dtype.kind not in ("f" if method == "log_prob" else "fiub") or not in_range(said).all():
        raise InputError(f"{what} gave {said.dtype}s like {said.ravel()[:3]}; {needed}.")
    return said.astype(np.float64)


def _name(likelihood: object) -> str:
    return type(likelihood).__name__
