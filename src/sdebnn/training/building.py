"""The framework's learner, or a sentence where it does not fit into memory, or is not that of the run."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.runs.started import STANDARD, Started
from sdebnn.training.beyond_range import BeyondRange, refuse_many_weights, where_seen
from sdebnn.training.laplace import with_laplace
from sdebnn.training.learner import Learner
from sdebnn.training.members import build_members
from sdebnn.training.swag import with_swag
from sdebnn.training.task import Task
from sdebnn.training.unseen_features import Seen

Build = Callable[[TrainConfig, Dataset], Learner]

# JAX, and PyTorch on GPUs and CPUs, have no common error for it.
_SIGNS = ("resource_exhausted", "out of memory", "not enough memory", "can't allocate memory")


def built(build: Build, config: TrainConfig, dataset: Dataset, seen: Seen | None = None) -> Learner:
    """The learner that `build` makes.

    **Arguments:** `seen`: where the training examples of a table are, if not those of `dataset`.

    **Raises:** `InputError` as `build` does, and when memory does not suffice.
    """
    numbers = dataset.num_classes or dataset.y_train.shape[1]
    if config.beyond_range:
        seen = seen or where_seen(config, dataset)
        refuse_many_weights(config, seen, numbers)
    try:
        learner = build_members(with_laplace(with_swag(build)), config, dataset)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error).lower() for sign in _SIGNS):
            raise
        raise InputError(
            f"The network has more weights than fit into memory ({' '.join(str(error).split())}); take a smaller width "
            f"(now {config.width}), augment (now {config.augment}) or drift_widths (now {config.drift_widths})."
        ) from error
    if config.samples_posterior and not getattr(learner, "by_choices", False):
        raise InputError(f"model={config.model!r} samples sdebnn's own networks alone; take build_learner.")
    return BeyondRange(learner, config, seen, numbers) if config.beyond_range and seen else learner


def built_again(build: Build, run: RunFolder, started: Started, config: TrainConfig, dataset: Dataset) -> Learner:
    """The learner of a run that was started before.

    **Raises:** `InputError` as `built`, and where another builder made the run's network: the arrays of a checkpoint
    do not tell what a network does with them.
    """
    # Before the choices are asked for a network that they do not describe.
    if started.builder not in (None, STANDARD) and _name(build).startswith("sdebnn."):
        raise _another(run, started, STANDARD)
    config = started.settled(config)
    # An older run may not know all that its data would tell.
    kept = Task.read(run).seen() if os.path.lexists(Task.file(run)) else None
    learner = built(build, config, dataset, kept)
    given = builder_name(build, learner)
    if started.builder is not None and not _are_same(started.builder, given):
        raise _another(run, started, given)
    return learner


def builder_name(build: Build, learner: Learner) -> str:
    """What made the learner: `STANDARD` where the choices alone describe its network, else the name of `build`."""
    return STANDARD if getattr(learner, "by_choices", False) else _name(build)


def _name(build: object) -> str:
    """Module and name of a function, of that which a partial one calls, or of an object's class."""
    while isinstance(build, functools.partial):
        build = build.func
    named = build if hasattr(build, "__qualname__") else type(build)
    module = named.__module__
    if module == "__main__":
        # By the name under which another program imports it.
        main = sys.modules["__main__"]
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name if spec is not None else Path(file).stem if file else module
    return f"{module}:{named.__qualname__}"


def _are_same(one: str, other: str) -> bool:
    """Whether two names are of one builder; a script in a package has a longer name where it is imported."""
    return one == other or one.endswith("." + other) or other.endswith("." + one)


def _another(run: RunFolder, started: Started, given: str) -> InputError:
    if started.builder == STANDARD:
        return InputError(
            f"The network of the run {run.path} was built by sdebnn from its choices, not by {given}; give "
            "build_learner of sdebnn.brax or sdebnn.torchbnn."
        )
    folder = repr(str(run.path))
    predict = started.call("prediction_file.predict", folder, "x", data=False)
    calls = (started.call("restore", folder), predict, started.call("resume_run", folder))
    by = "sdebnn from its choices, which describe another one" if given == STANDARD else given
    return InputError(
        f"The network of the run {run.path} was built by {started.builder}, a builder of its user's own, not by {by}. "
        f"Give that builder, in Python: {', '.join(calls[:-1])} or {calls[-1]}. "
        f"Where it is the same under another name, write that into {run.config_file.name}."
    )
