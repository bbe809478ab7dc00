"""Runs of builders of a user's own, and on data in memory or in files that have moved."""

import dataclasses
import functools
import html
import json
import os
import signal

import jax
import numpy as np
import pytest

from sdebnn import __version__, brax, torchbnn
from sdebnn.brax.learning.model import build_model
from sdebnn.cli import main
from sdebnn.data import Dataset
from sdebnn.errors import InputError, StorageError
from sdebnn.runs import RunFolder
from sdebnn.runs.started import Started, how_to_resume
from sdebnn.torchbnn.learning.model import build_model as torch_model
from sdebnn.training import Stopped, prediction_file, restore, resume_run, start_run
from sdebnn.training.building import builder_name, built_again
from sdebnn.training.loop import fit


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def own(build):
    def own(config, dataset):
        return build(config, dataset)

    return own


@pytest.fixture
def folder(tmp_path, table, quick, own):
    """Of a run by a builder of a user's own."""
    start_run(own, quick, tmp_path / "run", dataset=table)
    return tmp_path / "run"


def test_a_run_says_by_which_builder_and_on_what_data_it_was_started(folder) -> None:
    started = json.loads((folder / "config.json").read_text())["started"]
    assert started["builder"].endswith("test_started:own.<locals>.own")
    assert started["in_memory"] is True
    assert started["version"] == __version__


@pytest.mark.parametrize("new", [{"depth_of_tomorrow": 3}, {"model": "of_tomorrow"}, {"started": {"mood": 1}}])
def test_a_run_of_a_newer_version_says_so_where_it_cannot_be_read(new, folder, table, own) -> None:
    config = json.loads((folder / "config.json").read_text())
    newer = config | new | {"started": config["started"] | new.get("started", {}) | {"version": "9.9"}}
    (folder / "config.json").write_text(json.dumps(newer))
    for read in (restore, resume_run):
        with pytest.raises(InputError, match=rf"is of sdebnn 9.9, and this is sdebnn {__version__}: read it with that"):
            read(own, folder, dataset=table)
    older = config | {"epochs": -3, "started": config["started"] | {"version": "0.0.1"}}
    (folder / "config.json").write_text(json.dumps(older))
    with pytest.raises(InputError, match=r"is of sdebnn 0.0.1, .*What this one does not take of it: .*epochs"):
        restore(own, folder, dataset=table)
    # What it has anew says nothing where the choices are known.
    known = config | {"started": config["started"] | {"version": "9.9"}}
    (folder / "config.json").write_text(json.dumps(known))
    restore(own, folder, dataset=table)


def test_another_builder_is_refused_and_told_what_to_do(folder, table, build, own) -> None:
    def other(config, dataset):
        return build(config, dataset)

    predict = rf"prediction_file.predict\(build, '{folder}', x\)"
    calls = rf"restore\(build, '{folder}', dataset=dataset\), {predict} or resume_run\(build, "
    for builder in (other, build, functools.partial(brax.build_learner, devices=1), torchbnn.build_learner):
        for go_on in (
            lambda builder: restore(builder, folder, dataset=table),
            lambda builder: resume_run(builder, folder, dataset=table),
            lambda builder: prediction_file.predict(builder, folder, table.x_test),
        ):
            with pytest.raises(InputError, match=rf"own\.<locals>\.own, a builder of its user's own, not.*{calls}"):
                go_on(builder)
    for same in (own, functools.partial(own)):
        restore(same, folder, dataset=table)
        resume_run(same, folder, dataset=table)
        prediction_file.predict(same, folder, table.x_test)


@pytest.mark.parametrize("command", ["evaluate", "predict", "train"])
def test_commands_refuse_it_before_they_build_anything(command, folder, table, tmp_path, capsys) -> None:
    np.savez(tmp_path / "same.npz", x=table.x_train, y=table.y_train, x_test=table.x_test, y_test=table.y_test)
    np.savez(tmp_path / "new.npz", x=table.x_test)
    data = ["--data", str(tmp_path / "same.npz")]
    arguments = {
        "evaluate": [str(folder), *data],
        "predict": [str(folder), str(tmp_path / "new.npz"), "--output", str(tmp_path / "out.npz")],
        "train": ["--resume", str(folder), *data],
    }[command]
    assert main([command, *arguments]) == 2
    assert "a builder of its user's own, not by sdebnn from its choices" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


def test_a_name_that_was_changed_and_folders_of_older_runs_are_taken(folder, table, build, own) -> None:
    """As the refusal says; and a name without the package in which a script is."""
    config = json.loads((folder / "config.json").read_text())
    name = config["started"]["builder"]
    for builder in (name.rsplit(".", 3)[1] + "." + ".".join(name.rsplit(".", 2)[1:]), None):
        config["started"]["builder"] = name.split(".", 1)[1] if builder else None
        (folder / "config.json").write_text(json.dumps(config))
        restore(own, folder, dataset=table)
    restore(build, folder, dataset=table)
    del config["started"]
    (folder / "config.json").write_text(json.dumps(config))
    restore(build, folder, dataset=table)
    for altered in (3, {"builder": 3}, {"in_memory": "yes"}, {"other": 1}, {"version": 1}):
        (folder / "config.json").write_text(json.dumps(config | {"started": altered}))
        with pytest.raises(InputError, match=r"config.json cannot be used: its part 'started' was altered"):
            restore(build, folder, dataset=table)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_whatever_calls_build_learner_makes_the_network_of_the_choices(framework, quick, table, tmp_path) -> None:
    package = {"jax": brax, "torch": torchbnn}[framework]

    def wrapped(config, dataset):
        return package.build_learner(config, dataset)

    assert builder_name(wrapped, wrapped(quick, table)) == "sdebnn"
    run, started = RunFolder(tmp_path), Started("sdebnn", in_memory=True)
    built_again(wrapped, run, started, quick, table)

    def own(config, dataset):
        """Of the same shapes: its checkpoint alone would not tell."""
        if framework == "jax":
            return brax.JaxLearner(config, build_model(config, dataset), 30, brax.devices.make_mesh())
        model = torch_model(config, dataset)
        return torchbnn.TorchLearner(config, model, model, 30)

    with pytest.raises(InputError, match=r"was built by sdebnn from its choices, not by .*own; give build_learner"):
        built_again(own, run, started, quick, table)


def test_what_takes_a_run_up_again_is_a_call_where_no_command_can(
    tmp_path, table, quick, build, own, monkeypatch
) -> None:
    def interrupted(config, dataset):
        learner = build(config, dataset)
        gradient_step = learner.gradient_step

        def step_and_stop(x, y, step):
            os.kill(os.getpid(), signal.SIGTERM)
            return gradient_step(x, y, step)

        learner.gradient_step = step_and_stop
        return learner

    run = tmp_path / "stopped"
    with pytest.raises(Stopped, match=rf"`resume_run\(build, '{run}', dataset=dataset\)` takes it up again"):
        start_run(interrupted, quick, run, dataset=table)

    def full(*arguments, **named):
        raise StorageError("The disk is full.")

    monkeypatch.setattr("sdebnn.training.checkpointing.save_state", full)
    with pytest.raises(StorageError, match=r"Then `resume_run\(build, '.*', dataset=dataset\)` takes the run up"):
        start_run(own, quick, tmp_path / "full", dataset=table)


def test_the_report_names_calls_where_no_command_can(tmp_path, table, quick, own, build) -> None:
    run = start_run(own, quick, tmp_path / "run", dataset=table)
    page = html.unescape(run.folder.report.read_text())
    assert "sdebnn train" not in page
    assert "sdebnn predict" not in page
    assert "start_run(build, TrainConfig.for_data('table', " in page
    assert f"restore(build, '{run.folder.path}', dataset=dataset).score()" in page
    assert f"prediction_file.predict(build, '{run.folder.path}', x)" in page


@pytest.fixture
def moved(tmp_path, table, quick, own):
    """A run whose file of data has moved, and where that is now."""

    def write(path, dataset: Dataset) -> None:
        np.savez(path, x=dataset.x_train, y=dataset.y_train, x_test=dataset.x_test, y_test=dataset.y_test)

    write(tmp_path / "mine.npz", table)
    config = dataclasses.replace(quick, data=str(tmp_path / "mine.npz"), validation=0.2)
    run = start_run(own, config, tmp_path / "run")
    (tmp_path / "mine.npz").rename(tmp_path / "there.npz")
    write(tmp_path / "others.npz", dataclasses.replace(table, x_train=-table.x_train))
    return run


def test_data_that_have_moved_are_named_and_others_refused(moved, tmp_path, own) -> None:
    folder = moved.folder.path
    with pytest.raises(InputError, match=r"mine.npz.* Where the run's data have moved, name them: --data FILE "):
        restore(own, folder)
    assert restore(own, folder, data=tmp_path / "there.npz").score() == moved.fitted.scores
    assert resume_run(own, folder, data=tmp_path / "there.npz").fitted.scores == moved.fitted.scores
    x = np.ones((2, 2))
    made = prediction_file.predict(own, folder, x)
    again = prediction_file.predict(own, folder, x, changes={"data": str(tmp_path / "there.npz")})
    np.testing.assert_array_equal(made["probabilities"], again["probabilities"])
    for go_on in (
        lambda: restore(own, folder, data=tmp_path / "others.npz"),
        lambda: resume_run(own, folder, data=tmp_path / "others.npz"),
        lambda: prediction_file.predict(own, folder, x, changes={"data": str(tmp_path / "others.npz")}),
    ):
        with pytest.raises(InputError, match=r"task.json is of other examples"):
            go_on()


@pytest.mark.filterwarnings("ignore:The pixels of the training images:UserWarning")
@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "older"])
def test_images_of_0_and_1_stay_the_pixels_that_they_were(in_memory, quick, tmp_path) -> None:
    x, y = np.random.default_rng(0).integers(0, 2, (12, 4, 4, 1)).astype(np.uint8), np.arange(12, dtype=np.int32) % 2
    config = dataclasses.replace(quick, framework="torch", epochs=1)
    run = start_run(
        torchbnn.build_learner, config, tmp_path / "run", dataset=Dataset("m", "classification", x, y, x, y, 2)
    )
    file = tmp_path / "same.npz"
    np.savez(file, x=x.astype(int), y=y, x_test=x, y_test=y)
    if not in_memory:
        # As version 0.1 left the folder of a run on the file.
        config = run.config.to_json() | {"data": str(file)}
        left = {name: value for name, value in config.items() if name not in ("task", "layout", "class_weight")}
        run.folder.config_file.write_text(json.dumps(left))
    data = file if in_memory else None
    assert restore(torchbnn.build_learner, run.folder.path, data=data).score() == run.fitted.scores
    assert resume_run(torchbnn.build_learner, run.folder.path, data=data).dataset.x_train.dtype == np.uint8


def test_data_in_memory_may_be_given_as_a_file(folder, table, tmp_path, own) -> None:
    with pytest.raises(
        InputError, match=r"were in memory.*resume_run\(build, .*, dataset=dataset\) or restore\(.*--data"
    ):
        resume_run(own, folder)
    np.savez(tmp_path / "same.npz", x=table.x_train, y=table.y_train, x_test=table.x_test, y_test=table.y_test)
    assert restore(own, folder, data=tmp_path / "same.npz").score() == restore(own, folder, dataset=table).score()


def test_fit_alone_needs_no_record(tmp_path, table, quick, build) -> None:
    run = RunFolder.create(tmp_path / "run")
    assert how_to_resume(run) == f"`sdebnn train --resume {run.path}`"
    fit(build(quick, table), quick, table, run)
