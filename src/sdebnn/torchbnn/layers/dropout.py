"""Layers that draw a mask whenever they are called."""

from collections.abc import Iterator

from torch import nn

from sdebnn.errors import InputError

_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def check_no_dropout(module: nn.Module, called: str, why: str = "the noise of the weights takes its place") -> None:
    """**Raises:** `InputError` for a module with dropout, also as a number as attention and recurrent layers have it,
    or with slopes that are drawn; the sentence names it as `called`, and says `why` it can be left out.
    """
    for name, layer in layers_that_draw(module):
        kind = "random slopes" if isinstance(layer, nn.RReLU) else "dropout"
        raise InputError(
            f"{called} has {kind} ({name or type(layer).__name__}), drawn anew at every step of the solver; "
            f"leave it out: {why}."
        )


def layers_that_draw(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers within that have dropout or random slopes, with their names."""
    for name, layer in module.named_modules():
        share = layer.p if isinstance(layer, _DROPOUT) else getattr(layer, "dropout", 0)
        if isinstance(layer, nn.RReLU) or (isinstance(share, int | float) and share > 0):
            yield name, layer
