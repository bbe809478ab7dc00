"""The step size of every gradient step, as `sdebnn.brax` has it."""

import math

from sdebnn.runs import TrainConfig


def step_size(config: TrainConfig, total: int, step: int) -> float:
    """A linear rise from 0, then `config.schedule`; `step` counts from 0, and there are `total`."""
    peak, warmup = config.learning_rate, min(config.warmup_steps, total // 2)
    if step < warmup:
        return peak * step / warmup
    rest, after = max(total - warmup, 1), step - warmup
    if config.schedule == "cosine":
        # One step longer than the run, so that its last step is not of size zero.
        return peak * 0.5 * (1 + math.cos(math.pi * after / (rest + 1)))
    if config.schedule == "exponential":
        return peak * 0.01 ** (after / rest)
    if config.schedule == "stairs":
        return peak * 0.1 ** ((step >= total // 2) + (step >= 3 * total // 4))
    return peak


def kl_share(config: TrainConfig, steps_per_epoch: float | int, step: int) -> float:
    """The share of `kl_coef` that counts: a linear rise over `config.kl_warmup` epochs."""
    steps = config.kl_warmup * steps_per_epoch
    return min(1.0, step / steps) if steps else 1.0
