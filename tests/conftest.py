"""The strict lane: errors for implicit promotion, one CPU that JAX sees as four devices, one thread a worker."""

import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

import pathlib

import pytest


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """The folder of real data sets that SDEBNN_DATA names; a test that needs it is skipped without it."""
    folder = os.environ.get("SDEBNN_DATA")
    if not folder:
        pytest.skip("real data sets are needed: set SDEBNN_DATA to a folder that holds them")
    return pathlib.Path(folder)


@pytest.fixture
def x64():
    """Runs one test in double precision."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True, scope="module")
def programs_of_one_file():
    """What JAX compiled for one file of tests is let go of after it: kept, it is gigabytes by the end."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
