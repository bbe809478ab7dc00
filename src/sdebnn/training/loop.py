"""The loop over batches: gradient steps, the log, checkpoints and evaluations."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from jaxtyping import Float

from sdebnn.data import Dataset, augment, batch_stream, to_float
from sdebnn.errors import Stopped
from sdebnn.runs import MetricsLog, Progress, RunFolder, TrainConfig
from sdebnn.training import keeping
from sdebnn.training.agreement import first_alone
from sdebnn.training.learner import Learner
from sdebnn.training.predictions import report
from sdebnn.training.stop_signals import StopSignals

LOG_EVERY = 10
PACE_EVERY = 100
CHECKPOINT_SECONDS = 10.0


class Fitted(NamedTuple):
    """A finished training: the outputs of posterior samples for the test data and their scores, and the seconds that
    gradient steps took.
    """

    test_outputs: Float[np.ndarray, "samples n o"]
    scores: dict[str, float]
    seconds: float


def fit(
    learner: Learner,
    config: TrainConfig,
    dataset: Dataset,
    run: RunFolder,
    *,
    validation: tuple[Any, Any] | None = None,
) -> Fitted:
    """Trains, and writes log and checkpoints to the run folder. Where that has a checkpoint already, training goes on
    from the newest and ends with the numbers that it would have ended with. Of several processes that train together
    the first alone reads and writes the folder.

    **Arguments:**

    - `learner`: of this configuration and data set, new.
    - `validation`: x and y that choose the best checkpoint by its NLL, which then makes the predictions; without them
      the last does.

    **Raises:** `FloatingPointError`, saying at which step it began, when loss or gradient are no longer finite;
    `Stopped` after SIGTERM or Ctrl-C; `InputError` when the newest checkpoint or the log cannot be used;
    `StorageError` when the disk is full.
    """
    train_size = len(dataset.x_train)
    total = config.total_steps(train_size)
    first = learner.rank == 0
    with first_alone(learner):
        reached = keeping.load_state(run, config, learner, total) if first else None
    # What a run that died before its first checkpoint has logged is cut off.
    step, seconds, resume = 0, 0.0, (0, 0) if first and run.metrics_file.exists() else None
    if reached is not None:
        step, seconds, resume = reached.step, reached.seconds, (reached.step, reached.log_size)
    step = learner.follow_first(step)

    again = keeping.resuming(run)

    def stopped(number: int) -> Stopped:
        kept = "the run is saved" if saved == step else f"the run is saved as of step {saved}"
        message = f"stopped at step {step} of {total}; {kept}, and {again} "
        return Stopped(number, message + "takes it up again.")

    with contextlib.ExitStack() as open_now:
        with first_alone(learner):
            log = open_now.enter_context(MetricsLog(run, resume=resume)) if first else None
        progress = open_now.enter_context(Progress(total)) if first else None
        signals = open_now.enter_context(StopSignals(stopped))
        started, saved, saved_at = time.perf_counter(), step, time.perf_counter()
        pace: tuple[int, float] | None = None

        def record(values: Mapping[str, SupportsFloat], split: str) -> None:
            if log is not None:
                log.write(step, values, split=split)

        def save() -> None:
            nonlocal seconds, started, saved, saved_at
            keeping.refuse_bad(run, config, learner)
            now = time.perf_counter()
            seconds, started = seconds + now - started, now
            if log is not None and saved < step:
                now_reached = keeping.Reached(step, seconds, log.size())
                keeping.save_state(run, config, learner, now_reached, config.epochs_after(step, train_size))
            saved, saved_at = step, now

        def save_in_time() -> None:
            # Epochs of a step or two would otherwise be spent on writing.
            if time.perf_counter() - saved_at >= CHECKPOINT_SECONDS:
                save()
            keeping.refuse_bad(run, config, learner)

        def ends_epoch() -> bool:
            passes = [config.epochs_after(taken, train_size) for taken in (step - 1, step)]
            return passes[0] < passes[1] or step == total

        def scores_of(x: Any, y: Any) -> tuple[Float[np.ndarray, "samples n o"], dict[str, float]]:
            # Several processes score together, so none of them ends alone: they agree after a later gradient step.
            with signals.at_once() if learner.ranks == 1 else contextlib.nullcontext():
                outputs = learner.outputs(x)
                keeping.refuse_bad_outputs(run, config, outputs, saved=saved == step)
                return outputs, report(learner, outputs, y)

        def score_epoch() -> None:
            nonlocal started, pace
            evaluates = step < total and config.evaluates_after(config.epochs_after(step, train_size))
            if validation is None and not evaluates:
                return
            # Scoring takes long and may be interrupted: a run that is resumed from here begins with it.
            save_in_time()
            if validation is not None:
                scores = scores_of(*validation)[1]
                record(scores, "validation")
                if first:
                    keeping.save_if_best(run, config, learner, step, _nll(scores))
            if evaluates:
                record(scores_of(dataset.x_test, dataset.y_test)[1], "test")
            started, pace = time.perf_counter(), None

        if step > 0 and ends_epoch():
            score_epoch()
        for x, y in _batches(dataset, config, step, total):
            values = learner.gradient_step(x, y, step)
            step += 1
            if step % LOG_EVERY == 0 or step == total:
                keeping.refuse_bad(run, config, learner)
                record(values, "train")
            if progress is not None:
                progress.update(step, values)
            # Measured from the first step's end on, which has compiled.
            if pace is None:
                pace = (step, time.perf_counter())
            elif step % PACE_EVERY == 0 or step == total:
                now = time.perf_counter()
                rate = (step - pace[0]) * x.shape[0] * x.shape[1] / (now - pace[1])
                system = {"examples_per_second": rate, "memory_mib": learner.memory(), "devices": learner.devices}
                record(system, "system")
                pace = (step, now)
            if step == total or (config.checkpoint_steps and step % config.checkpoint_steps == 0):
                save()
            elif ends_epoch() and not config.checkpoint_steps:
                save_in_time()
            # Several processes agree now and then: to ask at every step would make each wait for all.
            if (learner.ranks == 1 or step % LOG_EVERY == 0) and (
                received := learner.largest_of_ranks(signals.received)
            ):
                save()
                raise stopped(received)
            if ends_epoch():
                score_epoch()
        if validation is not None:
            if first:
                keeping.load_average(run, config, learner)
            learner.follow_first(step)
        outputs, scores = scores_of(dataset.x_test, dataset.y_test)
        record(scores, "test")
    return Fitted(outputs, scores, seconds)


def _batches(dataset: Dataset, config: TrainConfig, start: int, total: int) -> Iterator[tuple[Any, Any]]:
    """The batches of gradient steps `start` to `total`, (slices, n, ...) each; they depend on the seed and the step
    alone.
    """
    train_size = len(dataset.x_train)
    shape = config.batch_shape(train_size)
    order = batch_stream(train_size, shape[0] * shape[1], seed=config.seed, start=start)
    for step, indices in zip(range(start, total), order, strict=False):
        x = augment(dataset.x_train[indices], config.augmentation, seed=config.seed, step=step)
        y = dataset.y_train[indices]
        yield to_float(x).reshape(*shape, *x.shape[1:]), y.reshape(*shape, *y.shape[1:])


def _nll(scores: dict[str, float]) -> float:
    return scores["nll"] if "nll" in scores else -scores["log_likelihood"]
