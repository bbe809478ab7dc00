"""The Brownian motion of the weights."""

import bisect

import numpy as np
import torch

from sdebnn.torchbnn.layers.depth import Depth

# Half of a step is divided until parts are so short; the shortest adaptive step of torchsde is ten times as long.
RESOLUTION = 1e-6
# The start of an adaptive step, and end and middle of the step itself and of the one that is tried in its place.
KEPT = 5


class BrownianMotion:
    """A Brownian motion over depth that gives the same increments whenever and in whatever order it is asked, and keeps
    but the last few.

    Between two of its `depths` the increment is one draw with a seed of its own. What is asked within is filled in by
    halving: each middle is drawn, given the ends, with a seed of its own too. The order of the queries must not matter,
    as adaptive steps depend on the whole batch.

    **Arguments:**

    - `size`: numbers that it moves.
    - `entropy`: the seed.
    - `depths`: where fixed steps end, increasing, float64.
    - `like`: a tensor of the dtype and device wanted.
    """

    def __init__(self, size: int, entropy: int, depths: torch.Tensor, like: torch.Tensor) -> None:
        self._size, self._entropy, self._like = size, entropy, like
        self._depths: list[float] = depths.tolist()
        # A walk back meets depths that differ in their last digits.
        self._near = 1e-6 * float(depths.diff().min())
        self.within: dict[float, torch.Tensor] = {}

    def __call__(self, ta: Depth, tb: Depth) -> torch.Tensor:
        """The increment from depth `ta` to `tb`, (1, size)."""
        depths, start, end = self._depths, self._snapped(float(ta)), self._snapped(float(tb))
        steps = range(bisect.bisect_right(depths, start) - 1, bisect.bisect_left(depths, end))
        parts = [self._part(step, max(start, depths[step]), min(end, depths[step + 1])) for step in steps]
        return parts[0] if len(parts) == 1 else torch.cat([self._like.new_zeros(1, self._size), *parts]).sum(0)[None]

    def _snapped(self, t: float) -> float:
        after = bisect.bisect_left(self._depths, t)
        for depth in self._depths[max(0, after - 1) : after + 1]:
            if abs(depth - t) < self._near:
                return depth
        return t

    def _part(self, step: int, start: float, end: float) -> torch.Tensor:
        first, last = self._depths[step], self._depths[step + 1]
        whole = self._increment(step) if end == last else self._since(step, end)
        return whole if start == first else whole - self._since(step, start)

    def _since(self, step: int, t: float) -> torch.Tensor:
        """The increment to a depth within the step from the step's start."""
        found = self.within.pop(t, None)
        self.within[t] = self._halved(step, t) if found is None else found
        if len(self.within) > KEPT:
            del self.within[next(iter(self.within))]
        return self.within[t]

    def _halved(self, step: int, t: float) -> torch.Tensor:
        left, right, part = self._depths[step], self._depths[step + 1], 1
        at_right = self._increment(step)
        at_left = torch.zeros_like(at_right)
        while right - left > RESOLUTION:
            middle = 0.5 * (left + right)
            at_middle = (
                (at_left + at_right).mul_(0.5).add_(self._normals(step, part), alpha=0.5 * (right - left) ** 0.5)
            )
            if t < middle:
                right, at_right, part = middle, at_middle, 2 * part
            else:
                left, at_left, part = middle, at_middle, 2 * part + 1
        return at_left.lerp(at_right, (t - left) / (right - left))

    def _increment(self, step: int) -> torch.Tensor:
        return self._normals(step, 0).mul_((self._depths[step + 1] - self._depths[step]) ** 0.5)

    def _normals(self, *use: int) -> torch.Tensor:
        seed = int(np.random.SeedSequence([self._entropy, *use]).generate_state(1)[0])
        rng = torch.Generator(self._like.device).manual_seed(seed)
        return torch.randn(1, self._size, generator=rng, dtype=self._like.dtype, device=self._like.device)
