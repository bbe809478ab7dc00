"""A hidden state as a part of the one vector that the solver moves."""

import torch


class FlatState:
    """How hidden states of the shape of `like` lie in a vector: images with their channels last, as NHWC, which is how
    convolutions take and give them fastest. To the modules they still are NCHW.
    """

    def __init__(self, like: torch.Tensor) -> None:
        self._images = like.ndim == 4
        self._shape = (like.movedim(1, -1) if self._images else like).shape

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        """The vector of a hidden state."""
        return (x.movedim(1, -1) if self._images else x).reshape(-1)

    def shaped(self, vector: torch.Tensor) -> torch.Tensor:
        """The hidden state in a vector."""
        x = vector.view(self._shape)
        return x.movedim(-1, 1) if self._images else x

    def outputs(self, vector: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """A copy of the hidden state in a vector: what comes next may write into it."""
        return self.shaped(vector).to(dtype, copy=True)
