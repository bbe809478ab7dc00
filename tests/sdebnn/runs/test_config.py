import dataclasses
import json
import math

import pytest

from sdebnn.errors import InputError
from sdebnn.runs import PRESETS, TrainConfig


def test_a_configuration_survives_json() -> None:
    config = TrainConfig(blocks=(2, 2), sigma=0.3, model="odenet")
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            {"model": "sdebn"},
            "model='sdebn' is not allowed: it takes sdebnn, odenet, .*meanfield_resnet32 .did you mean sdebnn",
        ),
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
    with pytest.raises(InputError, match=r"'epoch'.*did you mean epochs"):
        TrainConfig.from_json({"epoch": 3})


def test_presets_are_configurations_and_yield_to_choices() -> None:
    for data in PRESETS:
        assert TrainConfig.for_data(data).data == data
    assert TrainConfig.for_data("digits", epochs=7).epochs == 7


def test_every_choice_is_explained() -> None:
    assert all(len(field.metadata["help"]) > 10 for field in dataclasses.fields(TrainConfig))


@pytest.mark.parametrize("ema", [0.9, 0.99, 0.9999])
def test_the_parameter_average_forgets_the_initial_parameters(ema: float) -> None:
    decays = [TrainConfig(ema=ema).average_decay(step) for step in range(100_000)]
    assert math.prod(decays[:100]) < 1e-4
    assert decays == sorted(decays)
    assert decays[-1] == ema
    assert TrainConfig(ema=0.0).average_decay(500) == 0
