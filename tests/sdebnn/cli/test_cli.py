"""The command line as a person meets it: what it writes, what it refuses, and that it repeats itself."""

import contextlib
import dataclasses
import gzip
import io
import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import pytest

import sdebnn
from sdebnn.cli import main
from sdebnn.cli.train import config_of
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.runs.papers import of_paper

QUICK = [
    "--epochs",
    "1",
    "--max-steps",
    "3",
    "--batch-size",
    "8",
    "--width",
    "4",
    "--steps",
    "2",
    "--test-samples",
    "2",
    "--drift-widths",
    "2",
]


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def printed_and_run(tmp_path_factory) -> tuple[str, pathlib.Path]:
    """What training on digits printed, and its folder; of another seed than that by default."""
    folder, printed = tmp_path_factory.mktemp("digits") / "run", io.StringIO()
    with jax.numpy_dtype_promotion("standard"), contextlib.redirect_stdout(printed):
        assert main(["train", "--output", str(folder), "--seed", "3", *QUICK]) == 0
    return printed.getvalue(), folder


@pytest.fixture
def printed(printed_and_run, tmp_path) -> str:
    """What training on digits printed; a copy of its run is in the folder of the test."""
    shutil.copytree(printed_and_run[1], tmp_path / "run")
    return printed_and_run[0]


def scores(folder: pathlib.Path) -> dict[str, float]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()][-1]


def test_train_then_evaluate_gives_the_same_numbers(printed, tmp_path, capsys, data_dir) -> None:
    code, again, _ = run(capsys, "evaluate", str(tmp_path / "run"))
    assert code == 0
    accuracy_row = printed.splitlines()[1].split()[:6]
    assert again.splitlines()[1].split()[:6] == accuracy_row
    code, _, _ = run(capsys, "evaluate", str(tmp_path / "run"), "--test-steps", "3", "--test-samples", "1")
    assert code == 0
    strange = ("--ood", "smooth_textures,kmnist")
    code, _, said = run(capsys, "evaluate", str(tmp_path / "run"), *strange, "--data-dir", str(data_dir))
    assert code == 2
    assert "ask for them to be resized (--resize 1)" in said
    for flags in (("--ood", ""), ("--resize", "1")):
        code, _, said = run(capsys, "evaluate", str(tmp_path / "run"), *flags)
        assert (code, said.count("\n")) == (2, 1)
        assert "--ood names no set of images" in said
    code, _, said = run(capsys, "evaluate", str(tmp_path / "run"), "--shift", "rotat")
    assert (code, said.count("\n")) == (2, 1)
    assert "did you mean 'rotate'" in said
    code, printed, _ = run(
        capsys, "evaluate", str(tmp_path / "run"), *strange, "--resize", "1", "--data-dir", str(data_dir),
        "--shift", "rotate",
    )  # fmt: skip
    assert code == 0
    lines = printed.splitlines()
    shifted = [line.split() for line in lines[-6:]]
    assert shifted[0] == ["accuracy", "nll", "ece"]
    assert [row[:2] for row in shifted[1:]] == [["rotate", str(severity)] for severity in range(1, 6)]
    assert float(shifted[-1][2]) < float(accuracy_row[1])
    scores = [line.split() for line in lines[-9:-6]]
    assert scores[0] == ["auroc", "average_precision", "fpr95", "auroc_mutual_information"]
    assert [row[0] for row in scores[1:]] == ["smooth_textures", "kmnist"]


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(printed, tmp_path, capsys) -> None:
    for name, seed in (("again", "3"), ("other", "4")):
        assert run(capsys, "train", "--output", str(tmp_path / name), "--seed", seed, *QUICK)[0] == 0
    a, b, c = (scores(tmp_path / name) for name in ("run", "again", "other"))
    for record in (a, b, c):
        del record["time"]
    assert a == b
    assert a != c


@pytest.mark.parametrize("model", ["odenet", "meanfield_odenet"])
def test_the_baselines_train_too(model: str, tmp_path, capsys) -> None:
    assert run(capsys, "train", "--model", model, "--output", str(tmp_path / "run"), *QUICK)[0] == 0
    assert 0 <= scores(tmp_path / "run")["accuracy"] <= 1


def test_a_run_is_evaluated_from_another_folder(tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    x = np.linspace(-1, 1, 18).reshape(9, 2)
    np.savez(tmp_path / "mine.npz", x=x, y=np.arange(9) % 2)
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "train", "--data", "mine.npz", "--output", "run", *QUICK)[0] == 0
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(capsys, "evaluate", "../run")[0] == 0


def test_a_table_of_one_s_own_with_real_targets(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=(x[:, 0] + 0.1 * rng.normal(size=60)).astype(np.float32))
    assert run(capsys, "train", "--data", str(tmp_path / "mine.npz"), "--output", str(tmp_path / "run"), *QUICK)[0] == 0
    assert np.isfinite(scores(tmp_path / "run")["rmse"])


def save(path: pathlib.Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--data", "mnits"], "did you mean 'mnist'"),
        (["--model", "sdebn"], "did you mean 'sdebnn'"),
        (["--epochs", "0"], "1 or more"),
        (["--epochs", "two"], "a whole number"),
        (["--sigma", "-1"], "above 0"),
        (["--sigma", "lots"], "--sigma got 'lots'; it takes a number, or auto"),
        (["--sigma", "auto"], "is found by the examples that tuning='folds' holds out"),
        (["--blocks", "2-x"], "whole numbers joined by '-'"),
        (["--method", "eulr"], "euler_maruyama"),
        (["--layer", "concate"], "concat"),
        (["--activation", "sotfplus"], "softplus"),
        (["--squeeze", "4"], "divisible by 2"),
        (["--epoch-count", "3"], "'--epoch-count' is not a flag of sdebnn train"),
        (["--epoch", "3"], "did you mean '--epochs'"),
        (["--learning_rate=1"], "'--learning_rate' is not a flag of sdebnn train (did you mean '--learning-rate'?)"),
        (["more"], "sdebnn train does not take 'more'"),
        (["--devices", "many"], "many"),
        (["--config", "none.json"], "none.json"),
        (["--likelihood", "laplace"], "they take categorical"),
        (["--accumulate", "3"], "equal slices"),
        (["--augmentation", "flip"], "crop_flip"),
    ],
)
def test_bad_flags_are_one_line_exit_code_2_and_leave_nothing(flags, says, tmp_path, capsys) -> None:
    code, out, err = run(capsys, "train", "--output", str(tmp_path / "run"), *flags)
    assert (code, out) == (2, "")
    assert err.startswith("sdebnn: error: ")
    assert err.count("\n") == 1
    assert says in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("likelihood", ["gaussian", "cauchy"])
def test_outputs_that_become_nan_are_one_line_in_pytorch(likelihood: str, tmp_path, capsys) -> None:
    pytest.importorskip("torchsde")
    rng = np.random.default_rng(0)
    path = save(tmp_path / "mine.npz", x=rng.normal(size=(40, 3)), y=rng.normal(size=40))
    flags = ["--learning-rate", "1e8", "--warmup-steps", "0", "--schedule", "constant", "--likelihood", likelihood]
    given = [*QUICK, "--framework", "torch", "--data", path, "--output", str(tmp_path / "run"), *flags]
    code, _, err = run(capsys, "train", *given)
    assert code == 1
    assert "became NaN or infinite" in err.splitlines()[-1]
    assert "Traceback" not in err


IMAGES = np.zeros((12, 8, 8), np.float32)
LABELS = np.arange(12) % 3


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (IMAGES[:, None, None], LABELS, "shape"),
        (IMAGES, LABELS - 1, "-1"),
        (np.where(np.arange(12)[:, None, None] == 5, np.nan, IMAGES), LABELS, "NaN"),
        (IMAGES, LABELS[:7], "7"),
        (IMAGES.astype(object), LABELS, "x"),
    ],
)
def test_bad_data_are_one_line_exit_code_2_and_leave_nothing(x, y, says, tmp_path, capsys) -> None:
    path = save(tmp_path / "bad.npz", x=x, y=y)
    code, _, err = run(capsys, "train", "--data", path, "--output", str(tmp_path / "run"))
    assert code == 2
    assert err.count("\n") == 1
    assert says in err
    assert not (tmp_path / "run").exists()


def test_an_output_that_cannot_be_written_or_holds_another_run_is_refused(printed, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("mine")
    code, _, err = run(capsys, "train", "--output", str(tmp_path / "file" / "run"), *QUICK)
    assert code == 2
    assert str(tmp_path / "file") in err
    code, _, err = run(capsys, "train", "--output", str(tmp_path / "run"), *QUICK)
    assert code == 2
    assert str(tmp_path / "run") in err


def test_a_run_is_resumed_with_the_choices_that_it_was_started_with(printed, tmp_path, capsys) -> None:
    code, again, _ = run(capsys, "train", "--resume", str(tmp_path / "run"))
    assert code == 0
    assert again.splitlines()[1].split()[:6] == printed.splitlines()[1].split()[:6]
    code, _, err = run(capsys, "train", "--resume", str(tmp_path / "run"), "--train-samples", "2")
    assert code == 2
    assert "it takes no --train-samples" in err
    code, _, err = run(capsys, "train", "--resume", str(tmp_path / "none"))
    assert code == 2
    assert "is not the folder of a run" in err
    assert run(capsys, "train", "--resume", str(tmp_path / "run"), "--output", str(tmp_path / "b"))[0] == 2
    config = str(tmp_path / "run" / "config.json")
    code, _, err = run(capsys, "train", "--resume", str(tmp_path / "run"), "--config", config)
    assert code == 2
    assert "it takes no --config" in err


def test_a_run_is_repeated_from_its_config_and_flags_override_it(printed, tmp_path, capsys) -> None:
    config = ["--config", str(tmp_path / "run" / "config.json")]
    assert run(capsys, "train", "--output", str(tmp_path / "again"), *config)[0] == 0
    first, again = (scores(tmp_path / name) for name in ("run", "again"))
    assert {**first, "time": 0} == {**again, "time": 0}
    assert (
        run(capsys, "train", "--output", str(tmp_path / "other"), *config, "--seed", "4", "--evaluate-every=3")[0] == 0
    )
    kept, changed = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("run", "other"))
    assert changed == kept | {"seed": 4, "evaluate_every": 3}


def test_what_a_model_has_of_its_own_does_not_come_with_another_one() -> None:
    """By Adam's step size of a preset IVON would learn next to nothing, and by IVON's Adam would break down."""
    preset = of_paper("xu2021/mnist")
    ivon = config_of({"model": "ivon_odenet"}, preset)
    assert (ivon.learning_rate, ivon.schedule, ivon.epochs) == (1.0, "cosine", 100)
    assert config_of({"model": "ivon_odenet", "learning_rate": 0.5}, preset).learning_rate == 0.5
    of_run = {"data": "mnist", "model": "ivon_odenet", "learning_rate": 0.5, "schedule": "constant"}
    assert config_of({}, of_run).learning_rate == config_of({"model": "ivon_odenet"}, of_run).learning_rate == 0.5
    adam = config_of({"model": "odenet"}, of_run)
    assert (adam.learning_rate, adam.schedule) == (TrainConfig.learning_rate, TrainConfig.schedule)
    assert config_of({"model": "odenet"}, preset).learning_rate == preset["learning_rate"]


@pytest.mark.parametrize("before", ["sdebnn", "odenet", "ivon_odenet", "dropout_odenet"])
@pytest.mark.parametrize("model", ["sdebnn", "odenet", "swag_odenet"])
def test_what_suits_a_model_on_a_table_does_not_come_with_another_one(tmp_path, before, model) -> None:
    """Such as training by folds, a sigma to be found, and doubt beyond the range; what was chosen does."""
    (tmp_path / "own.csv").write_text("a,y\n" + "".join(f"{i},{i * i % 7}.5\n" for i in range(12)))
    data = {"data": str(tmp_path / "own.csv"), "target": "y"}
    brought = dataclasses.asdict(config_of(data | {"model": before, "width": 7, "max_steps": 70}))
    assert config_of({"model": model}, brought) == config_of(data | {"model": model, "width": 7, "max_steps": 70})


def test_a_preset_gives_its_choices_and_flags_override_them(tmp_path, capsys) -> None:
    preset = ["train", "--preset", "calvo2024/mnist-first", *QUICK]
    assert run(capsys, *preset, "--data", "digits", "--output", str(tmp_path / "run"))[0] == 0
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (record["data"], record["noisy_from"], record["sigma"], record["width"]) == ("digits", 0.1, 0.2, 4)
    empty = ["--data-dir", str(tmp_path / "none"), "--output", str(tmp_path / "other")]
    for flags, says in (
        (["train", "--resume", str(tmp_path / "run"), "--preset", "xu2021/mnist"], "it takes no --preset"),
        ([*preset, "--config", "any.json", *empty], "--config and --preset both say every choice"),
        (["train", "--preset", "xu2022/mnist", *empty], "'xu2022/mnist' is not a preset (did you mean 'xu2021/mnist'"),
        ([*preset, *empty], "mnist"),
        (["compare", str(tmp_path / "run"), "--preset", "xu2021/mnist"], "--preset does not go with them"),
    ):
        code, _, err = run(capsys, *flags)
        assert (code, err.count("\n")) == (2, 1)
        assert says in err
    assert not (tmp_path / "other").exists()


def test_a_config_may_have_some_choices_and_the_data_set_s_defaults_hold_for_the_others(tmp_path, capsys) -> None:
    choices: dict[str, Any] = {
        "data": "cos",
        "max_steps": 3,
        "width": 4,
        "steps": 2,
        "test_samples": 2,
        "drift_widths": [2],
    }
    (tmp_path / "some.json").write_text(json.dumps(choices))
    for data in ("cos", "digits"):
        flags = ["--config", str(tmp_path / "some.json"), "--data", data]
        assert run(capsys, "train", "--output", str(tmp_path / data), *flags)[0] == 0
        assert TrainConfig.from_json(
            {k: v for k, v in json.loads((tmp_path / data / "config.json").read_text()).items() if k != "started"}
        ) == TrainConfig.for_data(**choices | {"data": data})


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ('{"epoch": 3}', "did you mean 'epochs'"),
        ('{"epochs": "many"}', "epochs='many' is not allowed: it takes a whole number"),
        ("[1, 2]", "a JSON list"),
        ('{"epochs": 3, "epochs": 4}', "a name comes twice"),
        ('{"started": {"builder": "mine:build", "in_memory": false}}', "was built by mine:build, which no command has"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_by_name(record: str, says: str, tmp_path, capsys) -> None:
    (tmp_path / "mine.json").write_text(record)
    flags = ["--config", str(tmp_path / "mine.json")]
    code, out, err = run(capsys, "train", "--output", str(tmp_path / "run"), *flags)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert "mine.json" in err
    assert not (tmp_path / "run").exists()


def test_the_version_is_told(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"sdebnn {sdebnn.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "COMMAND"),
        (["trian"], "trian"),
        (["train"], "--output"),
        (["evaluate", "run", "--test-sample", "3"], "did you mean '--test-samples'"),
        (["predict", "run", "new.npz"], "--output"),
    ],
)
def test_what_is_missing_or_misspelt_is_a_sentence(arguments: list[str], says: str, capsys) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert "--help" in err


def test_a_checkpoint_of_another_model_is_refused_and_left_as_it_is(printed, tmp_path, capsys, with_choices) -> None:
    with_choices(RunFolder(tmp_path / "run"), width=5)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()}
    for command in (["train", "--resume"], ["evaluate"]):
        code, _, err = run(capsys, *command, str(tmp_path / "run"))
        assert code == 2
        assert "it is of another model or configuration" in err
        # Training says before it what the data are.
        assert [line.startswith("sdebnn: error:") for line in err.splitlines()] == [False, True][
            command == ["evaluate"] :
        ]
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()}


def test_evaluate_refuses_what_is_not_a_run(tmp_path, capsys) -> None:
    code, _, err = run(capsys, "evaluate", str(tmp_path))
    assert code == 2
    assert err.count("\n") == 1


def test_a_truncated_data_file_is_refused_by_name(tmp_path, capsys, data_dir) -> None:
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for file in (data_dir / "mnist").glob("*.gz"):
        (folder / file.name).write_bytes(file.read_bytes())
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-100])
    code, _, err = run(
        capsys, "train", "--data", "mnist", "--data-dir", str(tmp_path / "data"), "--output", str(tmp_path / "run")
    )
    assert code == 2
    assert labels.name in err
    assert not (tmp_path / "run").exists()
    labels.write_bytes(gzip.compress(b"altered"))
    assert (
        labels.name
        in run(
            capsys, "train", "--data", "mnist", "--data-dir", str(tmp_path / "data"), "--output", str(tmp_path / "run")
        )[2]
    )
