"""The KL divergence of the posterior over weight paths from the prior, read off a solved path."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch


def path_kl(
    u: Callable[[Any, torch.Tensor], torch.Tensor],
    stopped: Callable[[Any, torch.Tensor], torch.Tensor],
    ts: torch.Tensor | Sequence[float],
    ws: Iterable[torch.Tensor],
    noise: Any,
    estimator: str,
) -> torch.Tensor:
    """An unbiased estimate of the path KL in nats: the sum over steps of 1/2 |u|^2 h and, but for `analytic`, of the
    Ito sum u . dB: u at the left end of the step, and the increment that moved the weights.

    **Arguments:**

    - `u`: the function `(t, w)` for one depth.
    - `stopped`: the same, with the gradient stopped at its parameters. With `stl` it is taken in the Ito sum, through
      which the gradient then flows by the path alone (Roeder et al., 2017).
    - `ts`, `ws`: the ends of the steps and the weights there, (p,) each, or a tensor of (times, p).
    - `noise`: the Brownian motion, asked as `noise(ta, tb)`.
    """
    first, *_ = ws = tuple(ws)
    kl = first.new_zeros(())
    for start, end, w in zip(ts[:-1], ts[1:], ws[:-1], strict=True):
        here = u(start, w)
        kl = kl + (here * here).sum() * (0.5 * float(end - start))
        if estimator != "analytic":
            in_sum = stopped(start, w) if estimator == "stl" and torch.is_grad_enabled() else here
            kl = kl + (in_sum * noise(start, end).reshape(-1)).sum()
    return kl
