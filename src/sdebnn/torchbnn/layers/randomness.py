"""The generator that everything is drawn from."""

import sys
import weakref
from typing import Any

import torch
from torch.utils import checkpoint
from torch.utils._python_dispatch import TorchDispatchMode

from sdebnn.errors import InputError

_drawn_from: weakref.WeakSet[torch.Generator] = weakref.WeakSet()


def check_generator(rng: Any, called: str) -> None:
    """Is called before anything is drawn.

    **Raises:** `InputError` for anything but a generator, and for one that has moved on since the computation that is
    now done again, as `torch.utils.checkpoint` does it for a gradient.
    """
    if rng is not None and not isinstance(rng, torch.Generator):
        write = f"torch.Generator().manual_seed({rng})" if isinstance(rng, int) else "torch.Generator().manual_seed(0)"
        raise InputError(
            f"{called} got rng={rng!r}, and draws from a torch.Generator: make one before the loop, rng = {write}, and "
            "give it to every call."
        )
    recomputing = torch._C._current_graph_task_id() != -1
    # A generator that is made within what is recomputed draws the same again; PyTorch puts its own back if asked to.
    moved_on = rng in _drawn_from if rng is not None else not _restores_generator()
    if recomputing and moved_on:
        raise InputError(
            f"{called} is computed again for a gradient, as under torch.utils.checkpoint, and its generator has moved "
            "on, so other weights would be drawn than before: draw outside, noise = module.draw_noise(rng=rng), and "
            "give noise=noise in place of rng to what is recomputed"
            + ("." if rng is not None else ", or leave preserve_rng_state=True.")
        )
    if rng is not None and not recomputing:
        _drawn_from.add(rng)


def _restores_generator() -> bool:
    """Whether the checkpoint around, if there is one, gives PyTorch's generator the state that it had."""
    frame: Any = sys._getframe() if torch._C._current_graph_task_id() != -1 else None
    while frame is not None:
        if frame.f_code.co_filename == checkpoint.__file__:
            known = frame.f_locals
            restores = known.get("preserve_rng_state", getattr(known.get("ctx"), "preserve_rng_state", None))
            if restores is not None:
                return bool(restores)
        frame = frame.f_back
    return True


class drawing_from(TorchDispatchMode):
    """A context in which PyTorch draws from `rng` where no generator is given, in this thread alone: the same numbers
    as after `torch.manual_seed`, and what others draw from PyTorch's own generator stays as it is.
    """

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__()
        self._rng = rng

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.ops.aten.native_dropout.default:
            x, share = args[:2]
            kept = torch.rand(x.shape, generator=self._rng, device=self._rng.device).to(x.device) >= share
            return x * kept / (1 - share), kept
        if all(argument.name != "generator" for argument in func._schema.arguments):
            name = {"default": "generator"}.get(func._overloadname, f"{func._overloadname}_generator")
            if name not in func.overloadpacket.overloads():
                return func(*args, **kwargs)
            func = getattr(func.overloadpacket, name)
        if kwargs.get("generator") is not None or any(isinstance(a, torch.Generator) for a in args):
            return func(*args, **kwargs)
        kwargs["generator"] = self._rng
        device = next((a.device for a in args if isinstance(a, torch.Tensor)), kwargs.get("device") or self._rng.device)
        if device == self._rng.device:
            return func(*args, **kwargs)
        # A generator draws on its own device alone.
        there = [a.to(self._rng.device) if isinstance(a, torch.Tensor) else a for a in args]
        drawn = func(*there, **kwargs | ({"device": self._rng.device} if "device" in kwargs else {}))
        return args[0].copy_(drawn) if func._schema.is_mutable else drawn.to(device)
