"""Modules that have a part of themselves computed again for a gradient, as by `torch.utils.checkpoint`."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch._C import _autograd

from sdebnn.errors import InputError


def without_checkpoints(function: Callable[[], Any], inputs: Iterable[torch.Tensor], called: str) -> Any:
    """`function()`, the call of a module with other weights than its own. What is computed again when that call is over
    would find its own, and the gradient would be wrong.

    **Arguments:** `inputs` are the weights and what the module is called with; `called` names it in the sentence.

    **Raises:** `InputError` for a module that calls `torch.utils.checkpoint`, or sets hooks on what is saved for a
    gradient.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return function()
    says = (
        f"{called} has a part of itself computed again for its gradient, as by torch.utils.checkpoint, or hooks on "
        "what is saved for it, when its own parameters are back in place of the weights that it was called with, so "
        "the gradient would be wrong: leave that out, and put the checkpoint around the whole, checkpoint(lambda x: "
        "module(x, noise=noise), x) with noise = module.draw_noise(rng=rng)."
    )
    before = max((t.grad_fn._sequence_nr() for t in inputs if t.grad_fn is not None), default=0)
    refused_before = _autograd._saved_tensors_hooks_get_disabled_error_message()
    # Hooks that somebody has set around the whole go on.
    _autograd._saved_tensors_hooks_disable(says, False)
    try:
        outputs = function()
    except RuntimeError as error:
        if says not in str(error):
            raise
        raise InputError(says) from error
    finally:
        if refused_before is None:
            _autograd._saved_tensors_hooks_enable()
        else:
            _autograd._saved_tensors_hooks_disable(refused_before, False)
    if _has_reentrant(outputs, before):
        raise InputError(says)
    return outputs


def _has_reentrant(outputs: object, before: int) -> bool:
    """Whether a checkpoint with `use_reentrant=True`, which sets no hooks, is among what was computed since then."""
    nodes: list[Any] = [getattr(outputs, "grad_fn", None)]
    seen = {None}
    while nodes:
        node = nodes.pop()
        if node in seen or node._sequence_nr() < before:
            continue
        if node.name() == "CheckpointFunctionBackward":
            return True
        seen.add(node)
        nodes += [of for of, _ in node.next_functions]
    return False
