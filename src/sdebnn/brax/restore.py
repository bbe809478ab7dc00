"""A finished run, read back from its folder."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from sdebnn import data
from sdebnn.brax.arrays import from_named_arrays
from sdebnn.brax.bayesian import Params
from sdebnn.brax.evaluation import report
from sdebnn.brax.model import Model, build_model
from sdebnn.brax.training import EVALUATE
from sdebnn.data import Dataset
from sdebnn.runs import RunFolder, TrainConfig, checkpoint


class Restored(NamedTuple):
    """A trained model with its averaged parameters, the choices of its run and the data that it was made for."""

    config: TrainConfig
    dataset: Dataset
    model: Model
    params: Params

    def score(self) -> dict[str, float]:
        """The scores on the test data; with unchanged choices, those that training ended with."""
        rng = jax.random.fold_in(jax.random.key(self.config.seed), EVALUATE)
        outputs = self.model.sampler(self.config.test_samples)(self.params, self.dataset.x_test, rng)
        return report(self.model, self.params, outputs, self.dataset.y_test)


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
