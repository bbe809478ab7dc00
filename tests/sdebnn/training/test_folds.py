"""A run whose members hold examples out: from a file to a folder that is read back, and what it refuses."""

import csv
import dataclasses
import pathlib
from collections.abc import Iterator

import jax
import numpy as np
import pytest

import sdebnn
from sdebnn.data import Dataset, is_table
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig
from sdebnn.training import Callback, restore, resume_run, start_run

SMALL = {"width": 4, "drift_widths": (2,), "augment": 1, "members": 2, "max_steps": 100, "test_samples": 2}


@pytest.fixture(autouse=True)
def as_optax_needs_it() -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def table(tmp_path: pathlib.Path) -> pathlib.Path:
    """Names of two kinds, told apart by a column whose numbers are far from unit scale."""
    rng = np.random.default_rng(0)
    with (tmp_path / "table.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["weight", "noise", "kind"])
        for _ in range(60):
            kind = rng.integers(2)
            rows.writerow([1e6 + 1e4 * (kind + 0.1 * rng.normal()), rng.normal(), ("hare", "wolf")[kind]])
    return tmp_path / "table.csv"


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_csv_is_learned_and_read_back(table: pathlib.Path, tmp_path: pathlib.Path, framework: str) -> None:
    config = TrainConfig.for_table(data=str(table), target="kind", framework=framework, **SMALL)
    assert config.tuning == "folds"
    run = start_run(build_learner, config, tmp_path / "run")
    assert run.fitted.scores["accuracy"] == 1.0
    assert restore(build_learner, tmp_path / "run").score() == run.fitted.scores
    posterior = sdebnn.load(tmp_path / "run")
    assert posterior.predict(np.array([[1.01e6, 0.0], [1e6, 0.0]])).label.tolist() == ["wolf", "hare"]
    # Taken up again, it is scored again and not trained.
    before = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert resume_run(build_learner, tmp_path / "run").fitted.scores == run.fitted.scores
    assert sorted((tmp_path / "run" / "checkpoints").iterdir()) == before
    # Once, also where it was broken off before its scores were written.
    log = tmp_path / "run" / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    assert ["test" in line for line in lines] == [False] * (len(lines) - 1) + [True]
    log.write_text("".join(lines[:-1]))
    resume_run(build_learner, tmp_path / "run")
    assert [line["split"] for line in MetricsLog.read(RunFolder.open(tmp_path / "run"))].count("test") == 1


def test_who_says_how_long_a_table_is_learned_from_is_obeyed() -> None:
    assert TrainConfig.for_table(epochs=3).tuning == "none"
    # All of the epochs.
    assert TrainConfig.for_table(epochs=3000).total_steps(640) == 30_000
    assert TrainConfig.for_table(model="meanfield_sdebnn").tuning == "none"
    assert TrainConfig.for_table(max_steps=50).tuning == "folds"
    assert TrainConfig.for_table(validation=0.1).tuning == "none"
    assert TrainConfig.for_table(epochs=3, tuning="folds").tuning == "folds"


def test_files_of_columns_and_arrays_of_two_axes_are_tables(tmp_path: pathlib.Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.zeros((4, 3)), y=np.zeros(4))
    np.savez(tmp_path / "images.npz", x=np.zeros((4, 3, 3)), y=np.zeros(4))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    found = {name: is_table(str(tmp_path / name)) for name in ("rows.npz", "images.npz", "a.csv", "broken.npz")}
    assert found == {"rows.npz": True, "images.npz": False, "a.csv": True, "broken.npz": False}
    assert is_table(str(tmp_path / "images.npz"), layout="table")
    assert not is_table("digits")


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"model": "meanfield_odenet"}, "trains sdebnn and odenet"),
        # Before what their models refuse by themselves.
        ({"model": "laplace_odenet"}, "folds' trains sdebnn and odenet, and the model is 'laplace_odenet'"),
        ({"model": "swag_odenet", "schedule": "cosine"}, "folds' trains sdebnn and odenet"),
        ({"validation": 0.2}, "take validation=0.0"),
        ({"kl_warmup": 3.0}, "knows nothing of kl_warmup=3.0"),
        ({"data": "digits", "likelihood": "categorical"}, "is for tables"),
    ],
)
def test_what_folds_cannot_train_is_refused(tmp_path: pathlib.Path, choices: dict, sentence: str) -> None:
    config = TrainConfig(tuning="folds", **{"data": "b20", **SMALL, **choices})
    with pytest.raises(InputError, match=sentence):
        start_run(build_learner, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_callbacks_and_builders_of_ones_own_are_refused(tmp_path: pathlib.Path) -> None:
    config = TrainConfig(tuning="folds", data="b20", **SMALL)
    with pytest.raises(InputError, match="no step to call callbacks after"):
        start_run(build_learner, config, tmp_path / "run", callbacks=[Callback()])

    def own(config: TrainConfig, dataset: Dataset) -> object:
        learner = build_learner(config, dataset)
        learner.by_choices = False
        return learner

    with pytest.raises(InputError, match="from its choices"):
        start_run(own, dataclasses.replace(config, members=1), tmp_path / "run")
