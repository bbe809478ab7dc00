"""One training run from its choices to a finished run folder; and a finished run, read back."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from sdebnn import data
from sdebnn.brax import pictures
from sdebnn.brax.arrays import from_named_arrays
from sdebnn.brax.bayesian import Params
from sdebnn.brax.evaluation import report
from sdebnn.brax.model import Model, build_model
from sdebnn.brax.training import EVALUATE, Trained, train
from sdebnn.data import Dataset
from sdebnn.runs import RunFolder, TrainConfig, checkpoint


class Run(NamedTuple):
    """A run that has just ended: its folder, its choices, the data, the model and what training made of it."""

    folder: RunFolder
    config: TrainConfig
    dataset: Dataset
    model: Model
    trained: Trained


class Restored(NamedTuple):
    """A finished run, read back: its choices, the data, the model and its averaged parameters."""

    config: TrainConfig
    dataset: Dataset
    model: Model
    params: Params

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        """The outputs of `test_samples` posterior samples for inputs `x`; the same samples as at the end of
        training.
        """
        rng = jax.random.fold_in(jax.random.key(self.config.seed), EVALUATE)
        return self.model.sampler(self.config.test_samples)(self.params, x, rng)

    def score(self) -> dict[str, float]:
        """The scores on the test data; with unchanged choices, those that training ended with."""
        return report(self.model, self.params, self.outputs(self.dataset.x_test), self.dataset.y_test)


def start_run(config: TrainConfig, output: Path, *, data_dir: Path | None = None) -> Run:
    """Trains as `config` says and writes the run folder `output`; with matplotlib also its pictures.

    Data, model and folder are checked before anything is written.

    **Raises:** `InputError` for choices, data or a folder that cannot be used; `FloatingPointError` when training
    breaks down.
    """
    dataset = data.load(config.data, data_dir)
    model = build_model(config, dataset)
    folder = RunFolder.create(output)
    folder.write_config(config.to_json())
    trained = train(config, dataset, folder, model)
    if importlib.util.find_spec("matplotlib") is not None:
        pictures.draw_run(folder, config, dataset, trained)
    return Run(folder, config, dataset, model, trained)


def restore(folder: Path, *, data_dir: Path | None = None, changes: Mapping[str, Any] | None = None) -> Restored:
    """Reads a run folder's configuration and newest checkpoint.

    **Arguments:**

    - `folder`: of a finished run.
    - `data_dir`: the folder of data sets; see `sdebnn.data.load`.
    - `changes`: choices to change: those that leave the parameters as they are, such as `steps`, `method` and
      `test_samples`.

    **Raises:** `InputError` when the folder is not a run's, or its checkpoint does not fit the configuration.
    """
    run = RunFolder.open(folder)
    config = dataclasses.replace(TrainConfig.from_json(run.read_config()), **(changes or {}))
    dataset = data.load(config.data, data_dir)
    model = build_model(config, dataset)
    arrays, _ = checkpoint.load(checkpoint.latest(run.checkpoints))
    params = from_named_arrays(
        {name.removeprefix("average/"): array for name, array in arrays.items() if name.startswith("average/")},
        like=jax.eval_shape(model.init, jax.random.key(0)),
    )
    return Restored(config, dataset, model, params)
