"""What every prior law of the weights says, and the choices that all of them share."""

import abc
import copy
import dataclasses
import math
from typing import Any, ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.priors.sections import Section, sections

# Of NumPy, JAX or PyTorch: a law is arithmetic alone.
Numbers: TypeAlias = Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prior(abc.ABC):
    """The law of a block's weights over depth, dw = drift(w, t) dt + sigma dB: what the approximate posterior, which
    adds a network to the drift, is held to by the path KL.

    A law is a frozen dataclass that says `drift`; where its weights are not the whole state, `state_width`; and what is
    known of it: `moments`, `unit_diffusion`, `stationary`. Two fields are a law's own, if it has them:

    - `centre`: `"w0"`: the drift is told the learned initial weights as its centre, as without this field; `"zero"`.
    - `start`: `"learned"`: w_0 is a point, as without this field; `"gaussian"`: it is Gaussian under both, around the
      learned point under the posterior, and with the stationary law under the prior.

    **Arguments:**

    - `sigma`: the diffusion; see `sigma_scale`.
    - `sigma_scale`: `"constant"`: sigma is the diffusion of every weight. `"fan_in"`: weight i has the diffusion
      `sigma * unit_diffusion / sqrt(fan_in_i)`, so that under the prior it spreads by `sigma / sqrt(fan_in_i)`, in
      proportion to the usual initialisation.
    - `noisy_weights`: the share of the weights that have noise, the first ones in w.
    - `noisy_depth`: from where to where they have it; (0, 0) is nowhere: the weights follow an ODE.

    **Raises:** `InputError` unless the numbers are in their ranges and the names are among those above, and for a law
    that contradicts itself.
    """

    summary: ClassVar[str] = ""
    """What `--help` says of it, where it has a name in `PRIORS`."""

    state_width: ClassVar[int] = 1
    """1: the state is the weights. 2: it is their velocity, which has the noise, and the weights, that it moves."""

    sigma: float = 0.1
    sigma_scale: str = "fan_in"
    noisy_weights: float = 1.0
    noisy_depth: tuple[float | int, float | int] = (0.0, 1.0)

    # Of laws that have no such fields.
    centre = "w0"
    start = "learned"

    def __post_init__(self) -> None:
        for name in ("sigma", "noisy_weights"):
            object.__setattr__(self, name, real_number(f"The weight process got {name}", getattr(self, name)))
        if not 0 < self.sigma < np.inf:
            raise InputError(f"The weight process got sigma={self.sigma}; it takes a positive, finite number.")
        for name, allowed in _NAMES.items():
            if getattr(self, name) not in allowed:
                names = " or ".join(map(repr, allowed))
                raise InputError(f"The weight process got {name}={getattr(self, name)!r}; it takes {names}.")
        for name in ("unit_diffusion", "stationary"):
            if callable(getattr(self, name)):
                raise InputError(f"{type(self).__name__} says {name} by a method; put @property above it.")
        if self.state_width not in (1, 2):
            raise InputError(
                f"{type(self).__name__} has state_width={self.state_width!r}; it takes 1, the weights, or 2, their "
                "velocity and the weights."
            )
        if self.start == "gaussian" and not (self.stationary and self.state_width == 1):
            raise InputError(
                f"The weight process got start='gaussian' with {_described(self)}, which has no stationary law for "
                "w_0; take one that has, an Ornstein-Uhlenbeck process of positive rate, or start='learned'."
            )
        if not 0 < self.noisy_weights <= 1:
            raise InputError(
                f"The weight process got noisy_weights={self.noisy_weights}; it takes a share above 0, up to 1."
            )
        depths = self.noisy_depth
        if not (isinstance(depths, tuple | list | np.ndarray) and np.shape(depths) == (2,)):
            raise InputError(f"The weight process got noisy_depth={depths!r}; it takes two depths between 0 and 1.")
        first, last = (real_number("The weight process got noisy_depth with the depth", depth) for depth in depths)
        object.__setattr__(self, "noisy_depth", (first, last))
        if not 0 <= self.noisy_depth[0] <= self.noisy_depth[1] <= 1:
            raise InputError(
                f"The weight process got noisy_depth={self.noisy_depth}; it takes two depths between 0 and 1, the "
                "first not above the second."
            )
        if self.state_width > 1 and not self.noise_everywhere:
            raise InputError(
                f"The weight process got noisy_weights={self.noisy_weights} and noisy_depth={self.noisy_depth} with "
                f"{_described(self)}, whose noise moves velocities; it takes noise for all weights at all depths, 1 "
                "and (0, 1)."
            )

    def with_sigma(self, sigma: object) -> "Prior":
        """The same law with another diffusion, which may be an array of one number that is not known yet: so that
        networks that differ in it are trained in one program.
        """
        law = copy.copy(self)
        object.__setattr__(law, "sigma", sigma)
        return law

    @abc.abstractmethod
    def drift(self, w: Numbers, t: Numbers, centre: Numbers) -> Any:
        """The drift f_p(w, t) of the weights, (p,), by arithmetic alone: w is an array of numpy, JAX or PyTorch.

        Where `state_width` is 2, w is the pair (velocity, weights) and so is what is returned: its first part is the
        drift of the velocity, and the second the velocity.

        **Arguments:**

        - `t`: the depth, a number or an array of one.
        - `centre`: the initial weights, or 0 where the field `centre` is `"zero"`.
        """

    def checked_drift(self, parts: tuple[Any, ...], t: Numbers, centre: Numbers) -> tuple[Any, ...]:
        """`drift` of a state of `state_width` parts, and as many parts.

        **Raises:** `InputError` unless it is one number of their kind for each of theirs.
        """
        moved = (self.drift(parts[0], t, centre),) if len(parts) == 1 else self.drift(parts, t, centre)
        like = [(tuple(part.shape), part.dtype) for part in parts]
        got = [
            (tuple(part.shape), part.dtype) if hasattr(part, "dtype") and hasattr(part, "shape") else repr(part)
            for part in (moved if isinstance(moved, tuple | list) else [moved])
        ]
        if got != like:
            raise InputError(
                f"The drift of the prior {type(self).__name__} gives {got} for a state of {like}; it gives one number "
                "for each, of the same type, by arithmetic on w: 0 * w where there is none."
            )
        return tuple(moved)

    def moments(
        self, w0: Float[np.ndarray, " p"], sigma: Float[np.ndarray, " p"], ts: Float[np.ndarray, " times"]
    ) -> tuple[Float[np.ndarray, "times p"], Float[np.ndarray, "times p"]] | None:
        """Mean and standard deviation of weights at the depths `ts`, where all have noise at all depths; from their
        learned initial values and their diffusions. They are a part of a block's weights, and each is moved by itself.
        `None` where the moments are not known.
        """
        return None

    @property
    def unit_diffusion(self) -> float:
        """The diffusion with which a weight has a standard deviation of 1: of its stationary law, or where there is
        none, of the widest that it has between depth 0 and 1. Where a law does not say it, `sigma` is the diffusion of
        a weight of one input.
        """
        return 1.0

    @property
    def stationary(self) -> bool:
        """Whether there is a stationary law, a Gaussian of standard deviation `sigma / unit_diffusion` around the
        centre.
        """
        return False

    @property
    def noise_everywhere(self) -> bool:
        """Whether all weights have noise at all depths."""
        return (self.noisy_weights, *self.noisy_depth) == (1, 0, 1)

    def sections(self) -> list[Section]:
        """The depth from 0 to 1, cut where noise begins and ends."""
        first, last = map(float, self.noisy_depth)
        return sections(first, last)

    def noisy(self, size: int) -> int:
        """How many of so many weights have noise."""
        return max(1, round(self.noisy_weights * size))

    def diffusion_scale(self, fan_in: float) -> Any:
        """sigma of a weight with that fan-in: a number, or an array where `sigma` is one."""
        if self.sigma_scale == "constant":
            return self.sigma
        return self.sigma * self.unit_diffusion / fan_in**0.5


def check_end(prior: Prior, asked_by: str) -> None:
    """**Raises:** `InputError` for a law whose drift is infinite at depth 1 with a solver that asks for it there, whose
    choice `asked_by` is; empty where it does not ask.
    """
    if asked_by and prior.noisy_depth[1] == 1 and not _is_finite_at_the_end(prior):
        raise InputError(
            f"The drift of the prior {_described(prior)} is infinite at depth 1, and {asked_by} asks for it there; "
            "euler_maruyama and midpoint do not, in fixed steps with adjoint='backprop'. Take these, or another prior."
        )


def _is_finite_at_the_end(prior: Prior) -> bool:
    parts, centre = [np.array([0.7, -0.4])] * prior.state_width, np.array([0.2, 0.1])
    try:
        with np.errstate(all="ignore"):
            moved = prior.drift(parts[0] if prior.state_width == 1 else tuple(parts), 1.0, centre)
            return bool(np.isfinite(np.asarray(moved, np.float64)).all())
    except ZeroDivisionError:
        return False
    except Exception:
        # It is written for the numbers of one framework, which has its own say.
        return True


def check_rate(prior: Any) -> None:
    """Makes the field `rate` Python's own. **Raises:** `InputError` unless it is a finite number, 0 or more."""
    object.__setattr__(prior, "rate", real_number("The weight process got rate", prior.rate))
    if not 0 <= prior.rate < np.inf:
        raise InputError(f"The weight process got rate={prior.rate}; it takes a finite number, 0 or more.")


def real_number(got: str, value: Any) -> float:
    """The number as Python has it. **Raises:** `InputError`, a sentence that starts with `got`, for anything else."""
    try:
        if np.ndim(value) == 0 and not isinstance(value, str | bytes):
            return float(value)
    except TypeError:
        pass
    raise InputError(f"{got}={value!r}; it takes one real number that is known, not an array or what JAX traces.")


def standard_deviation(got: str, value: object) -> float:
    """As `real_number`, above 0 and finite."""
    std = real_number(got, value)
    if not 0 < std < math.inf:
        raise InputError(f"{got}={std}; a standard deviation must be positive and finite.")
    return std


def share_left_out(got: str, value: object) -> float:
    """As `real_number`, from 0 to below 1."""
    share = real_number(got, value)
    if not 0 <= share < 1:
        raise InputError(f"{got}={share}; a share that is left out lies from 0 to below 1.")
    return share


def _described(prior: Prior) -> str:
    rate = getattr(prior, "rate", None)
    return type(prior).__name__ + ("" if rate is None else f"(rate={rate:g})")


_NAMES = {"sigma_scale": ("fan_in", "constant"), "centre": ("w0", "zero"), "start": ("learned", "gaussian")}
