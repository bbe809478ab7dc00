"""A deterministic module that is called with other weights than its own."""

from collections.abc import Mapping

import torch
from torch import nn

from sdebnn.torchbnn.layers.bayesian import check_deterministic, masks_from
from sdebnn.torchbnn.layers.checkpoints_within import without_checkpoints
from sdebnn.torchbnn.layers.dropout import layers_that_draw
from sdebnn.torchbnn.layers.lent_parameters import call_with, places_of
from sdebnn.torchbnn.layers.precision import called_with, check_weights


def check_layer_with_weights(layer: nn.Module, called: str) -> None:
    """**Raises:** `InputError` for a module, named as `called`, that is Bayesian within or whose weights are none."""
    check_deterministic(layer, called)
    check_weights(layer, called)


def call_with_weights(
    layer: nn.Module,
    weights: Mapping[str, torch.Tensor],
    x: torch.Tensor,
    promoted: torch.dtype,
    *,
    rng: torch.Generator | None,
    called: str,
    drawn: bool,
) -> torch.Tensor:
    """The outputs of a layer.

    **Arguments:**

    - `weights`: in place of its parameters, by their names.
    - `promoted`: the precision of inputs and weights together.
    - `rng`: from which dropout within the layer draws.
    - `called`: names the layer in errors.
    - `drawn`: whether the weights were drawn: then no part of the layer may be computed again for the gradient, which
      would be with others.
    """
    own, places = dict(layer.named_parameters()), places_of(layer)
    # Whole numbers may be the keys of an embedding; where weights are of several precisions, so is what they take.
    promotes = x.is_floating_point() and len({parameter.dtype for parameter in own.values()}) == 1
    weights = {name: weight.to(promoted if promotes else own[name].dtype) for name, weight in weights.items()}

    def run(x: torch.Tensor) -> torch.Tensor:
        def call() -> torch.Tensor:
            return call_with(layer, places, weights, (x,))

        return without_checkpoints(call, (x, *weights.values()), called) if drawn else call()

    # A copy, which layers may write into.
    x = x.to(promoted, copy=True) if promotes else x.clone()
    drops = any(True for _ in layers_that_draw(layer))
    return called_with(masks_from(rng, run, called) if drops else run, x, weights.values(), called)
