"""Predictions and their scores, the log, and checkpoints."""

import dataclasses
from typing import Literal, no_type_check

from sdebnn.runs.choices.choice import Choices, choice


@no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoringChoices(Choices):
    """Predictions, scores, log and checkpoints."""

    test_samples: int = choice(16, "weight paths whose predictive probabilities are averaged", low=1)
    test_examples: int = choice(
        0, "score only so many of the held-out examples, spread over them in proportion to the classes; 0 is all", low=0
    )
    evaluate_every: int = choice(
        0, "epochs between evaluations on the held-out data while training; 0 is only at the end", low=0
    )
    calibrate: Literal["auto", "none", "temperature"] = choice(
        "none",
        "with tuning folds, temperature fits one number on the held-out examples, by which logits are divided, or the "
        "scale of the noise of targets is multiplied; auto, the default of a table by folds, does so for real targets",
    )
    beyond_range: float = choice(
        0.0,
        "of tables: how uncertain an answer becomes beyond the range of the training examples: its standard deviation "
        "where all columns are half their range beyond it; and as much in the middle of a hole as wide as the range. "
        "Where training examples are, nothing is changed",
        low=0,
    )
    snr: bool = choice(False, "1 logs the signal-to-noise ratio of the gradient")
    checkpoint_steps: int = choice(
        0,
        "gradient steps between checkpoints, from which --resume goes on; 0 is at ends of epochs, at most every 10 s; "
        "the newest two stay",
        low=0,
    )

    def evaluates_after(self, epoch: int) -> bool:
        """Whether the held-out data are looked at after that many epochs, before the end."""
        return self.evaluate_every > 0 and epoch % self.evaluate_every == 0
