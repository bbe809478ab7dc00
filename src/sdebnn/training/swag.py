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
import warnings
from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

import numpy as np
from jaxtyping import Float

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import Learner

PREFIX = "swag_"
RANK = 20
# Times that weights are looked at: twice as many as deviations are kept.
LOOKS = 2 * RANK
PARAMS, AVERAGE, OWN = "params/", "average/", "average/swag/"
# Apart from all other draws of a run's seed.
DRAW = 0x73776167


class Swag:
    """A `Learner` that predicts with weights drawn from the Gaussian of its way. All else is that learner's.

    **Arguments:**

    - `learner`: of a network without weights that are random, and one posterior sample.
    - `config`: of the run.
    - `dataset`: for the number of gradient steps.

    **Raises:** `InputError` for several processes.
    """

    def __init__(self, learner: Learner, config: TrainConfig, dataset: Dataset) -> None:
        if learner.ranks > 1:
            raise InputError(f"model={config.model!r} trains in one process, and there are {learner.ranks}.")
        self._learner, self._seed, self._samples = learner, config.seed, config.test_samples
        total = config.total_steps(dataset.train_size)
        self._first, self._every = total // 2, max(1, (total - total // 2) // LOOKS)
        params = {name: array for name, array in learner.state().items() if name.startswith(PARAMS)}
        self._mean = {name.removeprefix(PARAMS): np.zeros_like(array) for name, array in params.items()}
        self._square = {name: array.copy() for name, array in self._mean.items()}
        self._deviations = {name: np.zeros((RANK, *array.shape), array.dtype) for name, array in self._mean.items()}
        self._looks = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_learner":
            raise AttributeError(name)
        return getattr(self._learner, name)

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        values = self._learner.gradient_step(x, y, step)
        after = step + 1 - self._first
        if after > 0 and after % self._every == 0:
            self._look(self._learner.state())
        return values

    def state(self) -> dict[str, np.ndarray]:
        parts = {"mean": self._mean, "square": self._square, "deviations": self._deviations}
        own = {f"{OWN}{part}/{name}": array.copy() for part, of in parts.items() for name, array in of.items()}
        return self._learner.state() | own | {f"{OWN}looks": np.array(self._looks)}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self._load(state, self._learner.load_state)

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        self._load(average, self._learner.load_average)

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        average = {name: array for name, array in self._learner.state().items() if name.startswith(AVERAGE)}
        if self._looks < 2:
            warnings.warn(
                "SWAG has looked at the weights less than twice, so there is no Gaussian yet and all posterior samples "
                "are alike: it looks in the second half of training.",
                stacklevel=2,
            )
            return np.repeat(self._learner.outputs(x), self._samples, axis=0)
        found = []
        try:
            for sample in range(self._samples):
                self._learner.load_average(self._draw(sample))
                found.append(self._learner.outputs(x))
        finally:
            self._learner.load_average(average)
        return np.concatenate(found)

    # Its samples are parameters of one and the same network.
    def drawn_networks(self) -> None:
        return None

    def draw_network(self, seed: int) -> None:
        return None

    def _look(self, state: Mapping[str, np.ndarray]) -> None:
        share = 1 / (self._looks + 1)
        for name, mean in self._mean.items():
            weights = state[PARAMS + name]
            mean += mean.dtype.type(share) * (weights - mean)
            self._square[name] += mean.dtype.type(share) * (weights**2 - self._square[name])
            self._deviations[name][self._looks % RANK] = weights - mean
        self._looks += 1

    def _draw(self, sample: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self._seed, DRAW, sample])
        kept = min(self._looks, RANK)
        along = rng.standard_normal(RANK) * (np.arange(RANK) < kept) / math.sqrt(2 * max(kept - 1, 1))
        drawn = {}
        for name in sorted(self._mean):
            mean = self._mean[name]
            variance = np.maximum(self._square[name] - mean**2, 0)
            noise = np.sqrt(variance / 2) * rng.standard_normal(mean.shape)
            drawn[AVERAGE + name] = (mean + noise + np.tensordot(along, self._deviations[name], 1)).astype(mean.dtype)
        return drawn

    def _load(self, arrays: Mapping[str, np.ndarray], load: Callable[[Mapping[str, np.ndarray]], None]) -> None:
        own = {name.removeprefix(OWN): array for name, array in arrays.items() if name.startswith(OWN)}
        parts = {"mean": self._mean, "square": self._square, "deviations": self._deviations}
        wanted = {f"{part}/{name}": array for part, of in parts.items() for name, array in of.items()}
        shapes = {name: array.shape for name, array in own.items()}
        if shapes != {name: array.shape for name, array in wanted.items()} | {"looks": ()}:
            raise InputError("The parameters are not those of a run of SWAG of this network.")
        load({name: array for name, array in arrays.items() if not name.startswith(OWN)})
        for name, array in wanted.items():
            array[...] = own[name]
        self._looks = int(own["looks"])


def is_moment(name: str) -> bool:
    """Whether an array of a state, or of one of several members, is of SWAG and no parameter of the network."""
    return "swag" in name.split("/")


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
        if config.validation:
            raise InputError(
                f"model={config.model!r} fits its Gaussian to the second half of training, and validation="
                f"{config.validation:g} would keep the parameters of a step before; take validation=0."
            )
        return Swag(build(dataclasses.replace(config, test_samples=1), dataset), config, dataset)

    return built
