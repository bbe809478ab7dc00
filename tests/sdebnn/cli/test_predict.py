"""`sdebnn predict`, with both frameworks, without the training data."""

import csv
import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from sdebnn.cli import main
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder
from sdebnn.training import prediction_file

QUICK = (
    "--epochs 1 --max-steps 3 --batch-size 8 --width 4 --steps 2 --test-samples 3 --drift-widths 2 --accumulate 2 "
    "--scale 0"
)


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two runs on data that are then gone: labels in JAX, targets in PyTorch."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    with jax.numpy_dtype_promotion("standard"):
        for name, framework, y in (
            ("labels", "jax", (x[:, 0] > 0).astype(int)),
            ("targets", "torch", x[:, :2] + 0.1 * rng.normal(size=(40, 2))),
        ):
            np.savez(folder / "mine.npz", x=x, y=y)
            output = ["--output", str(folder / name), "--framework", framework]
            assert main(["train", "--data", str(folder / "mine.npz"), *output, *QUICK.split()]) == 0
            (folder / "mine.npz").unlink()
    return folder


def predict(runs: Path, tmp_path: Path, run: str, x: np.ndarray, output: str, *flags: str) -> int:
    np.savez(tmp_path / "new.npz", x=x)
    return main(["predict", str(runs / run), str(tmp_path / "new.npz"), "--output", str(tmp_path / output), *flags])


def test_labels_get_probabilities_entropy_and_mutual_information(runs, tmp_path) -> None:
    x = np.random.default_rng(1).normal(size=(5, 3))
    assert predict(runs, tmp_path, "labels", x, "out.npz") == 0
    made = dict(np.load(tmp_path / "out.npz"))
    assert {name: array.shape for name, array in made.items()} == {
        "label": (5,), "probabilities": (5, 2), "entropy": (5,), "mutual_information": (5,),
    }  # fmt: skip
    np.testing.assert_allclose(made["probabilities"].sum(axis=1), 1)
    assert (made["label"] == made["probabilities"].argmax(axis=1)).all()
    assert ((made["mutual_information"] >= 0) & (made["mutual_information"] <= made["entropy"])).all()
    assert predict(runs, tmp_path, "labels", x, "out.csv") == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["label", "probabilities_0", "probabilities_1", "entropy", "mutual_information"]
    np.testing.assert_array_equal([float(row["probabilities_1"]) for row in rows], made["probabilities"][:, 1])


def test_a_prediction_does_not_depend_on_what_is_predicted_beside_it(runs, tmp_path, monkeypatch) -> None:
    x = np.random.default_rng(1).normal(size=(7, 3))
    assert predict(runs, tmp_path, "targets", x, "all.npz") == 0
    monkeypatch.setattr("sdebnn.training.posterior.CHUNK", 3)
    assert predict(runs, tmp_path, "targets", x, "parts.npz") == 0
    whole, parts = (dict(np.load(tmp_path / name)) for name in ("all.npz", "parts.npz"))
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-5, err_msg=name)
    assert (whole["std"] > whole["epistemic_std"]).all()


def test_the_other_framework_predicts_too(runs, tmp_path) -> None:
    x = np.random.default_rng(1).normal(size=(5, 3))
    assert predict(runs, tmp_path, "targets", x, "torch.npz", "--test-samples", "200") == 0
    assert predict(runs, tmp_path, "targets", x, "jax.npz", "--test-samples", "200", "--framework", "jax") == 0
    torch, jax_ = (dict(np.load(tmp_path / name)) for name in ("torch.npz", "jax.npz"))
    # Other draws of the same law: means within four standard errors.
    error = 4 * np.hypot(torch["epistemic_std"], jax_["epistemic_std"]) / np.sqrt(200)
    assert (np.abs(torch["mean"] - jax_["mean"]) <= error).all()


@pytest.mark.parametrize(
    ("run", "choices", "other"),
    [
        ("labels", {"adjoint": "checkpoint", "snr": 1}, "torch"),
        ("labels", {"method": "reversible_heun", "adjoint": "stochastic"}, "torch"),
        ("labels", {"method": "sra1", "test_method": "midpoint"}, "torch"),
        ("targets", {"method": "euler"}, "jax"),
        ("targets", {"method": "midpoint", "adjoint": "stochastic", "rtol": 0.1, "adjoint_adaptive": 1}, "jax"),
    ],
)
def test_how_a_run_was_trained_is_no_matter_to_the_other_framework(
    run, choices, other, runs, tmp_path, with_choices
) -> None:
    shutil.copytree(runs / run, tmp_path / "run")
    with_choices(RunFolder(tmp_path / "run"), **choices)
    flags = ["--framework", other, *(["--rtol", "0"] if "rtol" in choices else [])]
    assert predict(tmp_path, tmp_path, "run", np.ones((2, 3)), "out.npz", *flags) == 0


@pytest.mark.parametrize(
    ("x", "output", "says"),
    [
        (np.zeros((4, 2)), "out.npz", "of shape (2,) each, but the run was trained on floating-point numbers"),
        (np.zeros((2, 8, 8), int), "out.npz", "uint8 of shape (8, 8, 1)"),
        (np.full((4, 3), np.nan), "out.npz", "NaN"),
        (np.zeros((0, 3)), "out.npz", "no inputs"),
        (np.zeros((4, 3)), "out.txt", "it takes .npz or .csv or .parquet"),
        (np.zeros((4, 3)), "missing/out.npz", "make it first"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(x, output, says, runs, tmp_path, capsys) -> None:
    assert predict(runs, tmp_path, "labels", x, output) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / output).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x_shape": [-1]}', '{"x_shape": "a", "x_dtype": 1}'])
def test_an_altered_task_is_refused(text: str, runs, tmp_path, capsys) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "config.json").write_text((runs / "labels" / "config.json").read_text())
    (copy / "task.json").write_text(text)
    assert predict(tmp_path, tmp_path, "run", np.zeros((4, 3)), "out.npz") == 2
    assert "task.json was truncated or altered" in capsys.readouterr().err
    assert json.loads((copy / "config.json").read_text())["data"].endswith("mine.npz")


def test_the_inputs_are_not_overwritten(runs, tmp_path, capsys) -> None:
    x = np.ones((2, 3))
    assert predict(runs, tmp_path, "labels", x, "new.npz") == 2
    assert "is the file of the inputs" in capsys.readouterr().err
    np.testing.assert_array_equal(np.load(tmp_path / "new.npz")["x"], x)


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_data_that_have_changed_since_are_refused(command: str, runs, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs / "labels", run)
    config = json.loads((run / "config.json").read_text())
    x = np.random.default_rng(5).normal(size=(40, 3)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=(x[:, 0] > 0).astype(int))
    (run / "config.json").write_text(json.dumps(config | {"data": str(tmp_path / "mine.npz")}))
    assert main([command, "--resume", str(run)] if command == "train" else [command, str(run)]) == 2
    assert "is of other examples than the run's data" in capsys.readouterr().err


def test_outputs_that_cannot_be_files_are_refused_before_any_work(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match=r"pipe\.csv is a folder, a pipe or a device; give the name of a file"):
        prediction_file.check_output(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="is too long: a name may have 255 bytes"):
        prediction_file.check_output(tmp_path / ("ü" * 126 + ".csv"))
    prediction_file.check_output(tmp_path / ("ü" * 125 + ".csv"))
