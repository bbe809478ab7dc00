"""What the training loop needs of a framework."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, SupportsFloat, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from sdebnn.training.unseen_features import UnseenFeatures


class WeightPaths(NamedTuple):
    """Draws of a few weights of a network's first SDEBNN block over depth.

    `prior` is the mean and the standard deviation of each under the prior, (times, weights); `None` where the prior is
    not the OU process alone.
    """

    ts: Float[np.ndarray, " times"]
    paths: Float[np.ndarray, "draws times weights"]
    prior: tuple[Float[np.ndarray, "times weights"], Float[np.ndarray, "times weights"]] | None


@runtime_checkable
class Predictive(Protocol):
    """Posterior samples of a network, and what their likelihood says."""

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        """The outputs of the run's `test_samples` posterior samples, the same ones at each call, for inputs `x`."""

    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        """What the likelihood says under the averaged parameters, for each posterior sample's outputs: of the method
        `log_prob` (samples, n), of `mean`, `sample`, `variance` and `cdf` (samples, n, d). `None` where it has no such
        method.

        **Arguments:**

        - `targets`: (n, d), or labels (n,), for the methods that take them.
        - `seed`: from 0 to 2^32 - 1; draws are the same ones at each call with the same seed.
        """


@runtime_checkable
class Exportable(Predictive, Protocol):
    """Posterior samples of which the first can be written to a file."""

    def export(
        self,
        path: Path,
        example: Float32[np.ndarray, "1 ..."],
        shift: Float[np.ndarray, " d"],
        scale: Float[np.ndarray, " d"],
    ) -> None:
        """Writes the first network to a file: shift + scale * what the likelihood expects of its outputs.

        **Arguments:**

        - `path`: its suffix says the format.
        - `example`: of the inputs, whose numbers do not matter.
        - `shift`, `scale`: of the user's units.

        **Raises:** `InputError` for another suffix, and for a format whose packages are missing; `StorageError`.
        """


@runtime_checkable
class DrawnNetworks(Exportable, Protocol):
    """Posterior samples whose weights are drawn once, so that a prediction costs what their networks cost."""

    def together(self, others: Sequence["DrawnNetworks"]) -> Predictive:
        """These samples and those of others, whose models are the same but for their parameters, in this order."""

    def export(
        self,
        path: Path,
        example: Float32[np.ndarray, "1 ..."],
        shift: Float[np.ndarray, " d"],
        scale: Float[np.ndarray, " d"],
        unseen: UnseenFeatures | None = None,
    ) -> None:
        """As that of `Exportable`, with the part of features that no training example shows, added to the outputs."""


@runtime_checkable
class Learner(Predictive, Protocol):
    """A network in training. It holds the parameters, their running average, which predictions use, and the optimiser's
    state. All of its randomness is drawn from the run's seed and the number of the gradient step.

    Several processes may train together, each with a learner that takes its share of every batch.

    A learner may have `by_choices`: whether the run's choices alone describe its network, as they do for those of
    `build_learner`. It may have `drawn_networks()`: the same posterior samples with weights that are drawn once, a
    `Predictive`, or `None` for a network that draws only when it sees its inputs; and `draw_network(seed)`: one more,
    alone, as `Exportable`, or `None`.
    It may have `after_training()`: it fits what predictions need once the gradient steps are over, if that is not there
    yet, and returns what there is to log, by name.
    It may have `gather` too, which makes a `sdebnn.training.committee.Committee` of such networks.
    """

    rank: int
    """Which of the processes that train together this is, from 0; the first alone writes the run folder."""
    ranks: int
    """How many processes train together."""
    devices: int
    """How many devices, of all processes, take each gradient step together."""

    def largest_of_ranks(self, value: int) -> int:
        """The largest of the processes' values, at least 0; all of them call it."""

    def follow_first(self, step: int) -> int:
        """Every process takes the state of the first; all of them call it. Returns the first's `step`."""

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        """Changes the parameters by one gradient step, the `step`-th from 0.

        **Arguments:**

        - `x`, `y`: a batch, (slices, n, ...): equal slices that are taken one after the other, to save memory.

        **Returns:** `loss`, `nll`, `kl`, `gradient_norm` and what else there is to log, by name. Reading a number waits
        for the device.
        """

    def first_bad(self) -> int:
        """The first gradient step, counted from 1, whose loss or gradient was not finite; 0 while there is none."""

    def state(self) -> dict[str, np.ndarray]:
        """All that a gradient step changes, by name; the averaged parameters are those named `average/...`."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Goes back to a state. **Raises:** `InputError` when it is of another model."""

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        """Takes averaged parameters, named as in `state`. **Raises:** `InputError` when they are of another model."""

    def memory(self) -> float:
        """The most memory that the framework has held so far, in MiB: of its device, or of the process."""

    def weight_paths(self, ts: Float[np.ndarray, " times"], draws: int, weights: int) -> WeightPaths | None:
        """A few weights along `draws` posterior weight paths; `None` for a network without an SDEBNN block."""
