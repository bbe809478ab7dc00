"""The PyTorch commands of the reference documentation, on few steps."""

import importlib.util
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torchsde")
pytest.importorskip("matplotlib")

EXAMPLES = Path(__file__).parents[2] / "examples" / "torch"


@pytest.fixture
def run(monkeypatch, capsys) -> Callable[..., tuple[Any, str]]:
    """Runs a script with these arguments in this process. Returns its exit code, and what is on standard error."""

    def run_script(script: str, *arguments: str) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / f"{script}.py"), run_name="__main__")
        return ended.value.code, capsys.readouterr().err

    return run_script


def test_the_classification_command(run, tmp_path: Path) -> None:
    flags = "--data digits --dt 0.05 --method midpoint --adjoint True --inhomogeneous True --max-steps 2 --batch-size 8"
    small = "--width 3 --augment 1 --test-samples 1 --drift-widths 2"
    arguments = ("--train-dir", str(tmp_path / "run"), *flags.split(), *small.split())
    assert run("sdebnn_classification", *arguments)[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    chosen = {name: config[name] for name in ("framework", "steps", "method", "adjoint", "layer", "test_examples")}
    assert chosen == {
        "framework": "torch", "steps": 20, "method": "midpoint", "adjoint": "stochastic", "layer": "concat",
        "test_examples": 100,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--dt", "0.3"], "a whole number of steps has to make 1"),
        (["--dt", "-1"], "a whole number of steps has to make 1"),
        (["--rtol", "0.1"], "add --adaptive True"),
        (
            ["--data", "digits", "--adjoint", "False", "--adaptive", "True", "--adjoint_adaptive", "True"],
            "takes --adaptive",
        ),
        (["--data", "digits", "--adjoint_adaptive", "True"], "--adjoint_adaptive True takes --adaptive True"),
        (["--data", "digits", "--adaptive", "True", "--rtol", "0", "--atol", "0"], "takes a tolerance"),
        (["--data", "digits", "--inhomogeneous", "True", "--layer", "ignore"], "does not go with --layer ignore"),
        (["--data", "digits", "--dt", "1e-320"], "a whole number of steps"),
        (["--data", "digits", "--dt", "1e-6"], "steps=1000000 is not allowed: it takes at most 100000"),
        (["--data", "cifra10"], "did you mean 'cifar10'"),
        (["--data", "digits", "--method", "srk4"], "torchsde takes euler"),
    ],
)
def test_what_does_not_fit_is_a_sentence_and_leaves_nothing(run, flags, says, tmp_path: Path) -> None:
    code, sentence = run("sdebnn_classification", "--train-dir", str(tmp_path / "run"), *flags)
    assert code == 2
    assert says in sentence
    assert sentence.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_toy_command_draws(run, tmp_path: Path) -> None:
    flags = "--ds b40gap --diff_const 0.2 --prior_dw ou --num_samples 5 --stl --iters 3 --nsteps 2"
    assert run("sdebnn_toy1d", "--output_dir", str(tmp_path), *flags.split())[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b40gap", "b40gap.png"]


def test_the_posterior_is_wide_in_the_gap_and_narrow_on_the_data(unchecked) -> None:
    from sdebnn.cli.toy import parse_toy_flags
    from sdebnn.data import load
    from sdebnn.training.toy_problem import fit_and_sample

    spec = importlib.util.spec_from_file_location("torch_toy", EXAMPLES / "sdebnn_toy1d.py")
    assert spec is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    dataset = load("b40gap")
    flags = "--ds b40gap --iters 300 --num_samples 64 --nsteps 5 --train_samples 2"
    options = parse_toy_flags(flags.split())
    x, predictives = fit_and_sample(dataset, lambda p: example.functions(p, options, lambda step, values: None))
    inputs = dataset.x_train[:, 0]
    prior, posterior = (predictives[f"Predictive {name}"].std(axis=0) for name in ("prior", "posterior"))
    on_data = np.interp(inputs, x, posterior)
    assert posterior[np.abs(x) < 0.6].mean() > 2 * on_data.mean()
    assert on_data.mean() < 0.25 * np.interp(inputs, x, prior).mean()
    error = np.interp(inputs, x, predictives["Predictive posterior"].mean(axis=0)) - dataset.y_train[:, 0]
    assert np.sqrt(np.mean(error**2)) < 3.6  # Noise is 3.
