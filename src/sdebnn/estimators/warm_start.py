"""What a fit takes of the one before, and what must be as it was then."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sdebnn.data import TableEncoding
from sdebnn.data.frames import Columns
from sdebnn.data.targets import label_names
from sdebnn.errors import InputError
from sdebnn.training.checkpointing import average_of
from sdebnn.training.committee import SHARED, Examples
from sdebnn.training.learner import Learner

INSTEAD = "or take warm_start=False, with which fit starts anew"


def averages_of(learner: Learner) -> list[dict[str, np.ndarray]]:
    """The averaged parameters of each member, named as in `Learner.state`."""
    return [average_of(member.state()) for member in getattr(learner, "members", [learner])]


def refuse_other_models(model: str) -> None:
    """**Raises:** `InputError` for the model of a run that members do not train together."""
    if not model.startswith(("sdebnn", "odenet")):
        raise InputError(
            f"warm_start=True goes on with networks of the models sdebnn and odenet, and these are of {model!r}; "
            f"fit another estimator, {INSTEAD}."
        )


def refuse_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """**Raises:** `InputError` where what the parameters are of is another than in the last fit."""
    for name, value in then.items():
        if now[name] != value:
            raise InputError(
                f"warm_start=True goes on from parameters that were fitted with {name}={value!r}, and now "
                f"{name}={now[name]!r}; take what it was, {INSTEAD}."
            )


def fingerprint(examples: Examples, held_out: float) -> str:
    """Of what decides which rows each member holds out."""
    # Only members that learn targets hold out rows that others hold out too.
    shared = [SHARED] if np.issubdtype(examples.y.dtype, np.floating) else []
    digest = hashlib.sha256(repr((held_out, *shared, examples.x.shape, examples.y.shape)).encode())
    for array in (examples.x, examples.y):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def refuse_other_rows(then: str | None, now: str) -> None:
    """A network is judged by rows that it has never learned from: others would flatter it, and nothing better be found.

    **Arguments:** the fingerprints; `None` where what the last fit held out is not known.

    **Raises:** `InputError` where the two differ.
    """
    if then != now:
        known = (
            "these are other rows, or another share of them, or an older version held others out"
            if then
            else "of a loaded estimator they are not known"
        )
        raise InputError(
            "warm_start=True holds out the rows that the last fit held out, as others have been learned from, and "
            f"{known}; give the same rows and validation_fraction, take early_stopping=False, which holds none out, "
            f"{INSTEAD}."
        )


def refuse_other_classes(encoding: TableEncoding, answers: Columns) -> None:
    """**Raises:** `InputError` where the classes are not those of the last fit."""
    if encoding.labels is None or set(found := label_names(answers)) == set(encoding.labels):
        return
    raise InputError(
        f"warm_start=True goes on with the classes of the last fit, {_listed(encoding.labels)}, and now y has "
        f"{_listed(found)}; give examples of each of those and of no others, {INSTEAD}."
    )


def _listed(labels: Any) -> str:
    return ", ".join(map(repr, labels[:9])) + (", ..." if len(labels) > 9 else "")
