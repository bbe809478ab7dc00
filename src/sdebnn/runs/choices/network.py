"""The network: its blocks, f_x, and the drift of the posterior."""

import dataclasses
from typing import Literal, no_type_check

from sdebnn.runs.choices.choice import Choices, choice


@no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkChoices(Choices):
    """Network."""

    blocks: tuple[int, ...] = choice(
        (1,), "continuous-depth blocks in each group; images are halved by space-to-depth between groups", low=1
    )
    squeeze: int = choice(0, "times the images are halved by space-to-depth before the first block", low=0)
    augment: int = choice(4, "channels of zeros appended before the blocks", low=0)
    width: int = choice(32, "hidden width of the network f_x that moves the hidden state", low=1)
    fx: Literal["same", "strided"] = choice(
        "same",
        "network f_x: same, three layers at the resolution of the hidden state; strided, the first convolution halves "
        "it and a transposed one restores it",
    )
    layer: Literal["ignore", "concat", "concat_squash", "concat_coord", "hyper", "gated", "blend"] = choice(
        "ignore", "how the layers of f_x take depth t: a family of sdebnn.brax.diffeq_layers"
    )
    activation: Literal["swish", "elu", "gaussian", "gelu", "relu", "sigmoid", "softplus", "tanh"] = choice(
        "swish", "activation inside f_x: swish is trainable"
    )
    precision: Literal["float32", "bfloat16"] = choice(
        "float32",
        "of f_x alone: bfloat16 is faster on devices that multiply in it; weights, KL and hidden state stay float32",
    )
    dropout: float = choice(
        0.1, "share of the inputs of every matrix and kernel that models dropout_... leave out", low=0, below=1
    )
    prior_std: float = choice(
        1.0,
        "standard deviation under the prior of every weight of models meanfield_..., ivon_..., dropout_... and "
        "nuts_...; not of those that follow an SDE",
        above=0,
    )
    initial_std: float = choice(
        0.01,
        "standard deviation of every weight of models meanfield_... and ivon_... at the start of training; not of "
        "those that follow an SDE",
        above=0,
    )
    drift_widths: tuple[int, ...] = choice(
        (2, 64, 2), "hidden widths of the network that corrects the prior's drift", low=1
    )
