"""The Brownian motion of the weights."""

import bisect
from typing import Any

import numpy as np
import torch
import torchsde


class BrownianMotion:
    """A Brownian motion over depth that gives the same increments whenever it is asked, and keeps none of them.

    Between two of its `depths` the increment is one draw with a seed of its own. What is asked within is filled in by a
    Brownian interval of torchsde. That is told its step: without it, steps that do not add up in floating point make it
    divide itself into tens of thousands of parts.

    **Arguments:**

    - `size`: numbers that it moves.
    - `entropy`: the seed.
    - `depths`: where fixed steps end, increasing, float64; for adaptive steps the first depth and the last.
    - `dt`: the step that is asked for between two of them; by default their distance.
    - `like`: a tensor of the dtype and device wanted.
    """

    def __init__(
        self, size: int, entropy: int, depths: torch.Tensor, like: torch.Tensor, *, dt: float | None = None
    ) -> None:
        self._size, self._entropy, self._like, self._dt = size, entropy, like, dt
        self._depths: list[float] = depths.tolist()
        # A walk back meets depths that differ in their last digits.
        self._near = 1e-6 * float(depths.diff().min())
        self.intervals: dict[int, torchsde.BrownianInterval] = {}

    def __call__(self, ta: Any, tb: Any) -> torch.Tensor:
        """The increment from depth `ta` to `tb`, (1, size)."""
        depths, start, end = self._depths, self._snapped(float(ta)), self._snapped(float(tb))
        steps = range(bisect.bisect_right(depths, start) - 1, bisect.bisect_left(depths, end))
        parts = [self._within(step, max(start, depths[step]), min(end, depths[step + 1])) for step in steps]
        return parts[0] if len(parts) == 1 else torch.cat([self._like.new_zeros(1, self._size), *parts]).sum(0)[None]

    def _snapped(self, t: float) -> float:
        after = bisect.bisect_left(self._depths, t)
        for depth in self._depths[max(0, after - 1) : after + 1]:
            if abs(depth - t) < self._near:
                return depth
        return t

    def _within(self, step: int, start: float, end: float) -> torch.Tensor:
        whole = self._depths[step], self._depths[step + 1]
        if (start, end) == whole and step not in self.intervals:
            return self._increment(step)
        if step not in self.intervals:
            self.intervals[step] = torchsde.BrownianInterval(
                *whole,
                size=(1, self._size),
                dtype=self._like.dtype,
                device=self._like.device,
                entropy=self._seed(step, 1),
                dt=self._dt or whole[1] - whole[0],
                W=self._increment(step),
                # Of so many increments, each as large as the weights; those that are asked for again are drawn again.
                cache_size=8,
            )
        return self.intervals[step](start, end)

    def _increment(self, step: int) -> torch.Tensor:
        rng = torch.Generator(self._like.device).manual_seed(self._seed(step, 0))
        normals = torch.randn(1, self._size, generator=rng, dtype=self._like.dtype, device=self._like.device)
        return normals.mul_((self._depths[step + 1] - self._depths[step]) ** 0.5)

    def _seed(self, *use: int) -> int:
        return int(np.random.SeedSequence([self._entropy, *use]).generate_state(1)[0])
