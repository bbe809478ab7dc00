import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import stats

from sdebnn import plots
from sdebnn.data import Dataset
from sdebnn.frameworks import build_learner
from sdebnn.runs import RunFolder
from sdebnn.training import Fitted, pictures, start_run

DRAWN = True


@pytest.mark.parametrize(
    ("framework", "task", "choices", "files"),
    [
        ("jax", "classification", {}, ["reliability", "training_curves", "weight_paths"]),
        ("torch", "classification", {"model": "meanfield_odenet"}, ["reliability", "training_curves"]),
        (
            "torch", "regression", {"members": 2},
            ["interval_calibration", "predictive_intervals", "training_curves", "weight_paths"],
        ),
    ],
)  # fmt: skip
def test_a_run_is_drawn_into_its_folder(framework, task, choices, files, quick, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    if framework == "torch":
        pytest.importorskip("torchsde")
    x = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)
    y, classes = (x, None) if task == "regression" else ((x[:, 0] > 0).astype(np.int32), 2)
    config = dataclasses.replace(quick, framework=framework, **choices)
    with jax.numpy_dtype_promotion("standard"):
        run = start_run(build_learner, config, tmp_path / "run", dataset=Dataset("few", task, x, y, x, y, classes))
    drawn = sorted(run.folder.pictures.iterdir())
    assert [file.name for file in drawn] == [f"{name}.png" for name in files]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in drawn)


@pytest.mark.parametrize(
    ("parameters", "epochs", "paths"), [(1000, 2, 8), (10**6, 2, 1), (10**6, 180, 3), (10**6, 10_000, 8)]
)
def test_weight_paths_cost_a_tenth_of_training_or_a_moment(build, quick, table, parameters, epochs, paths) -> None:
    learner = build(quick, table)
    learner.average = np.zeros(parameters)
    config = dataclasses.replace(quick, epochs=epochs)
    assert pictures._paths(config, table, learner) == paths
    # 100 steps of the solver a path; three gradient steps an epoch, of two steps that count three times.
    assert paths * 100 * parameters <= max(pictures.CHEAP, 3 * epochs * 2 * 3 * parameters / 10)


@pytest.fixture
def noisy(build, quick, table):
    """A learner of two targets, each with noise of scale 0.5 about the network's outputs."""

    def said(method, outputs, targets=None):
        if method == "cdf":
            return stats.norm.cdf((targets - outputs) / 0.5)
        return {"mean": outputs, "variance": np.full(outputs.shape, 0.25)}[method]

    learner = build(quick, table)
    learner.of_likelihood = said
    return learner


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple]:
    """What was drawn of real targets, by the picture."""
    found: dict[str, tuple] = {}
    monkeypatch.setattr(plots, "draw_training_curves", lambda *_, **__: None)
    for name in ("draw_interval_calibration", "draw_predictive_intervals"):
        monkeypatch.setattr(plots, name, lambda *values, path, name=name: found.update({name: (*values, path.name)}))
    return found


def test_of_real_targets_the_intervals_and_their_calibration_are_drawn(drawn, noisy, quick, tmp_path) -> None:
    rng = np.random.default_rng(0)
    x, y, outputs = rng.normal(size=(9, 2)), rng.normal(size=(9, 2)), rng.normal(size=(3, 9, 2))
    x, y = x.astype(np.float32), y.astype(np.float32)
    data = Dataset("targets", "regression", x, y, x, y, None)
    run = RunFolder.create(tmp_path / "run")
    pictures.draw_run(run, quick, data, noisy, Fitted(outputs.astype(np.float32), {}, 0.0))
    pits, file = drawn["draw_interval_calibration"]
    assert file == "interval_calibration.png"
    np.testing.assert_allclose(pits["sdebnn"], stats.norm.cdf((y - outputs) / 0.5).mean(axis=0), rtol=1e-5)
    targets, mean, lower, upper, file = drawn["draw_predictive_intervals"]
    assert file == "predictive_intervals.png"
    np.testing.assert_array_equal(targets, y)
    np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-5)
    for ends, share in ((lower, 0.025), (upper, 0.975)):
        np.testing.assert_allclose(stats.norm.cdf((ends - outputs) / 0.5).mean(axis=0), share, rtol=1e-3)


def test_a_mean_of_another_kind_than_the_targets_is_not_drawn(drawn, noisy, quick, tmp_path) -> None:
    x, y = np.ones((9, 2), np.float32), np.ones((9, 2), np.float32)
    data = Dataset("targets", "regression", x, y, x, y, None)
    pictures.draw_run(RunFolder.create(tmp_path / "run"), quick, data, noisy, Fitted(np.ones((3, 9, 1)), {}, 0.0))
    assert not drawn
