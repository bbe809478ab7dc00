"""The network that corrects the prior's drift."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.batch_statistics import check_no_batch_statistics
from sdebnn.torchbnn.layers.bayesian import Serial, takes_depth
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers import activation as activation_by_name
from sdebnn.torchbnn.layers.diffeq_layers import dense
from sdebnn.torchbnn.layers.dropout import check_no_dropout
from sdebnn.torchbnn.layers.precision import check_weights


def drift_network(widths: tuple[int, ...] = (2, 64, 2), activation: str = "softplus") -> Callable[[int], nn.Module]:
    """NN(w, t): a multilayer perceptron of the weights and of depth, whose last layer starts at zero, as the posterior
    then starts at the prior.

    **Arguments:**

    - `widths`: of the hidden layers. A narrow first and last one keep the number of parameters at a few times that of
      the weights.
    - `activation`: by its name in `diffeq_layers.activation`.

    **Returns:** a function of the number of weights that makes the module.

    **Raises:** `InputError` for one width in place of several.
    """
    if not hasattr(widths, "__iter__"):
        raise InputError(f"drift_network got widths={widths}; it takes those of all hidden layers, like (2, 64, 2).")
    # No closure, so that a network can be pickled.
    return partial(_network, widths, activation)


def _network(widths: tuple[int, ...], activation: str, size: int) -> nn.Module:
    layers: list[nn.Module] = []
    inputs = size
    for width in widths:
        layers += [dense("concat", inputs, width), activation_by_name(activation)]
        inputs = width
    return Serial(*layers, dense("ignore", inputs, size, w_init=torch.zeros))


def build_drift(drift: Callable[[int], nn.Module], size: int) -> nn.Module:
    """The module NN of so many weights. **Raises:** `InputError` unless `drift` is a function that makes one, which
    takes depth and draws nothing.
    """
    if isinstance(drift, nn.Module) or not callable(drift):
        raise InputError(
            f"The posterior drift is given as a {type(drift).__name__}; it takes a function of the number of "
            "weights that makes the module, like drift_network()."
        )
    module = drift(size)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"The posterior drift is made as a {type(module).__name__}; the function must return a torch.nn.Module."
        )
    if not takes_depth(module):
        raise InputError(
            "The posterior drift takes no t, but it is called as module(w, t=t): give its forward the argument t, or "
            "put it into sdebnn.torchbnn.Serial."
        )
    check_weights(module, "The posterior drift")
    check_no_batch_statistics(module, "The posterior drift")
    check_no_dropout(module, "The posterior drift")
    return module


def parameters_to_read(drift: nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The parameters of NN as a solver reads them, many times, in its precision: copies of matrices that lie along
    their longer axis in memory. Products of many inputs and few outputs, such as those of all weights, are then forty
    times as fast.
    """
    parameters = {name: p.to(dtype) for name, p in drift.named_parameters()}
    return {
        name: p.T.contiguous().T if p.ndim == 2 and p.shape[0] > p.shape[1] else p for name, p in parameters.items()
    }


def depth(t: Depth, like: torch.Tensor) -> torch.Tensor:
    """Depth t, a number or a tensor, as a tensor for a module, which may write into it."""
    if isinstance(t, torch.Tensor):
        return t.to(like, copy=True)
    return torch.full((), t, dtype=like.dtype, device=like.device)


def correction(drift: Callable[..., torch.Tensor], w: torch.Tensor, t: Depth) -> torch.Tensor:
    """NN(w, t). **Raises:** `InputError` unless it is one number for each weight."""
    moved = drift(w, depth(t, w))
    if moved.shape != w.shape:
        raise InputError(
            f"The posterior drift maps {w.numel()} weights to shape {tuple(moved.shape)}; it must give one number for "
            "each weight."
        )
    return moved if moved.dtype == w.dtype else moved.to(w.dtype)
