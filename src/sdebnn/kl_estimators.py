"""The estimators of the path KL, by name, for both frameworks.

The solvers know nothing of sdebnn, and PyTorch must not import them, so `jaxsde.path_kl` names its own; a test holds
the two alike. What they are stands there and in `sdebnn.torchbnn.weights.path_kl`.
"""

from sdebnn.spelling import refuse_unknown

KL_ESTIMATORS = ("stl", "full_mc", "analytic")


def check_estimator(name: str) -> str:
    """The name itself. **Raises:** `InputError` for a name that is none of `KL_ESTIMATORS`."""
    refuse_unknown(name, KL_ESTIMATORS, "a kl_estimator")
    return name
