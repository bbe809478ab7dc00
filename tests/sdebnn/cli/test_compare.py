"""Models that are trained side by side, and finished runs that are compared."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from sdebnn.cli import compare, main
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.training import equal_time, restore

QUICK = [
    "--data", "digits", "--max-steps", "3", "--batch-size", "8", "--width", "4", "--steps", "2", "--augment", "1",
    "--drift-widths", "2", "--test-samples", "2", "--test-examples", "20",
]  # fmt: skip


def train(output: Path, *others: str) -> int:
    # Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses.
    with jax.numpy_dtype_promotion("standard"):
        return main(["compare", *QUICK, "--output", str(output), "--seeds", "2", *others])


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compare") / "both"
    assert train(folder, "--models", "odenet,sdebnn") == 0
    return folder


def test_each_model_is_trained_with_each_seed_and_the_table_has_a_row_for_each(output: Path) -> None:
    folders = ["odenet-0", "odenet-1", "sdebnn-0", "sdebnn-1"]
    assert sorted(path.name for path in output.iterdir()) == ["comparison.html", "comparison.md", *folders]
    for name in folders:
        config = json.loads((output / name / "config.json").read_text())
        assert f"{config['model']}-{config['seed']}" == name
    rows = (output / "comparison.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["odenet", "sdebnn"]
    assert [row.split("|")[-5].strip() for row in rows] == ["2", "2"]


def test_what_has_ended_is_not_trained_again_and_what_was_broken_off_goes_on(output: Path, capsys) -> None:
    reports = {name: (output / name / "report.html") for name in ("odenet-0", "odenet-1", "sdebnn-0")}
    before = {name: report.stat().st_mtime_ns for name, report in reports.items()}
    table = (output / "comparison.md").read_text()
    (output / "sdebnn-1" / "report.html").unlink()
    assert train(output, "--models", "odenet,sdebnn") == 0
    printed = capsys.readouterr().out
    assert "Training sdebnn-1.\n" in printed
    assert printed.count("Training ") == 1
    assert {name: report.stat().st_mtime_ns for name, report in reports.items()} == before
    assert (output / "comparison.md").read_text() == table


def test_the_quicker_model_is_trained_for_the_time_of_the_slower_too(output: Path, tmp_path, monkeypatch) -> None:
    copy = shutil.copytree(output, tmp_path / "copy")
    read, paces = equal_time.read_ended, {"sdebnn": 6.0, "odenet": 9.0}

    def ended(run):
        found = read(run)
        return found._replace(pace=paces[found.config.model])

    monkeypatch.setattr(equal_time, "read_ended", ended)
    equal = (
        "--models",
        "odenet,sdebnn",
        "--seeds",
        "1",
        "--equal",
        "time",
        "--ood",
        "smooth_textures",
        "--shift",
        "rotate,rotate",
    )
    assert train(copy, *equal) == 0
    names = [row.split("|")[1].strip() for row in (copy / "comparison.md").read_text().splitlines()[2:]]
    assert names == ["odenet, 3 steps", "sdebnn, 3 steps", "odenet, 4 steps"]
    page = (copy / "comparison.html").read_text()
    assert page.count("<h3>smooth_textures</h3>") == 1
    assert "auroc_mutual_information" in page
    # As `evaluate` has it of a run alone, by severity.
    found = restore(build_learner, copy / "sdebnn-0").score_shifts(["rotate"])
    for score in ("accuracy", "nll", "ece"):
        rows = page.split(f"<h3>rotate, {score}</h3>")[1].split("</table>")[0]
        assert rows.count("<tr>") == 4
        cells = [f"<td>{found[f'rotate {severity}'][score]:.4g}</td>" for severity in range(1, 6)]
        assert "".join(cells) in rows


def test_finished_runs_are_compared_as_they_are(output: Path, capsys) -> None:
    runs = [str(output / name) for name in ("odenet-0", "odenet-1", "sdebnn-0", "sdebnn-1")]
    for given in (runs, [str(output)], sorted(map(str, output.iterdir()))):
        assert main(["compare", *given]) == 0
        assert capsys.readouterr().out == (output / "comparison.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--models", "odenet", "--width", "8"], r"odenet-0 was started with width=4, and 8 is asked for"),
        (["--models", "odenett"], "did you mean 'odenet'"),
        (["--models", "odenet", "--seeds", "0"], "--seeds got 0; it takes 1 or more"),
        (["--models", "odenet", "--format", "html"], "'html' is not a format of tables"),
        (["--models", "odenet", "--scores", "nlll"], "'nlll' is not a score of classes (did you mean 'nll'?)"),
        (["--models", "odenet", "--ood", "digit"], "'digit' is not a set of images out of distribution"),
        (["--models", "odenet", "--ood", ","], "--ood names no set of images"),
        (["--models", "odenet", "--shift", ","], "--shift names no shift of images"),
        (["--models", "odenet", "--shift", "rotat"], "'rotat' is not a shift of images (did you mean 'rotate'"),
        (["--models", "odenet", "--shift", "saturate"], "saturate changes colours, and these images are grey"),
        (
            ["--models", "odenet", "--equal", "times"],
            "'times' is not what models side by side have equal (did you mean",
        ),
        (
            ["--models", "odenet", "--equal", "time", "--data", "diabetes", "--tuning", "folds"],
            "so there is no equal time",
        ),
        (["--models", "odenet,odenet"], "--models names odenet twice"),
        (
            ["--models", "odenet,ivon_odenet", "--learning-rate", "0.01"],
            "--learning-rate is a share of a Newton step for ivon_odenet and a step size of Adam for the others",
        ),
        (["--models", ","], "--models names no model; name one or more"),
        (["--models", "hyperodenet,resnet32", "--activation", "swishh"], "activation='swishh' is not allowed"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(
    output: Path, capsys, arguments: list[str], sentence: str
) -> None:
    entries = sorted(output.rglob("*"))
    assert train(output, *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(output.rglob("*")) == entries


@pytest.mark.parametrize(
    ("target", "sentence"),
    [("price", "are real targets; shifts are scored for classes"), ("kind", "shifts are of images (n, height, width")],
)
def test_shifts_of_a_table_are_refused_before_anything_is_trained(tmp_path, capsys, target, sentence) -> None:
    rows = [f"{i},{i % 7 + 0.5},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["size,price,kind", *rows]))
    asked = ["--target", target, "--shift", "rotate", "--output", str(tmp_path / "both")]
    assert main(["compare", "--data", str(tmp_path / "a.csv"), *asked]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("models", "more", "tuning", "steps"),
    [
        ("sdebnn,odenet", [], "folds", 10_000),
        ("sdebnn,odenet", ["--equal", "time"], "none", 10_000),
        ("sdebnn,odenet", ["--epochs", "30"], "none", 30),
        ("sdebnn,dropout_odenet,swag_odenet,ivon_odenet,meanfield_odenet", [], "none", 10_000),
        ("sdebnn,dropout_odenet,swag_odenet,ivon_odenet,meanfield_odenet", ["--max-steps", "70"], "none", 70),
    ],
)
def test_all_models_of_a_table_are_trained_in_the_same_way_and_for_as_many_steps(
    tmp_path: Path, capsys, monkeypatch, models: str, more: list[str], tuning: str, steps: int
) -> None:
    """Folds, which some models do not have, bring a law of the noise and a temperature of their own."""
    data, found = tmp_path / "sales.csv", {}
    data.write_text("a,price\n" + "".join(f"{x}.5,{x % 7}.5\n" for x in range(60)))

    def train_side_by_side(build, configs, output, **others):
        found.update(configs)
        raise InputError("enough")

    monkeypatch.setattr(compare, "train_side_by_side", train_side_by_side)
    own = ["--data", str(data), "--target", "price", "--seeds", "1", "--output", str(tmp_path / "runs")]
    assert main(["compare", *own, "--models", models, *more]) == 2
    assert len(found) == len(models.split(","))
    assert {config.tuning for config in found.values()} == {tuning}
    most = {config.max_steps if tuning == "folds" else config.total_steps(40) for config in found.values()}
    assert most == {steps}
    assert len({(config.likelihood, config.calibrate, config.members) for config in found.values()}) == 1
    assert ("All models take as many gradient steps" in capsys.readouterr().out) == (
        tuning == "none" and "--epochs" not in more
    )


def test_a_page_of_targets_whose_data_have_moved_since(tmp_path: Path, capsys) -> None:
    data, moved, page = tmp_path / "sales.csv", tmp_path / "moved.csv", tmp_path / "page.html"
    rng = np.random.default_rng(0)
    data.write_text("a,price\n" + "".join(f"{x:.3f},{x + y:.3f}\n" for x, y in rng.normal(size=(60, 2))))
    own = [*QUICK, "--data", str(data), "--target", "price", "--tuning", "none", "--test-examples", "0"]
    with jax.numpy_dtype_promotion("standard"):
        assert main(["compare", *own, "--output", str(tmp_path / "runs"), "--models", "odenet", "--seeds", "1"]) == 0
    text = (tmp_path / "runs" / "comparison.html").read_text()
    assert "1 kind of runs on sales.csv" in text
    assert text.count("data:image/png;base64,") == 1
    data.rename(moved)
    again = ["compare", str(tmp_path / "runs"), "--page", str(page)]
    assert main(again) == 2
    assert "Where the run's data have moved, name them: --data" in capsys.readouterr().err
    assert main([*again, "--data", str(moved)]) == 0
    assert page.read_text().count("data:image/png;base64,") == 1


def test_runs_and_choices_do_not_go_together(output: Path, capsys) -> None:
    assert main(["compare", str(output / "odenet-0"), "--width", "8"]) == 2
    assert "--width does not go with them; leave it out" in capsys.readouterr().err
    assert main(["compare", str(output / "odenet-0"), "--seeds", "5"]) == 2
    assert "--seeds does not go with them" in capsys.readouterr().err
    assert main(["compare", "--output", str(output)]) == 2
    assert "compare takes run folders, or --data and --output" in capsys.readouterr().err
