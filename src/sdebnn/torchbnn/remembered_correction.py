"""The correction of the prior's drift, computed once where it is asked for more than once."""

from collections.abc import Callable
from typing import Any

import torch


class RememberedCorrection:
    """NN(w, t) that keeps what it was asked last at every depth, so that a KL can take u = NN(w, t) / sigma at the ends
    of the steps from the solver's own drift, gradient included.

    **Arguments:** `correct` is called as `correct(w, t)`.
    """

    def __init__(self, correct: Callable[[torch.Tensor, Any], torch.Tensor]) -> None:
        self._correct = correct
        self._last: dict[float, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, w: torch.Tensor, t: Any) -> torch.Tensor:
        known = self._last.get(float(t))
        if known is None or known[0] is not w:
            known = self._last[float(t)] = w, self._correct(w, t)
        return known[1]

    def states(self, ts: torch.Tensor) -> list[torch.Tensor]:
        """The weights that it was asked about last at these depths."""
        return [self._last[t][0] for t in ts.tolist()]

    def forget(self) -> None:
        """Lets go of what it kept, and of the graph behind. Objects of torchsde hold each other, and with them a drift,
        until Python looks for such circles.
        """
        self._last.clear()
