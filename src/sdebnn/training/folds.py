"""Training of a run whose members hold examples out, and so choose how long each of them learns."""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import MetricsLog, Progress, RunFolder, TrainConfig, checkpoint
from sdebnn.runs.choices import AUTO, SIGMAS
from sdebnn.runs.config import TABLE
from sdebnn.runs.progress import say
from sdebnn.runs.started import read_start
from sdebnn.training import checkpointing
from sdebnn.training.building import Build, built
from sdebnn.training.calibration import calibrate, calibrates, tried_temperatures
from sdebnn.training.callbacks import Callback
from sdebnn.training.checkpointing import Position
from sdebnn.training.committee import Examples, falls_for, held_share, patience_for, train_committee
from sdebnn.training.history import History
from sdebnn.training.learner import Learner
from sdebnn.training.loop import Fitted
from sdebnn.training.members import of_members
from sdebnn.training.predictions import class_weights, likelihood_of, report

INSTEAD = "take tuning='none'"


def check_model_and_data(config: TrainConfig, dataset: Dataset) -> None:
    """**Raises:** `InputError` for models and examples that folds cannot train, before they are built."""
    if not isinstance(dataset.x_train, np.ndarray) or dataset.x_train.ndim != 2:
        raise InputError(f"tuning='folds' is for tables in memory, and {dataset.name} is none; {INSTEAD}.")
    if not config.model.startswith(("sdebnn", "odenet")):
        raise InputError(f"tuning='folds' trains sdebnn and odenet, and the model is {config.model!r}; {INSTEAD}.")


def check_folds(learner: Learner, config: TrainConfig, dataset: Dataset, callbacks: Sequence[Callback]) -> None:
    """**Raises:** `InputError` where the learner cannot be trained by folds, and for choices that they lack."""
    if getattr(learner, "gather", None) is None or not getattr(learner, "by_choices", False):
        raise InputError(f"tuning='folds' trains networks of sdebnn from its choices, in one program; {INSTEAD}.")
    if learner.ranks > 1:
        raise InputError(f"tuning='folds' trains in one process, and there are {learner.ranks}; {INSTEAD}.")
    calibrates(config, dataset.num_classes, held_share(dataset.train_size, dataset.num_classes))
    if callbacks:
        raise InputError(f"tuning='folds' has no step to call callbacks after; leave them out, or {INSTEAD}.")
    for name, default in config.without_folds().items():
        if (value := getattr(config, name)) != default:
            raise InputError(
                f"tuning='folds' knows nothing of {name}={value!r}: take {name}={default!r}, or {INSTEAD}."
            )


def fit_folds(
    build: Build, learner: Learner, config: TrainConfig, dataset: Dataset, run: RunFolder
) -> tuple[Fitted, Learner]:
    """As `sdebnn.training.loop.fit`, by a committee: each member learns from all but a `held_share` of the examples
    until these are predicted no better. A run that was broken off begins anew and ends with the same numbers; one that
    has its checkpoint is scored again.

    **Returns:** what came of it, and the learner: of another sigma where that was to be found, and made by `build`.

    **Raises:** as `train_committee`; `InputError` when the checkpoint cannot be used; `StorageError`.
    """
    seconds = 0.0
    if checkpoint.find(run.checkpoints):
        checkpointing.load_average(run, config, learner)
    else:
        started = time.perf_counter()
        learner = _train(build, learner, config, dataset, run)
        seconds = time.perf_counter() - started
    outputs = learner.outputs(dataset.x_test)
    scores = report(learner, outputs, dataset.y_test, dataset.encoding)
    lines = MetricsLog.read(run)
    # It may have been broken off between its checkpoint and its scores.
    if not any(line["split"] == "test" for line in lines):
        with MetricsLog(run) as log:
            log.write(max((line["step"] for line in lines), default=0), scores, split="test")
    return Fitted(outputs, scores, seconds), learner


def _train(build: Build, learner: Learner, config: TrainConfig, dataset: Dataset, run: RunFolder) -> Learner:
    weights = np.ones(len(dataset.x_train), np.float32)
    if (of_classes := class_weights(config, dataset)) is not None:
        weights = np.asarray(of_classes, np.float32)[dataset.y_train]
    examples = Examples(dataset.x_train, dataset.y_train, weights)
    held_out = held_share(len(examples.x), dataset.num_classes)
    steps, started = config.max_steps or TABLE["max_steps"], time.perf_counter()
    with Progress(steps) as bar:
        trained = train_committee(
            learner.gather,  # type: ignore[attr-defined]
            dataclasses.replace(config, likelihood=likelihood_of(config, dataset)).candidates(),
            examples,
            dataset.num_classes,
            members=config.members,
            steps=steps,
            patience=patience_for(dataset.num_classes),
            held_out=held_out,
            temperatures=tried_temperatures(config, dataset.num_classes, held_out),
            falls=falls_for(config, dataset.num_classes),
            look=lambda step, loss, log_prob: bar.update(step, {"loss": loss, "held_out": log_prob}),
        )
    if config.sigma == AUTO:
        tried = ", ".join(f"{sigma:g}" for sigma in SIGMAS)
        say(f"sigma={trained.config.sigma:g} was found by held-out examples, of {tried}.")
        learner = built(build, dataclasses.replace(config, sigma=trained.config.sigma), dataset)
        # The choices of the folder, where `config` may name data that were moved since.
        choices, beginning = read_start(run)
        run.replace_config(beginning._replace(sigma=float(trained.config.sigma)).record(choices))
    learner.load_average(of_members(trained.averages))
    temperature = 1.0
    if calibrates(trained.config, dataset.num_classes, held_out):
        temperature = calibrate(learner, trained, examples, dataset.num_classes, held_out)
    with MetricsLog(run, resume=(0, 0) if run.metrics_file.exists() else None) as log:
        History.of(trained, steps, temperature).write(log)
        size = log.size()
    last = max(trained.steps)
    epoch = config.epochs_after(last, dataset.train_size)
    checkpointing.save_state(run, config, learner, Position(last, time.perf_counter() - started, size), epoch)
    return learner
