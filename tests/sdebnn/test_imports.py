"""What an import costs, and what it must not bring."""

import subprocess
import sys
from pathlib import Path

import pytest


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return set(out.split())


@pytest.mark.parametrize(
    "statement", ["import sdebnn", "import sdebnn.data, sdebnn.metrics, sdebnn.plots, sdebnn.runs", "import sdebnn.cli"]
)
def test_what_both_frameworks_share_imports_neither(statement: str) -> None:
    assert not {"jax", "torch", "matplotlib", "sklearn", "tensorboardX"} & modules_after(statement)


def test_a_run_folder_needs_nothing_that_windows_lacks(tmp_path: Path) -> None:
    code = f"""
import math, os, sys
sys.modules.update(fcntl=None, resource=None)
del os.sysconf
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.training.memory import process_memory, refuse_more_than_memory
run = RunFolder.create({str(tmp_path / "run")!r})
run.write_config({{}})
with run.held():
    assert math.isnan(process_memory())
    refuse_more_than_memory(TrainConfig(test_samples=2**32 - 1), 10, trained=1, scored=1)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_jaxsde_imports_nothing_of_sdebnn() -> None:
    modules = modules_after("import jaxsde")
    assert "jax" in modules
    assert not {"sdebnn", "torch", "diffrax", "optax"} & modules


def test_a_block_is_imported_without_what_trains_it() -> None:
    for framework, other in (("brax", "torch"), ("torchbnn", "jax")):
        modules = modules_after(f"from sdebnn.{framework} import SDEBNN")
        assert f"sdebnn.{framework}.weights.sdebnn_block" in modules
        assert not {other, "optax", "safetensors", "sdebnn.runs", "sdebnn.training"} & modules
