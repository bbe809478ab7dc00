import dataclasses
import importlib

import jax
import pytest

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.training.building import built


@pytest.mark.parametrize("framework", ["sdebnn.brax", "sdebnn.torchbnn"])
def test_a_network_that_does_not_fit_into_memory_is_refused(framework: str, table: Dataset, quick) -> None:
    """It has 4 TB of weights."""
    if framework == "sdebnn.torchbnn":
        pytest.importorskip("torchsde")
    build_learner = importlib.import_module(framework).build_learner
    config = dataclasses.replace(quick, width=10**6)
    with (
        jax.numpy_dtype_promotion("standard"),
        pytest.raises(InputError, match=r"more weights than fit into memory.*a smaller width \(now 1000000\)"),
    ):
        built(build_learner, config, table)


@pytest.mark.parametrize("error", [MemoryError("64 GiB"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory")])
def test_every_way_to_say_so_is_understood(error: Exception, table: Dataset, quick) -> None:
    def fails(config, dataset):
        raise error

    with pytest.raises(InputError, match=r"more weights than fit into memory \(.*(64 GiB|Out of memory)\)"):
        built(fails, quick, table)


def test_other_errors_stay_what_they_are(table: Dataset, quick) -> None:
    def fails(config, dataset):
        raise RuntimeError("the device is gone")

    with pytest.raises(RuntimeError, match="the device is gone"):
        built(fails, quick, table)
