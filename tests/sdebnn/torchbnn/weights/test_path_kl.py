import itertools
import math

import torch
from torch import nn

from sdebnn.torchbnn.solving.brownian_motion import BrownianMotion
from sdebnn.torchbnn.solving.solver import Solver, check_solver, grid, solve
from sdebnn.torchbnn.weights.flat_weights import with_parameters
from sdebnn.torchbnn.weights.path_kl import path_kl


def test_the_bound_is_tight_and_the_stl_gradient_vanishes_at_the_exact_posterior() -> None:
    """Prior dw = s dB from 0, observed y ~ N(w_1, r^2): by Doob's transform u = s (y - w) / (r^2 + s^2 (1 - t)).

    A vector of weights is as many draws, each with parameters of its own, so that gradients are those of single paths.
    """
    s, r, y, draws = 0.8, 0.5, 1.3, 200
    evidence = -0.5 * (y**2 / (s**2 + r**2) + math.log(2 * math.pi * (s**2 + r**2)))

    class Posterior(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(draws, dtype=torch.float64))
            self.target = nn.Parameter(torch.full((draws,), y, dtype=torch.float64))

        def forward(self, w, t):
            return s**2 * self.gain * (self.target - w) / (r**2 + s**2 * (1 - t))

    def bounds_and_spread(steps: int, estimator: str) -> tuple[torch.Tensor, torch.Tensor]:
        drift, solver, ts = Posterior(), check_solver(Solver(steps)), grid(0.0, 1.0, steps)
        w0 = torch.zeros(draws, dtype=torch.float64)
        noise = BrownianMotion(draws, 0, ts, w0)
        ws, *_ = solve(lambda t, w: drift(w, t), torch.full_like(w0, s), w0, ts, solver, noise, ())
        log_likelihood = torch.distributions.Normal(ws[-1], r).log_prob(torch.tensor(y))
        # The bound of every draw, for `path_kl` gives their sum.
        increments = torch.stack([noise(a, b)[0] for a, b in itertools.pairwise(ts)])
        us = torch.stack([drift(w, t) / s for t, w in zip(ts, ws[:-1], strict=False)])
        bound = log_likelihood - (0.5 * us**2 * ts.diff()[:, None] + us * increments).sum(dim=0)
        stopped = with_parameters(drift, {name: p.detach() for name, p in drift.named_parameters()})
        kl = path_kl(lambda t, w: drift(w, t) / s, lambda t, w: stopped(w, t) / s, ts, ws, noise, estimator)
        torch.testing.assert_close(kl, (log_likelihood - bound).sum())
        (kl - log_likelihood.sum()).backward()
        return bound.detach(), (drift.gain.grad**2 + drift.target.grad**2).mean().sqrt()

    (coarse, coarse_stl), (fine, fine_stl) = bounds_and_spread(50, "stl"), bounds_and_spread(800, "stl")
    _, full_mc = bounds_and_spread(800, "full_mc")
    # Path by path, not on average: what is left is the discretisation's, of order one half or better.
    assert (fine - evidence).square().mean().sqrt() < 0.05
    assert fine.std() < 0.35 * coarse.std()
    assert fine_stl < 0.35 * coarse_stl
    assert fine_stl < 0.05 * full_mc
