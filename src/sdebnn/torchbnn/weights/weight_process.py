"""The law of the weights over depth: a prior, and a posterior whose drift is learned.

prior:      dw = f_p(w, t) dt               + sigma dB
posterior:  dw = f_p(w, t) dt + NN(w, t) dt + sigma dB

Noise may be kept to a part of the weights or of the depth (Calvo-Ordonez et al., 2024). A weight moves by
dw = NN(w, t) dt where it has no noise; the KL does not count it there.

The *state* is the weights, or of smooth priors the weights' velocity and then the weights: what has noise comes first.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from sdebnn.priors import Prior
from sdebnn.priors.by_name import as_prior, refuse_own_drifts
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.weights.drift_network import correction
from sdebnn.torchbnn.weights.flat_weights import with_parameters

Correction = Callable[[torch.Tensor, Any], torch.Tensor]
StateDrift = Callable[[Any, torch.Tensor], torch.Tensor]


class ProcessParameters(NamedTuple):
    """What a call reads of its block once: an adjoint asks for the drift again when a module around the block has put
    its parameters back.

    - `start_mean`: the learned initial weights, (p,).
    - `log_ratio`: the logarithm of the standard deviations of a Gaussian start, in units of the prior's; else `None`.
    - `sigma`: the diffusion of the weights that have noise.
    - `nn`, `nn_parameters`: the module NN and its parameters.
    - `others`: the block's other parameters.
    """

    start_mean: torch.Tensor
    log_ratio: torch.Tensor | None
    sigma: torch.Tensor
    nn: nn.Module
    nn_parameters: Mapping[str, torch.Tensor]
    others: tuple[torch.Tensor, ...]

    @property
    def all(self) -> tuple[torch.Tensor, ...]:
        """All of the block's parameters."""
        return *self.others, *self.nn_parameters.values()

    def correction(self) -> Correction:
        """NN(w, t)."""
        return partial(correction, with_parameters(self.nn, self.nn_parameters))

    def stopped_correction(self) -> Correction:
        """NN(w, t), with the gradient stopped at its parameters."""
        stopped = {name: parameter.detach() for name, parameter in self.nn_parameters.items()}
        return partial(correction, with_parameters(self.nn, stopped))


@dataclasses.dataclass(frozen=True, init=False)
class WeightProcess:
    """The prior and the posterior of a block's weights, all of them in one vector w of p numbers.

    **Arguments:**

    - `drift`: a function of the length of a vector, the state, that makes the module NN, called as `module(w, t=...)`,
      which corrects the prior's drift and should start at zero; see `drift_network`.
    - `prior`: of `sdebnn.priors`, or a law of one's own; an Ornstein-Uhlenbeck process unless given.
    - `choices`: of that Ornstein-Uhlenbeck process, such as `sigma` and `rate`, in place of `prior`.

    **Raises:** `InputError` for anything but a prior, and as the prior for its choices.
    """

    drift: Callable[[int], nn.Module]
    prior: Prior

    def __init__(self, drift: Callable[[int], nn.Module], prior: Prior | None = None, **choices: Any) -> None:
        object.__setattr__(self, "drift", drift)
        object.__setattr__(self, "prior", as_prior(prior, choices))

    def __init_subclass__(cls, **choices: Any) -> None:
        super().__init_subclass__(**choices)
        refuse_own_drifts(cls, WeightProcess)

    def draw_start(
        self, normals: torch.Tensor, params: ProcessParameters, *, prior: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The state at depth 0, of standard normals where it is Gaussian, and the KL of its law, in nats. Velocities
        start at zero.
        """
        mean = params.start_mean
        zero = mean.new_zeros(())
        if params.log_ratio is None:
            return mean if self.prior.state_width == 1 else torch.cat([torch.zeros_like(mean), mean]), zero
        noisy, still = self.split(mean)
        prior_std = params.sigma / self.prior.unit_diffusion
        centre = noisy if self.prior.centre == "w0" else torch.zeros_like(noisy)
        normals = normals.to(mean.dtype)
        if prior:
            return torch.cat([centre + prior_std * normals, still]), zero
        log_ratio = params.log_ratio.to(mean.dtype)
        offset = (noisy - centre) / prior_std
        kl = (0.5 * (torch.exp(2 * log_ratio) + offset**2 - 1) - log_ratio).sum()
        return torch.cat([noisy + prior_std * log_ratio.exp() * normals, still]), kl

    def split(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What of the state, (s,) or (times, s), has noise, and what never has it."""
        noisy = self.prior.noisy(state.shape[-1] // self.prior.state_width)
        return state[..., :noisy], state[..., noisy:]

    def weights(self, state: torch.Tensor) -> torch.Tensor:
        """The weights in a state, or in several, (times, s)."""
        return state if self.prior.state_width == 1 else self.split(state)[1]

    def noisy_part(self, moved: torch.Tensor) -> torch.Tensor:
        """What of NN(w, t) has noise. Of all numbers there is no slice to take, whose gradient would be copied into
        zeros.
        """
        noisy = self.prior.noisy(moved.numel() // self.prior.state_width)
        return moved if noisy == moved.numel() else moved[:noisy]

    def prior_drift(self, params: ProcessParameters, correct: Correction) -> StateDrift:
        """f_p(w, t) where there is noise, and NN(w, t) for weights that never have it."""
        law = self._law(params)
        if self.prior.noisy_weights == 1:
            return law
        return lambda t, state: torch.cat([self.split(law(t, state))[0], self.split(correct(state, t))[1]])

    def posterior_drift(self, params: ProcessParameters, correct: Correction) -> StateDrift:
        """f_q(w, t) = f_p(w, t) + NN(w, t) where there is noise, and NN(w, t) for weights that never have it."""
        law = self._law(params)

        def drift(t: Depth, state: torch.Tensor) -> torch.Tensor:
            moved, of_prior = correct(state, t), law(t, state)
            noisy = self.noisy_part(moved)
            if noisy is moved:
                return of_prior + moved
            pull, moved_by_law = self.split(of_prior)
            return torch.cat([pull + noisy, self.split(moved)[1] if self.prior.state_width == 1 else moved_by_law])

        return drift

    def _law(self, params: ProcessParameters) -> StateDrift:
        prior, centre = self.prior, params.start_mean if self.prior.centre == "w0" else 0.0
        if prior.state_width == 1:
            return lambda t, state: prior.checked_drift((state,), t, centre)[0]
        return lambda t, state: torch.cat(prior.checked_drift(self.split(state), t, centre))
