"""IVON: independent Gaussians of the weights, learned by a Newton step that draws its own estimate of the curvature.

A weight has the posterior N(mean, 1 / (effective_size * (hessian + weight_decay))), whose variance follows an average
of the curvature, so that it costs no more than Adam's second moment (Shen et al., Variational learning is effective for
large deep networks, 2024, algorithm 1). The network is that of mean field: the gradient by a mean is that at the drawn
weights, and the gradient by the logarithm of a standard deviation is the curvature times the variance.
"""

import dataclasses
import math
from typing import Any, NamedTuple

from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig

PREFIX = "ivon_"
MOMENTUM = 0.9


class Moments(NamedTuple):
    """What a gradient step changes, arrays of one shape: the means of the weights, the average of the gradients from
    zero, and that of the curvature.
    """

    mean: Any
    gradient: Any
    hessian: Any


@dataclasses.dataclass(frozen=True)
class Ivon:
    """The update, by arithmetic alone: the arrays are those of numpy, JAX or PyTorch.

    **Arguments:**

    - `effective_size`: of the training set: how many examples the mean loss stands for.
    - `weight_decay`: the prior's precision, divided by `effective_size`.
    - `hessian_momentum`: what the average of the curvature keeps of itself in a gradient step.
    - `clip_radius`: the longest Newton step of a weight, before it is scaled by the step size.
    """

    effective_size: float
    weight_decay: float
    hessian_momentum: float
    clip_radius: float

    @classmethod
    def of(cls, config: TrainConfig, train_size: int) -> "Ivon | None":
        """That of a run; `None` for models that do not take it.

        **Raises:** `InputError` for choices that have no meaning for it.
        """
        if not cls.chosen(config):
            return None
        if not config.kl_coef:
            raise InputError(
                f"model={config.model!r} got kl_coef=0, with which its weights have no posterior; take a number above "
                "0, or the network alone."
            )
        if config.kl_warmup:
            raise InputError(
                f"model={config.model!r} takes its Newton steps with the whole KL from the first one on, and "
                f"kl_warmup={config.kl_warmup:g}; take kl_warmup=0."
            )
        if config.clip_norm:
            raise InputError(
                f"model={config.model!r} reads the curvature off its gradients, which clip_norm={config.clip_norm:g} "
                "would change; take clip_norm=0, and clip_radius for shorter steps."
            )
        if config.initial_std >= config.prior_std:
            raise InputError(
                f"model={config.model!r} got initial_std={config.initial_std:g} and prior_std={config.prior_std:g}, "
                "with which its first curvature would be 0 or less; take an initial_std below prior_std."
            )
        size = train_size / config.kl_coef
        return cls(size, 1 / (size * config.prior_std**2), config.hessian_momentum, config.clip_radius)

    @staticmethod
    def chosen(config: TrainConfig) -> bool:
        """Whether a run's model takes it."""
        return config.model.startswith(PREFIX)

    def variance(self, hessian: Any) -> Any:
        """That of the weights."""
        return 1 / (self.effective_size * (hessian + self.weight_decay))

    def hessian(self, variance: Any) -> Any:
        """The average of the curvature with which weights have that variance."""
        return 1 / (self.effective_size * variance) - self.weight_decay

    def step(self, before: Moments, gradient: Any, curvature: Any, *, number: Any, step_size: Any) -> Moments:
        """What a gradient step makes of weights. With a step size of 1 it is a whole Newton step, by the average of the
        curvature.

        **Arguments:**

        - `gradient`: of the mean loss at drawn weights, without the prior.
        - `curvature`: the gradient times the noise of the draw, divided by its standard deviation: an estimate of the
          second derivative, without bias.
        - `number`: of the step, from 1.
        """
        rate, scale = 1 - self.hessian_momentum, before.hessian + self.weight_decay
        surprise = curvature - before.hessian
        # With the second term, which is that of a step along the manifold, it stays above -weight_decay.
        hessian = before.hessian + rate * surprise + 0.5 * rate**2 * surprise**2 / scale
        average = MOMENTUM * before.gradient + (1 - MOMENTUM) * gradient
        unbiased = average / (1 - MOMENTUM**number)
        newton = (unbiased + self.weight_decay * before.mean) / (hessian + self.weight_decay)
        mean = before.mean - step_size * newton.clip(-self.clip_radius, self.clip_radius)
        return Moments(mean, average, hessian)


def refuse_point_weights(config: TrainConfig, others: list[str]) -> None:
    """**Raises:** `InputError` where a network has parameters, named here, of which no Gaussian is learned."""
    if others:
        raise InputError(
            f"model={config.model!r} trains networks whose parameters are all those of MeanField, and learn, and this "
            f"one has {others[0]!r}; put MeanField around all layers, freeze none, or take another model."
        )


def refuse_other_priors(config: TrainConfig, precision: float) -> None:
    """The steps have the prior from the choices and not from the KL, so that another one there would be without effect.

    **Arguments:**

    - `precision`: of a weight's prior by the KL of its network, 1 / standard deviation^2; 0 where it has no KL.

    **Raises:** `InputError` where it is not that of `prior_std`.
    """
    if not math.isclose(precision * config.prior_std**2, 1, rel_tol=1e-3):
        found = f"the prior_std {precision**-0.5:g}" if precision > 0 else "no KL of that prior"
        raise InputError(
            f"model={config.model!r} takes its steps by prior_std={config.prior_std:g}, and a MeanField of this "
            f"network has {found}; give both the same prior_std, and MeanField no disable."
        )
