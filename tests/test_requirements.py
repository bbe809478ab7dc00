"""What `pip install -r requirements.txt` installs."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_both_frameworks_are_installed_at_versions_that_the_gate_has_passed() -> None:
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == ["--constraint constraints.txt", "--editable .[jax,torch,plots,tables,tensorboard]"]
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for extra in ("jax", "torch", "plots", "tables", "tensorboard"):
        # A plain requirement of torch would bring gigabytes that no CPU needs.
        assert {requirement.partition(">")[0].lower() for requirement in offered[extra]} <= pinned
