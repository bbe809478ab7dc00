"""The SDEBNN block: a hidden state that moves along a random weight path."""

import functools
import itertools
from typing import Any

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.kl_estimators import check_estimator
from sdebnn.priors.prior import check_end
from sdebnn.priors.sections import check_depths
from sdebnn.torchbnn.layers.bayesian import BayesianModule, Output, device_of
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.precision import precision, working
from sdebnn.torchbnn.layers.randomness import check_generator
from sdebnn.torchbnn.solving.brownian_motion import BrownianMotion
from sdebnn.torchbnn.solving.flat_state import FlatState
from sdebnn.torchbnn.solving.given_noise import GivenNoise, PathNoise, in_precision
from sdebnn.torchbnn.solving.solver import Solver, as_solver, fixed_depths, grid
from sdebnn.torchbnn.weights.drift_network import build_drift, depth, parameters_to_read
from sdebnn.torchbnn.weights.flat_weights import FlatWeights
from sdebnn.torchbnn.weights.saved_choices import saved_choices, warn_of_other_choices
from sdebnn.torchbnn.weights.weight_path import WeightPath
from sdebnn.torchbnn.weights.weight_process import ProcessParameters, WeightProcess


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
    - `kl_estimator`: one of `sdebnn.kl_estimators.KL_ESTIMATORS`; see `path_kl`.
    - `choices`: of the `Solver`, such as `steps` and `method`, in place of `solver`.

    **Raises:** `InputError` for an fx, a drift, a solver or an estimator that cannot be used.
    """

    def __init__(
        self,
        fx: nn.Module,
        process: WeightProcess,
        solver: Solver | None = None,
        *,
        kl_estimator: str = "stl",
        **choices: Any,
    ) -> None:
        super().__init__()
        if not isinstance(process, WeightProcess):
            raise InputError(
                f"SDEBNN got process={type(process).__name__}; it takes a WeightProcess, such as "
                "WeightProcess(drift_network())."
            )
        self._layout = FlatWeights(fx)
        self.process, self.solver = process, as_solver("SDEBNN", solver, choices)
        check_end(process.prior, self.solver.asks_at_the_end)
        self.kl_estimator = check_estimator(kl_estimator)
        self.w0 = fx
        self.drift = build_drift(process.drift, process.prior.state_width * self._layout.size)
        noisy = process.prior.noisy(self._layout.size)
        if process.prior.start == "gaussian":
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
        params = self._read(x.dtype)
        given = noise is not None and not callable(noise)
        if given:
            self._check_noise(noise)
        elif noise is None or self.process.prior.start == "gaussian":
            check_generator(rng, "SDEBNN")
        normals = noise[0] if given else self._start_normals(rng)
        start, start_kl = self.process.draw_start(normals, params, prior=prior)
        if noise is None or given:
            noise = GivenNoise(noise[1], self._noisy_steps()) if given else self._brownian_motion(rng)
            noise = in_precision(noise, x.dtype)
        fx, hidden = self._layout.runner(self.w0), FlatState(x)
        path = WeightPath(self.process, params, self.solver, self.kl_estimator, noise, given, prior)

        def hidden_drift(w: torch.Tensor, x: torch.Tensor, t: Depth) -> torch.Tensor:
            return hidden.flat(fx(w, hidden.shaped(x), depth(t, w)))

        flat, kl, self.evaluations = path.draw(start, hidden.flat(x), hidden_drift)
        return Output(hidden.outputs(flat, dtype), start_kl + kl)

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

    def noise_scales(self) -> PathNoise:
        """The standard deviations of what `draw_noise` draws: all of it is Gaussian, independent, and of mean zero."""
        if self.solver.adaptive:
            raise InputError(
                "noise_scales got a solver with adaptive steps, which choose their noise; take fixed ones."
            )
        steps = torch.tensor(self._noisy_steps(), dtype=torch.float64).diff().sqrt()
        start = self._noisy if self.process.prior.start == "gaussian" else 0
        dtype = working(self._dtype())
        return PathNoise(torch.ones(start, dtype=dtype), steps.to(dtype)[:, None].expand(-1, self._noisy))

    def weight_path(self, ts: torch.Tensor, *, rng: torch.Generator | None = None, prior: bool = False) -> torch.Tensor:
        """Draws a path of the weights alone: at increasing depths `ts`, float64, from 0 to 1; (times, p).

        **Raises:** `InputError` for other depths.
        """
        check_depths(ts.numpy())
        check_generator(rng, "SDEBNN")
        params = self._read(working(self._dtype()))
        start, _ = self.process.draw_start(self._start_normals(rng), params, prior=prior)
        noise = in_precision(self._brownian_motion(rng), start.dtype)
        path = WeightPath(self.process, params, self.solver, self.kl_estimator, noise, False, prior)
        return path.at(start, ts)

    def draw_first(self, *, rng: torch.Generator) -> Any:
        """The weights at the depths where steps begin, (steps, p); with another method than Euler-Maruyama, which asks
        for them elsewhere too, the noise.
        """
        if not self._draws_weights:
            return super().draw_first(rng=rng)
        return self.weight_path(torch.tensor(self._steps(), dtype=torch.float64), rng=rng)[:-1]

    def run_drawn(self, x: torch.Tensor, drawn: Any) -> torch.Tensor:
        if not self._draws_weights:
            return super().run_drawn(x, drawn)
        dtype = precision(x, self.parameters(), "SDEBNN")
        x = x.to(working(dtype))
        for w, (start, end) in zip(drawn.unbind(), itertools.pairwise(self._steps()), strict=True):
            # A copy, which f_x may write into.
            x = x + (end - start) * self._layout.run(self.w0, w.to(x.dtype), x.clone(), depth(start, w))
        return x.to(dtype)

    def get_extra_state(self) -> torch.Tensor:
        """What the parameters were learned with, in a `state_dict`; see `saved_choices`."""
        return saved_choices(self.process.prior, self.solver.steps)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Warns where a `state_dict` was saved by a block with other choices."""
        warn_of_other_choices(state, self.process.prior, self.solver.steps)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *others)
        missing_keys = others[2]
        # Those saved by version 0.1 have no choices.
        if (key := f"{prefix}_extra_state") in missing_keys:
            missing_keys.remove(key)

    @property
    def sigma(self) -> torch.Tensor:
        """The diffusion of every weight, (p,), where the weights are and as precise; zero for those without noise."""
        like, sizes = next(self.w0.parameters()), zip(self._layout.sizes, self._layout.fan_in, strict=True)
        sigma = torch.cat([like.new_ones(size) * self.process.prior.diffusion_scale(n) for size, n in sizes])
        still = sigma.numel() - self._noisy
        return torch.cat([sigma[: self._noisy], sigma.new_zeros(still)]) if still else sigma

    def start_mean(self) -> torch.Tensor:
        """The learned initial weights as one vector."""
        return self._layout.of(self.w0)

    def _read(self, dtype: torch.dtype) -> ProcessParameters:
        nn_parameters = parameters_to_read(self.drift, dtype)
        others = tuple(p for name, p in self.named_parameters() if not name.startswith("drift."))
        log_ratio = self.w0_log_ratio if self.process.prior.start == "gaussian" else None
        sigma = self.sigma[: self._noisy].to(dtype)
        return ProcessParameters(self.start_mean().to(dtype), log_ratio, sigma, self.drift, nn_parameters, others)

    def _dtype(self) -> torch.dtype:
        """The precision of the weights, in which noise is drawn: whatever the inputs', it is the same noise."""
        return functools.reduce(torch.promote_types, (p.dtype for p in self.w0.parameters()))

    def _check_noise(self, noise: PathNoise) -> None:
        wanted = (
            [self._noisy if self.process.prior.start == "gaussian" else 0],
            [len(self._noisy_steps()) - 1, self._noisy],
        )
        got = [list(part.shape) for part in noise]
        if self.solver.adaptive or got != list(wanted):
            raise InputError(
                f"SDEBNN got noise of shapes {got}; with fixed steps it takes {list(wanted)}, those of "
                "draw_noise(rng=rng), and with adaptive ones rng."
            )

    @property
    def _draws_weights(self) -> bool:
        return self.solver.in_torchsde == "euler" and not self.solver.adaptive

    def _steps(self) -> list[float]:
        """The depths from 0 to 1 between which a step is taken."""
        sections = self.process.prior.sections()
        ends = (fixed_depths(section.start, section.end, self.solver.steps)[1:] for section in sections)
        return [0.0, *itertools.chain(*ends)]

    def _noisy_steps(self) -> list[float]:
        """Where the steps on which the weights have noise begin, and the last of them ends."""
        noisy = (section for section in self.process.prior.sections() if section.noisy)
        return next((fixed_depths(section.start, section.end, self.solver.steps) for section in noisy), [0.0])

    def _start_normals(self, rng: torch.Generator | None) -> torch.Tensor:
        like, size = next(self.w0.parameters()), self._noisy if self.process.prior.start == "gaussian" else 0
        normals = torch.randn(size, generator=rng, dtype=working(self._dtype()), device=device_of(rng))
        return normals.to(like.device)

    def _brownian_motion(self, rng: torch.Generator | None) -> BrownianMotion:
        entropy = int(torch.randint(2**62, (), generator=rng, device=device_of(rng)))
        # Every section begins where the one before it ends.
        sections = self.process.prior.sections()
        depths = torch.cat([grid(section.start, section.end, self.solver.steps) for section in sections]).unique()
        like = next(self.w0.parameters())
        return BrownianMotion(self._noisy, entropy, depths, like.detach().to(working(self._dtype())))
