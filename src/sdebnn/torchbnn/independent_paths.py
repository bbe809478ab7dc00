"""A weight path for every example of a batch, or for every few, in place of one for all."""

from typing import Any

import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.bayesian import BayesianModule, Output


def independent_paths(network: BayesianModule, x: torch.Tensor, groups: int | None = None, **kwargs: Any) -> Output:
    """Runs a Bayesian network with weights drawn anew for each of equal parts of a batch; the KL is their mean.

    **Arguments:**

    - `groups`: the number of parts; one an example unless given.

    **Raises:** `InputError` when the batch cannot be divided into so many equal parts.
    """
    parts = len(x) if groups is None else groups
    if parts < 1 or len(x) % parts:
        raise InputError(
            f"A batch of {len(x)} examples cannot be divided into {parts} equal parts, each with a weight path of its "
            "own; take a number that divides it."
        )
    outputs, kls = zip(*(network(part, **kwargs) for part in x.chunk(parts)), strict=True)
    return torch.cat(outputs), torch.stack(kls).mean()
