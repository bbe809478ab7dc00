"""A weight path for every example of a batch, or for every few, in place of one for all."""

from typing import Any

import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.bayesian import BayesianModule, Output


class independent_paths(BayesianModule):
    """Makes equal parts of a batch see weights of their own, each drawn by the Bayesian layer or network `layer`; the
    KL is the mean over the parts.

    Called as `module(x, rng=generator)`, with what `layer` takes; of `noise` a sequence, one for each part.

    **Arguments:**

    - `layer`: a Bayesian module: a block, or a whole network.
    - `groups`: the number of parts; one an example unless given.

    **Raises:** `InputError` for a layer that is not Bayesian and fewer than one part; when it is called, for a batch
    that cannot be divided into so many equal parts, and for noise of another number of parts.
    """

    def __init__(self, layer: BayesianModule, groups: int | None = None) -> None:
        super().__init__()
        if not isinstance(layer, BayesianModule):
            raise InputError(
                f"independent_paths got a {type(layer).__name__}, which returns no KL: it takes a Bayesian module, "
                "such as bnn_serial(...), in which those that hold weights are Bayesian."
            )
        if groups is not None and groups < 1:
            raise InputError(f"independent_paths got groups={groups}; it takes 1 or more.")
        self._layer, self.groups = layer, groups

    def forward(self, x: torch.Tensor, **kwargs: Any) -> Output:
        parts = len(x) if self.groups is None else self.groups
        if not parts or len(x) % parts:
            raise InputError(
                f"A batch of {len(x)} examples cannot be divided into {parts} equal parts, each with a weight path of "
                "its own; take a number that divides it."
            )
        given: list[dict[str, Any]] = [kwargs] * parts
        if kwargs.get("noise") is not None:
            if len(kwargs["noise"]) != parts:
                raise InputError(f"independent_paths got noise for {len(kwargs['noise'])} parts and has {parts}.")
            given = [kwargs | {"noise": noise} for noise in kwargs["noise"]]
        draws = (self._layer(x, **choices) for x, choices in zip(x.chunk(parts), given, strict=True))
        outputs, kls = zip(*draws, strict=True)
        return Output(torch.cat(outputs), torch.stack(kls).mean())
