"""The choices that say what a network is."""

import dataclasses
from typing import Any

from sdebnn.runs import TrainConfig
from sdebnn.runs.choices import DataChoices, OptimiserChoices, ScoringChoices

# Choices that networks know nothing of.
_OF_TRAINING = (
    "data", "seed", "members", "likelihood", "class_weight", "kl_coef", "kl_warmup", "train_samples",
    *(field.name for of in (OptimiserChoices, DataChoices, ScoringChoices) for field in dataclasses.fields(of)),
)  # fmt: skip


def of_the_network(config: TrainConfig, **others: Any) -> TrainConfig:
    """The choices with the defaults in place of those that networks know nothing of, and with `others`: equal for
    networks that are.
    """
    fields = (field for field in dataclasses.fields(TrainConfig) if field.name in _OF_TRAINING)
    defaults: dict[str, Any] = {field.name: field.default for field in fields}
    return dataclasses.replace(config, **defaults | others)
