"""What the choices of a run make of a gradient: the step size by step, clipping, Adam or IVON, and the warm-up of the
KL.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from sdebnn.brax.learning.ivon import ivon
from sdebnn.runs import TrainConfig
from sdebnn.training.ivon import Ivon


def step_sizes(config: TrainConfig, total: int) -> optax.Schedule:
    """The step size by gradient step, as `config.step_size` has it but for rounding.

    **Arguments:**

    - `total`: gradient steps of the whole run.
    """
    # Within the compiled step, in its single precision, and counted by the optimiser's state: numbers handed to it from
    # outside are rounded otherwise, and runs and checkpoints that there are would not go on to the bit.
    peak = config.learning_rate
    warmup = min(config.warmup_steps, total // 2)
    rest = max(total - warmup, 1)
    after = {
        "cosine": lambda: optax.cosine_decay_schedule(peak, rest + 1),
        "exponential": lambda: optax.exponential_decay(peak, rest, 0.01),
        "stairs": lambda: optax.piecewise_constant_schedule(
            peak, {total // 2 - warmup: 0.1, 3 * total // 4 - warmup: 0.1}
        ),
        "constant": lambda: optax.constant_schedule(peak),
    }[config.schedule]()
    if warmup == 0:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), after], [warmup])


def build_optimiser(config: TrainConfig, train_size: int) -> optax.GradientTransformation:
    """Adam with the run's step sizes, and gradients clipped to `config.clip_norm` where it is not 0; or IVON.

    **Raises:** `InputError` for choices that have no meaning for IVON.
    """
    sizes = step_sizes(config, config.total_steps(train_size))
    if rule := Ivon.of(config, train_size):
        return ivon(rule, sizes)
    adam = optax.adam(sizes)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adam) if config.clip_norm else adam


def kl_shares(config: TrainConfig, steps_per_epoch: float | int) -> Callable[[Any], Any]:
    """The share of `kl_coef` that counts by gradient step, as `config.kl_share` has it but for rounding."""
    steps = config.kl_warmup * steps_per_epoch
    if steps == 0:
        return lambda step: 1.0
    return lambda step: jnp.minimum(1.0, jnp.asarray(step, jnp.float32) / steps)
