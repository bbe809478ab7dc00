"""What an import costs, and what it must not bring."""

import subprocess
import sys

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


def test_jaxsde_imports_nothing_of_sdebnn() -> None:
    modules = modules_after("import jaxsde")
    assert "jax" in modules
    assert not {"sdebnn", "torch", "diffrax", "optax"} & modules
