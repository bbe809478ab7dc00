"""The one place that knows both frameworks. Each is imported only when a run asks for it."""

import importlib.util

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training import Learner

_PACKAGES = {"jax": "jax", "torch": "torchsde"}


def build_learner(config: TrainConfig, dataset: Dataset) -> Learner:
    """The learner of the framework that `config` names. **Raises:** `InputError` when that is not installed, and when
    the configuration does not fit the data.
    """
    if importlib.util.find_spec(_PACKAGES[config.framework]) is None:
        raise InputError(
            f"framework={config.framework!r} is not installed; pip install 'sdebnn[{config.framework}]' brings it."
        )
    if config.framework == "torch":
        from sdebnn import torchbnn

        return torchbnn.build_learner(config, dataset)
    from sdebnn import brax

    return brax.build_learner(config, dataset)
