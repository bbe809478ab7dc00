"""A posterior on the workers of Dask: a table in parts, each predicted where it is."""

import os
from pathlib import Path

import numpy as np
import pytest

import sdebnn
from sdebnn.data import Dataset
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import start_run

distributed = pytest.importorskip("distributed")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")


def predicted(part, posterior):
    said = posterior.predict(part).to_frame("pandas").set_index(part.index)
    return said.assign(process=os.getpid(), built=id(posterior))


@pytest.mark.filterwarnings("default")
def test_a_table_is_predicted_by_two_workers_that_build_the_posterior_once(tmp_path: Path) -> None:
    import jax

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60), "z": rng.normal(size=60)})
    config = TrainConfig(epochs=2, batch_size=8, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=3)
    with jax.numpy_dtype_promotion("standard"):
        start_run(
            build_learner, config, tmp_path / "run", dataset=Dataset.from_frame(table.assign(y=table["x"] ** 2), "y")
        )
        posterior = sdebnn.load(tmp_path / "run")
        expected = posterior.predict(table).to_frame("pandas")
    meta = expected.iloc[:0].assign(process=0, built=0)
    parts = dd.from_pandas(table, npartitions=8)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        found = parts.map_partitions(predicted, posterior, meta=meta).compute()
    np.testing.assert_allclose(found[list(expected)].to_numpy(), expected.to_numpy(), rtol=1e-4, atol=1e-6)
    assert os.getpid() not in found["process"].tolist()
    # However many parts a worker takes, it has one posterior.
    assert len(set(zip(found["process"], found["built"], strict=True))) == found["process"].nunique()
