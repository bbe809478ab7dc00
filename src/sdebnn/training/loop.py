"""The loop over batches: gradient steps, the log, checkpoints and evaluations."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from jaxtyping import Float

from sdebnn.data import Dataset, augment, to_float
from sdebnn.errors import InputError, Stopped
from sdebnn.runs import MetricsLog, Progress, RunFolder, TrainConfig
from sdebnn.runs.started import how_to_resume
from sdebnn.training import checkpointing, divergence
from sdebnn.training.agreement import first_alone
from sdebnn.training.callbacks import Callback, Training
from sdebnn.training.checkpointing import Position
from sdebnn.training.learner import Learner
from sdebnn.training.predictions import report
from sdebnn.training.stop_signals import StopSignals

LOG_EVERY = 10
PACE_EVERY = 100
CHECKPOINT_SECONDS = 10.0

Outputs = Float[np.ndarray, "samples n o"]


class Fitted(NamedTuple):
    """A finished training: the outputs of posterior samples for the test data and their scores, and the seconds that
    gradient steps took.
    """

    test_outputs: Outputs
    scores: dict[str, float]
    seconds: float


def fit(
    learner: Learner,
    config: TrainConfig,
    dataset: Dataset,
    run: RunFolder,
    *,
    validation: tuple[Any, Any] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Trains, and writes log and checkpoints to the run folder. Where that has a checkpoint already, training goes on
    from the newest and ends with the numbers that it would have ended with. Of several processes that train together
    the first alone reads and writes the folder.

    **Arguments:**

    - `learner`: of this configuration and data set, new.
    - `config`: the choices of the run.
    - `dataset`: the examples to train on and those to be scored on.
    - `run`: the run folder.
    - `validation`: x and y that choose the best checkpoint by its NLL, which then makes the predictions; without them
      the last does.
    - `callbacks`: look on, each in its turn.

    **Raises:** `FloatingPointError`, saying at which step it began, when loss or gradient are no longer finite;
    `Stopped` after SIGTERM or Ctrl-C; `InputError` when the newest checkpoint or the log cannot be used;
    `StorageError` when the disk is full.
    """
    with contextlib.ExitStack() as held:
        loop = _Loop(learner, config, dataset, run, validation, callbacks, held)
        loop.train()
        return loop.score_at_end()


class _Loop:
    """A training under way: where it is taken up, how far it is, and what is open meanwhile, which `held` closes."""

    def __init__(
        self,
        learner: Learner,
        config: TrainConfig,
        dataset: Dataset,
        run: RunFolder,
        validation: tuple[Any, Any] | None,
        callbacks: Sequence[Callback],
        held: contextlib.ExitStack,
    ) -> None:
        self._learner, self._config, self._dataset, self._run = learner, config, dataset, run
        self._validation = validation
        self._first = learner.rank == 0
        self._callbacks = callbacks if self._first else ()
        self._training = Training(run, config, config.total_steps(dataset.train_size))
        self._saved, resume = self._take_up()
        self._training.step = self._saved.step
        self._again = how_to_resume(run)

        with first_alone(learner):
            self._log = held.enter_context(MetricsLog(run, resume=resume)) if self._first else None
        self._bar = held.enter_context(Progress(self._training.total_steps)) if self._first else None
        # What ends a callback is called when the signals are those of the caller again.
        for callback in self._callbacks:
            callback.on_start(self._training)
            held.push(_ending(callback, self._training))
        self._signals = held.enter_context(StopSignals(self._stopped))
        self._seconds, self._since = self._saved.seconds, time.perf_counter()
        self._saved_at = self._since
        self._pace: tuple[int, float] | None = None
        self._size_before_scores: int | None = None

    def train(self) -> None:
        """Takes the gradient steps that are left, unless a callback asks to stop."""
        if self._training.step > 0 and self._ends_epoch():
            self._score_epoch()
        for x, y in self._batches():
            self._take_step(x, y)
            self._save_when_due()
            # Several processes agree now and then: to ask at every step would make each wait for all.
            agrees = self._learner.ranks == 1 or self._training.step % LOG_EVERY == 0
            if agrees and (received := self._learner.largest_of_ranks(self._signals.received)):
                self._save()
                raise self._stopped(received)
            if self._ends_epoch():
                self._score_epoch()
            if agrees and self._learner.largest_of_ranks(int(self._training.stop_asked)):
                self._save()
                break
        self._fit_after_steps()

    def score_at_end(self) -> Fitted:
        """Scores the parameters that make predictions on the test data."""
        if self._validation is not None:
            if self._first:
                checkpointing.load_average(self._run, self._config, self._learner)
            self._learner.follow_first(self._training.step)
        outputs, scores = self._scores_of(self._dataset.x_test, self._dataset.y_test, intervals=True)
        self._record(scores, "test")
        return Fitted(outputs, scores, self._saved.seconds)

    def _take_up(self) -> tuple[Position, tuple[int, int] | None]:
        """How far the newest checkpoint is, to whose state the learner is taken, and how far the log is kept."""
        position = None
        with first_alone(self._learner):
            if self._first:
                position = checkpointing.load_state(self._run, self._config, self._learner, self._training.total_steps)
        # What a run that died before its first checkpoint has logged is cut off.
        resume = (0, 0) if self._first and self._run.metrics_file.exists() else None
        if position is not None:
            resume = (position.step, position.log_size)
        position = position or Position(0, 0.0, 0)
        return position._replace(step=self._learner.follow_first(position.step)), resume

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        """The batches of the gradient steps that are left, (slices, n, ...) each; they depend on the seed and the step
        alone.
        """
        config, dataset, start = self._config, self._dataset, self._training.step
        slices, size = config.batch_shape(dataset.train_size)
        batches = dataset.training_batches(slices * size, seed=config.seed, start=start)
        for step in range(start, self._training.total_steps):
            try:
                x, y = next(batches)
                x = augment(x, config.augmentation, seed=config.seed, step=step)
                batch = _in_slices(to_float(x), slices), _in_slices(y, slices)
            except InputError as error:
                self._save()
                raise InputError(
                    f"{error} The run is saved as of step {step}; {self._again} takes it up again."
                ) from error
            yield batch

    def _take_step(self, x: Any, y: Any) -> None:
        values = self._learner.gradient_step(x, y, self._training.step)
        self._training.step += 1
        self._size_before_scores = None
        if self._every(LOG_EVERY):
            divergence.check_loss(self._run, self._config, self._learner)
            self._record(values, "train")
        if self._bar is not None:
            self._bar.update(self._training.step, values)
        # Measured from the first step's end on, which has compiled.
        if self._pace is None:
            self._pace = (self._training.step, time.perf_counter())
        elif self._every(PACE_EVERY):
            self._record_pace(*self._pace, x.shape[0] * x.shape[1])

    def _record_pace(self, step: int, since: float, batch: int) -> None:
        now = time.perf_counter()
        rate = (self._training.step - step) * batch / (now - since)
        learner = self._learner
        self._record(
            {"examples_per_second": rate, "memory_mib": learner.memory(), "devices": learner.devices}, "system"
        )
        self._pace = (self._training.step, now)

    def _fit_after_steps(self) -> None:
        fit = getattr(self._learner, "after_training", None)
        if fit is None:
            return
        # What is fitted may take long and be broken off: a run that is resumed from here begins with it.
        self._save()
        with self._at_once():
            values = fit()
        self._since = time.perf_counter()
        if values:
            self._record(values, "posterior")
            self._write(self._log.size() if self._log is not None else 0)

    def _every(self, steps: int) -> bool:
        return self._training.step % steps == 0 or self._training.step == self._training.total_steps

    def _ends_epoch(self) -> bool:
        step, train_size = self._training.step, self._dataset.train_size
        passes = [self._config.epochs_after(taken, train_size) for taken in (step - 1, step)]
        return passes[0] < passes[1] or step == self._training.total_steps

    def _save_when_due(self) -> None:
        every = self._config.checkpoint_steps
        if self._every(every or self._training.total_steps):
            self._save()
        elif self._ends_epoch() and not every:
            self._save_in_time()

    def _save_in_time(self) -> None:
        # Epochs of a step or two would otherwise be spent on writing.
        if time.perf_counter() - self._saved_at >= CHECKPOINT_SECONDS:
            self._save()
        divergence.check_loss(self._run, self._config, self._learner)

    def _save(self) -> None:
        divergence.check_loss(self._run, self._config, self._learner)
        self._saved_at = self._lap()
        step = self._training.step
        if self._saved.step == step:
            return
        size = self._size_before_scores
        if size is None:
            size = self._log.size() if self._log is not None else 0
        self._write(size)

    def _write(self, log_size: int) -> None:
        position = Position(self._training.step, self._seconds, log_size)
        if self._first:
            epoch = self._config.epochs_after(position.step, self._dataset.train_size)
            self._saw(checkpointing.save_state(self._run, self._config, self._learner, position, epoch))
        self._saved = position

    def _lap(self) -> float:
        """Counts the time since the last lap as training; returns the time."""
        now = time.perf_counter()
        self._seconds, self._since = self._seconds + now - self._since, now
        return now

    def _score_epoch(self) -> None:
        step, total = self._training.step, self._training.total_steps
        epoch = self._config.epochs_after(step, self._dataset.train_size)
        evaluates = step < total and self._config.evaluates_after(epoch)
        if self._validation is None and not evaluates:
            return
        # Scoring takes long and may be interrupted: a run that is resumed from here begins with it.
        self._save_in_time()
        self._size_before_scores = self._log.size() if self._log is not None else 0
        self._lap()
        if self._validation is not None:
            scores = self._scores_of(*self._validation)[1]
            self._record(scores, "validation")
            if self._first:
                self._saw(checkpointing.save_if_best(self._run, self._config, self._learner, step, _nll(scores)))
        if evaluates:
            self._record(self._scores_of(self._dataset.x_test, self._dataset.y_test)[1], "test")
        self._since, self._pace = time.perf_counter(), None

    def _scores_of(self, x: Any, y: Any, *, intervals: bool = False) -> tuple[Outputs, dict[str, float]]:
        with self._at_once():
            outputs = self._learner.outputs(x)
            saved = self._saved.step == self._training.step
            divergence.check_outputs(self._run, self._config, outputs, saved=saved)
            return outputs, report(self._learner, outputs, y, self._dataset.encoding, intervals=intervals)

    def _at_once(self) -> contextlib.AbstractContextManager[None]:
        """Within it a signal ends the run at once."""
        # Several processes work together, so none of them ends alone: they agree after a later gradient step.
        return self._signals.at_once() if self._learner.ranks == 1 else contextlib.nullcontext()

    def _record(self, values: Mapping[str, SupportsFloat], split: str) -> None:
        if self._log is None:
            return
        numbers = {name: float(value) for name, value in values.items()}
        self._log.write(self._training.step, numbers, split=split)
        for callback in self._callbacks:
            callback.on_metrics(self._training, split, numbers)

    def _saw(self, path: Path | None) -> None:
        if path is not None:
            for callback in self._callbacks:
                callback.on_checkpoint(self._training, path)

    def _stopped(self, number: int) -> Stopped:
        step, saved = self._training.step, self._saved.step
        kept = "the run is saved" if saved == step else f"the run is saved as of step {saved}"
        message = f"stopped at step {step} of {self._training.total_steps}; {kept}, and {self._again} "
        return Stopped(number, message + "takes it up again.")


def _ending(callback: Callback, training: Training) -> Callable[..., None]:
    """What an exit stack calls when it is left."""

    def end(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        callback.on_end(training, error)

    return end


def _in_slices(array: np.ndarray, slices: int) -> np.ndarray:
    """The examples of a batch in equal slices, (slices, n, ...)."""
    if len(array) % slices:
        raise InputError(
            f"A batch of {len(array)} examples cannot be cut into accumulate={slices} equal slices; give batches that "
            "can, or accumulate=1."
        )
    return array.reshape(slices, -1, *array.shape[1:])


def _nll(scores: dict[str, float]) -> float:
    return scores["nll"] if "nll" in scores else -scores["log_likelihood"]
