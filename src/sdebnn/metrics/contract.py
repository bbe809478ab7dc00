"""What every score asks of its input, checked in one place."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer, Num, Shaped

from sdebnn.errors import InputError

# Shapes and ranges are left to the checks below, whose sentences help more than a type error.
Probabilities = Num[np.ndarray, "..."] | Sequence[Any]
Labels = Num[np.ndarray, "..."] | Sequence[Any]
Values = Num[np.ndarray, "..."] | Sequence[Any] | float

ROW_SUM_TOLERANCE = 1e-4


def as_array(name: str, values: Values) -> Num[np.ndarray, "..."]:
    """Numbers, or lists of them, as an array. **Raises:** `InputError` naming them by `name` when they are none."""
    array = _array(name, values)
    if array.dtype.kind in "OSUMm":
        raise InputError(f"{name} is {array.dtype}; numbers are needed.")
    return array


def _array(name: str, values: Values) -> Shaped[np.ndarray, "..."]:
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{name} is a list of lists that differ in length; equal ones are needed.") from None


def check_probabilities(probs: Probabilities) -> Float[np.ndarray, "..."]:
    """Probabilities over the last axis, in double precision. **Raises:** `InputError` when they are none."""
    probs = as_array("Probabilities", probs)
    if probs.ndim == 0 or probs.size == 0:
        raise InputError(f"Probabilities have shape {probs.shape}; at least one row of one class is needed.")
    p = probs.astype(np.float64)
    if not np.isfinite(p).all():
        raise InputError("Probabilities hold NaN or infinity; the prediction broke down before it was scored.")
    sums = p.sum(axis=-1)
    # Each number of 16 bits is rounded by up to half of that: float16 has 11 digits, bfloat16 8.
    short = {"float16": 2**-10, "bfloat16": 2**-7}.get(probs.dtype.name)
    if short is not None and p.min() >= 0 and np.abs(sums - 1).max() <= short:
        return p / sums[..., None]
    if p.min() < 0 or np.abs(sums - 1).max() > ROW_SUM_TOLERANCE:
        raise InputError(
            f"Probabilities lie in {p.min():.4g} to {p.max():.4g} and their rows sum to {sums.min():.6g} to "
            f"{sums.max():.6g}; they must be >= 0 and sum to 1 within {ROW_SUM_TOLERANCE}. "
            "If these are logits, pass their softmax."
        )
    return p


def check_predictions(
    labels: Labels, probs: Probabilities
) -> tuple[Integer[np.ndarray, " n"], Float[np.ndarray, "n c"]]:
    """Labels (n,) in range and probabilities (n, classes) in double precision. **Raises:** `InputError`."""
    labels, probs = _array("Labels", labels), as_array("Probabilities", probs)
    if labels.ndim == 2 and probs.ndim == 1:
        raise InputError(
            f"The labels have shape {labels.shape} and the probabilities {probs.shape}: scores take the truth first "
            "and then the prediction, (labels, probabilities); swap them."
        )
    if probs.ndim == 1:
        # As scikit-learn gives them to a scorer where there are two classes.
        probs = np.stack([1 - probs, probs], axis=1)
    if probs.ndim != 2:
        raise InputError(
            f"Probabilities have shape {probs.shape}; (examples, classes) is needed: average posterior samples first."
        )
    if labels.shape != probs.shape[:1]:
        raise InputError(
            f"There are {probs.shape[0]} rows of probabilities but labels of shape {labels.shape}; one each."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"Labels are {labels.dtype}; class numbers, of an integer type, are needed: "
            "numpy.searchsorted(classes, labels) numbers them, with the classes sorted."
        )
    p = check_probabilities(probs)
    if labels.min() < 0 or labels.max() >= p.shape[1]:
        raise InputError(
            f"Labels lie in {labels.min()} to {labels.max()}; "
            f"with {p.shape[1]} classes they must lie in 0 to {p.shape[1] - 1}."
        )
    return labels, p


def check_values(name: str, values: Values) -> Float[np.ndarray, "..."]:
    """Finite numbers, at least one, in double precision. **Raises:** `InputError` naming them by `name`."""
    array = as_array(name, values)
    if array.size == 0:
        raise InputError(f"{name} is empty; at least one number is needed.")
    v = array.astype(np.float64)
    if not np.isfinite(v).all():
        raise InputError(f"{name} holds NaN or infinity; only finite numbers can be scored.")
    return v


def check_same_shape(
    expected_name: str, expected: Num[np.ndarray, "..."], name: str, values: Num[np.ndarray, "..."]
) -> None:
    """**Raises:** `InputError` when the shapes differ: numpy would make (n, 1) and (n,) an (n, n) in silence."""
    if expected.shape != values.shape:
        raise InputError(
            f"{name} has shape {values.shape} but {expected_name} has {expected.shape}; they must be equal."
        )


def check_pair(y: Values, other: Values, name: str) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Targets and what is predicted of each, of one shape. **Raises:** `InputError` naming it by `name`."""
    y, other = as_array("y", y), as_array(name, other)
    check_same_shape("y", y, name, other)
    return check_values("y", y), check_values(name, other)


def check_samples(means: Values) -> Float[np.ndarray, "samples ..."]:
    """What posterior samples predict, (samples, n) or (samples, n, d). **Raises:** `InputError`."""
    means = as_array("predictions", means)
    if means.ndim not in (2, 3):
        raise InputError(
            f"Predictions have shape {means.shape}; (samples, examples) or (samples, examples, targets) is needed."
        )
    return check_values("predictions", means)


def check_mixture(y: Values, means: Values) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "samples ..."]]:
    """Targets and what posterior samples predict of them. **Raises:** `InputError`."""
    y, means = as_array("y", y), as_array("predictions", means)
    if y.ndim not in (1, 2):
        raise InputError(f"y has shape {y.shape}; (examples,) or (examples, targets) is needed.")
    if means.ndim != y.ndim + 1 or means.shape[1:] != y.shape:
        raise InputError(f"Predictions have shape {means.shape[1:]} a sample but y has {y.shape}; they must be equal.")
    return check_values("y", y), check_samples(means)


def check_std(std: Values, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Standard deviations, above 0, broadcast to the shape of the targets. **Raises:** `InputError`."""
    deviations = check_values("std", std)
    if deviations.min() <= 0:
        raise InputError(f"std goes down to {deviations.min():.4g}; it must be above 0.")
    try:
        return np.broadcast_to(deviations, shape)
    except ValueError:
        raise InputError(f"std has shape {deviations.shape}, which does not broadcast to y's {shape}.") from None


def check_target_shape(outputs: Sequence[int], targets: Sequence[int]) -> None:
    """**Raises:** `InputError` unless targets have the shape (n, d) of the outputs, which both frameworks ask before
    they broadcast: those of shape (n,) would be compared with every output.
    """
    if tuple(outputs) != tuple(targets):
        raise InputError(
            f"Targets have shape {tuple(targets)} and outputs {tuple(outputs)}; both must be (examples, dimensions): "
            "one target an example is a column, y[:, None]."
        )
