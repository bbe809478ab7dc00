"""Predictions of tables where no training example is; see `sdebnn.training.unseen_features`."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from sdebnn.data import Dataset, to_float
from sdebnn.errors import InputError
from sdebnn.metrics.noise_laws import COUNT_LAWS
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import DrawnNetworks, Exportable, Learner, Predictive
from sdebnn.training.task import MOST_RANGES
from sdebnn.training.unseen_features import Seen, UnseenFeatures, draw_one_network, draw_unseen_features

# Weights of all samples, in memory.
MOST_WEIGHTS = 2**27
# Apart from all other draws of a run's seed.
SAMPLES, PLAIN = 0x62657900, 0x62657901


class BeyondRange:
    """A `Learner`, to whose outputs is added what it is taken not to know. All else is that learner's.

    **Arguments:**

    - `learner`: of any framework, on a table.
    - `config`: of the run; its `beyond_range` is the slope.
    - `seen`: where the training examples are.
    - `numbers`: classes, or real targets: how many of the outputs it is added to.
    """

    def __init__(self, learner: Learner, config: TrainConfig, seen: Seen, numbers: int) -> None:
        self._learner, self._slope, self._seed = learner, float(config.beyond_range), config.seed
        self._samples = config.members * config.test_samples
        self._seen, self._numbers = seen, numbers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_learner":
            raise AttributeError(name)
        return getattr(self._learner, name)

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        return self.extended(self._learner.outputs(x), x)

    def drawn_networks(self) -> Predictive | None:
        drawn = getattr(self._learner, "drawn_networks", lambda: None)()
        return None if drawn is None else _Extended(drawn, self)

    def draw_network(self, seed: int) -> Exportable | None:
        drawn = getattr(self._learner, "draw_network", lambda seed: None)(seed)
        if drawn is None:
            return None
        rng = np.random.default_rng([self._seed, PLAIN, seed])
        return _Plain(drawn, draw_one_network(rng, self._slope, self._seen, self._numbers))

    def extended(self, outputs: Float[np.ndarray, "samples n o"], x: Any) -> Float[np.ndarray, "samples n o"]:
        """The outputs of the run's posterior samples for inputs `x`, with what is added to them."""
        inputs = to_float(np.asarray(x))
        outside = self._seen.beyond(inputs)
        if outside.any():
            outputs = outputs.copy()
            # Outputs that are not finite are told of where they are used.
            with np.errstate(over="ignore", invalid="ignore"):
                for of_sample, features in zip(outputs, self._of_samples, strict=True):
                    of_sample[outside, : self._numbers] += features(inputs[outside])
        return outputs

    @functools.cached_property
    def _of_samples(self) -> list[UnseenFeatures]:
        rng = np.random.default_rng([self._seed, SAMPLES])
        return draw_unseen_features(rng, self._samples, self._slope, self._seen, self._numbers)


class _Extended:
    """Posterior samples that are drawn, with what is added to them."""

    def __init__(self, drawn: Predictive, beyond: BeyondRange) -> None:
        self._drawn, self._beyond = drawn, beyond
        self.of_likelihood = drawn.of_likelihood

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        return self._beyond.extended(self._drawn.outputs(x), x)


class _Plain:
    """One network that is drawn, with what is added to it."""

    def __init__(self, drawn: DrawnNetworks, features: UnseenFeatures) -> None:
        self._drawn, self._features = drawn, features
        self.of_likelihood = drawn.of_likelihood

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        outputs, added = self._drawn.outputs(x), self._features(to_float(x))
        return np.concatenate([outputs[..., : added.shape[1]] + added, outputs[..., added.shape[1] :]], axis=-1)

    def export(
        self,
        path: Path,
        example: Float32[np.ndarray, "1 ..."],
        shift: Float[np.ndarray, " d"],
        scale: Float[np.ndarray, " d"],
    ) -> None:
        self._drawn.export(path, example, shift, scale, self._features)


def where_seen(config: TrainConfig, dataset: Dataset) -> Seen:
    """Where the training examples are.

    **Raises:** `InputError` where `beyond_range` has no meaning: for examples that are no table in memory, and for
    counts, whose outputs are logarithms.
    """
    what = _what(config)
    if dataset.x_train.ndim != 2:
        raise InputError(f"{what}, and {dataset.name} has inputs of shape {dataset.x_train.shape[1:]}; take 0.")
    if dataset.train_size != len(dataset.x_train):
        raise InputError(f"{what}, and of {dataset.name} only a sample of the training examples is known; take 0.")
    if dataset.x_train.shape[1] > MOST_RANGES:
        raise InputError(f"{what}, of which the run keeps {MOST_RANGES}, and {dataset.name} has more; take 0.")
    if config.likelihood in COUNT_LAWS:
        raise InputError(f"{what} in units of the targets, and likelihood={config.likelihood!r} has none; take 0.")
    return Seen.of(dataset.x_train)


def refuse_many_weights(config: TrainConfig, seen: Seen, numbers: int) -> None:
    """**Raises:** `InputError` where those of all samples would not fit into memory."""
    samples, features = config.members * config.test_samples, 2 * len(seen.low) + len(seen.columns)
    if (weights := samples * features * numbers) > MOST_WEIGHTS:
        raise InputError(
            f"{_what(config)}, and of {samples} posterior samples with {numbers} outputs these have {weights} weights, "
            f"more than {MOST_WEIGHTS}; take 0, or fewer samples (test_samples, members)."
        )


def _what(config: TrainConfig) -> str:
    return f"beyond_range={config.beyond_range:g} is for inputs beyond the range of a table's columns"
