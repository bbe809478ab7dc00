"""From a table to predictions in its own units and names: the commands, and the same in Python."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest

from sdebnn import extras
from sdebnn.cli import main
from sdebnn.data import Dataset, TableEncoding
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.runs.started import read_start
from sdebnn.training import prediction_file, restore, start_run

QUICK = "--epochs 20 --batch-size 16 --width 8 --steps 3 --test-samples 4 --drift-widths 4 --learning-rate 0.01"
N = 120
RNG = np.random.default_rng(0)
SIZE, TOWN = RNG.normal(120, 30, N), RNG.choice(["=Bonn", "Trier"], N)
PRICE = 3e7 * SIZE + 4e8 * (TOWN == "Trier")
SALES = pl.DataFrame({"size": SIZE, "town": TOWN, "house": [f"h{row}" for row in range(N)], "price": PRICE})


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on a csv that is then gone: a price in PyTorch, a town in JAX; and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("sales")
    SALES.write_csv(folder / "sales.csv")
    with jax.numpy_dtype_promotion("standard"):
        for target, framework in (("price", "torch"), ("town", "jax")):
            flags = ["--data", str(folder / "sales.csv"), "--target", target, "--framework", framework]
            assert main(["train", *flags, "--output", str(folder / target), *QUICK.split()]) == 0
    return folder


def predicted(folder: Path, run: str, table: pl.DataFrame, tmp_path: Path) -> list[dict[str, str]]:
    table.write_csv(tmp_path / "new.csv")
    command = ["predict", str(folder / run), str(tmp_path / "new.csv"), "--output", str(tmp_path / "out.csv")]
    assert main(command) == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scores(run: Path) -> dict[str, float]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["split"] == "test"][-1]


def test_predictions_come_in_the_units_of_the_table_whatever_the_order_of_its_columns(folder, tmp_path) -> None:
    rows = predicted(folder, "price", SALES[["town", "size"]], tmp_path)
    means = np.array([float(row["mean"]) for row in rows])
    assert np.corrcoef(means, PRICE)[0, 1] > 0.9
    error, spread = np.sqrt(np.mean((means - PRICE) ** 2)), PRICE.std()
    assert error < spread / 2
    stds = np.array([float(row["std"]) for row in rows])
    assert (stds > [float(row["epistemic_std"]) for row in rows]).all()
    assert error / 4 < np.median(stds) < 2 * spread
    again = predicted(folder, "price", SALES, tmp_path)
    assert again == rows


def test_scores_are_in_the_units_of_the_table(folder, capsys) -> None:
    found = scores(folder / "price")
    assert 1e7 < found["rmse"] < PRICE.std()
    # The density of a normal law with the spread of the prices themselves, at its best.
    assert -np.log(PRICE.std()) - 3 < found["log_likelihood"] < -np.log(1e7)
    SALES.write_csv(folder / "sales.csv")
    assert main(["evaluate", str(folder / "price")]) == 0
    assert f"{found['rmse']:.4g}" in capsys.readouterr().out


def test_labels_have_their_names_and_no_cell_is_a_formula(folder, tmp_path) -> None:
    rows = predicted(folder, "town", SALES.drop("town"), tmp_path)
    assert {row["label"] for row in rows} == {"'=Bonn", "Trier"}
    found = prediction_file.predict(build_learner, folder / "town", pd.DataFrame({"size": SIZE, "price": PRICE}))
    assert set(found["label"].tolist()) == {"=Bonn", "Trier"}
    assert (found["label"] == TOWN).mean() > 0.8
    sure = found["probabilities"].argmax(axis=1)
    assert [row["label"].removeprefix("'") for row in rows] == np.array(["=Bonn", "Trier"])[sure].tolist()


def test_the_recall_of_a_class_has_its_name(folder, capsys) -> None:
    SALES.write_csv(folder / "sales.csv")
    assert main(["evaluate", str(folder / "town")]) == 0
    said = capsys.readouterr().out
    assert "recall of '=Bonn'  recall of 'Trier'" in said
    assert "recall_0" not in said
    page = (folder / "town" / "report.html").read_text()
    assert "recall of &#39;Trier&#39;" in page
    assert "recall_1" not in page


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\tb", "\rc", "d"])
def test_text_is_never_written_as_a_formula(text: str, tmp_path: Path) -> None:
    prediction_file.write({"label": np.array([text]), "mean": np.array([-1.5])}, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1] == [text if text == "d" else "'" + text, "-1.5"]


def test_predictions_are_a_parquet_too(folder, tmp_path, monkeypatch) -> None:
    new, out = tmp_path / "new.parquet", tmp_path / "out.parquet"
    SALES.drop("town").write_parquet(new)
    assert main(["predict", str(folder / "town"), str(new), "--output", str(out)]) == 0
    table, found = pl.read_parquet(out), prediction_file.predict(build_learner, folder / "town", SALES)
    assert table["label"].to_list() == found["label"].tolist()
    np.testing.assert_allclose(table["probabilities_Trier"], found["probabilities"][:, 1], rtol=1e-5)
    parts = [{"mean": np.arange(2.0)}, {"mean": np.arange(1.0)}]
    assert prediction_file.write_in_parts(parts, out) == ["mean"]
    assert pl.read_parquet(out)["mean"].to_list() == [0, 1, 0]
    monkeypatch.setattr(extras, "_found", lambda name: name != "polars")
    with pytest.raises(InputError, match=r"Writing \.parquet files needs polars"):
        prediction_file.check_output(out)


def test_a_run_says_what_it_made_of_the_columns(folder, tmp_path, capsys) -> None:
    SALES.with_columns(price=PRICE / 1e8).write_csv(tmp_path / "sales.csv")
    flags = ["--data", str(tmp_path / "sales.csv"), "--target", "price", "--output", str(tmp_path / "run")]
    with pytest.warns(UserWarning, match="not standardised") as warned:
        assert main(["train", *flags, *QUICK.split(), "--max-steps", "1", "--scale", "0"]) == 0
    said = capsys.readouterr().err
    assert "regression: 120 rows of 3 inputs, 1 target" in said
    assert "column 'house' is left out: its text is another in every row" in said
    inputs, targets = (str(warning.message) for warning in warned)
    assert "1 of 3 inputs are not standardised, which the network is made for ('size': mean 1" in inputs
    assert "('price': mean 3" in targets
    record = json.loads((folder / "price" / "table.json").read_text())
    assert TableEncoding.from_json(record).input_names == ("size", "town==Bonn", "town=Trier")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (SALES.drop("size"), "no column 'size'"),
        (SALES.rename({"size": "sice"}), "no column 'size' (did you mean 'sice'?)"),
        (SALES.with_columns(garden=1), "a column 'garden'"),
        (SALES.with_columns(size=pl.lit("large")), "'size' holds text, such as 'large'"),
        (SALES.with_columns(size=np.inf), "'size' has 120 infinite values"),
        (SALES[:0], "has no rows"),
    ],
)
def test_other_tables_than_that_of_training_are_refused(table, says: str, folder, tmp_path, capsys) -> None:
    table.write_csv(tmp_path / "new.csv")
    command = ["predict", str(folder / "price"), str(tmp_path / "new.csv"), "--output", str(tmp_path / "out.csv")]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "say which of them is to be predicted with target='...' (--target)"),
        (["--target", "prize"], "no column 'prize' to predict (did you mean 'price'?)"),
        (["--target", "town", "--task", "regression"], "'town' holds text"),
        (["--target", "house,town"], "'house' holds text"),
    ],
)
def test_a_target_that_cannot_be_learned_is_one_line(flags: list[str], says: str, tmp_path, capsys) -> None:
    SALES.write_csv(tmp_path / "sales.csv")
    output = ["--output", str(tmp_path / "run")]
    assert main(["train", "--data", str(tmp_path / "sales.csv"), *flags, *output, *QUICK.split()]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_an_altered_table_is_refused(folder, tmp_path, capsys) -> None:
    file = folder / "price" / "table.json"
    whole = file.read_bytes()
    SALES.write_csv(tmp_path / "new.csv")
    command = ["predict", str(folder / "price"), str(tmp_path / "new.csv"), "--output", str(tmp_path / "out.csv")]
    try:
        for content, says in (
            (re.sub(rb'"mean": [0-9.]+', b'"mean": 0.0', whole), "table.json is not of the run that"),
            (b"{}", "table.json is not of the run that"),
            (b"[", "table.json was truncated or altered"),
        ):
            file.write_bytes(content)
            assert main(command) == 2
            assert says in capsys.readouterr().err
        file.unlink()
        assert main(command) == 2
        assert "table.json can't be read" in capsys.readouterr().err
    finally:
        file.write_bytes(whole)
    assert main(command) == 0


def test_a_frame_in_memory_trains_and_is_restored(tmp_path) -> None:
    dataset = Dataset.from_frame(pd.DataFrame(SALES.to_dict(as_series=False)), "price", name="sales")
    config = TrainConfig(epochs=5, batch_size=16, width=4, steps=2, test_samples=3, drift_widths=(4,), validation=0.2)
    run = start_run(build_learner, config, tmp_path / "run", dataset=dataset)
    assert run.fitted.scores["rmse"] > 1e7
    restored = restore(build_learner, tmp_path / "run", dataset=dataset)
    assert restored.score() == run.fitted.scores
    outputs: Any = restored.outputs(SALES[:5])
    assert outputs.shape[:2] == (3, 5)
    other = Dataset.from_frame(SALES, "price", name="sales", scale=False)
    with pytest.raises(ValueError, match="other examples than the run's data"):
        restore(build_learner, tmp_path / "run", dataset=other)


def test_a_run_on_a_table_is_taken_up_on_the_same_table_alone(folder, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "price", run)
    SALES.write_csv(tmp_path / "moved.csv")
    assert main(["train", "--resume", str(run), "--data", str(tmp_path / "moved.csv")]) == 0
    assert scores(run)["rmse"] == scores(folder / "price")["rmse"]
    assert main(["evaluate", str(run), "--data", str(tmp_path / "moved.csv")]) == 0
    SALES.with_columns(size=pl.Series(SIZE[::-1])).write_csv(tmp_path / "moved.csv")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(tmp_path / "moved.csv")]) == 2
    assert "other examples than the run's data" in capsys.readouterr().err


def test_rows_of_an_npz_come_back_in_their_units(tmp_path) -> None:
    x = RNG.normal([1e5, 0], [1e4, 1e-3], size=(N, 2))
    y = 1e6 * (x[:, 0] - 1e5)
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    flags = ["--data", str(tmp_path / "mine.npz"), "--output", str(tmp_path / "run")]
    assert main(["train", *flags, *QUICK.split()]) == 0
    found = prediction_file.predict(build_learner, tmp_path / "run", x)
    assert np.corrcoef(found["mean"][:, 0], y)[0, 1] > 0.9
    assert np.sqrt(np.mean((found["mean"][:, 0] - y) ** 2)) < y.std() / 2


def test_a_run_of_before_this_choice_takes_its_numbers_as_they_are(tmp_path) -> None:
    x = RNG.normal(3, 2, size=(N, 2)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=x[:, 0])
    flags = ["--data", str(tmp_path / "mine.npz"), "--output", str(tmp_path / "run"), "--scale", "0"]
    assert main(["train", *flags, *QUICK.split()]) == 0
    run = tmp_path / "run"
    assert not (run / "table.json").exists()
    for file, names in (("config.json", ("scale", "target")), ("task.json", ("encoding",))):
        record = json.loads((run / file).read_text())
        for name in names:
            del record[name]
        (run / file).write_text(json.dumps(record))
    restored = restore(build_learner, run)
    assert restored.dataset.encoding is None
    assert restored.score()["rmse"] == pytest.approx(scores(run)["rmse"])
    assert not read_start(RunFolder(run))[0].scale
