import csv
import dataclasses
import importlib.util
import io
import json
import math
import shutil
from typing import Any

import numpy as np
import pytest

from sdebnn.cli import main
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import MetricsLog, TrainConfig
from sdebnn.training import comparison, equal_time, start_run
from sdebnn.training.comparison_page import check_page, write_comparison
from sdebnn.training.task import Task


@pytest.fixture(scope="module")
def runs(tmp_path_factory, table, quick, build):
    """Three seeds with one step size, two with another."""
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for rate, seeds in ((0.01, 3), (0.3, 2)):
        for seed in range(seeds):
            config = dataclasses.replace(quick, learning_rate=rate, seed=seed)
            made.append(start_run(build, config, folder / f"{rate}-{seed}", dataset=table).folder)
    return made


def paths(runs):
    return [run.path for run in runs]


def last_scores(run) -> dict[str, float]:
    return [line for line in MetricsLog.read(run) if line["split"] == "test"][-1]


def test_runs_that_differ_in_their_seeds_are_one_kind(runs) -> None:
    slow, fast = comparison.compare(paths(runs))
    assert (slow.name, fast.name) == ("sdebnn, learning_rate=0.01", "sdebnn, learning_rate=0.3")
    assert (slow.runs, fast.runs) == (tuple(paths(runs[:3])), tuple(paths(runs[3:])))
    assert (slow.parameters, slow.steps) == (4, 6)
    for kind, own in ((slow, runs[:3]), (fast, runs[3:])):
        values = [last_scores(run)["nll"] for run in own]
        mean, error = kind.scores["nll"]
        assert mean == pytest.approx(np.mean(values))
        assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)))


def test_the_table_in_its_three_formats(runs) -> None:
    kinds = comparison.compare(paths(runs), ["nll", "balanced_accuracy"])
    head, rule, slow, _ = comparison.written(kinds).splitlines()
    assert head == "|  | nll | balanced_accuracy | runs | parameters | steps | training (s) |"
    assert rule == "| --- | --- | --- | --- | --- | --- | --- |"
    assert "| sdebnn, learning_rate=0.01 |" in slow
    mean, error = kinds[0].scores["nll"]
    shown, spread = (float(number) for number in slow.split("|")[2].split("±"))
    assert shown == pytest.approx(mean, abs=error / 10)
    assert spread == pytest.approx(error, rel=0.05)

    latex = comparison.written(kinds, "latex")
    assert latex.startswith("\\begin{tabular}{lrrrrrr}\n\\toprule\n & nll & balanced\\_accuracy & runs")
    assert "learning\\_rate=0.01 & " in latex
    assert " $\\pm$ " in latex

    first = next(csv.DictReader(io.StringIO(comparison.written(kinds, "csv"))))
    assert float(first["nll"]) == mean
    assert float(first["nll_error"]) == error


def test_one_run_has_no_error(runs) -> None:
    (kind,) = comparison.compare([runs[0].path])
    assert kind.name == "sdebnn"
    assert math.isnan(kind.scores["nll"].error)
    assert "±" not in comparison.written([kind])


def test_the_command_prints_it(runs, capsys) -> None:
    folders = [str(path) for path in paths(runs)]
    assert main(["compare", *folders]) == 0
    printed = capsys.readouterr().out
    assert printed == comparison.written(comparison.compare(paths(runs)))
    assert main(["compare", *folders, "--format", "csv", "--scores", "nll"]) == 0
    assert capsys.readouterr().out.startswith("name,nll,nll_error,runs,")
    for asked in (["--ood", "kmnist"], ["--shift", "rotate"]):
        assert main(["compare", *folders, *asked]) == 2
        assert "made anew for a page alone: name one by --page FILE" in capsys.readouterr().err


def test_of_equal_scores_there_is_no_rounding_left() -> None:
    kind = comparison.Kind("sdebnn", (), 1, 1.0, 1.0, {"accuracy": comparison.Mean.of([0.7] * 3)})
    assert "| 0.7000 ± 0.0000 |" in comparison.written([kind])
    kind = kind._replace(scores={"rmse": comparison.Mean(1.0, math.inf)})
    assert "inf" in comparison.written([kind])
    with pytest.raises(InputError, match="There are no kinds of runs"):
        comparison.written([])


def test_kinds_of_another_length_are_named_by_their_steps(tmp_path, table, quick, build) -> None:
    lengths = {"a": (2, 0), "b": (9, 10), "c": (8, 10)}
    made = {
        name: start_run(
            build, dataclasses.replace(quick, epochs=epochs, max_steps=steps), tmp_path / name, dataset=table
        ).folder.path
        for name, (epochs, steps) in lengths.items()
    }
    named = [kind.name for kind in comparison.compare([made["a"], made["b"]])]
    assert named == ["sdebnn, 6 steps", "sdebnn, 10 steps"]
    # Two that this does not tell apart have the choices themselves.
    named = [kind.name for kind in comparison.compare([*made.values()])]
    assert named == [f"sdebnn, epochs={epochs}, max_steps={steps}" for epochs, steps in lengths.values()]


def ended(path, config: TrainConfig, table: Dataset) -> comparison.Ended:
    return comparison.Ended(path, config, Task.of(table), 1, 6, 1.0, 1.0, {"nll": 0.5})


def test_a_kind_is_named_by_what_its_model_does_not_have_by_itself(tmp_path, table, quick) -> None:
    """Weights that stand still have no sigma, and a Newton step is another thing than a step of Adam."""

    def named(*choices: dict[str, Any]) -> list[str]:
        configs = [dataclasses.replace(quick, **own) for own in choices]
        return comparison._names([[ended(tmp_path, own, table)] for own in configs], comparison._differing(configs))

    ivon, swag = {"model": "ivon_odenet", "learning_rate": 1.0}, {"model": "swag_odenet", "schedule": "constant"}
    noisy, wide = {"model": "sdebnn", "sigma": 0.5}, {"model": "odenet", "width": 8}
    assert named(noisy, ivon, swag) == ["sdebnn", "ivon_odenet", "swag_odenet"]
    assert named(noisy, wide, ivon) == ["sdebnn, width=4", "odenet, width=8", "ivon_odenet, width=4"]
    assert named(swag | {"schedule": "cosine"}, ivon | {"learning_rate": 0.3}) == [
        "swag_odenet, learning_rate=0.004",
        "ivon_odenet, learning_rate=0.3",
    ]
    doubts = {"model": "sdebnn", "beyond_range": 2.0}
    assert named(doubts, wide | {"width": 4}) == ["sdebnn", "odenet"]
    assert named(doubts, doubts | {"beyond_range": 0.0}) == ["sdebnn, beyond_range=2", "sdebnn, beyond_range=0"]
    # What makes no difference to a model is all that two kinds of it differ in.
    assert named(wide, wide | {"sigma": 0.1}) == ["odenet, sigma=0.2", "odenet, sigma=0.1"]


def test_a_page_has_the_scores_the_pictures_and_what_is_said_of_strange_images(tmp_path, runs, table, build) -> None:
    pytest.importorskip("matplotlib")
    kinds = comparison.compare(paths(runs))
    kinds[0] = kinds[0]._replace(name="<b>$slow_{</b>")
    page = tmp_path / "new" / "page.html"
    write_comparison(build, kinds, page, dataset=table)
    text = page.read_text()
    assert f"<td>{kinds[0].scores['nll']}</td>" in text
    assert "<b>" not in text
    assert "2 kinds of runs on table" in text
    assert "On the 10 test examples, as the mean over runs that differ in nothing but the seed, and its" in text
    # Both reliabilities side by side, and the curves of risk.
    assert text.count("data:image/png;base64,") == 2
    assert f"<dd>{runs[3].path.name}</dd>" in text
    assert "Strange images" not in text
    assert "Shifted images" not in text
    write_comparison(build, [kinds[1]._replace(runs=kinds[1].runs[:1])], page, dataset=table)
    assert "whether a lead is luck cannot be said" in page.read_text()
    with pytest.raises(InputError, match="Images of two pixels or more are needed"):
        write_comparison(build, kinds, page, ood=["smooth_textures"], dataset=table)
    with pytest.raises(InputError, match="shifts are of images"):
        write_comparison(build, kinds, page, shift=["rotate"], dataset=table)
    with pytest.raises(InputError, match="A page is of kinds of runs that have names of their own"):
        write_comparison(build, [kinds[1], kinds[1]], page, dataset=table)


def test_a_page_without_matplotlib_says_what_draws(tmp_path, runs, table, build, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    write_comparison(build, comparison.compare([runs[0].path]), tmp_path / "page.html", dataset=table)
    assert "pip install 'sdebnn[plots]'" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("", "is none: give a name"), ("config.json", "'config.json' is none"), ("a.txt/page.html", "is no folder to")],
)
def test_where_no_page_can_be_is_refused(tmp_path, monkeypatch, name: str, sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError, match=sentence):
        check_page(name)


def test_quicker_runs_are_given_the_time_of_the_slowest(runs, monkeypatch) -> None:
    paces = dict(zip(paths(runs), (10.0, 30.0, 10.3, 25.0, math.nan), strict=True))
    read = equal_time.read_ended
    assert read(runs[0]).pace > 0
    monkeypatch.setattr(equal_time, "read_ended", lambda run: read(run)._replace(pace=paces[run.path]))
    longer = equal_time.longer(runs[:4])
    # Six steps at three and two and a half times the pace; of one that is as quick as the slowest there is no other.
    assert [(config.seed, config.learning_rate) for config in longer] == [(1, 0.01), (0, 0.3)]
    for config, steps in zip(longer, (18, 15), strict=True):
        assert config.total_steps(24) == config.max_steps == steps
    # Less than half a step more is none.
    paces[runs[1].path] = 10.7
    assert equal_time.longer(runs[:2]) == []
    with pytest.raises(InputError, match=r"0.3-1 of 6 gradient steps has no pace that was measured"):
        equal_time.longer(runs)


def test_what_cannot_be_compared_is_refused(runs, tmp_path, table, quick, build) -> None:
    with pytest.raises(InputError, match="There are no runs to compare"):
        comparison.compare([])
    with pytest.raises(InputError, match=r"'nlls' is not a score of the run .* \(did you mean 'nll'"):
        comparison.compare(paths(runs), ["nlls"])
    with pytest.raises(InputError, match="'html' is not a format of tables"):
        comparison.written(comparison.compare([runs[0].path]), "html")
    other = dataclasses.replace(table, x_test=table.x_test[1:], y_test=table.y_test[1:])
    elsewhere = start_run(build, quick, tmp_path / "elsewhere", dataset=other).folder
    with pytest.raises(InputError, match="were scored on different data, so their scores say nothing of each other"):
        comparison.compare([runs[0].path, elsewhere.path])
    real = {f"y_{part}": getattr(table, f"y_{part}")[:, None].astype(np.float32) for part in ("train", "test")}
    targets = dataclasses.replace(table, task="regression", num_classes=None, **real)
    one, two = (
        ended(tmp_path / name, dataclasses.replace(quick, data="a.csv", target=target), of)
        for name, target, of in (("a", "town", table), ("b", "price", targets))
    )
    with pytest.raises(
        InputError, match=r"a \(a.csv, town\) and .*b \(a.csv, price\) .* data, classes and real targets"
    ):
        comparison._refuse_other_data(one, two)
    few = start_run(build, dataclasses.replace(quick, test_examples=5), tmp_path / "few", dataset=table).folder
    with pytest.raises(InputError, match=r"different numbers of test examples \(test_examples=0 and 5\)"):
        comparison.compare([runs[0].path, few.path])
    twice = shutil.copytree(runs[0].path, tmp_path / "copy")
    with pytest.raises(InputError, match=r"copy have the same choices and the same seed, 0, so they are one run twice"):
        comparison.compare([runs[0].path, twice])
    fewer = dataclasses.replace(table, x_train=table.x_train[1:], y_train=table.y_train[1:])
    less = start_run(build, dataclasses.replace(quick, seed=7, learning_rate=0.01), tmp_path / "less", dataset=fewer)
    with pytest.raises(InputError, match="have the same choices and learned from different examples"):
        comparison.compare([runs[0].path, less.folder.path])
    elsewhere.report.unlink()
    with pytest.raises(InputError, match=r"elsewhere has not ended; .* goes on with it"):
        comparison.compare([elsewhere.path])


def test_seeds_that_hold_other_examples_out_for_validation_are_one_kind(tmp_path, table, quick, build) -> None:
    made = [
        start_run(build, dataclasses.replace(quick, validation=0.25, seed=seed), tmp_path / str(seed), dataset=table)
        for seed in range(2)
    ]
    (kind,) = comparison.compare([run.folder.path for run in made])
    assert len(kind.runs) == 2
    other = dataclasses.replace(table, x_test=table.x_test[::-1].copy(), y_test=table.y_test[::-1].copy())
    elsewhere = start_run(build, made[0].config, tmp_path / "elsewhere", dataset=other).folder
    with pytest.raises(InputError, match="were scored on different data"):
        comparison.compare([made[0].folder.path, elsewhere.path])
    # What an older folder does not know of its test examples is told by the name of the data.
    for run in (made[0].folder, elsewhere):
        task = json.loads((run.path / "task.json").read_text())
        (run.path / "task.json").write_text(json.dumps(task | {"tested": None}))
    with pytest.raises(InputError, match="one run twice"):
        comparison.compare([made[0].folder.path, elsewhere.path])
