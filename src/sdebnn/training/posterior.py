"""A trained posterior: predictions of new examples without the data, the loop or the optimiser."""

import collections
import contextlib
import hashlib
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float

from sdebnn import metrics
from sdebnn.data.frames import Table
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig, strict_json
from sdebnn.runs.started import Started, read_start
from sdebnn.training import checkpointing
from sdebnn.training.building import Build, builder_name, built, built_again
from sdebnn.training.divergence import check_outputs
from sdebnn.training.learner import Learner, Predictive
from sdebnn.training.memory import refuse_more_than_memory
from sdebnn.training.mixture import Mixture
from sdebnn.training.plain_network import PlainNetwork
from sdebnn.training.prediction import LabelPrediction, Prediction, TargetPrediction, Uncertainty
from sdebnn.training.prediction_choices import prediction_choices
from sdebnn.training.predictions import CHUNK, doubles, sample_probabilities
from sdebnn.training.run import keeps_task, load_again
from sdebnn.training.task import Task
from sdebnn.version import __version__

# Posteriors that a process keeps of those that came to it pickled.
KEPT = 4


class Posterior:
    """What a run has learned, which predicts. It needs no data, and is asked as often as one likes: what it computes
    with is drawn and compiled once, and threads may share it. The posterior samples are the same ones at each call, so
    what is predicted of an example depends on nothing but the example.

    `sdebnn.load` makes one of a run folder. It can be pickled, as arrays and choices; however often it comes to a
    process, it is built there once.

    **Arguments:**

    - `config`: the choices of the run.
    - `task`: what its examples look like.
    - `learner`: with the averaged parameters, which predictions use. It must not be trained on.
    - `build`: what made the learner, for `pickle` and `save`.
    - `folder`: of the run, for what is said where outputs are not finite.
    - `started`: how the run was started.
    """

    def __init__(
        self,
        config: TrainConfig,
        task: Task,
        learner: Learner,
        *,
        build: Build | None = None,
        folder: RunFolder | None = None,
        started: Started | None = None,
    ) -> None:
        self.config, self.task, self.learner = config, task, learner
        self._build, self._folder, self._started = build, folder, started
        self._lock = threading.Lock()
        self._drawn: Predictive | None = None

    @property
    def labels(self) -> np.ndarray | None:
        """The names of the classes in the order of their probabilities; `None` for real targets."""
        if self.task.num_classes is None:
            return None
        return np.arange(self.task.num_classes) if self.task.encoding is None else np.array(self.task.encoding.labels)

    def warm_up(self) -> None:
        """Draws and compiles what the first prediction of a few examples would."""
        self._of(self._outputs(self.task.placeholder().x_train))

    def predict(self, x: Table) -> Prediction:
        """What it says of examples.

        **Arguments:**

        - `x`: examples like those of training, as `sdebnn.training.prediction_file.predict` takes them.

        **Returns:** a `LabelPrediction`, or of real targets a `TargetPrediction`.

        **Raises:** `InputError` for inputs unlike those of training; `FloatingPointError` when outputs are not finite.
        """
        return self._of(self.outputs(x))

    def predict_in_parts(self, x: Table) -> Iterator[Prediction]:
        """As `predict`, a part of the examples at a time, in their order: for so many that their predictions do not fit
        into memory. What is refused is refused before the first part is asked for.
        """
        return (self._of(self._outputs(part)) for part in self._chunks(x))

    def outputs(self, x: Table) -> Float[np.ndarray, "samples n o"]:
        """The outputs of each posterior sample. Arguments and errors as for `predict`."""
        return np.concatenate([self._outputs(part) for part in self._chunks(x)], axis=1)

    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        """What the likelihood says of `outputs`, in the units of the network; see `sdebnn.training.Predictive`."""
        # A user's own learner may know of no seed.
        others = {"seed": seed} if seed else {}
        with self._alone() as networks:
            return networks.of_likelihood(method, outputs, targets, **others)

    def uncertainty(self, x: Table) -> Uncertainty:
        """How unsure it is of examples, and why. Arguments and errors as for `predict`."""
        return self.predict(x).uncertainty()

    @no_type_check
    def log_prob(self, x: Table, y: Any) -> Float[np.ndarray, " n"]:
        """The logarithm of the probability, or of the density in the user's units, that it gives to the answers `y` of
        the examples `x`, in nats.

        **Arguments:**

        - `x`: as for `predict`.
        - `y`: labels (n,), or targets (n, d), as the user has them.

        **Raises:** as `predict`, and `InputError` for answers unlike those of training.
        """
        chunks, answers = self._chunks(x), np.asarray(self._answers(y))
        n = sum(len(part) for part in chunks)
        if len(answers) != n:
            raise InputError(f"log_prob got {n} examples and {len(answers)} answers; give one answer for each example.")
        found = [
            doubles(self.of_likelihood("log_prob", self._outputs(part), answers[number * CHUNK :][: len(part)]))
            for number, part in enumerate(chunks)
        ]
        return metrics.mixture_log_probs(np.concatenate(found, axis=1)) - np.log(self._units()[1]).sum()

    @no_type_check
    def draw(self, rng: np.random.Generator | int) -> PlainNetwork:
        """One network, whose weights are drawn from the posterior: plain, fast, and the same at each call. It knows
        nothing of what it does not know.

        **Arguments:**

        - `rng`: a generator of NumPy, or the seed of one.

        **Raises:** `InputError` for what is no seed, and for a network that draws only when it sees its inputs.
        """
        try:
            generator = np.random.default_rng(rng)
        except (TypeError, ValueError):
            raise InputError(f"rng={rng!r} is no seed; give a whole number from 0, or a generator of NumPy.") from None
        draw = getattr(self.learner, "draw_network", None)
        with self._lock:
            network = None if draw is None else draw(int(generator.integers(2**32)))
        if network is None:
            raise InputError(
                "The networks of this run draw their weights only when they see their inputs, so none can be drawn "
                "alone: predict with the posterior, or build the network of sdebnn's own blocks."
            )
        return PlainNetwork(self.task, self.config.layout, network, *self._units(), self._lock)

    def save(self, path: str | Path) -> None:
        """Writes a run folder that `sdebnn.load`, `sdebnn predict` and `sdebnn.training.restore` read: choices, task
        and the averaged parameters. What training needs besides is not kept: it predicts, and cannot be resumed.

        **Arguments:**

        - `path`: of the folder; it must be new or empty.

        **Raises:** `InputError` for a folder that holds files; `StorageError` when it cannot be written.
        """
        started = self._started
        if started is None:
            started = Started(builder_name(self._builder("saved"), self.learner), True, version=__version__)
        run = RunFolder.create(path)
        run.write_config(started.record(self.config))
        self.task.write(run)
        with self._lock:
            checkpointing.save_average(run, self.config, self.learner)

    def __reduce__(self) -> Any:
        # Some draw by putting other parameters in their place for a while.
        with self._lock:
            average = checkpointing.average_of(self.learner.state())
        table = None if self.task.encoding is None else self.task.encoding.to_json()
        digest = hashlib.sha256(strict_json.text([self.config.to_json(), self.task.digest, table]).encode())
        for name in sorted(average):
            digest.update(name.encode() + np.ascontiguousarray(average[name]).tobytes())
        build = self._builder("pickled")
        return _unpickled, (digest.hexdigest(), build, self.config, self.task, self._started, average)

    def _builder(self, doing: str) -> Build:
        if self._build is None:
            raise InputError(
                f"A Posterior is {doing} with what made its learner, which it was not given: make it with build=..., "
                "such as build=sdebnn.frameworks.build_learner."
            )
        return self._build

    def _chunks(self, x: Table) -> list[np.ndarray]:
        inputs = self.task.inputs(x, self.config.layout)
        numbers = self.task.num_classes or self.task.targets
        refuse_more_than_memory(self.config, numbers, trained=1, scored=min(len(inputs), CHUNK))
        return [inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK)]

    def _answers(self, y: Any) -> np.ndarray:
        if self.task.encoding is not None:
            return self.task.encoding.answers(y)
        y = np.asarray(y)
        if self.task.num_classes is None:
            answers = y.astype(np.float32)
            if answers.ndim == 1 and self.task.targets == 1:
                answers = answers[:, None]
            if answers.ndim != 2 or answers.shape[1] != self.task.targets:
                raise InputError(
                    f"The answers have shape {y.shape}, and this posterior is of {self.task.targets} targets: give "
                    f"(examples, {self.task.targets})."
                )
            return answers
        if y.ndim != 1 or y.dtype.kind not in "iu" or (len(y) and not 0 <= y.min() <= y.max() < self.task.num_classes):
            raise InputError(
                f"The answers are {y.dtype} of shape {y.shape}, and this posterior is of {self.task.num_classes} "
                f"labels: give whole numbers (examples,) from 0 to {self.task.num_classes - 1}."
            )
        return y.astype(np.int32)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Predictive]:
        """The posterior samples, which threads take in turn: a module of PyTorch holds the weights that it is called
        with.
        """
        with self._lock:
            if self._drawn is None:
                draw = getattr(self.learner, "drawn_networks", None)
                self._drawn = (draw and draw()) or self.learner
            yield self._drawn

    def _outputs(self, inputs: np.ndarray) -> Float[np.ndarray, "samples n o"]:
        with self._alone() as networks:
            outputs = networks.outputs(inputs)
        if self._folder is not None:
            check_outputs(self._folder, self.config, outputs, saved=True)
        elif not np.isfinite(outputs).all():
            raise FloatingPointError("The network's outputs are NaN or infinite.")
        return outputs

    def _units(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
        """What is added to the network's targets and what they are multiplied by, to be in the user's units."""
        if self.task.encoding is not None:
            mean, std = self.task.encoding.target_mean, self.task.encoding.target_std
            if mean is not None and std is not None:
                return mean, std
        # Of one number, as a likelihood of a user's own may have a mean of fewer numbers than its targets.
        return np.zeros(1), np.ones(1)

    def _of(self, outputs: Float[np.ndarray, "samples n o"]) -> Prediction:
        if self.labels is not None:
            of_samples = sample_probabilities(self, outputs)
            probabilities = of_samples.mean(axis=0)
            return LabelPrediction(
                self.labels[probabilities.argmax(axis=1)],
                probabilities,
                metrics.entropy(probabilities),
                metrics.mutual_information(of_samples),
                self.labels,
            )
        names = None if self.task.encoding is None else self.task.encoding.target_names
        mixture = Mixture(self, outputs, *self._units())
        return TargetPrediction(*mixture.moments(), names, mixture)


def load_posterior(build: Build, folder: str | Path, *, changes: Mapping[str, Any] | None = None) -> Posterior:
    """Reads a run folder's configuration and the checkpoint that makes predictions: the best where a validation split
    chose one, else the newest. The training data are not needed, but of the oldest runs, which keep no record of them.

    **Arguments:**

    - `build`: that of `start_run`.
    - `folder`: of a run.
    - `changes`: as for `restore`. Of `data`, a file, no more is asked than that they are the run's.

    **Raises:** `InputError` when the folder is not a run's, or its checkpoint does not fit the configuration.
    """
    run = RunFolder.open(folder)
    config, started = read_start(run, dict(changes or {}) | {"test_examples": 0})
    if not keeps_task(run, started):
        task = load_again(run, started, config).task
    else:
        task = Task.read(run)
        if "data" in (changes or {}):
            load_again(run, started, config).task.confirm(run)
    refuse_more_than_memory(config, task.num_classes or task.targets, trained=1, scored=1)
    if config.beyond_range and task.ranges is None:
        raise InputError(
            f"{Task.file(run)} has no ranges of the training examples, which beyond_range={config.beyond_range:g} "
            "needs; restore it, or take changes={'beyond_range': 0.0}."
        )
    learner = built_again(build, run, started, prediction_choices(config), task.placeholder())
    checkpointing.load_average(run, read_start(run)[0], learner)
    if config.members * config.test_samples == 1:
        warnings.warn(
            "One posterior sample (test_samples=1) says nothing of ignorance: what tells of it is NaN; take "
            "test_samples=2 or more.",
            stacklevel=3,
        )
    return Posterior(started.settled(config), task, learner, build=build, folder=run, started=started)


_known: collections.OrderedDict[str, Posterior] = collections.OrderedDict()
_unpickling = threading.Lock()


def _unpickled(
    digest: str, build: Build, config: TrainConfig, task: Task, started: Started | None, average: dict[str, np.ndarray]
) -> Posterior:
    """The posterior with this digest, which a process builds where it comes first."""
    with _unpickling:
        if digest not in _known:
            learner = built(build, prediction_choices(config), task.placeholder(), task.seen())
            learner.load_average(average)
            _known[digest] = Posterior(config, task, learner, build=build, started=started)
        _known.move_to_end(digest)
        while len(_known) > KEPT:
            _known.popitem(last=False)
        return _known[digest]
