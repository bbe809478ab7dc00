"""The SDEBNN block: a hidden state that moves along a random weight path."""

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from sdebnn.depths import check_depths
from sdebnn.errors import InputError
from sdebnn.ou_prior import Section
from sdebnn.torchbnn.layers.bayesian import BayesianModule, Output, device_of
from sdebnn.torchbnn.layers.precision import precision, working
from sdebnn.torchbnn.layers.randomness import check_generator
from sdebnn.torchbnn.solving.brownian_motion import BrownianMotion
from sdebnn.torchbnn.solving.flat_state import FlatState
from sdebnn.torchbnn.solving.given_noise import GivenNoise, PathNoise, in_precision, solve_given
from sdebnn.torchbnn.solving.recompute import recomputed
from sdebnn.torchbnn.solving.remembered_correction import RememberedCorrection
from sdebnn.torchbnn.solving.remembered_noise import remembered
from sdebnn.torchbnn.solving.solver import (
    Solution,
    Solver,
    asked_depths,
    check_solver,
    fixed_depths,
    grid,
    solve,
    step_size,
)
from sdebnn.torchbnn.weights.drift_network import build_drift, correction, depth, parameters_to_read
from sdebnn.torchbnn.weights.flat_weights import FlatWeights, with_parameters
from sdebnn.torchbnn.weights.path_kl import check_estimator, path_kl
from sdebnn.torchbnn.weights.weight_process import WeightProcess

WeightDrift = Callable[[Any, torch.Tensor], torch.Tensor]
Correction = Callable[[torch.Tensor, Any], torch.Tensor]

# In a `state_dict`, by their names in the process and the solver.
CHOICES = ("sigma", "rate", "steps")

# Steps of a weight path that are kept at once for the KL's gradient where an adjoint saves memory.
LONGEST_PART = 7


class _Read(NamedTuple):
    """What a call reads of its block once: an adjoint asks for the drift again when a module around the block has put
    its parameters back.
    """

    start_mean: torch.Tensor
    sigma: torch.Tensor
    nn_drift: Mapping[str, torch.Tensor]
    parameters: tuple[torch.Tensor, ...]


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
        """**Arguments:** `noise`, in place of `rng`: of `draw_noise`; or a Brownian motion of the weights that have
        noise, as a function that gives its increments `noise(ta, tb)`, from depth ta to tb.

        **Raises:** `InputError` for inputs, a generator or noise that cannot be used.
        """
        dtype = precision(x, self.parameters(), "SDEBNN")
        x = x.to(working(dtype))
        read = self._read(x.dtype)
        given = noise is not None and not callable(noise)
        if given:
            self._check_noise(noise)
        elif noise is None or self.process.start == "gaussian":
            check_generator(rng, "SDEBNN")
        w, kl = self._draw_start(read, noise[0] if given else self._start_normals(rng), prior)
        # Then all states are kept anyway, and the KL is read off them.
        keeps = self.solver.adjoint == "backprop" and not self.solver.adaptive
        if noise is None or given:
            noise = GivenNoise(noise[1], self._noisy_steps()) if given else self._brownian_motion(rng)
            noise = in_precision(noise, x.dtype)
        if keeps and not given:
            noise = remembered(noise)
        fx, state, sizes = self._layout.runner(self.w0), FlatState(x), [w.numel(), x.numel()]
        self.evaluations = 0
        for section in self.process.sections():
            counted = section.noisy and not prior
            if counted and not keeps:
                kl = kl + self._solved_kl(section, read, w, noise)
            # Of numbers, so that nothing is asked of a tensor's value.
            steps = self._depths(section) if keeps and given else self._grid(section)
            known = self._remembered(read, steps, self.solver) if counted and keeps else None
            drift = self._weight_drift(section, prior, read, known or self._correction(read))

            def drift_of_both(t: Any, y: torch.Tensor, drift: Any = drift) -> torch.Tensor:
                w, x = y.split(sizes)
                dx = fx(w, state.shaped(x), depth(t, y))
                return torch.cat([drift(t, w), state.flat(dx)])

            y = torch.cat([w, state.flat(x)])
            if isinstance(steps, list):
                of_section = noise if section.noisy else None
                solution = solve_given(drift_of_both, read.sigma[: self._noisy], y, steps, self.solver, of_section)
            else:
                ts = steps if known and not known.depths else steps[[0, -1]]
                solution = self._solve(section, read, drift_of_both, y, ts, noise, self.solver)
            self.evaluations += solution.evaluations
            # Taken apart once: the gradient of every slice of all depths would be zeros of the size of all depths.
            states = [y.split(sizes) for y in solution.ys.unbind()]
            if known:
                kl = kl + self._kl_of_path(read, steps, [w for w, _ in states], known, noise)
            w, flat = states[-1]
            x = state.shaped(flat)
        return Output(state.outputs(flat, dtype), kl)

    def draw_noise(self, *, rng: torch.Generator | None = None) -> PathNoise:
        """What `forward` draws from `rng`, for its argument `noise`. **Raises:** `InputError` with adaptive steps."""
        if self.solver.adaptive:
            raise InputError(
                "draw_noise got a solver with adaptive steps, whose noise is drawn as they need it: give rng, or take "
                "rtol=0 and atol=0."
            )
        check_generator(rng, "SDEBNN")
        start, motion, depths = self._start_normals(rng), self._brownian_motion(rng), self._noisy_steps()
        increments = [motion(first, last) for first, last in itertools.pairwise(depths)]
        return PathNoise(start, torch.cat(increments or [start.new_zeros(0, self._noisy)]))

    def weight_path(self, ts: torch.Tensor, *, rng: torch.Generator | None = None, prior: bool = False) -> torch.Tensor:
        """Draws a path of the weights alone: at increasing depths `ts`, float64, from 0 to 1; (times, p).

        **Raises:** `InputError` for other depths.
        """
        check_depths(ts.numpy())
        check_generator(rng, "SDEBNN")
        read = self._read(working(self._dtype()))
        w, _ = self._draw_start(read, self._start_normals(rng), prior)
        noise = in_precision(self._brownian_motion(rng), w.dtype)
        pieces = [w[None]]
        for section in self.process.sections():
            start, end = self._grid(section)[[0, -1]]
            inner = ts[(ts > start) & (ts < end)]
            depths = torch.cat([start[None], inner, end[None]])
            drift = self._weight_drift(section, prior, read, self._correction(read))
            # One after the other: torchsde would interpolate between its steps, where a path has its own noise.
            for stretch in depths.unfold(0, 2, 1):
                w = self._solve(section, read, drift, w, stretch, noise, self.solver).ys[-1]
                if bool((ts == stretch[1]).any()):
                    pieces.append(w[None])
        return torch.cat(pieces)

    def get_extra_state(self) -> torch.Tensor:
        """What the parameters were learned with, in a `state_dict`: the numbers of `CHOICES`, float64, which any file
        of tensors takes.
        """
        values = self.process.sigma, self.process.rate, self.solver.steps
        return torch.tensor(values, dtype=torch.float64)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Warns where a `state_dict` was saved by a block with other `CHOICES`."""
        own, rounded = self.get_extra_state().tolist(), max(1e-6, torch.finfo(state.dtype).eps)
        others = [
            f"{name}={theirs:g}, and this block has {ours:g}"
            for name, theirs, ours in zip(CHOICES, state.tolist(), own, strict=True)
            if not math.isclose(theirs, ours, rel_tol=rounded)
        ]
        if others:
            warnings.warn(
                f"These parameters were saved by a block with {'; '.join(others)}: make the block with the same, "
                "unless another is meant.",
                stacklevel=2,
            )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *others)
        missing_keys = others[2]
        # Those saved by version 0.1 have no choices.
        if (key := f"{prefix}_extra_state") in missing_keys:
            missing_keys.remove(key)

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

    def _read(self, dtype: torch.dtype) -> _Read:
        nn_drift = parameters_to_read(self.drift, dtype)
        others = [p for name, p in self.named_parameters() if not name.startswith("drift.")]
        return _Read(self.start_mean().to(dtype), self.sigma.to(dtype), nn_drift, (*others, *nn_drift.values()))

    def _dtype(self) -> torch.dtype:
        """The precision of the weights, in which noise is drawn: whatever the inputs', it is the same noise."""
        return functools.reduce(torch.promote_types, (p.dtype for p in self.w0.parameters()))

    def _check_noise(self, noise: PathNoise) -> None:
        wanted = [self._noisy if self.process.start == "gaussian" else 0], [len(self._noisy_steps()) - 1, self._noisy]
        got = [list(part.shape) for part in noise]
        if self.solver.adaptive or got != list(wanted):
            raise InputError(
                f"SDEBNN got noise of shapes {got}; with fixed steps it takes {list(wanted)}, those of "
                "draw_noise(rng=rng), and with adaptive ones rng."
            )

    def _noisy_steps(self) -> list[float]:
        """Where the steps on which the weights have noise begin, and the last of them ends."""
        return next((self._depths(section) for section in self.process.sections() if section.noisy), [0.0])

    def _correction(self, read: _Read) -> Correction:
        return partial(correction, with_parameters(self.drift, read.nn_drift))

    def _remembered(self, read: _Read, steps: torch.Tensor | list[float], solver: Solver) -> RememberedCorrection:
        return RememberedCorrection(self._correction(read), asked_depths(steps, solver))

    def _kl_of_path(
        self,
        read: _Read,
        steps: torch.Tensor | list[float],
        ws: list[torch.Tensor],
        correct: RememberedCorrection,
        noise: Any,
    ) -> torch.Tensor:
        """Of a path that `noise` moved in these `steps`, solved with `correct` in its drift. `ws` are the weights where
        they end; where `correct` knows those, the first and the last do.
        """
        if correct.depths:
            ws = [*correct.states(), ws[-1]]
        sigma = read.sigma[: self._noisy]

        def u_of(correct: Correction) -> Callable[[Any, torch.Tensor], torch.Tensor]:
            def u(t: Any, w: torch.Tensor) -> torch.Tensor:
                moved = correct(w, t)
                return (moved if self._noisy == w.numel() else moved[: self._noisy]) / sigma

            return u

        stopped = self._correction(read._replace(nn_drift={name: p.detach() for name, p in read.nn_drift.items()}))
        kl = path_kl(u_of(correct), u_of(stopped), steps, ws, noise, self.kl_estimator)
        correct.forget()
        return kl

    def _solved_kl(self, section: Section, read: _Read, w: torch.Tensor, noise: Any) -> torch.Tensor:
        """Of a section with noise. The weights do not depend on the hidden state, so they are solved for alone.

        Always in fixed steps: between adaptive ones, depths are interpolated, so u at the left end of a step would
        know of the increment to come, and the Ito sum would not have mean zero.
        """
        steps, dt = self._grid(section), step_size(section.start, section.end, self.solver.steps)
        fixed = self.solver._replace(adjoint="backprop", rtol=0.0, atol=0.0, adjoint_adaptive=False)

        def stretch(steps: torch.Tensor, w: torch.Tensor, *extra: torch.Tensor) -> tuple[torch.Tensor, ...]:
            """The KL of a stretch, the weights at its end, and what the method carries on."""
            known, correct = remembered(noise), self._remembered(read, steps, fixed)
            drift, ts = self._weight_drift(section, False, read, correct), steps[[0, -1]] if correct.depths else steps
            ys, _, extra = self._solve(section, read, drift, w, ts, known, fixed, dt=dt, extra=extra)
            ws = list(ys.unbind())
            # A copy, since a view would keep the weights of the whole stretch.
            return self._kl_of_path(read, steps, ws, correct, known), ws[-1].clone(), *extra

        if self.solver.adjoint == "backprop":
            return stretch(steps, w)[0]
        # Adjoints are there for their memory: only the states between three parts of three parts ... are kept.

        def of_parts(steps: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
            number = len(steps) - 1
            if number <= LONGEST_PART:
                return stretch(steps, *states)
            kl, length = states[0].new_zeros(()), math.ceil(number / 3)
            for first in range(0, number, length):
                part = partial(of_parts, steps[first : first + length + 1])
                of_part, *rest = recomputed(part, states, read.parameters)
                kl, states = kl + of_part, tuple(rest)
            return kl, *states

        return of_parts(steps, w)[0]

    def _start_normals(self, rng: torch.Generator | None) -> torch.Tensor:
        like, size = next(self.w0.parameters()), self._noisy if self.process.start == "gaussian" else 0
        normals = torch.randn(size, generator=rng, dtype=working(self._dtype()), device=device_of(rng))
        return normals.to(like.device)

    def _draw_start(self, read: _Read, normals: torch.Tensor, prior: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """w_0 and the KL of its law."""
        mean = read.start_mean
        zero = mean.new_zeros(())
        if self.process.start == "learned":
            return mean, zero
        noisy, still = mean[: self._noisy], mean[self._noisy :]
        prior_std = read.sigma[: self._noisy] / (2 * self.process.rate) ** 0.5
        centre = noisy if self.process.centre == "w0" else torch.zeros_like(noisy)
        normals = normals.to(mean.dtype)
        if prior:
            return torch.cat([centre + prior_std * normals, still]), zero
        log_ratio = self.w0_log_ratio.to(mean.dtype)
        offset = (noisy - centre) / prior_std
        kl = (0.5 * (torch.exp(2 * log_ratio) + offset**2 - 1) - log_ratio).sum()
        return torch.cat([noisy + prior_std * log_ratio.exp() * normals, still]), kl

    def _weight_drift(self, section: Section, prior: bool, read: _Read, correct: Correction) -> WeightDrift:
        """The drift of all weights; those that have no noise there follow NN(w, t) alone."""
        rate, noisy = self.process.rate, self._noisy
        centre = read.start_mean if self.process.centre == "w0" else 0.0

        def drift(t: Any, w: torch.Tensor) -> torch.Tensor:
            if prior and section.noisy and noisy == w.numel():
                return rate * (centre - w)
            moved = correct(w, t)
            if not section.noisy:
                return moved
            # Of all numbers there is no slice to take, whose gradient would be copied into zeros.
            if noisy == w.numel():
                return torch.add(moved, centre - w, alpha=rate)
            pull = rate * (centre - w)[:noisy]
            return torch.cat([pull if prior else pull + moved[:noisy], moved[noisy:]])

        return drift

    def _solve(
        self, section: Section, read: _Read, drift: WeightDrift, y0: torch.Tensor, ts: torch.Tensor, noise: Any,
        solver: Solver, **going_on: Any,
    ) -> Solution:  # fmt: skip
        sigma = y0.new_zeros(y0.shape)
        if section.noisy:
            sigma[: self._noisy] = read.sigma[: self._noisy]
        noise = noise if section.noisy else None
        return solve(drift, sigma, y0, ts, solver, noise, read.parameters, **going_on)

    def _grid(self, section: Section) -> torch.Tensor:
        return grid(section.start, section.end, self.solver.steps)

    def _depths(self, section: Section) -> list[float]:
        return fixed_depths(section.start, section.end, self.solver.steps)

    def _brownian_motion(self, rng: torch.Generator | None) -> BrownianMotion:
        entropy = int(torch.randint(2**62, (), generator=rng, device=device_of(rng)))
        # Every section begins where the one before it ends.
        depths = torch.cat([self._grid(section) for section in self.process.sections()]).unique()
        like = next(self.w0.parameters())
        return BrownianMotion(self._noisy, entropy, depths, like.detach().to(working(self._dtype())))
