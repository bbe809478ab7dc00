"""A learner that predicts with parameters drawn from a Gaussian of them, which it keeps beside its own."""

import abc
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import Learner

PARAMS, AVERAGE = "params/", "average/"
# Parts of the names under which the Gaussians are kept.
KINDS = ("swag", "laplace", "nuts")


class DrawnParameters(abc.ABC):
    """A `Learner` whose posterior samples are parameters that are drawn. All else is that learner's.

    **Arguments:**

    - `learner`: of a network without weights that are random, and one posterior sample.
    - `config`: of the run.
    - `kind`: one of `KINDS`.
    - `own`: the arrays of the Gaussian, by name; they are changed in place.

    **Raises:** `InputError` for several processes.
    """

    called: str
    """The method, in sentences."""
    missing: str
    """Why there is no Gaussian yet, in a sentence."""

    def __init__(self, learner: Learner, config: TrainConfig, kind: str, own: dict[str, np.ndarray]) -> None:
        if learner.ranks > 1:
            raise InputError(f"model={config.model!r} trains in one process, and there are {learner.ranks}.")
        self._learner, self._samples = learner, config.test_samples
        self._prefix, self._own = f"{AVERAGE}{kind}/", own

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_learner":
            raise AttributeError(name)
        return getattr(self._learner, name)

    @property
    @abc.abstractmethod
    def known(self) -> bool:
        """Whether there is a Gaussian."""

    @abc.abstractmethod
    def draw(self, sample: int, average: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The averaged parameters of a posterior sample, the same ones at each call.

        **Arguments:**

        - `sample`: its number.
        - `average`: the learner's own averaged parameters.
        """

    def state(self) -> dict[str, np.ndarray]:
        return self._learner.state() | {self._prefix + name: array.copy() for name, array in self._own.items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self._load(state, self._learner.load_state)

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        self._load(average, self._learner.load_average)

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        if not self.known:
            warnings.warn(
                f"{self.missing}, so there is no Gaussian yet and all posterior samples are alike.", stacklevel=2
            )
            return np.repeat(self._learner.outputs(x), self._samples, axis=0)
        average, found = self._average(), []
        try:
            for sample in range(self._samples):
                self._learner.load_average(self.draw(sample, average))
                found.append(self._learner.outputs(x))
        finally:
            self._learner.load_average(average)
        return np.concatenate(found)

    # Its samples are parameters of one and the same network.
    def drawn_networks(self) -> None:
        return None

    def draw_network(self, seed: int) -> None:
        """**Raises:** `InputError`."""
        raise InputError(
            f"The posterior samples of {self.called} are parameters that one network takes in turn, so none can be "
            "drawn alone: predict with the posterior."
        )

    def _average(self) -> dict[str, np.ndarray]:
        """Of the learner alone."""
        return {name: array for name, array in self._learner.state().items() if name.startswith(AVERAGE)}

    def _load(self, arrays: Mapping[str, np.ndarray], load: Callable[[Mapping[str, np.ndarray]], None]) -> None:
        own = {name.removeprefix(self._prefix): array for name, array in arrays.items() if self._is_own(name)}
        shapes = {name: array.shape for name, array in own.items()}
        if shapes != {name: array.shape for name, array in self._own.items()}:
            raise InputError(f"The parameters are not those of a run of {self.called} of this network.")
        load({name: array for name, array in arrays.items() if not self._is_own(name)})
        for name, array in self._own.items():
            array[...] = own[name]

    def _is_own(self, name: str) -> bool:
        return name.startswith(self._prefix)


def refuse_validation(config: TrainConfig, fitted: str) -> None:
    """**Raises:** `InputError` for a validation split, which chooses a step.

    **Arguments:**

    - `fitted`: what the model's Gaussian is fitted to, or when, in a sentence about the model.
    """
    if config.validation:
        raise InputError(
            f"model={config.model!r} {fitted}, and validation={config.validation:g} would keep the parameters of a "
            "step before; take validation=0."
        )


def is_moment(name: str) -> bool:
    """Whether an array of a state, or of one of several members, is of such a Gaussian and no network's parameter."""
    return not set(KINDS).isdisjoint(name.split("/"))
