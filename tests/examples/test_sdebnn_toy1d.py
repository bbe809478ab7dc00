"""The example of figure 3: it draws, can be run again, refuses in sentences, and knows what it has not seen."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from sdebnn.cli.toy import parse_toy_flags
from sdebnn.data import load
from sdebnn.runs import MetricsLog, RunFolder
from sdebnn.training.toy_problem import fit_and_sample

pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parents[2] / "examples" / "jax" / "sdebnn_toy1d.py"
SPEC = importlib.util.spec_from_file_location("sdebnn_toy1d", SCRIPT)
assert SPEC is not None
example = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(example)


SMALL = ["--iters", "3", "--nsteps", "2", "--fx_dim", "4", "--fw_dim", "4", "--num_samples", "3"]


def fit(*flags):
    """What the example does with these flags, without a log."""
    options = parse_toy_flags(flags)
    return lambda problem: example.functions(problem, options, lambda step, values: None)


@pytest.fixture(autouse=True)
def as_a_user_runs_it():
    """Optax does not pass this suite's strict lane."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_it_draws_and_logs_and_the_same_command_can_be_given_again(tmp_path, capsys):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    command = ["--ds", "cos2", "--output", str(tmp_path / "new"), "--diff_const", "0.2", "--stl", *SMALL]
    for _ in range(2):
        assert example.main(command) == 0
        assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["cos2", "cos2.png"]
        (record,) = MetricsLog.read(RunFolder(tmp_path / "new" / "cos2"))
        assert record["step"] == 3
        assert np.isfinite([record[name] for name in ("loss", "nll", "kl")]).all()
    events = accumulator.EventAccumulator(str(tmp_path / "new" / "cos2" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [3]
    assert f"The picture is {tmp_path / 'new' / 'cos2.png'}" in capsys.readouterr().out


def test_what_cannot_be_used_is_answered_in_a_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert example.main(["--output", str(tmp_path / "file" / "inside"), *SMALL]) == 2
    assert "inside can't be made (Not a directory); choose one that can be written." in capsys.readouterr().err
    (tmp_path / "file").unlink()
    for flag in ("--diff_const", "--noise", "--kl_coef", "--lr", "--ou_rate"):
        for value in ("-1", "nan", "inf", *(() if flag == "--kl_coef" else ("0",))):
            assert example.main([flag, value, "--output", str(tmp_path / "refused")]) == 2
            assert f"{value} is not allowed: it takes" in capsys.readouterr().err
    assert example.main(["--seed", str(2**32)]) == 2
    assert example.main(["--ds", "sine"]) == 2
    assert example.main(["--num_sample", "3"]) == 2
    assert "did you mean '--num_samples'" in capsys.readouterr().err
    assert example.main(["--iters", "0"]) == 2
    assert "--iters: 0 is not allowed: it takes 1 to" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "gap", "noise"),
    [pytest.param("cos", 0.3, 0.1, id="cos"), pytest.param("b40gap", 0.6, 3.0, id="b40gap")],
)
def test_the_posterior_is_wide_in_the_gap_narrow_on_the_data_and_narrower_than_the_prior(name, gap, noise):
    dataset = load(name)
    x, predictives = fit_and_sample(dataset, fit("--ds", name, "--iters", "1000", "--num_samples", "64"))
    inputs, targets = dataset.x_train[:, 0], dataset.y_train[:, 0]
    prior, posterior = (predictives[f"Predictive {of}"].std(axis=0) for of in ("prior", "posterior"))
    on_data = np.interp(inputs, x, posterior)
    assert posterior[np.abs(x) < gap].mean() > 2 * on_data.mean()
    assert on_data.mean() < noise
    assert on_data.mean() < 0.25 * np.interp(inputs, x, prior).mean()
    error = np.interp(inputs, x, predictives["Predictive posterior"].mean(axis=0)) - targets
    assert np.sqrt(np.mean(error**2)) < 1.2 * noise


def test_the_prior_is_not_learned():
    """Parameters move the posterior alone: the same key gives the same functions of the prior before and after."""
    before, after = (fit_and_sample(load("b20"), fit(*SMALL[2:], "--iters", n))[1] for n in ("1", "20"))
    np.testing.assert_allclose(before["Predictive prior"], after["Predictive prior"], rtol=1e-5)
    assert not np.allclose(before["Predictive posterior"], after["Predictive posterior"], rtol=1e-3)
