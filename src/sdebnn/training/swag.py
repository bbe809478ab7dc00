"""SWAG: a Gaussian over weights, fitted to the way that training takes near its end.

In the second half of training, at a step size that stands still, weights move about where the loss is low. Their mean,
their variances and their last `RANK` deviations from the mean make a Gaussian of low rank plus diagonal, from which
posterior samples are drawn (Maddox, Garipov, Izmailov, Vetrov and Wilson, A simple baseline for Bayesian uncertainty in
deep learning, 2019; there the steps are those of SGD, here of Adam). The noise of targets is that of the averaged
parameters, the same for all samples. With members it is the mixture of as many such
Gaussians (Wilson and Izmailov, Bayesian deep learning and a probabilistic perspective of generalization, 2020).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

import numpy as np

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training.drawn_parameters import AVERAGE, PARAMS, DrawnParameters, refuse_validation
from sdebnn.training.learner import Learner

PREFIX = "swag_"
RANK = 20
# Times that weights are looked at: twice as many as deviations are kept.
LOOKS = 2 * RANK
# Apart from all other draws of a run's seed.
DRAW = 0x73776167


class Swag(DrawnParameters):
    """A `Learner` that predicts with weights drawn from the Gaussian of its way.

    **Arguments:**

    - `learner`, `config`: see `DrawnParameters`.
    - `dataset`: for the number of gradient steps.

    **Raises:** as `DrawnParameters`.
    """

    called = "SWAG"
    missing = "SWAG has looked at the weights less than twice, as it looks in the second half of training"

    def __init__(self, learner: Learner, config: TrainConfig, dataset: Dataset) -> None:
        total = config.total_steps(dataset.train_size)
        self._seed, self._first = config.seed, total // 2
        self._every = max(1, (total - total // 2) // LOOKS)
        params = {name: array for name, array in learner.state().items() if name.startswith(PARAMS)}
        self._mean = {name.removeprefix(PARAMS): np.zeros_like(array) for name, array in params.items()}
        self._square = {name: array.copy() for name, array in self._mean.items()}
        self._deviations = {name: np.zeros((RANK, *array.shape), array.dtype) for name, array in self._mean.items()}
        self._looks = np.array(0)
        parts = {"mean": self._mean, "square": self._square, "deviations": self._deviations}
        own = {f"{part}/{name}": array for part, of in parts.items() for name, array in of.items()}
        super().__init__(learner, config, "swag", own | {"looks": self._looks})

    @property
    def known(self) -> bool:
        return bool(self._looks >= 2)

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        values = self._learner.gradient_step(x, y, step)
        after = step + 1 - self._first
        if after > 0 and after % self._every == 0:
            self._look(self._learner.state())
        return values

    def _look(self, state: Mapping[str, np.ndarray]) -> None:
        share = 1 / (int(self._looks) + 1)
        for name, mean in self._mean.items():
            weights = state[PARAMS + name]
            mean += mean.dtype.type(share) * (weights - mean)
            self._square[name] += mean.dtype.type(share) * (weights**2 - self._square[name])
            self._deviations[name][int(self._looks) % RANK] = weights - mean
        self._looks += 1

    def draw(self, sample: int, average: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self._seed, DRAW, sample])
        kept = min(int(self._looks), RANK)
        along = rng.standard_normal(RANK) * (np.arange(RANK) < kept) / math.sqrt(2 * max(kept - 1, 1))
        drawn = {}
        for name in sorted(self._mean):
            mean = self._mean[name]
            variance = np.maximum(self._square[name] - mean**2, 0)
            noise = np.sqrt(variance / 2) * rng.standard_normal(mean.shape)
            drawn[AVERAGE + name] = (mean + noise + np.tensordot(along, self._deviations[name], 1)).astype(mean.dtype)
        return drawn


def with_swag(build: Callable[[TrainConfig, Dataset], Learner]) -> Callable[[TrainConfig, Dataset], Learner]:
    """Makes learners of SWAG where the model is one of it, and what `build` makes elsewhere.

    **Raises:** `InputError` from what it returns, for steps that are not of one size, and for a validation split, which
    chooses a step.
    """

    def built(config: TrainConfig, dataset: Dataset) -> Learner:
        if not config.model.startswith(PREFIX):
            return build(config, dataset)
        if config.schedule != "constant":
            raise InputError(
                f"model={config.model!r} fits its Gaussian to steps of one size, which schedule={config.schedule!r} "
                "changes; take schedule='constant'."
            )
        refuse_validation(config, "fits its Gaussian to the second half of training")
        return Swag(build(dataclasses.replace(config, test_samples=1), dataset), config, dataset)

    return built
