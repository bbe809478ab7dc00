"""The loss of a gradient step: likelihood, KL, and how many weight paths there are."""

import dataclasses
from typing import Literal, no_type_check

from sdebnn.kl_estimators import KlEstimator
from sdebnn.metrics.noise_laws import TARGET_LAWS, TargetLaw
from sdebnn.runs.choices.choice import Choices, choice


@no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveChoices(Choices):
    """Objective."""

    likelihood: Literal["auto", "categorical", TargetLaw] = choice(
        "auto",
        "what outputs say of answers: auto is categorical for labels and gaussian for targets, by folds "
        "student_t_input; for targets, " + ", ".join(f"{name} for {what}" for name, what in TARGET_LAWS.items()),
    )
    class_weight: Literal["none", "balanced"] = choice(
        "none",
        "weight of an example's likelihood by its class: none, all alike; balanced, inversely to how frequent the "
        "class is, so that rare classes are found",
    )
    kl_coef: float = choice(
        1.0, "weight of the path KL: loss = mean NLL + kl_coef / N_train * KL; 1 is the evidence lower bound", low=0
    )
    kl_warmup: float = choice(0.0, "epochs over which the weight of the KL rises from 0 to kl_coef", low=0)
    kl_estimator: Literal[KlEstimator] = choice(
        "stl", "unbiased estimator of the path KL; stl has the least variance near the posterior"
    )
    train_samples: int = choice(1, "weight paths drawn for a gradient step, each seen by the whole batch", low=1)
    batch_paths: int = choice(
        1, "weight paths that share a batch, each seen by an equal part of it; 0 is one an example", low=0
    )

    def kl_share(self, step: int, steps_per_epoch: float) -> float:
        """The share of `kl_coef` that counts at a gradient step, counted from 0: a linear rise over `kl_warmup` epochs.

        **Arguments:**

        - `step`: counted from 0.
        - `steps_per_epoch`: gradient steps in a pass over the training data.
        """
        steps = self.kl_warmup * steps_per_epoch
        return min(1.0, step / steps) if steps else 1.0
