"""Modules that write into the tensors that they are given, such as `nn.ReLU(inplace=True)`."""

from collections.abc import Callable
from typing import Any

import torch

from sdebnn.errors import InputError


class InputsKept:
    """`function(x, *others)`, whose x stays as it is whatever the function does to it. The first call gets a copy of x,
    and so do all others if that one was written into.

    **Arguments:** `called` names the function in sentences; `weights` gives what it must not write into.
    """

    def __init__(self, function: Callable[..., Any], called: str) -> None:
        self._function, self._called = function, called
        self._copies: bool | None = None

    def __call__(self, x: torch.Tensor, *others: Any, weights: torch.Tensor | None = None) -> Any:
        """**Raises:** `InputError` for a function that writes into `weights`, or into x but not where it was called
        first.
        """
        # There tensors do not tell whether they were written into.
        if torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
            return self._function(x.clone(), *others)
        given = x if self._copies is False else x.clone()
        before = given._version
        before_weights = None if weights is None else weights._version
        outputs = self._function(given, *others)
        written = given._version != before
        if given is x and written:
            raise InputError(
                f"{self._called} writes into its input in place, but did not where it was called first, so a state "
                "that is still needed has changed: let it work on a copy, x = x.clone()."
            )
        if weights is not None and weights._version != before_weights:
            raise InputError(
                f"{self._called} writes into its own weights, which are a state of the solver: compute what it needs "
                "from them without changing them in place."
            )
        self._copies = self._copies or written
        return outputs
