"""What the parameters of a block were learned with, kept in its `state_dict`: with others they are another law."""

import math
import warnings
import zlib

import torch

from sdebnn.priors import Prior

# By their names in the prior and the solver.
NAMES = ("sigma", "rate", "steps")


def saved_choices(prior: Prior, steps: int) -> torch.Tensor:
    """The numbers of `NAMES`, and three more that tell priors apart, float64, which any file of tensors takes."""
    rate = getattr(prior, "rate", 0.0)
    values = prior.sigma, rate if isinstance(rate, float) else 0.0, steps
    digest = zlib.crc32(repr(prior).encode())
    return torch.tensor([*values, *(digest >> bits & 0x7F for bits in (0, 7, 14))], dtype=torch.float64)


def warn_of_other_choices(saved: torch.Tensor, prior: Prior, steps: int) -> None:
    """Warns where the choices that were saved are not those of a block with this prior and so many steps.

    **Arguments:** `saved`: of `saved_choices`, in any precision.
    """
    own, rounded = saved_choices(prior, steps).tolist(), max(1e-6, torch.finfo(saved.dtype).eps)
    others = [
        f"{name}={theirs:g}, and this block has {ours:g}"
        for name, theirs, ours in zip(NAMES, saved.tolist(), own, strict=False)
        if not math.isclose(theirs, ours, rel_tol=rounded)
    ]
    if not others and saved.tolist()[len(NAMES) :] != own[len(NAMES) :]:
        others = [f"another prior than {prior}, which this block has"]
    if others:
        warnings.warn(
            f"These parameters were saved by a block with {'; '.join(others)}: make the block with the same, "
            "unless another is meant.",
            stacklevel=3,
        )
