"""One network of a posterior, drawn: a function of its inputs alone."""

import threading
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from sdebnn.data import to_float
from sdebnn.data.frames import Table
from sdebnn.errors import InputError
from sdebnn.training.learner import Exportable
from sdebnn.training.predictions import doubles
from sdebnn.training.task import Task

# Standard deviations that targets are from their mean at most, and in which numbers of a file may be apart.
FAR, FINE = 100.0, 1e-2


class PlainNetwork:
    """One network whose weights were drawn from a posterior. Called with examples it gives the expected targets (n, d)
    in the user's units, or the probabilities of the labels (n, classes); always the same. `Posterior.draw` makes it.
    """

    def __init__(
        self,
        task: Task,
        layout: str,
        network: Exportable,
        shift: Float[np.ndarray, " d"],
        scale: Float[np.ndarray, " d"],
        lock: threading.Lock,
    ) -> None:
        self._task, self._layout, self._network = task, layout, network
        self._shift, self._scale, self._lock = shift, scale, lock

    def __call__(self, x: Table) -> Float[np.ndarray, "n d"]:
        """**Raises:** `InputError` for inputs unlike those of training."""
        inputs = self.inputs(x)
        with self._lock:
            said = doubles(self._network.of_likelihood("mean", self._network.outputs(inputs)))
        return self._shift + self._scale * said[0]

    def inputs(self, x: Table) -> Float32[np.ndarray, "n ..."]:
        """What an exported network takes of these examples. **Raises:** `InputError` as a call."""
        return to_float(self._task.inputs(x, self._layout))

    def export(self, path: str | Path) -> None:
        """Writes the network as a file that needs nothing of this package. It takes what `inputs` gives, any number
        of examples at once, and gives what a call gives, in single precision.

        **Arguments:**

        - `path`: in JAX it ends in `.jax`, for `jax.export.deserialize`; in PyTorch in `.pt2`, for `torch.export.load`,
          or in `.onnx`. Images are (n, channels, height, width) in PyTorch.

        **Raises:** `InputError` for another suffix, for a format whose packages are missing, and for targets whose
        units single precision has no numbers for; `StorageError` when it cannot be written.
        """
        self._refuse_units()
        example = to_float(self._task.placeholder().x_train[:1])
        with self._lock:
            self._network.export(Path(path), example, self._shift, self._scale)

    def _refuse_units(self) -> None:
        shift, scale = (np.abs(part).astype(np.float64) for part in (self._shift, self._scale))
        numbers = np.finfo(np.float32)
        strange = (scale < numbers.tiny) | (shift + FAR * scale > numbers.max) | (shift * numbers.eps > FINE * scale)
        if strange.any():
            place = int(strange.argmax())
            raise InputError(
                f"The file would give targets in single precision, which has too few numbers for target {place}, "
                f"{self._shift[place]:g} on average with a standard deviation of {self._scale[place]:.3g}; train on "
                "targets less their mean, or in another unit."
            )
