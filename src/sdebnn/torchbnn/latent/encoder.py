"""What a posterior reads of a series: a GRU over its observations, at irregular times and with missing values.

It moves at the anchors alone, which are the first time and the times of observations, so that times without
observations change nothing. Backwards it has seen at an anchor what was observed there and after it; forwards, there
and before it.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.bayesian import device_of


class Context(NamedTuple):
    """Of the anchors of each series, of which there are up to m:

    - `times`: (batch, m); after the last anchor it is repeated.
    - `hidden`: (batch, m, size), what the GRU has seen there.
    - `seen`: (batch, m), whether anything was observed.
    - `last`: (batch,), the number of the last anchor.
    """

    times: torch.Tensor
    hidden: torch.Tensor
    seen: torch.Tensor
    last: torch.Tensor


class Encoder(nn.Module):
    """Series to their `Context`. What the mask leaves out does not matter.

    **Arguments:**

    - `rng`: what its weights are drawn from.
    - `width`: of the values.
    - `size`: of the context.
    - `both_ways`: whether it goes forwards too, as a posterior's marginals need; its drift needs what comes alone.

    **Raises:** `InputError` where it is called with values of another width.
    """

    def __init__(self, rng: torch.Generator | None, width: int, size: int, both_ways: bool) -> None:
        super().__init__()
        self._width = width
        ways = ("backwards", "forwards") if both_ways else ("backwards",)
        self.ways = nn.ModuleDict({way: _gru(rng, 2 * width + 1, size) for way in ways})

    def forward(self, times: torch.Tensor, values: torch.Tensor, mask: torch.Tensor) -> Context:
        if values.shape[2] != self._width:
            raise InputError(
                f"The encoder is for values of width {self._width}, and the series have width {values.shape[2]}; make "
                "the model of that width."
            )
        seen = mask.any(2)
        anchor = seen.clone()
        anchor[:, 0] = True
        last = anchor.sum(1) - 1
        number = torch.arange(int(last.max()) + 1, device=times.device)
        # Anchors first, in their order; then the last of them again.
        at = torch.argsort((~anchor).int(), dim=1, stable=True).gather(1, torch.minimum(number, last[:, None]))
        rows = torch.cat([torch.where(mask, values, 0.0), mask.to(values.dtype)], 2)
        rows, times, seen = _take(rows, at), times.gather(1, at), seen.gather(1, at) & (number <= last[:, None])
        gap = F.pad(times.diff(dim=1), (1, 1))
        # Back from the last anchor, so that what is after it comes at the end too.
        back = (last[:, None] - number).abs()
        hidden = []
        for way, gru in self.ways.items():
            inputs = torch.cat([rows, (gap[:, 1:] if way == "backwards" else gap[:, :-1])[..., None]], 2)
            found = gru(_take(inputs, back) if way == "backwards" else inputs)[0]
            hidden.append(_take(found, back) if way == "backwards" else found)
        return Context(times, torch.cat(hidden, 2), seen, last)


def ahead(context: Context, t: torch.Tensor) -> torch.Tensor:
    """What is yet to be observed after t, (paths, batch, 1): what was seen at the next anchor, and how far it is, in
    two scales; (paths, batch, features).
    """
    after = torch.minimum((context.times <= t).sum(-1), context.last)
    series = torch.arange(len(context.last), device=after.device)
    gap = context.times[series, after][..., None] - t
    return torch.cat([context.hidden[series, after], gap, torch.exp(-8 * gap)], -1)


def at_first(context: Context) -> torch.Tensor:
    """What is observed at the first time and after it, (batch, size)."""
    return context.hidden[:, 0]


def around(log_rates: torch.Tensor, context: Context, t: torch.Tensor) -> torch.Tensor:
    """What was seen near t, (paths, batch, 1): sums over the observations, which fade with the distance to t at a few
    rates; (paths, batch, features).

    They are continuous in t, with kinks where something was observed, as a posterior's moments are. Entries take turns
    at the rates.
    """
    since = t - context.times
    # At a kink the slope is that of the step which begins there; the slope of torch.abs would be zero.
    distance = torch.where(since >= 0, since, -since)[..., None]
    weights = torch.where(context.seen[..., None], torch.exp(-distance * log_rates.exp()), 0.0)
    entries = F.pad(context.hidden, (0, -context.hidden.shape[-1] % len(log_rates)))
    of_rates = entries.unflatten(-1, (-1, len(log_rates)))
    sums = torch.einsum("pbnr,bner->pber", weights, of_rates)
    return torch.cat([sums.flatten(-2), weights.sum(-2)], -1)


def _take(rows: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return rows.gather(1, at[..., None].expand(-1, -1, rows.shape[2]))


def _gru(rng: torch.Generator | None, inputs: int, size: int) -> nn.GRU:
    gru = nn.GRU(inputs, size, batch_first=True)
    with torch.no_grad():
        for name, parameter in gru.named_parameters():
            scale = 0.0 if "bias" in name else parameter.shape[1] ** -0.5
            parameter.copy_(scale * torch.randn(parameter.shape, generator=rng, device=device_of(rng)))
    return gru
