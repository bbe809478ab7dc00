import dataclasses
import inspect
import json
import math
import typing
from typing import Any

import numpy as np
import pytest

from sdebnn.errors import InputError
from sdebnn.runs import PAPERS, PRESETS, TrainConfig, of_paper
from sdebnn.runs.choices import NumberOrAuto, PriorChoices, allowed
from sdebnn.runs.config import SECTIONS
from sdebnn.runs.frameworks import FRAMEWORKS


def test_a_configuration_survives_json() -> None:
    config = TrainConfig(blocks=(2, 2), sigma=0.3, model="odenet")
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"model": "sdebn"},
            "model='sdebn' is not allowed: it takes sdebnn, odenet, .*nuts_odenet .did you mean 'sdebnn'",
        ),
        ({"model": "ivon_sdebnn"}, "model='ivon_sdebnn' is not allowed: it takes .*ivon_odenet.* .did you mean"),
        ({"clip_radius": 0.0}, "clip_radius=0.0 is not allowed: it takes a number above 0"),
        ({"epochs": 0}, "epochs=0 is not allowed: it takes 1 or more"),
        ({"epochs": 1.5}, "epochs=1.5 is not allowed: it takes a whole number"),
        ({"epochs": True}, "a whole number"),
        ({"sigma": 0.0}, "sigma=0.0 is not allowed: it takes a number above 0"),
        ({"sigma": float("nan")}, "a finite number"),
        ({"sigma": "0.1"}, "a number"),
        ({"ema": 1.0}, "below 1"),
        ({"seed": 2**32}, "at most 4294967295"),
        ({"blocks": (2, 0)}, "blocks=0"),
        ({"blocks": ()}, "whole numbers"),
        ({"kl_estimator": "STL"}, "stl, full_mc, analytic"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_in_one_sentence(choice: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        TrainConfig(**choice)
    assert "\n" not in str(error.value)


def test_an_unknown_choice_in_a_file_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"'epoch'.*did you mean 'epochs'"):
        TrainConfig.from_json({"epoch": 3})


def test_presets_are_configurations_and_yield_to_choices() -> None:
    for data in PRESETS:
        assert TrainConfig.for_data(data).data == data
    assert TrainConfig.for_data("digits", epochs=7).epochs == 7


def test_published_experiments_are_configurations_that_nothing_else_has() -> None:
    made = {name: TrainConfig.for_data(**of_paper(name)) for name in PAPERS}
    assert len(set(made.values())) == len(made)
    for name, config in made.items():
        assert name.split("/")[1].split("-")[0] == config.data
    # Of table 5 of the second paper.
    mnist, cifar10 = made["xu2021/mnist"], made["calvo2024/cifar10-cut"]
    assert (mnist.learning_rate, mnist.kl_coef, mnist.steps, mnist.width, mnist.sigma) == (1e-3, 1e-3, 60, 32, 0.2)
    assert (mnist.drift_widths, mnist.blocks, mnist.epochs, mnist.activation) == ((1, 32, 1), (1,), 100, "softplus")
    assert (cifar10.learning_rate, cifar10.kl_coef, cifar10.steps, cifar10.width) == (7e-4, 1e-4, 30, 64)
    assert (cifar10.sigma, cifar10.drift_widths, cifar10.epochs, cifar10.noisy_weights) == (0.1, (2, 128, 2), 300, 0.5)
    with pytest.raises(InputError, match=r"'xu2021/mnst' is not a preset \(did you mean 'xu2021/mnist'\?\); allowed"):
        of_paper("xu2021/mnst")


def test_every_choice_is_explained() -> None:
    assert all(len(field.metadata["help"]) > 10 for field in dataclasses.fields(TrainConfig))


@pytest.mark.parametrize("ema", [0.9, 0.99, 0.9999])
def test_the_parameter_average_forgets_the_initial_parameters(ema: float) -> None:
    config = TrainConfig(ema=ema)
    decays = [config.average_decay(step) for step in range(100_000)]
    assert math.prod(decays[:100]) < 1e-4
    assert decays == sorted(decays)
    assert decays[-1] == ema
    assert TrainConfig(ema=0.0).average_decay(500) == 0


def test_numbers_of_numpy_lists_and_paths_are_kept_as_python_has_them(tmp_path) -> None:
    config = TrainConfig(
        data=tmp_path / "mine.npz",
        model=np.str_("odenet"),  # type: ignore[arg-type]
        width=np.int64(8),  # type: ignore[arg-type]
        seed=np.uint32(3),  # type: ignore[arg-type]
        sigma=np.float32(0.5),  # type: ignore[arg-type]
        kl_coef=np.int16(2),  # type: ignore[arg-type]
        drift_widths=[2, np.int32(4)],  # type: ignore[arg-type]
        blocks=np.array([1, 2]),  # type: ignore[arg-type]
    )
    expected = TrainConfig(
        str(tmp_path / "mine.npz"), "odenet", width=8, seed=3, sigma=0.5, kl_coef=2, drift_widths=(2, 4), blocks=(1, 2)
    )
    assert config == expected
    assert json.loads(json.dumps(config.to_json())) == expected.to_json()
    assert {type(value) for value in config.to_json().values()} == {str, bool, int, float, list}


@pytest.mark.parametrize(
    "choice",
    [{"width": np.float64(1.5)}, {"width": np.bool_(True)}, {"blocks": [1, True]}, {"blocks": np.ones((2, 2))},
     {"sigma": np.float32("nan")}, {"width": np.array([3])}, {"data": b"mine"}, {"blocks": 3}],
)  # fmt: skip
def test_what_is_no_number_in_numpy_either_is_refused(choice: dict) -> None:
    with pytest.raises(InputError, match="is not allowed"):
        TrainConfig(**choice)


@pytest.mark.parametrize("choice", [{"learning_rate": 1e39}, {"ou_rate": 1e300}, {"sigma": 1e-50}, {"kl_coef": 1e-40}])
def test_numbers_that_single_precision_does_not_hold_are_refused(choice: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"it takes 0 or a size from 1\.2e-38 to 3\.4e\+38"):
        TrainConfig(**choice)
    TrainConfig(learning_rate=1e-38 * 1.2, ou_rate=3.4e38)


@pytest.mark.parametrize(
    ("n", "batch", "epochs", "total", "ends"),
    [(119, 64, 1, 2, [2]), (119, 64, 3, 6, [2, 4, 6]),
     (65, 64, 4, 5, [2, 3, 4, 5]), (12, 4, 2, 6, [3, 6]), (3, 8, 2, 2, [1, 2])],
)  # fmt: skip
def test_a_run_sees_every_example_as_often_as_it_has_epochs(n, batch, epochs, total, ends) -> None:
    config = TrainConfig(epochs=epochs, batch_size=batch)
    assert config.total_steps(n) == total
    passes = [config.epochs_after(step, n) for step in range(total + 1)]
    assert [step for step in range(1, total + 1) if passes[step] > passes[step - 1]] == ends
    assert config.steps_per_epoch(n) == n / min(batch, n)


SCHEDULES = {
    "cosine": (0.5 * (1 + math.cos(math.pi * 40 / 81)), 0.5 * (1 + math.cos(math.pi * 79 / 81))),
    "exponential": (0.1, 0.01 ** (79 / 80)),
    "stairs": (0.1, 0.01),
    "constant": (1.0, 1.0),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_step_sizes_rise_and_then_follow_the_schedule(schedule: Any) -> None:
    config = TrainConfig(schedule=schedule, warmup_steps=20, learning_rate=2.0)
    assert [config.step_size(step, 100) for step in (0, 10, 20)] == [0.0, 1.0, 2.0]
    np.testing.assert_allclose([config.step_size(step, 100) / 2 for step in (60, 99)], SCHEDULES[schedule], rtol=1e-12)


def test_the_warm_up_is_at_most_half_of_a_short_run() -> None:
    assert TrainConfig(warmup_steps=20, learning_rate=1.0).step_size(5, 10) == 1.0


def test_the_kl_is_warmed_up_linearly_over_epochs() -> None:
    config = TrainConfig(kl_warmup=2.0)
    assert [config.kl_share(step, 10) for step in (0, 5, 20, 50)] == [0.0, 0.25, 1.0, 1.0]
    assert TrainConfig().kl_share(0, 10) == 1.0


def test_every_choice_is_of_one_section_and_no_section_has_others() -> None:
    names = [field.name for section in SECTIONS for field in dataclasses.fields(section)]
    assert sorted(names) == sorted(field.name for field in dataclasses.fields(TrainConfig))
    assert len(set(names)) == len(names)


def test_a_section_checks_its_choices_alone_and_a_configuration_is_one_of_each() -> None:
    assert PriorChoices(sigma=0.3).weight_prior() == TrainConfig(sigma=0.3).weight_prior()
    with pytest.raises(InputError, match="sigma=-1 is not allowed"):
        PriorChoices(sigma=-1)
    assert all(isinstance(TrainConfig(), section) for section in SECTIONS)


def test_editors_and_type_checkers_are_told_what_a_choice_takes() -> None:
    hints = {name: parameter.annotation for name, parameter in inspect.signature(TrainConfig).parameters.items()}
    assert hints["schedule"] == typing.Literal["cosine", "exponential", "stairs", "constant"]
    assert hints["snr"] is bool
    plain = (bool, int, float, str, tuple[int, ...], NumberOrAuto)
    for field in dataclasses.fields(TrainConfig):
        assert hints[field.name] == field.type
        assert field.type in plain or typing.get_origin(field.type) is typing.Literal


@pytest.mark.parametrize("yes", [1, True, np.bool_(True), np.int64(1)])
def test_yes_and_no_are_bools_and_were_0_and_1(yes) -> None:
    config = TrainConfig(snr=yes)
    assert config.snr is True
    assert json.loads(json.dumps(config.to_json()))["snr"] is True
    assert TrainConfig.from_json({"snr": 0, "adjoint_adaptive": 1}) == TrainConfig(adjoint_adaptive=True)


@pytest.mark.parametrize("neither", [2, -1, 0.5, 1.0, "yes", "1", None, [1]])
def test_what_is_neither_yes_nor_no_is_refused(neither) -> None:
    with pytest.raises(InputError, match=r"snr=.* is not allowed: it takes true or false, or 1 or 0"):
        TrainConfig(snr=neither)


def test_every_framework_that_can_be_chosen_has_a_builder() -> None:
    (field,) = (field for field in dataclasses.fields(TrainConfig) if field.name == "framework")
    assert allowed(field) == tuple(FRAMEWORKS)
    for framework in FRAMEWORKS.values():
        package = pytest.importorskip(framework.package, exc_type=ImportError)
        assert callable(package.build_learner)


def test_the_prior_is_checked_where_the_model_has_one() -> None:
    without_law: dict[str, Any] = {"start": "gaussian", "ou_rate": 0.0}
    for model in ("sdebnn", "meanfield_sdebnn"):
        with pytest.raises(InputError, match="no stationary law"):
            TrainConfig(model=model, **without_law)
    assert TrainConfig(model="odenet", **without_law).start == "gaussian"
