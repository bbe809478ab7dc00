"""The tables of evidence at toy size: they go on where they were broken off, and compute nothing twice."""

import json
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
    monkeypatch.setattr(tables.low_data, "CHOSEN_ON", ("digits", 20, 0))
    monkeypatch.setitem(tables.low_data.CANDIDATES, "sdebnn", [{"sigma": 0.1}, {"sigma": 3.0}])
    monkeypatch.setitem(tables.low_data.CANDIDATES, "odenet", [{}])
    monkeypatch.setitem(tables.images.CHOICES, "digits", TOY | {"test_examples": 30})
    monkeypatch.setattr(tables.images, "SHIFTED", 10)
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
        names.extend(configs)
        return train(build, configs, *others, **named)

    monkeypatch.setattr(toy.low_data, "train_side_by_side", watched)
    return names


def rows_of(results: Path) -> list[dict]:
    return [
        {key: value for key, value in json.loads(line).items() if key != "seconds"}
        for line in results.read_text().splitlines()
    ]


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
    assert low_data(toy, tmp_path) == 130
    assert trained == ["digits-20-0-sdebnn-sigma-0.1", "digits-20-0-sdebnn-sigma-3", "broken off"]
    # As a program leaves it that is killed while it writes.
    results = tmp_path / "rows.jsonl"
    results.write_text(results.read_text() + '{"data": "dig')
    assert low_data(toy, tmp_path) == 0
    assert trained[3:] == ["digits-20-0-sdebnn", "digits-20-0-odenet"]
    rows = rows_of(results)
    assert [row["held_out"] for row in rows] == [True, True, False, False]
    best = min(rows[:2], key=lambda row: row["nll"])["choices"]["sigma"]
    assert [row["choices"].get("sigma") for row in rows[2:]] == [best, None]
    assert not any((tmp_path / "runs").iterdir())
    page = tmp_path / "page.md"
    by_hand = "## What to take from it\n\nMuch.\n"
    page.write_text("old\n" + by_hand)
    low_data(toy, tmp_path)
    assert len(trained) == 5
    low_data(toy, tmp_path, "--seeds", "0", "1")
    assert trained[5:] == ["digits-20-1-sdebnn", "digits-20-1-odenet"]
    text = page.read_text()
    assert text.startswith("# Few images\n")
    assert text.endswith(f"\n\n{by_hand}")
    assert text.count("| 20 (2 seeds) |") == 3
    accuracies = [100 * row["accuracy"] for row in rows_of(results) if row["model"] == "sdebnn" and not row["held_out"]]
    mean, error = np.mean(accuracies), np.std(accuracies, ddof=1) / np.sqrt(2)
    cell = next(line for line in text.splitlines() if line.startswith("| SDE-BNN |")).split("|")[2]
    assert [float(number.strip("* ")) for number in cell.split("±")] == pytest.approx([mean, error], rel=0.06)


def test_all_models_of_a_seed_learn_from_the_same_images_of_each_class_and_are_judged_by_others(toy) -> None:
    subset = toy.low_data.images
    small, large, again = (subset("digits", size, seed, True) for size, seed in ((20, 1), (100, 1), (20, 2)))
    for data, each in ((small, 2), (large, 10)):
        assert np.bincount(data.y_train).tolist() == [each] * 10
        assert not {x.tobytes() for x in data.x_train} & {x.tobytes() for x in data.x_test}
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
    assert f"| {100 * rows[0]['accuracy']:.4g} |" in text
    assert "**rotate: ECE × 100, one run**" in text
    images(toy, tmp_path)
    assert capsys.readouterr().out == ""
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
    refused(capsys, "25 images of digits are not as many of each", low_data, toy, tmp_path, "--sizes", "25")
    refused(capsys, "too few for 1190 and 40 others", low_data, toy, tmp_path, "--sizes", "1190")
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize("name", ["low_data", "images"])
def test_the_page_says_what_the_rows_say(name: str, tables) -> None:
    from benchmarks.evidence.page import RESULTS_PAGES, text_of
    from benchmarks.results_file import RESULTS

    rows = RESULTS / f"{name}.jsonl"
    if not rows.exists():
        pytest.skip("nothing of this table has been computed")
    text = (RESULTS_PAGES / f"{name.replace('_', '-')}.md").read_text()
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert text == text_of(getattr(tables, name).written(found), text)
