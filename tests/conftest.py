"""The strict lane: errors for implicit promotion, one CPU that JAX sees as four devices, one thread a worker."""

import ctypes
import gc
import os
import resource
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

import pathlib
from collections.abc import Iterator

import checker
import forked
import pytest

checker.share_checks()

# Folders and files whose programs are compiled in these processes as they are for a user.
OPTIMISED = ("examples",)
# Bytes by which a process may grow before it lets go of programs, and those that it had then.
MOST = 500_000_000
KEPT = {"bytes": 0}
LONGEST = ("test_kill.py", "test_processes.py", "test_code_blocks.py", "test_wheel.py", "test_soak.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes a minute or more comes first, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """The folder of real data sets that SDEBNN_DATA names; a test that needs it is skipped without it."""
    folder = os.environ.get("SDEBNN_DATA")
    if not folder:
        pytest.skip("real data sets are needed: set SDEBNN_DATA to a folder that holds them")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def interpreter() -> Iterator[forked.Interpreter]:
    """Starts programs without importing their libraries anew, for tests to which a fresh process is no matter."""
    with forked.Interpreter() as started:
        yield started


@pytest.fixture
def x64():
    """Runs one test in double precision."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked(monkeypatch):
    """Without the checker of types at run time, which most users do not have: it would be the first to refuse, and it
    takes longer than a step of PyTorch.
    """
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)


@pytest.fixture(autouse=True, scope="module")
def how_programs_are_compiled(request: pytest.FixtureRequest):
    """Most programs of tests take seconds to compile and run for a moment: XLA leaves most of its optimisations out.
    Processes that tests start as a user does, with the libraries still to import, optimise.
    """
    if "jax" in sys.modules:
        quickly = {request.path.name, request.path.parent.name}.isdisjoint(OPTIMISED)
        sys.modules["jax"].config.update("jax_disable_most_optimizations", quickly)


@pytest.fixture(autouse=True)
def not_too_many_programs():
    """What was compiled is let go of when it has become much: kept, it is gigabytes by the end. After each file it
    would take longer: all objects are gone over for it, and what the next file needs too is read from the disk.
    """
    yield
    if resident() > KEPT["bytes"] + MOST:
        let_go_of_programs()


def let_go_of_programs() -> None:
    """The allocator of glibc has to be asked to give the memory back: the holes between what stays are most of it."""
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)
    KEPT["bytes"] = resident()


def resident() -> int:
    """Bytes of memory that this process holds; 0 where nothing tells."""
    pages = pathlib.Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() if pages.exists() else 0
