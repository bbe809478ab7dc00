"""What a row was computed with: every choice of its run, defaults too, as a digest."""

import hashlib
import json
from typing import Any

from sdebnn.runs import TrainConfig

# What the rows have columns for, what changes no score, and what is of a model that no table has.
_LEFT_OUT = ("data", "seed", "checkpoint_steps", "snr", "chains")


def digest(config: TrainConfig, **constants: Any) -> str:
    """Twelve hexadecimal digits of the choices of a run and of the constants of a table that a row depends on."""
    choices = {name: value for name, value in config.to_json().items() if name not in _LEFT_OUT}
    return hashlib.sha256(json.dumps([choices, constants], sort_keys=True).encode()).hexdigest()[:12]
