"""The law of the weights over depth."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, no_type_check

from sdebnn.errors import InputError
from sdebnn.priors import PRIORS, Prior, prior_by_name
from sdebnn.priors.by_name import PriorName
from sdebnn.runs.choices.choice import AUTO, Choices, choice

SIGMAS = (0.1, 0.5, 2.0)
"""What sigma="auto" chooses among."""


def _with(choice: str) -> str:
    """The names of the laws that have it."""
    return ", ".join(name for name, law in PRIORS.items() if choice in {f.name for f in dataclasses.fields(law)})


@no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class PriorChoices(Choices):
    """Prior."""

    prior: Literal[PriorName] = choice(
        "ou",
        "law of the weights over depth: " + "; ".join(f"{name}, {law.summary}" for name, law in PRIORS.items()),
    )
    sigma: float | Literal["auto"] = choice(
        0.2,
        "diffusion of the weights, in the unit that sigma_scale names; auto, which tables take with tuning=folds: of "
        f"{', '.join(f'{sigma:g}' for sigma in SIGMAS)} that by which held-out examples are predicted best",
        above=0,
    )
    sigma_scale: Literal["fan_in", "constant"] = choice(
        "fan_in",
        "fan_in: sigma counts in standard deviations of the usual initialisation, so that of a weight under the prior, "
        "in its stationary law or where it is widest, is sigma / sqrt(fan_in); constant: sigma is the diffusion "
        "itself, for every weight",
    )
    ou_rate: float = choice(
        1.0,
        f"rate of {_with('rate')}, in 1 / depth: at which weights are pulled to the centre, or their velocity to zero",
        low=0,
    )
    ou_centre: Literal["w0", "zero"] = choice(
        "w0", "centre of priors that have one: zero, or the learned initial weights"
    )
    start: Literal["learned", "gaussian"] = choice(
        "learned", f"initial weights: learned as a point, or, of {_with('start')}, gaussian under prior and posterior"
    )
    noisy_weights: float = choice(
        1.0, "share of every block's weights that have noise; the others follow an ODE", above=0, high=1
    )
    noisy_from: float = choice(0.0, "depth from which weights have noise; before, they follow an ODE", low=0, high=1)
    noisy_until: float = choice(1.0, "depth until which weights have noise", low=0, high=1)

    def weight_prior(self) -> Prior:
        """The prior of every block's weights.

        **Raises:** `InputError` for choices that it does not have, or that do not go together, and for a sigma that is
        still to be found.
        """
        if self.sigma == AUTO:
            raise InputError("sigma='auto' is found by training, and is no number yet; train first, or give a number.")
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        names = {name: name for name in defaults}
        return prior_by_name(self.prior, *map(_of_prior, (dataclasses.asdict(self), defaults, names)))


def _of_prior(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of a prior by the names that laws have for them."""
    return {
        "sigma": choices["sigma"],
        "sigma_scale": choices["sigma_scale"],
        "rate": choices["ou_rate"],
        "centre": choices["ou_centre"],
        "start": choices["start"],
        "noisy_weights": choices["noisy_weights"],
        "noisy_depth": (choices["noisy_from"], choices["noisy_until"]),
    }
