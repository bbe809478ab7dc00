"""Runs that older versions began are read, predict what they did, and go on to where they went."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import softmax

import sdebnn
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.training import restore, resume_run

FOLDER = Path(__file__).with_name("runs")
RUNS = sorted(file.stem for file in FOLDER.glob("*.json"))

# By draws of other paths, which are so near their mean: their layers had not yet keys of their own.
OTHER_DRAWS = {"2ab1119-jax": 0.03}


@pytest.fixture(autouse=True)
def as_optax_needs_it() -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdebnn.training.pictures.draw_run", lambda *_: None)


def copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER / name, tmp_path / "run"))


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_before_is_read_predicts_and_goes_on(name: str, tmp_path: Path) -> None:
    if name.endswith("torch"):
        pytest.importorskip("torch").set_num_threads(1)
    folder, recorded = copied(name, tmp_path), json.loads((FOLDER / f"{name}.json").read_text())
    data, off = recorded["data"], OTHER_DRAWS.get(name, 2e-5)
    moved: dict[str, Any] = {"data": FOLDER / "table.csv"} if data == "table" else {}
    x, before, after = (np.array(recorded[what]) for what in ("inputs", "before", "after"))
    # What is right about the one is wrong about the other, but of runs that were at their end.
    assert data == "table" or np.abs(before - after).max() > 3 * off

    restored = restore(build_learner, folder, **moved)
    x = x.astype(restored.dataset.x_train.dtype)
    np.testing.assert_allclose(restored.outputs(x), before, rtol=0, atol=off)
    prediction = sdebnn.load(folder).predict(x)
    if data == "cos":
        np.testing.assert_allclose(prediction.mean, before[..., :1].mean(axis=0), rtol=0, atol=off)
    else:
        np.testing.assert_allclose(prediction.probabilities, softmax(before, axis=2).mean(axis=0), rtol=0, atol=off)

    resume_run(build_learner, folder, **moved)
    np.testing.assert_allclose(restore(build_learner, folder, **moved).outputs(x), after, rtol=0, atol=off)


def test_of_a_run_that_kept_a_record_of_its_data_it_is_asked_for(tmp_path: Path) -> None:
    folder = copied("2b8eb9c-jax", tmp_path)
    (folder / "task.json").unlink()
    for read in (lambda: restore(build_learner, folder), lambda: sdebnn.load(folder)):
        with pytest.raises(InputError, match=r"task.json can't be read"):
            read()
