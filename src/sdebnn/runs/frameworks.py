"""The frameworks that a run can be of, by the name that the choice `framework` has for them."""

from typing import NamedTuple


class Framework(NamedTuple):
    """What people call it, and the package that has its `build_learner`, which is imported when a run asks for it."""

    title: str
    package: str


FRAMEWORKS = {
    "jax": Framework("JAX", "sdebnn.brax"),
    "torch": Framework("PyTorch", "sdebnn.torchbnn"),
}
