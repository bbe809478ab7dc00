"""A weight path for every example of a batch, or for every few, in place of one for all."""

from typing import Any

import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.bayesian import BayesianModule, Output


def independent_paths(network: BayesianModule, x: torch.Tensor, groups: int | None = None, **kwargs: Any) -> Output:
    """Runs a Bayesian network with weights drawn anew for each of equal parts of a batch; the KL is their mean.

    **Arguments:**

    - `groups`: the number of parts; one an example unless given.
    - `kwargs`: what the network is called with, such as `rng`; of `noise` a sequence, one for each part.

    **Raises:** `InputError` when the batch cannot be divided into so many equal parts, for a network that is not
    Bayesian, and for noise of another number of parts.
    """
    if not isinstance(network, BayesianModule):
        raise InputError(
            f"independent_paths got a {type(network).__name__}, which returns no KL: it takes a Bayesian module, such "
            "as bnn_serial(...), in which those that hold weights are Bayesian."
        )
    parts = len(x) if groups is None else groups
    if parts < 1 or len(x) % parts:
        raise InputError(
            f"A batch of {len(x)} examples cannot be divided into {parts} equal parts, each with a weight path of its "
            "own; take a number that divides it."
        )
    given: list[dict[str, Any]] = [kwargs] * parts
    if kwargs.get("noise") is not None:
        if len(kwargs["noise"]) != parts:
            raise InputError(f"independent_paths got noise for {len(kwargs['noise'])} parts and has {parts}.")
        given = [kwargs | {"noise": noise} for noise in kwargs["noise"]]
    outputs, kls = zip(*(network(x, **choices) for x, choices in zip(x.chunk(parts), given, strict=True)), strict=True)
    return Output(torch.cat(outputs), torch.stack(kls).mean())
