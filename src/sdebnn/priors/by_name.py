"""The laws by name, and the one that a weight process is given."""

import dataclasses
import reprlib
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from sdebnn.errors import InputError
from sdebnn.priors.bridge import Bridge
from sdebnn.priors.brownian_motion import BrownianMotion
from sdebnn.priors.integrated_ou import IntegratedOU
from sdebnn.priors.ornstein_uhlenbeck import OrnsteinUhlenbeck
from sdebnn.priors.prior import Prior
from sdebnn.spelling import nearest

PriorName: TypeAlias = Literal["ou", "brownian", "bridge", "integrated_ou"]
"""Those of `PRIORS`, for editors."""

PRIORS: dict[str, type[Prior]] = {
    "ou": OrnsteinUhlenbeck,
    "brownian": BrownianMotion,
    "bridge": Bridge,
    "integrated_ou": IntegratedOU,
}
"""By the names of `--prior`."""


def prior_by_name(
    name: str, choices: Mapping[str, Any], defaults: Mapping[str, Any], called: Mapping[str, str] | None = None
) -> Prior:
    """The law of that name with those of the choices that it has.

    **Arguments:**

    - `choices`: values of all fields that laws have; `defaults`: what they are where nobody has chosen.
    - `called`: what these choices are called where they are made, if not as the fields.

    **Raises:** `InputError` for a name that is none of `PRIORS`, for choices that the law does not have and that are
    not the defaults, and as the law itself.
    """
    if name not in PRIORS:
        raise InputError(f"prior={name!r} is not allowed{nearest(name, PRIORS)}: it takes {', '.join(PRIORS)}.")
    known = {field.name for field in dataclasses.fields(PRIORS[name])}
    for choice, value in choices.items():
        if choice not in known and value != defaults[choice]:
            made = (called or {}).get(choice, choice)
            raise InputError(
                f"The prior {name!r} takes no {made}, which is {value!r}: leave it at {defaults[choice]!r}, or "
                "choose a prior that has one."
            )
    return PRIORS[name](**{choice: value for choice, value in choices.items() if choice in known})


def as_prior(prior: Any, choices: Mapping[str, Any]) -> Prior:
    """The prior that a weight process is given; without one, the Ornstein-Uhlenbeck process of these choices.

    **Raises:** `InputError` for anything but a prior, and for both.
    """
    if prior is None:
        known = [field.name for field in dataclasses.fields(OrnsteinUhlenbeck)]
        if unknown := set(choices) - set(known):
            raise InputError(
                f"WeightProcess got {min(unknown)}; beside the drift it takes a prior, or of an Ornstein-Uhlenbeck "
                f"process {', '.join(known)}."
            )
        return OrnsteinUhlenbeck(**choices)
    if not isinstance(prior, Prior):
        raise InputError(
            f"WeightProcess got prior={reprlib.repr(prior)}; it takes a law of sdebnn.priors, such as "
            "OrnsteinUhlenbeck(sigma=0.1), or one that inherits sdebnn.priors.Prior."
        )
    if choices:
        raise InputError(
            f"WeightProcess got a prior and {', '.join(choices)} beside it; these are choices of the prior: write "
            f"{type(prior).__name__}({', '.join(f'{name}=...' for name in choices)})."
        )
    return prior


def refuse_own_drifts(own: type, process: type) -> None:
    """Of a class that inherits the weight process: what it draws, and the path KL of that, are of one law.

    **Raises:** `InputError` for a drift of its own, of which the KL would know nothing.
    """
    drifts = ("prior_drift", "posterior_drift")
    if overridden := [name for name in drifts if getattr(own, name) is not getattr(process, name)]:
        raise InputError(
            f"{own.__name__} says {overridden[0]} of its own, and its path KL would still be that of the drift "
            "network: write the law as a class that inherits sdebnn.priors.Prior, and give it as "
            "WeightProcess(drift, prior)."
        )
