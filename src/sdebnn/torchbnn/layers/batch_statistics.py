"""Layers that normalise by more than the example that they are given."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from sdebnn.errors import InputError


def check_no_batch_statistics(module: nn.Module, called: str, why: str = "would change along the path") -> None:
    """**Raises:** `InputError` for a module that normalises an example by what is beside it, or counts its calls in a
    state; the sentence names it as `called`, and says `why` that is wrong.
    """
    for name, layer in module.named_modules():
        running = isinstance(layer, _InstanceNorm) and layer.track_running_stats
        if (
            isinstance(layer, _BatchNorm)
            or running
            or isinstance(layer, _SpectralNorm)
            or _has_old_spectral_norm(layer)
        ):
            raise InputError(
                f"{called} has the layer {name or type(layer).__name__!r} ({type(layer).__name__}) with statistics of "
                f"the batch or of earlier calls, which {why}: take nn.GroupNorm or nn.LayerNorm in "
                "place of batch normalisation, and weight_norm in place of spectral_norm."
            )


def _has_old_spectral_norm(layer: nn.Module) -> bool:
    return any(isinstance(hook, SpectralNorm) for hook in layer._forward_pre_hooks.values())
