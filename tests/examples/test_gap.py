"""The picture of the README: doubt where there are no data, which a deterministic network does not have."""

import importlib.util
import pathlib

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "gap.py"


def test_the_interval_widens_in_the_gap_alone(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torchsde")
    spec = importlib.util.spec_from_file_location("gap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    picture = tmp_path / "gap.png"
    said = example.main(["--framework", "torch", "--max-iter", "300", "--output", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG")
    at = np.abs(np.linspace(-2.5, 2.5, 200))
    widened = {}
    for name, (_, low, high) in said.items():
        width = high - low
        widened[name] = width[at < 0.3].mean() / width[(at > 0.8) & (at < 1.9)].mean()
    assert widened["A deterministic network"] == pytest.approx(1)
    assert widened["An SDE-BNN"] > 2
