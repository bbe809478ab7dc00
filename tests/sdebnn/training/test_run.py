import dataclasses
import errno
import io
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from sdebnn import storage
from sdebnn.data import load
from sdebnn.errors import InputError, StorageError
from sdebnn.runs import strict_json
from sdebnn.training import Stopped, pictures, prediction_file, restore, resume_run, start_run
from sdebnn.training.task import Task


@pytest.fixture
def saved(tmp_path, table, quick):
    """The choices of a run on a file of data, and how to write other data to it."""
    path = tmp_path / "mine.npz"

    def write(dataset) -> None:
        np.savez(path, x=dataset.x_train, y=dataset.y_train, x_test=dataset.x_test, y_test=dataset.y_test)

    write(table)
    return dataclasses.replace(quick, data=str(path), scale=False), write


def test_fewer_test_examples_can_be_scored_but_not_others(tmp_path, table, saved, build) -> None:
    config, write = saved
    start_run(build, config, tmp_path / "run")
    assert len(restore(build, tmp_path / "run", changes={"test_examples": 3}).dataset.x_test) == 3
    write(dataclasses.replace(table, x_test=2 * table.x_test))
    for changes in ({}, {"test_examples": 3}):
        with pytest.raises(InputError, match="other examples than the run's data"):
            restore(build, tmp_path / "run", changes=changes)


@pytest.fixture
def restored(tmp_path, saved, build):
    start_run(build, saved[0], tmp_path / "run")
    return restore(build, tmp_path / "run")


@pytest.mark.parametrize("like", [list, np.float64, np.float32, np.float16])
def test_inputs_are_converted_as_those_of_files_are(like, restored) -> None:
    x = [[0.5, -1.0], [2.0, 0.25]]
    expected = restored.learner.outputs(np.array(x, np.float32))
    np.testing.assert_array_equal(restored.outputs(x if like is list else np.array(x, like)), expected)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.ones(2), r"of shape \(2,\), but it must hold numbers of shape \(n, d\)"),
        (np.ones((3, 5)), r"of shape \(5,\) each, but the run was trained on floating-point .* shape \(2,\) each"),
        (np.full((3, 2, 2), 7), r"are uint8 of shape \(2, 2, 1\) each"),
        (np.full((3, 2), np.nan), "6 values that are NaN"),
        (np.ones((0, 2)), "no inputs; give 1 or more"),
        ([[1.0, 2.0], [3.0]], "no array: .*all of one shape"),
        ([["a", "b"]], "must hold numbers"),
    ],
)
def test_inputs_unlike_those_of_training_are_refused(x, says: str, restored) -> None:
    with pytest.raises(InputError, match=says):
        restored.outputs(x)


def test_changes_that_are_no_choices_are_refused(tmp_path, saved, build) -> None:
    start_run(build, saved[0], tmp_path / "run")
    for changes, says in (({"foo": 1}, "'foo', which is not a choice"), ({"test_samples": 0}, "test_samples=0")):
        with pytest.raises(InputError, match=says):
            restore(build, tmp_path / "run", changes=changes)
        with pytest.raises(InputError, match=says):
            prediction_file.predict(build, tmp_path / "run", np.ones((1, 2)), changes=changes)


def test_a_run_on_data_in_memory_is_read_back_taken_up_and_asked_for_predictions(tmp_path, table, quick, build) -> None:
    """With folders given as text."""
    folder = str(tmp_path / "run")
    run = start_run(build, quick, folder, dataset=table)
    assert run.config.data == "table"
    restored = restore(build, folder, dataset=table)
    assert restored.score() == run.fitted.scores
    assert resume_run(build, folder, dataset=table).fitted.scores == run.fitted.scores
    made = prediction_file.predict(build, folder, table.x_test)
    np.testing.assert_allclose(made["probabilities"].sum(axis=1), 1)
    with pytest.raises(InputError, match="'table' is not a data set"):
        restore(build, folder)
    with pytest.raises(InputError, match="other examples"):
        restore(build, folder, dataset=dataclasses.replace(table, x_test=-table.x_test))


def test_a_run_is_read_back_from_another_folder(tmp_path, saved, build, monkeypatch) -> None:
    config, _ = saved
    monkeypatch.chdir(tmp_path)
    run = start_run(build, dataclasses.replace(config, data="mine.npz"), "run")
    assert Path(run.config.data) == tmp_path / "mine.npz"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert restore(build, "../run").score() == run.fitted.scores


@pytest.mark.parametrize("choice", ["test_samples", "train_samples"])
def test_numbers_of_weight_paths_that_no_memory_holds_are_refused_before_any_work(
    choice: str, tmp_path, saved, build
) -> None:
    config = dataclasses.replace(saved[0], **{choice: 2**32 - 1})
    with pytest.raises(InputError, match=rf"{choice}=4294967295 would make outputs of \d+ GiB.*take at most \d+"):
        start_run(build, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_pictures_are_drawn_ends_the_run_with_a_sentence(
    number: signal.Signals, code: int, tmp_path, saved, build, monkeypatch
) -> None:
    monkeypatch.setattr(pictures, "draw_run", lambda *_: signal.raise_signal(number))
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=rf"the run is saved, and `resume_run\(build, '{tmp_path}/run'\)`") as stop:
        start_run(build, saved[0], tmp_path / "run")
    assert stop.value.exit_code == code
    assert signal.getsignal(number) is before
    assert not (tmp_path / "run" / "report.html").exists()
    monkeypatch.undo()
    resume_run(build, tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists()


def test_a_run_lives_in_a_folder_of_any_name(tmp_path, saved, build) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 \xff")
    start_run(build, saved[0], folder)
    resume_run(build, folder)
    assert (folder / "report.html").read_text().count("\\udcff") > 0
    restore(build, folder)


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_predictions_in_parts_are_those_of_all_at_once(suffix: str, tmp_path, saved, build, monkeypatch) -> None:
    start_run(build, saved[0], tmp_path / "run")
    x = np.random.default_rng(1).normal(size=(11, 2))
    whole = prediction_file.predict(build, tmp_path / "run", x)
    prediction_file.write(whole, tmp_path / f"whole{suffix}")
    monkeypatch.setattr("sdebnn.training.posterior.CHUNK", 4)
    parts = prediction_file.predict_in_parts(build, tmp_path / "run", x)
    assert prediction_file.write_in_parts(parts, tmp_path / f"parts{suffix}") == list(whole)
    files = [tmp_path / f"{name}{suffix}" for name in ("whole", "parts")]
    if suffix == ".csv":
        assert files[0].read_text() == files[1].read_text()
        assert len(files[0].read_text().splitlines()) == 12
    else:
        first, second = (np.load(file) for file in files)
        assert list(first) == list(second) == list(whole)
        for name, array in whole.items():
            for found in (first[name], second[name]):
                np.testing.assert_array_equal(found, array)
                assert found.dtype == array.dtype
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["mine.npz", "run", *(file.name for file in files)]
    )


def test_parts_that_break_off_leave_no_file(tmp_path, saved) -> None:
    def parts():
        yield {"label": np.zeros(3)}
        raise FloatingPointError

    for name in ("new.npz", "new.csv", "new.parquet"):
        with pytest.raises(FloatingPointError):
            prediction_file.write_in_parts(parts(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]


def test_predictions_that_find_no_room_are_a_sentence(tmp_path, monkeypatch) -> None:
    class Full(io.BufferedWriter):
        def write(self, _) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage, "BufferedWriter", Full)
    for name in ("new.npz", "new.csv", "new.parquet"):
        with pytest.raises(StorageError, match="No space left on device"):
            prediction_file.write({"label": np.zeros(3)}, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_of_the_data_is_the_first_line_and_kept(tmp_path, saved, build, capsys) -> None:
    config, _ = saved
    start_run(build, config, tmp_path / "run")
    line = "classification: 34 rows of 2 inputs, 2 classes; 24 for training, 10 for testing"
    assert capsys.readouterr().err.splitlines()[0] == line
    assert json.loads((tmp_path / "run" / "task.json").read_text())["made"] == line
    resume_run(build, tmp_path / "run")
    assert capsys.readouterr().err.splitlines()[0] == line


def test_what_is_doubtful_of_ones_own_data_is_a_warning(tmp_path, table, quick, build) -> None:
    far = dataclasses.replace(table, x_train=100 + table.x_train)
    with pytest.warns(UserWarning, match="2 of 2 inputs are not standardised"):
        start_run(build, quick, tmp_path / "run", dataset=far)


def test_examples_that_are_scored_in_part_are_spread_over_a_sorted_file(tmp_path, table, saved, build) -> None:
    config, write = saved
    order = np.argsort(table.y_train, kind="stable")
    x, y = table.x_train[order], table.y_train[order]
    write(dataclasses.replace(table, x_test=x, y_test=y))
    start_run(build, config, tmp_path / "run")
    part = restore(build, tmp_path / "run", changes={"test_examples": 6}).dataset
    again = restore(build, tmp_path / "run", changes={"test_examples": 6}).dataset
    np.testing.assert_array_equal(part.x_test, again.x_test)
    assert abs(part.y_test.mean() - y.mean()) < 1 / 6
    assert len(restore(build, tmp_path / "run", changes={"test_examples": 99}).dataset.x_test) == 24
    run = start_run(build, dataclasses.replace(config, test_examples=6), tmp_path / "part")
    np.testing.assert_array_equal(run.dataset.x_test, part.x_test)
    assert restore(build, tmp_path / "part").score() == run.fitted.scores


def test_a_choice_that_does_not_fit_data_in_memory_is_refused(tmp_path, table, quick, build) -> None:
    for choices in ({"task": "regression"}, {"layout": "images"}, {"layout": "channels_first"}):
        with pytest.raises(InputError, match="does not fit table"):
            start_run(build, dataclasses.replace(quick, **choices), tmp_path / "run", dataset=table)
    assert not (tmp_path / "run").exists()


def test_a_run_of_before_the_choices_is_read_as_it_was_trained(tmp_path, saved, build) -> None:
    """Without asking again; here one-hot floats stand for what an older version took without asking."""
    config, _ = saved
    x = np.random.default_rng(0).normal(size=(24, 2))
    path = tmp_path / "one_hot.npz"
    np.savez(path, x=x, y=(x[:, 0] > 0).astype(int))
    run = start_run(build, dataclasses.replace(config, data=str(path)), tmp_path / "run")
    np.savez(path, x=x, y=np.eye(2)[(x[:, 0] > 0).astype(int)])
    with pytest.raises(InputError, match="2 classes, or targets"):
        restore(build, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    del record["task"], record["layout"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(record))
    assert restore(build, tmp_path / "run").score() == run.fitted.scores


@pytest.mark.parametrize("layout", ["channels_first", "table"])
def test_new_inputs_come_in_the_layout_of_the_file(tmp_path, layout: str, quick, build_seen) -> None:
    x = np.random.default_rng(0).random((12, 2, 5, 6)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=np.arange(12) % 2)
    config = dataclasses.replace(quick, data=str(tmp_path / "mine.npz"), layout=layout, scale=False)
    start_run(build_seen, config, tmp_path / "run")
    prediction_file.predict(build_seen, tmp_path / "run", x[:3])
    expected = x[:3].transpose(0, 2, 3, 1) if layout == "channels_first" else x[:3].reshape(3, -1)
    np.testing.assert_array_equal(build_seen.inputs[-1], expected)


@pytest.fixture
def build_seen(build):
    """Makes learners that say the same of all inputs, and keeps these."""

    def seen(config, dataset):
        learner = build(config, dataset)
        learner.gradient_step = lambda x, y, step: {"loss": 1.0}
        learner.outputs = lambda x: seen.inputs.append(x) or np.zeros((2, len(x), 2))
        return learner

    seen.inputs = []
    return seen


def test_one_posterior_sample_says_nothing_of_ignorance(tmp_path, saved, build) -> None:
    config, _ = saved
    start_run(build, config, tmp_path / "run")
    with pytest.warns(UserWarning, match=r"test_samples=1\) says nothing of ignorance.*test_samples=2"):
        made = prediction_file.predict(build, tmp_path / "run", np.ones((3, 2)), changes={"test_samples": 1})
    assert np.isnan(made["mutual_information"]).all()
    assert np.isfinite(made["entropy"]).all()


def test_a_run_of_version_0_1_finds_its_test_examples_in_the_order_of_the_file(tmp_path, quick, build) -> None:
    x = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=(x[:, 0] > 0).astype(int))
    config = dataclasses.replace(quick, data=str(tmp_path / "mine.npz"), scale=False)
    start_run(build, config, tmp_path / "run")
    restored = restore(build, tmp_path / "run")
    assert (np.diff([np.flatnonzero((x == row).all(1))[0] for row in restored.dataset.x_test]) < 0).any()
    ordered = load(tmp_path / "mine.npz", in_order=True)
    strict_json.write(tmp_path / "run" / "task.json", Task.of(ordered)._replace(made=None)._asdict())
    np.testing.assert_array_equal(restore(build, tmp_path / "run").dataset.x_test, ordered.x_test)
