"""The commands of the reference documentation, word for word, on few steps."""

import json
from pathlib import Path

import pytest
from forked import Interpreter

ROOT = Path(__file__).parents[2]
SCRIPT = "examples/jax/sdebnn_classification.py"
QUICK = ["--max_steps", "2", "--bs", "8", "--test_samples", "1"]


@pytest.mark.parametrize(
    ("flags", "model"),
    [
        (["--model", "sdenet", "--stl", "--remat", "--nsteps", "2", "--fw_dims", "2-4-2"], "sdebnn"),
        (["--model", "resnet", "--meanfield_sdebnn", "--acc_grad"], "meanfield_resnet32"),
    ],
)
def test_reference_flags_train_the_network_that_they_name(
    tmp_path: Path, flags: list[str], model: str, interpreter: Interpreter
) -> None:
    done = interpreter.run(
        SCRIPT,
        "--output",
        str(tmp_path / "run"),
        "--ds",
        "digits",
        "--fx_dim",
        "4",
        *QUICK,
        *flags,
        cwd=ROOT,
        drawn=False,
    )
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"] == model
    assert config["width"] == 4
    assert (config["kl_estimator"], config["adjoint"]) == (
        ("stl", "checkpoint") if "--stl" in flags else ("analytic", "backprop")
    )
    assert config["accumulate"] == (2 if "--acc_grad" in flags else 1)
    assert model in done.stdout


def test_a_wrong_choice_is_one_sentence(tmp_path: Path, interpreter: Interpreter) -> None:
    wrong = ("--ds", "digits", "--diff_coef", "0")
    done = interpreter.run(SCRIPT, "--output", str(tmp_path / "run"), *wrong, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("sigma=0.0 is not allowed: it takes a number above 0.")
    assert not (tmp_path / "run").exists()
