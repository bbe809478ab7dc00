"""What the choices of a run make of a gradient: clipping, and Adam or IVON."""

from collections.abc import Callable

import optax
from jaxtyping import Array, Float

from sdebnn.brax.learning.ivon import ivon
from sdebnn.runs import TrainConfig
from sdebnn.training.ivon import Ivon

StepSize = float | Float[Array, ""]


def build_optimiser(config: TrainConfig, train_size: int) -> Callable[[StepSize], optax.GradientTransformation]:
    """Adam, with gradients clipped to `config.clip_norm` where it is not 0; or IVON. It is a function of the step size
    of a gradient step; states are the same for all.

    **Raises:** `InputError` for choices that have no meaning for IVON.
    """
    if rule := Ivon.of(config, train_size):
        return lambda step_size: ivon(rule, step_size)

    def adam(step_size: StepSize) -> optax.GradientTransformation:
        # As a schedule, whose state counts the steps: that number is in checkpoints.
        optimiser = optax.adam(lambda _: step_size)
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimiser) if config.clip_norm else optimiser

    return adam
