"""The estimators of the path KL, by name, for both frameworks.

The solvers know nothing of sdebnn, and PyTorch must not import them, so `jaxsde.path_kl` names its own; a test holds
the two alike. What they are stands there and in `sdebnn.torchbnn.weights.path_kl`.
"""

from typing import Literal, TypeAlias, get_args

from sdebnn.spelling import refuse_unknown

KlEstimator: TypeAlias = Literal["stl", "full_mc", "analytic"]
KL_ESTIMATORS: tuple[str, ...] = get_args(KlEstimator)


def check_estimator(name: str) -> str:
    """The name itself. **Raises:** `InputError` for a name that is none of `KL_ESTIMATORS`."""
    refuse_unknown(name, KL_ESTIMATORS, "a kl_estimator")
    return name
