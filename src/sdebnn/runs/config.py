"""What a training run is: one record of every choice, checked before any work, written to the run folder as JSON.

The command line's flags, their help and their checks are read off this record, so that a choice is described in one
place.
"""

import dataclasses
import reprlib
from collections.abc import Mapping
from typing import Any, Literal, no_type_check

from sdebnn.errors import InputError
from sdebnn.metrics.noise_laws import COUNT_LAWS
from sdebnn.runs.choices import (
    AUTO,
    SIGMAS,
    Choices,
    DataChoices,
    NetworkChoices,
    ObjectiveChoices,
    OptimiserChoices,
    PriorChoices,
    RunChoices,
    ScoringChoices,
    SolverChoices,
)
from sdebnn.spelling import nearest


# Values come from files and command lines: the checks of `Choices` answer for their types, in sentences.
@no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(
    DataChoices,
    NetworkChoices,
    PriorChoices,
    SolverChoices,
    ScoringChoices,
    ObjectiveChoices,
    OptimiserChoices,
    RunChoices,
):
    """Every choice of a training run. Each field's help is what `sdebnn train --help` prints.

    The choices are those of the classes that it inherits, each beside what it configures, and all are arguments of this
    one: `TrainConfig(width=64, sigma=0.1)`. What needs a part of them takes that part: a function of `PriorChoices`
    takes a `TrainConfig` too.

    Numbers may be NumPy's, several of them a list or an array, and `data` a `Path`: they are kept as Python's own.

    **Raises:** `InputError`, one sentence, for a value that is not allowed.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma == AUTO and self.tuning != "folds":
            raise InputError(
                "sigma='auto' is found by the examples that tuning='folds' holds out, of a table; take that, or give a "
                "number."
            )
        if self.sigma == AUTO and not self.model.endswith("sdebnn"):
            raise InputError(
                f"sigma='auto' is of weights that follow an SDE, and model={self.model!r} has none; leave it out."
            )
        if self.model.endswith("sdebnn"):
            self.candidates()[0].weight_prior()
        if self.samples_posterior:
            self._refuse_no_posterior()

    @property
    def samples_posterior(self) -> bool:
        """Whether the posterior is sampled by chains of NUTS."""
        return self.model.startswith("nuts_")

    def _refuse_no_posterior(self) -> None:
        """**Raises:** `InputError` for choices by which chains do not sample, or another law than the posterior."""
        for name, only, why in (
            ("framework", "jax", "is sampled by blackjax, in JAX"),
            ("members", 1, "has chains in place of members"),
            ("kl_coef", 1.0, "samples the posterior of Bayes' rule"),
            ("class_weight", "none", "samples the posterior of Bayes' rule, where every example counts alike"),
        ):
            if (value := getattr(self, name)) != only:
                raise InputError(f"model={self.model!r} {why}, and {name}={value!r}; take {name}={only!r}.")

    def to_json(self) -> dict[str, Any]:
        """The record as JSON-ready values."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }

    def candidates(self) -> "tuple[TrainConfig, ...]":
        """Those that training chooses among: one for each of `SIGMAS` with `sigma="auto"`, else these alone."""
        if self.sigma != AUTO:
            return (self,)
        return tuple(dataclasses.replace(self, sigma=sigma) for sigma in SIGMAS)

    def batch_shape(self, train_size: int) -> tuple[int, int]:
        """How the examples of a gradient step are laid out: slices, and examples in each.

        **Raises:** `InputError` when the batch cannot be cut into `accumulate` equal slices, or its parts have weight
        paths of their own, which slices would draw anew.
        """
        if self.accumulate != 1 and self.batch_paths != 1:
            raise InputError(
                f"batch_paths={self.batch_paths} gives parts of the batch weight paths of their own, which slices of "
                f"it (accumulate={self.accumulate}) do not; take accumulate=1, or batch_paths=1, with train_samples "
                "for more weight paths."
            )
        batch = min(self.batch_size, train_size)
        if batch % self.accumulate:
            raise InputError(
                f"A batch of {batch} examples cannot be cut into accumulate={self.accumulate} equal slices; take a "
                "number that divides it."
            )
        return self.accumulate, batch // self.accumulate

    @property
    def scaling(self) -> bool | Literal["inputs"]:
        """What of a table is standardised: of counts the inputs alone."""
        return "inputs" if self.scale and self.likelihood in COUNT_LAWS else self.scale

    @property
    def asked_task(self) -> str:
        """What the answers of a file are to be: whole numbers that are said to be counts are no classes."""
        return "regression" if self.task == "auto" and self.likelihood in COUNT_LAWS else self.task

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TrainConfig":
        """The record that `to_json` wrote. **Raises:** `InputError` for a name that is not a choice or a value that is
        not allowed.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in record:
            if name not in names:
                raise InputError(
                    f"The configuration has {reprlib.repr(name)}, which is not a choice of a run{nearest(name, names)}."
                )
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in record.items()}
        return cls(**values)

    @classmethod
    def for_data(cls, data: str, **choices: Any) -> "TrainConfig":
        """The defaults that were found to work on the data set, with `choices` in place of them where given."""
        return cls(**{"data": data, **PRESETS.get(data, {}), **of_model(choices.get("model", "")), **choices})

    @classmethod
    def for_table(cls, **choices: Any) -> "TrainConfig":
        """The defaults that were found to work on tables, with `choices` in place of them where given. Where these ask
        for what folds do not have, such as a length in epochs, no examples are held out by folds.
        """
        asked = {"epochs": {"max_steps": 0}} if "epochs" in choices else {}
        beyond = beyond_range_of(
            choices.get("model", cls.model), choices.get("scale", True), choices.get("likelihood", "")
        )
        choices = {"beyond_range": beyond} | choices
        without = any(choices.get(name, default) != default for name, default in cls.without_folds().items())
        model = choices.get("model", "sdebnn")
        # All of max_steps, however few rows there are, unless there is no such limit.
        length = asked.get("epochs", {"epochs": LONGEST} if choices.get("max_steps") != 0 else {})
        if asked or without or not model.startswith(("sdebnn", "odenet")):
            return cls(**TABLE | {"tuning": "none"} | of_model(choices.get("model", "")) | length | choices)
        chosen = TABLE | choices
        if chosen["tuning"] == "none":
            return cls(**length | chosen)
        return cls(**{"calibrate": AUTO} | ({"sigma": AUTO} if model.startswith("sdebnn") else {}) | chosen)

    @classmethod
    def without_folds(cls) -> dict[str, Any]:
        """The choices that a training by folds knows nothing of, each with the default, which it takes."""
        fields = {field.name: field.default for field in dataclasses.fields(cls)}
        return {name: fields[name] for name in _WITHOUT_FOLDS}


def of_model(model: str) -> dict[str, Any]:
    """Defaults that a model has of its own."""
    if model.startswith("swag_"):
        return {"schedule": "constant"}
    if model.startswith("nuts_"):
        return {"members": 1, "max_steps": 250, "batch_size": LONGEST, "test_samples": 200}
    return {"schedule": "cosine", "learning_rate": 1.0} if model.startswith("ivon_") else {}


def beyond_range_of(model: str, scale: bool, likelihood: str) -> float:
    """The default of `beyond_range` on a table: of what knows that it does not know, and of answers that are
    standardised.
    """
    return BEYOND_RANGE if model == "sdebnn" and scale and likelihood not in COUNT_LAWS else 0.0


# A dataclass has the fields of its last base first.
SECTIONS: tuple[type[Choices], ...] = TrainConfig.__bases__[::-1]
"""What a configuration is made of, in the order of its choices."""

# Epochs, which a limit of gradient steps is to end.
LONGEST = 10**6
# Two standard deviations of the targets, where all columns are twice as far from the middle as they ever were.
BEYOND_RANGE = 2.0
_MNIST = {"squeeze": 1, "batch_size": 128, "epochs": 10, "test_samples": 8}
_CIFAR = {"blocks": (2, 2, 2), "width": 64, "augment": 2, "steps": 20, "batch_size": 128, "epochs": 100}
PRESETS: dict[str, dict[str, Any]] = {
    "digits": {"augment": 7, "evaluate_every": 5},
    "mnist": _MNIST,
    "fashion_mnist": _MNIST,
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "svhn": _CIFAR,
}
"""Choices that differ from `TrainConfig`'s defaults, by data set."""

_WITHOUT_FOLDS = (
    "validation", "evaluate_every", "checkpoint_steps", "train_samples", "batch_paths", "accumulate", "kl_warmup",
    "adjoint", "rtol", "atol", "snr", "augmentation", "precision",
)  # fmt: skip
TABLE: dict[str, Any] = {
    "tuning": "folds", "members": 5, "max_steps": 10_000, "steps": 3, "learning_rate": 1e-2, "schedule": "constant",
    "test_samples": 8,
}  # fmt: skip
"""Choices that differ from `TrainConfig`'s defaults for a table of one's own."""
