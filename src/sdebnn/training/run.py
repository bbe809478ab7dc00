"""One training run from its choices to a finished run folder, taken up again, and read back."""

import contextlib
import dataclasses
import importlib.util
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from sdebnn import data, metrics
from sdebnn.data import Dataset, TableEncoding
from sdebnn.data.description import hint_of_counts
from sdebnn.data.files import expand_user
from sdebnn.data.shifts import SEVERITIES, refuse_no_images, refuse_unknown_shifts, shifts_of
from sdebnn.errors import InputError, Stopped, StorageError
from sdebnn.extras import require
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.runs.choices import AUTO
from sdebnn.runs.progress import say
from sdebnn.runs.report_page import write_report
from sdebnn.runs.started import Started, how_to_resume, read_start
from sdebnn.spelling import refuse_unknown
from sdebnn.training import checkpointing, pictures
from sdebnn.training.agreement import first_alone
from sdebnn.training.building import Build, builder_name, built, built_again
from sdebnn.training.callbacks import Callback, check_callbacks
from sdebnn.training.folds import check_folds, check_model_and_data, fit_folds
from sdebnn.training.learner import Learner
from sdebnn.training.likelihood_protocol import check_predictions
from sdebnn.training.loop import Fitted, fit
from sdebnn.training.memory import refuse_more_than_memory
from sdebnn.training.prediction_choices import prediction_choices
from sdebnn.training.predictions import OF_FOLDS, report, sample_probabilities
from sdebnn.training.stop_signals import StopSignals
from sdebnn.training.task import Task
from sdebnn.version import __version__

SHIFT_SCORES = ("accuracy", "nll", "ece")
"""Scores that are told of shifted images."""
MOVED = "--data FILE (in Python: data='FILE')"


class Run(NamedTuple):
    """A run that has just ended: its folder, its choices, the data, the learner and what came of it."""

    folder: RunFolder
    config: TrainConfig
    dataset: Dataset
    learner: Learner
    fitted: Fitted


class Restored(NamedTuple):
    """A finished run, read back: its choices, the data and what they look like, and the learner with its averaged
    parameters.
    """

    config: TrainConfig
    dataset: Dataset
    task: Task
    learner: Learner

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        """The outputs of `test_samples` posterior samples for inputs `x`; the same samples as at the end of
        training.

        **Raises:** `InputError` for inputs unlike those of training.
        """
        return self.learner.outputs(self.task.inputs(x))

    def score(self) -> dict[str, float]:
        """The scores on the test data; with unchanged choices, those that training ended with."""
        dataset = self.dataset
        return report(self.learner, self.learner.outputs(dataset.x_test), dataset.y_test, dataset.encoding)

    def score_ood(
        self, names: Sequence[str], data_dir: str | Path | None = None, *, resize: bool = False
    ) -> dict[str, dict[str, float]]:
        """How well the run tells images of other sets from its test images: `metrics.ood_report` of each.

        **Arguments:** see `sdebnn.data.load_ood`.

        **Raises:** `InputError` as `load_ood`, before anything is computed, for a run of real targets, and for the set
        that it was trained on.
        """
        sets = _strange_sets(self.config, self.dataset, names, data_dir, resize)
        familiar = self._probabilities(self.dataset.x_test)
        return {name: metrics.ood_report(familiar, self._probabilities(images)) for name, images in sets.items()}

    def score_shifts(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """How good and how calibrated the run is on its test images as they are shifted: for each shift and severity,
        named such as `"rotate 3"`, the scores of `SHIFT_SCORES`; of `"corruptions"` and `"mnist_c"` the mean over
        all of them.

        **Arguments:**

        - `names`: of `sdebnn.data.SHIFTS`, `"corruptions"` or `"mnist_c"`.

        **Raises:** `InputError` for an unknown name, a run of real targets, test examples that are no images, and a
        shift that changes none of them.
        """
        dataset = self.dataset
        shifts_of_names = _shifts_of(dataset, names)

        def scores(shift: str, severity: int) -> dict[str, float]:
            outputs = self.learner.outputs(data.shifted(dataset.x_test, shift, severity))
            found = report(self.learner, outputs, dataset.y_test, dataset.encoding)
            return {score: found[score] for score in SHIFT_SCORES}

        found = {}
        for name, shifts in shifts_of_names.items():
            for severity in SEVERITIES:
                of_each = [scores(shift, severity) for shift in shifts]
                means = {score: float(np.mean([one[score] for one in of_each])) for score in SHIFT_SCORES}
                found[f"{name} {severity}"] = means
        return found

    def _probabilities(self, x: Any) -> Float[np.ndarray, "samples n classes"]:
        return sample_probabilities(self.learner, self.learner.outputs(x))


def start_run(
    build: Build,
    config: TrainConfig,
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    dataset: Dataset | None = None,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Trains as `config` says and writes the run folder `output`; with matplotlib also its pictures.

    Data, model and folder are checked before anything is written. What was made of the data goes to standard error
    before training and into the run's `task.json`; what about one's own data is doubtful is a warning.

    **Arguments:**

    - `build`: makes the framework's learner: `sdebnn.brax.build_learner`, or that of `sdebnn.torchbnn`, or a function
      of one's own with a network or a likelihood that no choice describes. The run folder keeps its name, and the same
      one is needed to go on with the run. It is told from others by its name, so give it one.
    - `config`: the choices of the run.
    - `output`: the run folder; it must be new or empty.
    - `data_dir`: the folder of data sets; see `sdebnn.data.load`.
    - `dataset`: the data, in place of those that `config` names; the run folder keeps its name.
    - `callbacks`: look on while it trains, each in its turn; see `Callback`.

    **Raises:** `InputError` for choices, data or a folder that cannot be used; `FloatingPointError` when training
    breaks down; `Stopped` after SIGTERM or Ctrl-C; `StorageError` when a file cannot be written, after which the run
    can be resumed from its newest checkpoint.
    """
    check_callbacks(callbacks)
    config, examples, learner = _posed(build, config, data_dir, dataset, callbacks)
    run = RunFolder(Path(output))
    with first_alone(learner):
        if learner.rank == 0:
            run = RunFolder.create(output)
            started = Started(builder_name(build, learner), dataset is not None, version=__version__)
            run.write_config(started.record(config))
    return _train(build, run, config, examples, learner, callbacks)


def resume_run(
    build: Build,
    folder: str | Path,
    *,
    data_dir: str | Path | None = None,
    dataset: Dataset | None = None,
    data: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Takes a run up again from its newest checkpoint, or from its start where there is none yet. It ends with the same
    parameters, to the bit, as if it had never been interrupted.

    **Arguments:**

    - `build`: that of `start_run`.
    - `folder`: of a run.
    - `data_dir`, `dataset`: as for `start_run`; data that were in memory are given again.
    - `data`: the file of the data, where it has moved; they have to be the same.
    - `callbacks`: as for `start_run`; they are new, what they had seen before the interruption is not kept.

    **Raises:** as `start_run`, and `InputError` when the folder is not a run's or its newest checkpoint does not fit.
    """
    check_callbacks(callbacks)
    run = RunFolder.open(folder)
    config, started = read_start(run, _moved(data))
    examples = load_again(run, started, config, data_dir, dataset)
    learner = built_again(build, run, started, config, examples.dataset)
    return _train(build, run, config, examples, _checked(learner, examples.dataset), callbacks)


def restore(
    build: Build,
    folder: str | Path,
    *,
    data_dir: str | Path | None = None,
    dataset: Dataset | None = None,
    data: str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Restored:
    """Reads a run folder's configuration and the checkpoint that makes predictions: the best where a validation split
    chose one, else the newest.

    **Arguments:**

    - `build`: that of `start_run`.
    - `folder`: of a run.
    - `data_dir`, `dataset`: as for `start_run`; data that were in memory are given again.
    - `data`: the file of the data, where it has moved; they have to be the same.
    - `changes`: choices to change: those that leave the parameters as they are, such as `test_steps`, `test_method` and
      `test_samples`.

    **Raises:** `InputError` when the folder is not a run's, its checkpoint does not fit the configuration, or the data
    are no longer those of the run.
    """
    run = RunFolder.open(folder)
    config, started = read_start(run, {**(changes or {}), **_moved(data)})
    examples = load_again(run, started, config, data_dir, dataset)
    if keeps_task(run, started):
        examples.task.confirm(run)
    learner = built_again(build, run, started, prediction_choices(config), examples.dataset)
    checkpointing.load_average(run, read_start(run)[0], learner)
    return Restored(started.settled(config), examples.dataset, examples.task, learner)


def check_start(
    build: Build, config: TrainConfig, *, data_dir: str | Path | None = None, dataset: Dataset | None = None
) -> None:
    """**Raises:** `InputError` for choices and data that `start_run` would refuse; nothing is written."""
    _posed(build, config, data_dir, dataset, ())


def check_shown(
    config: TrainConfig,
    scores: Sequence[str],
    ood: Sequence[str],
    data_dir: str | Path | None = None,
    *,
    resize: bool = False,
    shift: Sequence[str] = (),
    folder: str | Path | None = None,
) -> None:
    """**Raises:** `InputError` for scores that no run with these choices has, and where its `Restored.score_ood` or
    `Restored.score_shifts` would raise it. `folder` is that of such a run, which may have begun: its data are read as
    it did.
    """
    if folder is not None and os.path.lexists(Path(folder) / "config.json"):
        run = RunFolder.open(folder)
        dataset = load_again(run, read_start(run)[1], config, data_dir).dataset
    else:
        dataset = _load(config, data_dir, None).dataset
    of_classes = dataset.num_classes is not None
    recalls = {f"recall_{label}" for label in range(dataset.num_classes or 0)}
    for name in scores:
        if name not in recalls:
            known = metrics.SCORES_OF_CLASSES if of_classes else metrics.SCORES_OF_TARGETS
            refuse_unknown(name, known, f"a score of {'classes' if of_classes else 'targets'}")
    if ood:
        _strange_sets(config, dataset, ood, data_dir, resize)
    if shift:
        _shifts_of(dataset, shift)


def _shifts_of(dataset: Dataset, names: Sequence[str]) -> dict[str, list[str]]:
    refuse_unknown_shifts(names)
    if dataset.num_classes is None:
        raise InputError(f"The answers of {dataset.name} are real targets; shifts are scored for classes.")
    refuse_no_images(dataset.x_test)
    return {name: shifts_of(name, dataset.x_test.shape[1:]) for name in names}


def _strange_sets(
    config: TrainConfig, dataset: Dataset, names: Sequence[str], data_dir: str | Path | None, resize: bool
) -> dict[str, Any]:
    if dataset.num_classes is None:
        raise InputError(
            f"The answers of {dataset.name} are real targets; strange inputs are told by the entropy of classes, so "
            "take a run of classification."
        )
    if config.data in names:
        others = ", ".join(name for name in data.OOD_SETS if name != config.data)
        raise InputError(f"{config.data} is what the network was trained on; take others: {others}.")
    return {name: data.load_ood(name, dataset, data_dir, resize=resize) for name in names}


def _posed(
    build: Build,
    config: TrainConfig,
    data_dir: str | Path | None,
    dataset: Dataset | None,
    callbacks: Sequence[Callback],
) -> "tuple[TrainConfig, Examples, Learner]":
    config = dataclasses.replace(config, data=dataset.name if dataset else wherever_one_is(config.data))
    examples = _load(config, data_dir, dataset)
    if config.tuning == "folds":
        check_model_and_data(config, examples.dataset)
        if config.likelihood == AUTO and examples.dataset.num_classes is None:
            # By its name, for the folder: what it stands for has changed.
            config = dataclasses.replace(config, likelihood=OF_FOLDS)
    if config.samples_posterior:
        require(f"model={config.model!r}", "evidence")
    learner = _checked(built(build, config.candidates()[0], examples.dataset), examples.dataset)
    if config.calibrate == "temperature" and config.tuning != "folds":
        raise InputError(
            "calibrate='temperature' is fitted on what folds hold out; take tuning='folds', for a table, or "
            "calibrate='none'."
        )
    if config.tuning == "folds":
        check_folds(learner, config, examples.dataset, callbacks)
    return config, examples, learner


class Examples(NamedTuple):
    dataset: Dataset
    validation: tuple[Any, Any] | None
    task: Task
    doubts: list[str]


def wherever_one_is(name: str) -> str:
    """The name of a data set, which a run is read back by from any folder: the path of a file is made absolute."""
    return str(expand_user(Path(name)).absolute()) if _is_file(name) else name


def _settled(run: RunFolder, started: Started, config: TrainConfig, dataset: Dataset | None) -> TrainConfig:
    """The choices by which a run's data are read. An older run was not asked what its data are, nor was one on data in
    memory that are now in a file: it has what was made of them.
    """
    if os.path.lexists(Task.file(run)) and Task.read(run).encoding is None:
        config = dataclasses.replace(config, scale=False)
    asked = "task" in run.read_config() and (dataset is not None or not started.in_memory)
    if asked or not os.path.lexists(Task.file(run)):
        return config
    return dataclasses.replace(config, **Task.read(run).choices())


def _kind_of_images(run: RunFolder) -> str | None:
    """The dtype of a run's images: whole numbers 0 and 1 are pixels to older runs, and to those that had such in
    memory, and black and white to others.
    """
    task = Task.read(run) if os.path.lexists(Task.file(run)) else None
    return task.x_dtype if task is not None and len(task.x_shape) == 3 else None


def keeps_task(run: RunFolder, started: Started) -> bool:
    """Whether the folder has a record of the run's data, or had one: the oldest runs, like others that do not say how
    they were started, have none until they go on.
    """
    return started.builder is not None or os.path.lexists(Task.file(run))


def _is_of_version_0_1(run: RunFolder) -> bool:
    """Whether a run's test examples are in the order of their file: version 0.1 held them out so, and did not keep what
    was made of the data.
    """
    return Task.read(run).made is None if os.path.lexists(Task.file(run)) else "task" not in run.read_config()


def _moved(data: str | Path | None) -> dict[str, str]:
    return {} if data is None else {"data": wherever_one_is(str(data))}


def load_again(
    run: RunFolder,
    started: Started,
    config: TrainConfig,
    data_dir: str | Path | None = None,
    dataset: Dataset | None = None,
) -> Examples:
    """The examples of a run that was started before. **Raises:** `InputError` saying how they are given."""
    file = _is_file(config.data)
    if dataset is None and not file and not data.is_published(config.data):
        arrays, path = started._replace(in_memory=True), repr(str(run.path))
        raise InputError(
            f"The data of the run {run.path} were in memory, and its folder does not hold them: {config.data!r} is not "
            f"a data set that can be read again. Give them, in Python: {arrays.call('resume_run', path)} or "
            f"{arrays.call('restore', path)}; or as a file that holds the same, with {MOVED}."
        )
    try:
        settled = _settled(run, started, config, dataset)
        kept = Task.read(run).encoding if os.path.lexists(Task.file(run)) else None
        return _load(settled, data_dir, dataset, _kind_of_images(run), kept, in_order=_is_of_version_0_1(run))
    except InputError as error:
        if dataset is None and file and not os.path.exists(config.data):
            raise InputError(f"{error} Where the run's data have moved, name them: {MOVED}.") from None
        raise


def _load(
    config: TrainConfig,
    data_dir: str | Path | None,
    dataset: Dataset | None,
    like: str | None = None,
    encoding: TableEncoding | None = None,
    *,
    in_order: bool = False,
) -> Examples:
    own = dataset is not None or not data.is_published(config.data)
    dataset = dataset or data.load(
        config.data,
        data_dir,
        task=config.asked_task,
        layout=config.layout,
        target=config.target,
        scale=config.scaling,
        like=like,
        in_order=in_order,
        encoding=encoding,
    )
    _refuse_unfitting(config, dataset)
    validation = None
    if config.validation:
        dataset, *held_out = data.train_validation_split(dataset, config.validation, config.seed)
        validation = (held_out[0], held_out[1])
    # That of all test examples: how many of them are scored may change.
    task = Task.of(dataset, validation)
    most = max(len(dataset.x_test), len(validation[0]) if validation else 0)
    refuse_more_than_memory(
        config,
        task.num_classes or task.targets,
        trained=min(config.batch_size, dataset.train_size),
        scored=min(config.test_examples or most, most),
    )
    if 0 < config.test_examples < len(dataset.x_test):
        # Files are often sorted by class.
        classes = dataset.y_test if dataset.task == "classification" else None
        share = config.test_examples / len(dataset.x_test)
        chosen = data.hold_out(len(dataset.x_test), share, 0, classes)[1]
        dataset = dataclasses.replace(dataset, x_test=dataset.x_test[chosen], y_test=dataset.y_test[chosen])
    return Examples(dataset, validation, task, data.doubts(dataset, config.likelihood) if own else [])


def _refuse_unfitting(config: TrainConfig, dataset: Dataset) -> None:
    if config.task not in ("auto", dataset.task):
        raise InputError(
            f"task={config.task!r} does not fit {dataset.name}, which is for {dataset.task}; choose task='auto'."
        )
    if config.layout not in ("auto", "table" if dataset.x_train.ndim == 2 else "images") and not _is_file(config.data):
        raise InputError(
            f"layout={config.layout!r} does not fit {dataset.name}, whose inputs have shape {dataset.x_train.shape}; "
            "choose layout='auto'."
        )


def _is_file(name: str) -> bool:
    return name.endswith(data.FILES)


def _checked(learner: Learner, dataset: Dataset) -> Learner:
    # What the choices describe is known to make predictions.
    if not getattr(learner, "by_choices", False):
        check_predictions(learner, dataset)
    return learner


def _train(
    build: Build,
    folder: RunFolder,
    config: TrainConfig,
    examples: Examples,
    learner: Learner,
    callbacks: Sequence[Callback],
) -> Run:
    dataset, validation, task, doubts = examples
    if learner.rank == 0:
        say(task.made or "")
        for remark in dataset.encoding.remarks if dataset.encoding else ():
            say(remark)
        if config.members * config.test_samples == 1:
            say("One posterior sample (test_samples=1) is scored: it says nothing of what the network does not know.")
        by_auto = config.likelihood in (AUTO, OF_FOLDS) and getattr(learner, "by_choices", False)
        hints = [hint_of_counts(dataset)] if by_auto and not data.is_published(config.data) else []
        for doubt in filter(None, (*doubts, *hints)):
            warnings.warn(doubt, stacklevel=3)

    again = how_to_resume(folder)

    def stopped(number: int) -> Stopped:
        return Stopped(number, f"stopped beside the gradient steps; the run is saved, and {again} takes it up again.")

    try:
        with contextlib.ExitStack() as held:
            if learner.ranks == 1:
                # The loop has handlers of its own: a step is not broken off.
                held.enter_context(held.enter_context(StopSignals(stopped)).at_once())
            with first_alone(learner):
                if learner.rank == 0:
                    held.enter_context(folder.held())
                    task.write(folder)
            if config.tuning == "folds":
                fitted, learner = fit_folds(build, learner, config, dataset, folder)
            else:
                fitted = fit(learner, config, dataset, folder, validation=validation, callbacks=callbacks)
            if learner.rank == 0:
                if importlib.util.find_spec("matplotlib") is not None:
                    pictures.draw_run(folder, config, dataset, learner, fitted)
                write_report(folder, dataset.label_names)
    except StorageError as error:
        raise StorageError(f"{error} Then {again} takes the run up again.") from None
    if config.sigma == AUTO:
        # What was found.
        config = read_start(folder)[1].settled(config)
    return Run(folder, config, dataset, learner, fitted)
