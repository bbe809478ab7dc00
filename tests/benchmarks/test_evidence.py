"""The tables of evidence at toy size: they go on where they were broken off, and compute nothing twice."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torchsde")

ROOT = Path(__file__).parents[2]
TOY = {
    "framework": "torch", "width": 4, "steps": 2, "augment": 1, "drift_widths": [2], "batch_size": 8, "max_steps": 3,
    "epochs": 10**6,
}  # fmt: skip


@pytest.fixture
def tables(monkeypatch) -> SimpleNamespace:
    """The modules of the tables."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.evidence import images, low_data

    return SimpleNamespace(images=images, low_data=low_data)


@pytest.fixture
def toy(monkeypatch, tables: SimpleNamespace) -> SimpleNamespace:
    """With few images and gradient steps; runs are not drawn, which takes longer than these."""
    monkeypatch.setattr("sdebnn.training.pictures.draw_run", lambda *_: None)
    monkeypatch.setattr(tables.low_data, "SHARED", TOY | {"test_examples": 50})
    monkeypatch.setattr(tables.low_data, "HELD_OUT", 40)
    monkeypatch.setattr(tables.low_data, "CHOSEN_ON", ("digits", 20, 100))
    monkeypatch.setitem(tables.low_data.CANDIDATES, "sdebnn", [{"sigma": 0.1}, {"sigma": 3.0}])
    monkeypatch.setitem(tables.low_data.CANDIDATES, "odenet", [{}])
    monkeypatch.setitem(tables.images.CHOICES, "digits", TOY | {"test_examples": 30})
    monkeypatch.setattr(tables.images, "SHIFTED", 10)
    ours = tables.images.MODELS["sdebnn"]
    monkeypatch.setitem(tables.images.MODELS, "sdebnn", ours._replace(choices=ours.choices | {"test_samples": 1}))
    return tables


@pytest.fixture
def trained(monkeypatch, toy: SimpleNamespace) -> list[str]:
    """The runs of few images that were trained; the third is broken off at first."""
    names: list[str] = []
    train = toy.low_data.train_side_by_side

    def watched(build, configs, *others, **named):
        if len(names) == 2:
            names.append("broken off")
            raise KeyboardInterrupt
        names.extend(f"{config.model} {config.sigma:g}" for config in configs.values())
        return train(build, configs, *others, **named)

    monkeypatch.setattr(toy.low_data, "train_side_by_side", watched)
    return names


def rows_of(results: Path) -> list[dict]:
    return [json.loads(line) for line in results.read_text().splitlines()]


def low_data(tables: SimpleNamespace, folder: Path, *others: str) -> int:
    return tables.low_data.main([
        "digits", "--sizes", "20", "--seeds", "0", "--models", "sdebnn", "odenet", "--results",
        str(folder / "rows.jsonl"), "--runs", str(folder / "runs"), "--page", str(folder / "page.md"), *others,
    ])  # fmt: skip


def images(tables: SimpleNamespace, folder: Path, *others: str) -> int:
    return tables.images.main([
        "digits", "--seeds", "0", "--results", str(folder / "rows.jsonl"), "--runs", str(folder / "runs"), "--page",
        str(folder / "page.md"), "--models", "sdebnn", *others,
    ])  # fmt: skip


def test_a_table_of_few_images_goes_on_and_computes_nothing_twice(tmp_path: Path, toy, trained: list[str]) -> None:
    results, runs = tmp_path / "rows.jsonl", tmp_path / "runs"
    assert low_data(toy, tmp_path) == 130
    assert trained == ["sdebnn 0.1", "sdebnn 3", "broken off"]
    # As a program leaves it that is killed while it writes, or before it has removed the run of a row.
    digest = rows_of(results)[0]["digest"]
    (runs / f"digits-20-100-sdebnn-{digest}").mkdir()
    results.write_text(results.read_text() + '{"data": "dig')
    assert low_data(toy, tmp_path) == 0
    rows = rows_of(results)
    assert [row["held_out"] for row in rows] == [True, True, False, False]
    assert [row["seed"] for row in rows] == [100, 100, 0, 0]
    best = min(rows[:2], key=lambda row: row["nll"])["choices"]["sigma"]
    assert rows[2]["choices"]["sigma"] == best
    assert trained[3:] == [f"sdebnn {best:g}", f"odenet {toy.low_data.TrainConfig().sigma:g}"]
    assert not any(runs.iterdir())
    page = tmp_path / "page.md"
    by_hand = "## What to take from it\n\nMuch.\n"
    page.write_text("old\n" + by_hand)
    low_data(toy, tmp_path)
    assert len(trained) == 5
    text = page.read_text()
    assert text.startswith("# Few images\n")
    assert "low_data digits --sizes 20 --seeds 0 --models sdebnn odenet\n" in text
    assert text.endswith(f"\n\n{by_hand}")
    # Every choice is a part of what a row is of, defaults too.
    toy.low_data.SHARED["ema"] = 0.98
    assert "other choices than today's: 4 rows" in toy.low_data.written(rows)


def row_of(tables: SimpleNamespace, model: str, seed: int, **others) -> dict:
    """A row that nothing was trained for."""
    of = {"data": "digits", "size": 20, "seed": seed, "held_out": False, "model": model}
    own = tables.low_data.CANDIDATES[tables.low_data.MODELS[model].like][0]
    of["digest"] = tables.low_data.digest_of(model, own, others.get("held_out", False))
    return of | {"accuracy": 0.5, "nll": 1.0, "ece": 0.1, "parameters": 9, "steps": 3, "seconds": 60.0} | others


def test_the_page_has_seeds_that_all_models_of_a_cost_have_and_says_what_it_leaves_out(toy) -> None:
    accuracies = (0.7, 0.75, 0.9)
    rows = [
        row_of(toy, "sdebnn", 100, held_out=True),
        *(row_of(toy, "sdebnn", seed, accuracy=accuracy) for seed, accuracy in enumerate(accuracies)),
        *(row_of(toy, "odenet", seed) for seed in (0, 1)),
        # Fewer of those that cost more take nothing from the others.
        row_of(toy, "sdebnn_5", 0),
        row_of(toy, "odenet", 3, digest="of others"),
    ]
    text = toy.low_data.written(rows)
    assert text.count("| 20 (2 seeds) |") == 3
    assert text.count("| 20 (1 seed) |") == 3
    assert "not all models beside them have these seeds: sdebnn digits 20 seed 2." in text
    assert "other choices than today's: 1 rows." in text
    assert "SDE-BNN: 1 of 2" in text
    assert "They were trained for\n6.0 min, and the candidates of each model for\n1.0 min" in text
    mean, error = np.mean(accuracies[:2]), np.std(accuracies[:2], ddof=1) / np.sqrt(2)
    cell = next(line for line in text.splitlines() if line.startswith("| SDE-BNN | **7")).split("|")[2]
    assert [float(number.strip("* ")) for number in cell.split("±")] == pytest.approx(
        [100 * mean, 100 * error], rel=1e-3
    )


def test_all_models_have_as_many_candidates(tables) -> None:
    counts = {len({json.dumps(own) for own in candidates}) for candidates in tables.low_data.CANDIDATES.values()}
    assert counts == {6}


def test_one_command_at_a_time_has_the_files_and_no_row_is_there_twice(tmp_path: Path, toy, capsys) -> None:
    results = tmp_path / "rows.jsonl"
    other = "import pathlib, sys; from benchmarks.evidence.held import held\n"
    other += "with held(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", other, str(results)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline().strip() == b"held"
        for table in (low_data, images):
            refused(capsys, f"rows.jsonl is in use by process {process.pid} on ", table, toy, tmp_path)
        process.communicate()
    line = json.dumps(row_of(toy, "odenet", 0)) + "\n"
    results.write_text(2 * line)
    refused(capsys, f"Lines 1 and 2 of {results} are of the same", low_data, toy, tmp_path)


def test_all_models_of_a_seed_learn_from_the_same_images_of_each_class_and_are_judged_by_others(toy) -> None:
    subset = toy.low_data.images
    small, large, again = (subset("digits", size, seed, True) for size, seed in ((20, 1), (100, 1), (20, 2)))
    for data, each in ((small, 2), (large, 10)):
        assert np.bincount(data.y_train).tolist() == [each] * 10
    judging = {x.tobytes() for x in small.x_test}
    assert not {x.tobytes() for x in large.x_train} & judging
    # What choices are made by has no part in what is shown.
    shown = {x.tobytes() for x in subset("digits", 900, 1, False).x_train}
    assert not shown & (judging | {x.tobytes() for x in large.x_train})
    assert {x.tobytes() for x in small.x_train} < {x.tobytes() for x in large.x_train}
    assert {x.tobytes() for x in small.x_train} != {x.tobytes() for x in again.x_train}
    np.testing.assert_array_equal(small.x_test, large.x_test)
    assert len(subset("digits", 20, 1, False).x_test) == 599


def test_a_table_of_images_goes_on_from_its_run_folders(tmp_path: Path, toy, monkeypatch, capsys) -> None:
    Table = toy.images.Table
    scores = Table._scores

    def broken(self, run, name, part):
        if part == "rotate":
            raise KeyboardInterrupt
        return scores(self, run, name, part)

    monkeypatch.setattr(Table, "_scores", broken)
    assert images(toy, tmp_path) == 130
    monkeypatch.setattr(Table, "_scores", scores)
    assert [row["part"] for row in rows_of(tmp_path / "rows.jsonl")] == ["test", "ood"]
    report = tmp_path / "runs" / "digits-sdebnn-0" / "report.html"
    before = report.stat().st_mtime_ns
    capsys.readouterr()
    assert images(toy, tmp_path) == 0
    assert capsys.readouterr().out.startswith("digits-sdebnn-0: rotate, corruptions\n")
    assert report.stat().st_mtime_ns == before
    rows = rows_of(tmp_path / "rows.jsonl")
    assert [row["part"] for row in rows] == ["test", "ood", "rotate", "corruptions"]
    assert len(rows[2]["ece"]) == len(rows[3]["accuracy"]) == 5
    assert set(rows[1]["auroc"]) == {"shuffled_pixels", "smooth_textures"}
    text = (tmp_path / "page.md").read_text()
    assert "images digits --models sdebnn --seeds 0\n" in text
    assert f"| {100 * rows[0]['accuracy']:.4g} |" in text
    assert "**rotate: ECE × 100, one run**" in text
    images(toy, tmp_path)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(toy.images, "SHIFTED", 11)
    assert "other choices than today's: 2 rows" in toy.images.written(rows)
    # With other choices there are neither rows nor a run.
    monkeypatch.setitem(toy.images.CHOICES, "digits", TOY | {"test_examples": 30, "width": 5})
    refused(capsys, "was started with width=4, and 5 is asked for", images, toy, tmp_path)


def refused(capsys, sentence: str, main, *arguments) -> None:
    assert main(*arguments) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_what_cannot_be_computed_is_refused_before_anything_is(tmp_path: Path, toy, capsys) -> None:
    for table in (toy.images, toy.low_data):
        refused(capsys, "'mnits' is not a set of images (did you mean 'mnist'?)", table.main, ["mnits"])
    refused(capsys, "'sdebn' is not a model", low_data, toy, tmp_path, "--models", "sdebn")
    refused(capsys, "'sdebn' is not a model", images, toy, tmp_path, "--models", "sdebn")
    for table in (low_data, images):
        refused(capsys, "--seeds -1 is not allowed", table, toy, tmp_path, "--seeds", "-1")
    refused(capsys, "--sizes 0 is not allowed", low_data, toy, tmp_path, "--sizes", "0")
    for table in (toy.images, toy.low_data):
        refused(capsys, "digits is for trials", table.main, ["digits"])
    refused(capsys, "25 images of digits are not as many of each", low_data, toy, tmp_path, "--sizes", "25")
    refused(capsys, "too few for 1190 with as many of each class", low_data, toy, tmp_path, "--sizes", "1190")
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize("name", ["low_data", "images"])
def test_the_page_says_what_the_rows_say(name: str, tables) -> None:
    from benchmarks.evidence.page import RESULTS_PAGES, text_of
    from benchmarks.results_file import RESULTS, ResultsFile

    rows = RESULTS / f"{name}.jsonl"
    if not rows.exists():
        pytest.skip("nothing of this table has been computed")
    text = (RESULTS_PAGES / f"{name.replace('_', '-')}.md").read_text()
    table = getattr(tables, name)
    assert text == text_of(table.written(ResultsFile(rows, table.KEYS).rows), text)
