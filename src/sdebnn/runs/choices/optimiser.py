"""The optimiser: batches, step sizes, and the average of the parameters."""

import dataclasses
import math
from typing import Literal, no_type_check

from sdebnn.runs.choices.choice import Choices, choice


@no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimiserChoices(Choices):
    """Optimiser."""

    epochs: int = choice(40, "passes over the training data", low=1)
    max_steps: int = choice(0, "stop after so many gradient steps; 0 is no limit", low=0)
    batch_size: int = choice(64, "examples in a gradient step; more than there are is all of them", low=1)
    accumulate: int = choice(
        1, "equal slices of a batch that go through the network one after the other, to save memory", low=1
    )
    learning_rate: float = choice(4e-3, "peak step size of Adam; of models ivon_... share of a Newton step", above=0)
    schedule: Literal["cosine", "exponential", "stairs", "constant"] = choice(
        "cosine",
        "step size after the warm-up: cosine, to zero; exponential, to a hundredth; stairs, a tenth after half and a "
        "hundredth after three quarters of the run; constant",
    )
    warmup_steps: int = choice(
        20, "gradient steps over which the step size rises from 0; at most half of the run", low=0
    )
    clip_norm: float = choice(0.0, "largest norm of a gradient; a longer one is scaled down; 0 is no limit", low=0)
    hessian_momentum: float = choice(
        0.9995, "of models ivon_...: what the average of the curvature keeps in a gradient step", low=0, below=1
    )
    clip_radius: float = choice(
        0.01, "of models ivon_...: longest Newton step of a weight; a longer one is cut, then learning_rate scales it",
        above=0, high=1,
    )  # fmt: skip
    chains: int = choice(
        4,
        "of model nuts_odenet: chains, each of which takes as many steps that adapt it as draws follow, one a gradient "
        "step",
        low=2,
    )
    ema: float = choice(
        0.99,
        "decay of the parameter average that predictions use, lower in the first steps; 0 takes the last parameters",
        low=0,
        below=1,
    )

    def steps_per_epoch(self, train_size: int) -> float:
        """Gradient steps in a pass over that many training examples. It need not be whole: what is left at the end of a
        pass makes a full batch with the first examples of the next.
        """
        return train_size / min(self.batch_size, train_size)

    def total_steps(self, train_size: int) -> int:
        """Gradient steps of the whole run: as many as see every example `epochs` times."""
        steps = -(-self.epochs * train_size // min(self.batch_size, train_size))
        return min(steps, self.max_steps) if self.max_steps else steps

    def epochs_after(self, step: int, train_size: int) -> int:
        """Passes over that many training examples that `step` gradient steps have completed."""
        return step * min(self.batch_size, train_size) // train_size

    def average_decay(self, step: int) -> float:
        """What the parameter average keeps of itself at a gradient step, counted from 0: little at first, so that it
        soon forgets the initial parameters, and then `ema`.
        """
        return min(self.ema, (1 + step) / (10 + step))

    def step_size(self, step: int, total: int) -> float:
        """The step size of a gradient step: a linear rise from 0, then `schedule`.

        **Arguments:**

        - `step`: counted from 0.
        - `total`: gradient steps of the whole run.
        """
        peak, warmup = self.learning_rate, min(self.warmup_steps, total // 2)
        if step < warmup:
            return peak * step / warmup
        rest, after = max(total - warmup, 1), step - warmup
        if self.schedule == "cosine":
            # One step longer than the run, so that its last step is not of size zero.
            return peak * 0.5 * (1 + math.cos(math.pi * after / (rest + 1)))
        if self.schedule == "exponential":
            return peak * 0.01 ** (after / rest)
        if self.schedule == "stairs":
            return peak * 0.1 ** ((step >= total // 2) + (step >= 3 * total // 4))
        return peak
