"""One draw of the weights over depth, the hidden state that moves along it, and the KL of the draw."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch

from sdebnn.priors.sections import Section
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.solving.given_noise import solve_given
from sdebnn.torchbnn.solving.recompute import recomputed
from sdebnn.torchbnn.solving.remembered_correction import RememberedCorrection
from sdebnn.torchbnn.solving.remembered_noise import remembered
from sdebnn.torchbnn.solving.solver import Solution, Solver, asked_depths, fixed_depths, grid, solve, step_size
from sdebnn.torchbnn.weights.path_kl import path_kl
from sdebnn.torchbnn.weights.weight_process import ProcessParameters, StateDrift, WeightProcess

# Steps of a weight path that are kept at once for the KL's gradient where an adjoint saves memory.
LONGEST_PART = 7

HiddenDrift = Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]
"""`(w, x, t) -> dx/dt`, of a hidden state that is one vector."""


class WeightPath(NamedTuple):
    """How a block's weight path is drawn, section of depth after section.

    - `process`, `params`: the law of the weights.
    - `solver`: of `check_solver`. `kl_estimator`: of `check_estimator`.
    - `noise`: the Brownian motion of the weights that have noise, `noise(ta, tb)`.
    - `given`: whether the noise is of `GivenNoise`, so that nothing may be asked of a tensor's value.
    - `prior`: whether the path is drawn from the prior, with a KL of zero.
    """

    process: WeightProcess
    params: ProcessParameters
    solver: Solver
    kl_estimator: str
    noise: Any
    given: bool
    prior: bool

    def draw(
        self, state: torch.Tensor, x: torch.Tensor, hidden_drift: HiddenDrift
    ) -> tuple[torch.Tensor, torch.Tensor, int]:
        """From the state of the weights and the hidden state at depth 0: the hidden state at depth 1, the KL in nats,
        and the evaluations of the drift.
        """
        kl, evaluations, sizes = state.new_zeros(()), 0, [state.numel(), x.numel()]
        # Where all states are kept anyway, the KL is read off them.
        keeps = self.solver.adjoint == "backprop" and not self.solver.adaptive
        path = self._replace(noise=remembered(self.noise)) if keeps and not self.given else self
        for section in self.process.prior.sections():
            counted = section.noisy and not self.prior
            if counted and not keeps:
                kl = kl + path._solved_kl(section, state)
            steps = path._depths(section) if keeps and self.given else path._grid(section)
            known = path._remembered(steps) if counted and keeps else None
            drift = path._drift(section, known)

            def drift_of_both(t: Depth, y: torch.Tensor, drift: StateDrift = drift) -> torch.Tensor:
                state, x = y.split(sizes)
                dx = hidden_drift(self.process.weights(state), x, t)
                return torch.cat([drift(t, state), dx])

            y = torch.cat([state, x])
            if isinstance(steps, list):
                of_section = path.noise if section.noisy else None
                solution = solve_given(drift_of_both, self.params.sigma, y, steps, self.solver, of_section)
            else:
                ts = steps if known and not known.depths else steps[[0, -1]]
                solution = path._solve(section, drift_of_both, y, ts)
            evaluations += solution.evaluations
            # Taken apart once: the gradient of every slice of all depths would be zeros of the size of all depths.
            states = [y.split(sizes) for y in solution.ys]
            if known:
                kl = kl + path._kl_of(steps, [of_weights for of_weights, _ in states], known)
            state, x = states[-1]
        return x, kl, evaluations

    def at(self, state: torch.Tensor, ts: torch.Tensor) -> torch.Tensor:
        """The weights alone at the depths `ts`, increasing from 0 to 1: (times, p)."""
        pieces = [state[None]]
        for section in self.process.prior.sections():
            start, end = self._grid(section)[[0, -1]]
            inner = ts[(ts > start) & (ts < end)]
            depths = torch.cat([start[None], inner, end[None]])
            drift = self._drift(section, None)
            # One after the other: torchsde would interpolate between its steps, where a path has its own noise.
            for stretch in depths.unfold(0, 2, 1):
                state = self._solve(section, drift, state, stretch).ys[-1]
                if bool((ts == stretch[1]).any()):
                    pieces.append(state[None])
        return self.process.weights(torch.cat(pieces))

    def _drift(self, section: Section, known: RememberedCorrection | None) -> StateDrift:
        """Of the state; by NN(w, t) alone where there is no noise."""
        correct = known or self.params.correction()
        if not section.noisy:
            return lambda t, state: correct(state, t)
        of = self.process.prior_drift if self.prior else self.process.posterior_drift
        return of(self.params, correct)

    def _remembered(self, steps: torch.Tensor | list[float]) -> RememberedCorrection:
        return RememberedCorrection(self.params.correction(), asked_depths(steps, self.solver))

    def _kl_of(
        self, steps: torch.Tensor | list[float], states: list[torch.Tensor], correct: RememberedCorrection
    ) -> torch.Tensor:
        """Of a path that the noise moved in these `steps`, solved with `correct` in its drift. `states` are those where
        they end; where `correct` knows these, the first and the last are.
        """
        if correct.depths:
            states = [*correct.states(), states[-1]]

        def u_of(correct: Any) -> Callable[[Any, torch.Tensor], torch.Tensor]:
            return lambda t, state: self.process.noisy_part(correct(state, t)) / self.params.sigma

        stopped = u_of(self.params.stopped_correction())
        kl = path_kl(u_of(correct), stopped, steps, states, self.noise, self.kl_estimator)
        correct.forget()
        return kl

    def _solved_kl(self, section: Section, state: torch.Tensor) -> torch.Tensor:
        """Of a section with noise. The weights do not depend on the hidden state, so they are solved for alone.

        Always in fixed steps: between adaptive ones, depths are interpolated, so u at the left end of a step would
        know of the increment to come, and the Ito sum would not have mean zero.
        """
        steps, dt = self._grid(section), step_size(section.start, section.end, self.solver.steps)
        fixed = self.solver._replace(adjoint="backprop", rtol=0.0, atol=0.0, adjoint_adaptive=False)

        def stretch(steps: torch.Tensor, state: torch.Tensor, *extra: torch.Tensor) -> tuple[torch.Tensor, ...]:
            """The KL of a stretch, the state at its end, and what the method carries on."""
            path = self._replace(noise=remembered(self.noise), solver=fixed)
            correct = path._remembered(steps)
            ts = steps[[0, -1]] if correct.depths else steps
            ys, _, extra = path._solve(section, path._drift(section, correct), state, ts, dt=dt, extra=extra)
            states = list(ys)
            # A copy, since a view would keep the weights of the whole stretch.
            return path._kl_of(steps, states, correct), states[-1].clone(), *extra

        if self.solver.adjoint == "backprop":
            return stretch(steps, state)[0]
        # Adjoints are there for their memory: only the states between three parts of three parts ... are kept.

        def of_parts(steps: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
            number = len(steps) - 1
            if number <= LONGEST_PART:
                return stretch(steps, *states)
            kl, length = states[0].new_zeros(()), math.ceil(number / 3)
            for first in range(0, number, length):
                part = partial(of_parts, steps[first : first + length + 1])
                of_part, *rest = recomputed(part, states, self.params.all)
                kl, states = kl + of_part, tuple(rest)
            return kl, *states

        return of_parts(steps, state)[0]

    def _solve(
        self, section: Section, drift: StateDrift, y0: torch.Tensor, ts: torch.Tensor, **going_on: Any
    ) -> Solution:
        sigma, noise = y0.new_zeros(y0.shape), self.noise if section.noisy else None
        if section.noisy:
            sigma[: self.params.sigma.numel()] = self.params.sigma
        return solve(drift, sigma, y0, ts, self.solver, noise, self.params.all, **going_on)

    def _grid(self, section: Section) -> torch.Tensor:
        return grid(section.start, section.end, self.solver.steps)

    def _depths(self, section: Section) -> list[float]:
        return fixed_depths(section.start, section.end, self.solver.steps)
