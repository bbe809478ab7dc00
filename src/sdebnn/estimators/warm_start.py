"""What a fit takes of the one before, and what must be as it was then."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sdebnn.data import TableEncoding
from sdebnn.data.frames import Columns
from sdebnn.data.targets import label_names
from sdebnn.errors import InputError
from sdebnn.training.checkpointing import average_of
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
