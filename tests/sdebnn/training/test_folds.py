"""A run whose members hold examples out: from a file to a folder that is read back, and what it refuses."""

import csv
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

import sdebnn
from sdebnn.data import Dataset, is_table
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig
from sdebnn.runs.choices import SIGMAS
from sdebnn.runs.started import read_start
from sdebnn.training import Callback, restore, resume_run, start_run
from sdebnn.training.history import History

SMALL: dict[str, Any] = {
    "width": 4,
    "drift_widths": (2,),
    "augment": 1,
    "members": 2,
    "max_steps": 100,
    "test_samples": 2,
}


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
    assert (config.tuning, config.sigma) == ("folds", "auto")
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


def test_sigma_is_found_by_held_out_examples(table: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config = TrainConfig.for_table(data=str(table), target="kind", **SMALL)
    found = start_run(build_learner, config, tmp_path / "found")
    restored, history = restore(build_learner, tmp_path / "found"), History.read(RunFolder.open(tmp_path / "found"))
    sigma = restored.config.sigma
    assert list(history.candidates) == [f"sigma={tried:g}, likelihood=categorical" for tried in SIGMAS]
    assert max(history.candidates, key=history.candidates.__getitem__).startswith(f"sigma={sigma:g},")
    # Candidates do not touch each other: a run of that sigma alone ends with the same numbers, one of another does not.
    scores = {
        tried: start_run(build_learner, dataclasses.replace(config, sigma=tried), tmp_path / f"{tried}").fitted.scores
        for tried in SIGMAS
    }
    assert found.fitted.scores == restored.score() == scores[sigma]
    assert all(found.fitted.scores != other for tried, other in scores.items() if tried != sigma)
    # What was asked for stays what the run is compared by.
    assert read_start(RunFolder.open(tmp_path / "found"))[0].sigma == "auto"
    assert sdebnn.load(tmp_path / "found").config.sigma == sigma
    report = (tmp_path / "found" / "report.html").read_text()
    assert "Sigma, found" in report
    assert found.config.sigma == sigma
    assert resume_run(build_learner, tmp_path / "found").fitted.scores == found.fitted.scores
    # One that was broken off before it was found begins anew.
    for file in (tmp_path / "found" / "checkpoints").iterdir():
        file.unlink()
    (tmp_path / "found" / "metrics.jsonl").unlink()
    assert resume_run(build_learner, tmp_path / "found").fitted.scores == found.fitted.scores


def test_sigma_is_found_for_tables_alone() -> None:
    assert TrainConfig.for_table(sigma=0.3).sigma == 0.3
    assert TrainConfig.for_table(model="odenet").sigma == TrainConfig.for_table(epochs=3).sigma == 0.2
    assert TrainConfig.for_data("digits").sigma == 0.2
    with pytest.raises(InputError, match="sigma='auto' is found by the examples that tuning='folds' holds out"):
        TrainConfig(sigma="auto")
    with pytest.raises(InputError, match="sigma='auto' is of weights that follow an SDE, and model='odenet' has none"):
        TrainConfig.for_table(sigma="auto", model="odenet")
    with pytest.raises(InputError, match="is found by training, and is no number yet"):
        TrainConfig.for_table().weight_prior()


def test_who_says_how_long_a_table_is_learned_from_is_obeyed() -> None:
    assert TrainConfig.for_table(epochs=3).tuning == "none"
    # All of the epochs.
    assert TrainConfig.for_table(epochs=3000).total_steps(640) == 30_000
    assert TrainConfig.for_table(model="meanfield_sdebnn").tuning == "none"
    assert TrainConfig.for_table(max_steps=50).tuning == "folds"
    assert TrainConfig.for_table(validation=0.1).tuning == "none"
    assert TrainConfig.for_table(epochs=3, tuning="folds").tuning == "folds"


@pytest.mark.parametrize(
    "choices", [{"model": "dropout_odenet"}, {"model": "swag_odenet"}, {"tuning": "none"}, {"validation": 0.1}]
)
def test_a_table_that_is_not_learned_by_folds_takes_all_steps_however_few_its_rows(choices: dict[str, Any]) -> None:
    assert TrainConfig.for_table(**choices).total_steps(80) == 10_000
    assert TrainConfig.for_table(**choices, max_steps=500).total_steps(80) == 500
    assert TrainConfig.for_table(**choices, epochs=40).total_steps(80) == 50
    # Without a limit.
    assert TrainConfig.for_table(**choices, max_steps=0).total_steps(80) == 50


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

    def own(config: TrainConfig, dataset: Dataset) -> Any:
        learner = build_learner(config, dataset)
        learner.by_choices = False
        return learner

    with pytest.raises(InputError, match="from its choices"):
        start_run(own, dataclasses.replace(config, members=1), tmp_path / "run")
