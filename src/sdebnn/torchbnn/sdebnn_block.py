"""The SDEBNN block: a hidden state that moves along a random weight path."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from sdebnn.depths import check_depths
from sdebnn.ou_prior import Section
from sdebnn.torchbnn.bayesian import BayesianModule, Output, device_of
from sdebnn.torchbnn.brownian_motion import BrownianMotion
from sdebnn.torchbnn.drift_network import build_drift, correction
from sdebnn.torchbnn.flat_state import FlatState
from sdebnn.torchbnn.flat_weights import FlatWeights, with_parameters
from sdebnn.torchbnn.path_kl import check_estimator, path_kl
from sdebnn.torchbnn.recompute import recomputed
from sdebnn.torchbnn.remembered_noise import remembered
from sdebnn.torchbnn.solver import Solution, Solver, check_solver, grid, solve, step_size
from sdebnn.torchbnn.weight_process import WeightProcess

Parameters = Mapping[str, torch.Tensor]
WeightDrift = Callable[[Any, torch.Tensor], torch.Tensor]

# Steps of a weight path that are kept at once for the KL's gradient where an adjoint saves memory.
LONGEST_PART = 7


class SDEBNN(BayesianModule):
    """An infinitely deep Bayesian layer (Xu et al., 2021): dx = f_x(x, t; w_t) dt, where the weights w_t follow an SDE.

    The hidden state has no noise of its own and the weights do not depend on it: one weight path is drawn for a call
    and shared by the whole batch. Called as `block(x, rng=generator)`, it returns the hidden state at depth 1 and the
    KL; `evaluations` is then the number of times that f_x was computed.

    **Arguments:**

    - `fx`: any module that keeps the shape of its input and has no buffers; it may take depth as the keyword `t`. All
      its parameters become weights that follow the SDE, and start at the values that they have.
    - `process`: their prior and posterior.
    - `solver`: steps, method and gradients.
    - `kl_estimator`: `"stl"`, `"full_mc"` or `"analytic"`; see `path_kl`.

    **Raises:** `InputError` for an fx, a drift, a solver or an estimator that cannot be used.
    """

    def __init__(
        self, fx: nn.Module, process: WeightProcess, solver: Solver | None = None, *, kl_estimator: str = "stl"
    ) -> None:
        super().__init__()
        self._layout = FlatWeights(fx)
        self.process, self.solver = process, check_solver(solver or Solver())
        self.kl_estimator = check_estimator(kl_estimator)
        self.w0 = fx
        self.drift = build_drift(process.drift, self._layout.size)
        noisy = process.noisy(self._layout.size)
        if process.start == "gaussian":
            self.w0_log_ratio = nn.Parameter(torch.zeros(noisy))
        self._noisy = noisy
        self.evaluations = 0

    def forward(
        self, x: torch.Tensor, *, rng: torch.Generator | None = None, prior: bool = False, noise: Any = None
    ) -> Output:
        """**Arguments:** `noise` replays a Brownian motion of the weights that have noise: increments
        `noise(ta, tb)`, from depth ta to tb.
        """
        w, kl = self._draw_start(rng, prior)
        noise = self._brownian_motion(rng, w) if noise is None else noise
        # Then all states are kept anyway, and the KL is read off them.
        keeps = self.solver.adjoint == "backprop" and not self.solver.adaptive
        if keeps:
            noise = remembered(noise)
        # Read once: an adjoint asks for the drift again when a module around this one has put its parameters back.
        nn_drift, parameters = dict(self.drift.named_parameters()), tuple(self.parameters())
        layout, state, sizes = self._layout, FlatState(x), [w.numel(), x.numel()]
        self.evaluations = 0
        for section in self.process.sections():
            drift, counted = self._weight_drift(section, prior, nn_drift), section.noisy and not prior
            if counted and not keeps:
                kl = kl + self._solved_kl(section, drift, w, noise, nn_drift, parameters)

            def drift_of_both(t: Any, y: torch.Tensor, drift: Any = drift) -> torch.Tensor:
                w, x = y.split(sizes)
                dx = layout.run(self.w0, w, state.shaped(x), t.to(y))
                return torch.cat([drift(t, w), state.flat(dx)])

            ts = self._grid(section) if counted and keeps else _ends(section)
            y = torch.cat([w, state.flat(x)])
            solution = self._solve(section, drift_of_both, y, ts, noise, self.solver, parameters)
            self.evaluations += solution.evaluations
            # Taken apart once: the gradient of every slice of all depths would be zeros of the size of all depths.
            states = [y.split(sizes) for y in solution.ys.unbind()]
            if counted and keeps:
                kl = kl + self._kl_of_path(ts, [w for w, _ in states], noise, nn_drift)
            w, x = states[-1]
            x = state.shaped(x)
        return x, kl

    def weight_path(self, ts: torch.Tensor, *, rng: torch.Generator | None = None, prior: bool = False) -> torch.Tensor:
        """Draws a path of the weights alone: at increasing depths `ts`, float64, from 0 to 1; (times, p).

        **Raises:** `InputError` for other depths.
        """
        check_depths(ts.numpy())
        w, _ = self._draw_start(rng, prior)
        noise = self._brownian_motion(rng, w)
        nn_drift, parameters = dict(self.drift.named_parameters()), tuple(self.parameters())
        pieces = [w[None]]
        for section in self.process.sections():
            start, end = _ends(section)
            inner = ts[(ts > start) & (ts < end)]
            depths = torch.cat([start[None], inner, end[None]])
            drift = self._weight_drift(section, prior, nn_drift)
            # One after the other: torchsde would interpolate between its steps, where a path has its own noise.
            for stretch in depths.unfold(0, 2, 1):
                w = self._solve(section, drift, w, stretch, noise, self.solver, parameters).ys[-1]
                if bool((ts == stretch[1]).any()):
                    pieces.append(w[None])
        return torch.cat(pieces)

    @property
    def sigma(self) -> torch.Tensor:
        """The diffusion of every weight, (p,), where the weights are and as precise; zero for those without noise."""
        like, sizes = next(self.w0.parameters()), zip(self._layout.sizes, self._layout.fan_in, strict=True)
        sigma = torch.cat([like.new_full((size,), self.process.diffusion_scale(n)) for size, n in sizes])
        sigma[self._noisy :] = 0.0
        return sigma

    def start_mean(self) -> torch.Tensor:
        """The learned initial weights as one vector."""
        return self._layout.of(self.w0)

    def _kl_of_path(
        self, ts: torch.Tensor, ws: Sequence[torch.Tensor], noise: Any, nn_drift: Parameters
    ) -> torch.Tensor:
        """Of the weights `ws` at the ends `ts` of the steps that `noise` moved them in."""
        sigma = self.sigma[: self._noisy].to(ws[0])

        def u_of(parameters: Parameters) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
            drift = with_parameters(self.drift, parameters)

            def u(t: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
                moved = correction(drift, w, t)
                return (moved if self._noisy == w.numel() else moved[: self._noisy]) / sigma

            return u

        stopped = u_of({name: p.detach() for name, p in nn_drift.items()})
        return path_kl(u_of(nn_drift), stopped, ts, ws, noise, self.kl_estimator)

    def _solved_kl(
        self, section: Section, drift: WeightDrift, w: torch.Tensor, noise: Any, nn_drift: Parameters,
        parameters: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:  # fmt: skip
        """Of a section with noise. The weights do not depend on the hidden state, so they are solved for alone.

        Always in fixed steps: between adaptive ones, depths are interpolated, so u at the left end of a step would
        know of the increment to come, and the Ito sum would not have mean zero.
        """
        ts, dt = self._grid(section), step_size(section.start, section.end, self.solver.steps)
        fixed = self.solver._replace(adjoint="backprop", rtol=0.0, atol=0.0, adjoint_adaptive=False)

        def stretch(ts: torch.Tensor, w: torch.Tensor, *extra: torch.Tensor) -> tuple[torch.Tensor, ...]:
            """The KL of a stretch, the weights at its end, and what the method carries on."""
            known = remembered(noise)
            ys, _, extra = self._solve(section, drift, w, ts, known, fixed, (), dt=dt, extra=extra)
            ws = ys.unbind()
            # A copy, since a view would keep the weights of the whole stretch.
            return self._kl_of_path(ts, ws, known, nn_drift), ws[-1].clone(), *extra

        if self.solver.adjoint == "backprop":
            return stretch(ts, w)[0]
        # Adjoints are there for their memory: only the states between three parts of three parts ... are kept.

        def of_parts(ts: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
            steps = len(ts) - 1
            if steps <= LONGEST_PART:
                return stretch(ts, *states)
            kl, length = states[0].new_zeros(()), math.ceil(steps / 3)
            for first in range(0, steps, length):
                part = partial(of_parts, ts[first : first + length + 1])
                of_part, *rest = recomputed(part, states, parameters)
                kl, states = kl + of_part, tuple(rest)
            return kl, *states

        return of_parts(ts, w)[0]

    def _draw_start(self, rng: torch.Generator | None, prior: bool) -> Output:
        """w_0 and the KL of its law."""
        mean = self.start_mean()
        zero = mean.new_zeros(())
        if self.process.start == "learned":
            return mean, zero
        noisy, still = mean[: self._noisy], mean[self._noisy :]
        prior_std = self.sigma[: self._noisy].to(mean) / (2 * self.process.rate) ** 0.5
        centre = noisy if self.process.centre == "w0" else torch.zeros_like(noisy)
        normals = torch.randn(noisy.shape, generator=rng, dtype=mean.dtype, device=device_of(rng)).to(mean.device)
        if prior:
            return torch.cat([centre + prior_std * normals, still]), zero
        log_ratio = self.w0_log_ratio
        offset = (noisy - centre) / prior_std
        kl = (0.5 * (torch.exp(2 * log_ratio) + offset**2 - 1) - log_ratio).sum()
        return torch.cat([noisy + prior_std * log_ratio.exp() * normals, still]), kl

    def _weight_drift(self, section: Section, prior: bool, nn_drift: Parameters) -> WeightDrift:
        """The drift of all weights; those that have no noise there follow NN(w, t) alone."""
        network = with_parameters(self.drift, nn_drift)
        rate, noisy = self.process.rate, self._noisy
        centre = self.start_mean() if self.process.centre == "w0" else 0.0

        def drift(t: Any, w: torch.Tensor) -> torch.Tensor:
            pull = rate * (centre - w)
            if prior and section.noisy and noisy == w.numel():
                return pull
            moved = correction(network, w, t)
            if not section.noisy:
                return moved
            # Of all numbers there is no slice to take, whose gradient would be copied into zeros.
            if noisy == w.numel():
                return pull + moved
            return torch.cat([pull[:noisy] if prior else pull[:noisy] + moved[:noisy], moved[noisy:]])

        return drift

    def _solve(
        self, section: Section, drift: WeightDrift, y0: torch.Tensor, ts: torch.Tensor, noise: Any, solver: Solver,
        parameters: tuple[torch.Tensor, ...], **going_on: Any,
    ) -> Solution:  # fmt: skip
        sigma = y0.new_zeros(y0.shape)
        if section.noisy:
            sigma[: self._noisy] = self.sigma[: self._noisy]
        noise = noise if section.noisy else None
        return solve(drift, sigma, y0, ts, solver, noise, parameters, **going_on)

    def _grid(self, section: Section) -> torch.Tensor:
        return grid(section.start, section.end, self.solver.steps)

    def _brownian_motion(self, rng: torch.Generator | None, w: torch.Tensor) -> Any:
        entropy = int(torch.randint(2**62, (), generator=rng, device=device_of(rng)))
        # Every section begins where the one before it ends.
        depths = torch.cat([self._grid(section) for section in self.process.sections()]).unique()
        return BrownianMotion(self._noisy, entropy, depths, w)


def _ends(section: Section) -> torch.Tensor:
    return torch.tensor([section.start, section.end], dtype=torch.float64)
