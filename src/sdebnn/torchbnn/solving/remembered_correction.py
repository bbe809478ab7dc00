"""The correction of the prior's drift, computed once where it is asked for more than once."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from sdebnn.torchbnn.layers.depth import Depth


class RememberedCorrection:
    """NN(w, t) that keeps what it was asked last at each of the `depths`, so that a KL can take u = NN(w, t) / sigma
    there from the solver's own drift, gradient included.

    **Arguments:** `correct` is called as `correct(w, t)`.
    """

    def __init__(self, correct: Callable[[torch.Tensor, Any], torch.Tensor], depths: Iterable[float]) -> None:
        self._correct = correct
        self._last: dict[float, tuple[torch.Tensor, torch.Tensor] | None] = dict.fromkeys(depths)

    def __call__(self, w: torch.Tensor, t: Depth) -> torch.Tensor:
        depth = float(t)
        if depth not in self._last:
            return self._correct(w, t)
        known = self._last[depth]
        if known is None or known[0] is not w:
            known = self._last[depth] = w, self._correct(w, t)
        return known[1]

    @property
    def depths(self) -> list[float]:
        """Those that it was given."""
        return list(self._last)

    def states(self) -> list[torch.Tensor]:
        """The weights that it was asked about last at the depths."""
        return [known[0] for known in self._last.values() if known is not None]

    def forget(self) -> None:
        """Lets go of what it kept, and of the graph behind. Objects of torchsde hold each other, and with them a drift,
        until Python looks for such circles.
        """
        self._last.clear()
