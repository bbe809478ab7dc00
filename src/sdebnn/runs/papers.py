"""Choices of published experiments, by the paper and the data."""

from typing import Any

from sdebnn.spelling import refuse_unknown

# What both papers have in common: one weight path a step, Adam, softplus, and the noise itself as a number.
_COMMON = {
    "model": "sdebnn", "layer": "concat", "activation": "softplus", "fx": "strided", "prior": "ou", "ou_rate": 1.0,
    "ou_centre": "zero", "sigma_scale": "constant", "kl_estimator": "full_mc", "train_samples": 1, "batch_size": 128,
    "schedule": "constant", "ema": 0.999, "augment": 2, "method": "euler_maruyama", "squeeze": 0,
}  # fmt: skip
_MNIST = _COMMON | {
    "data": "mnist", "blocks": (1,), "width": 32, "drift_widths": (1, 32, 1), "sigma": 0.2, "steps": 60,
    "learning_rate": 1e-3, "kl_coef": 1e-3, "epochs": 100,
}  # fmt: skip
_CIFAR10 = _COMMON | {
    "data": "cifar10", "blocks": (2, 2, 2), "width": 64, "drift_widths": (2, 128, 2), "sigma": 0.1, "steps": 30,
    "learning_rate": 7e-4, "kl_coef": 1e-4, "epochs": 300, "validation": 0.1, "augmentation": "crop_flip",
}  # fmt: skip
PAPERS: dict[str, dict[str, Any]] = {
    paper + variant: choices | of_variant
    for data, choices in (("mnist", _MNIST), ("cifar10", _CIFAR10))
    for paper, variant, of_variant in (
        (f"xu2021/{data}", "", {}),
        (f"xu2021/{data}", "-stl", {"kl_estimator": "stl"}),
        (f"calvo2024/{data}", "-first", {"noisy_from": 0.1}),
        (f"calvo2024/{data}", "-cut", {"noisy_weights": 0.5}),
    )
}
"""Xu et al., Infinitely deep Bayesian neural networks with stochastic differential equations, 2021 (`-stl`: with the
estimator of the KL that sticks the landing), and Calvo-Ordoñez et al., Partially stochastic infinitely deep Bayesian
neural networks, 2024 (`-first`: an ODE over the first tenth of the depth; `-cut`: for half of the weights). The numbers
are those of the latter's table 5, whose protocol is that of the former; what both leave open is as in the reference's
command, or the default of the data set."""


def of_paper(name: str) -> dict[str, Any]:
    """The choices of a published experiment. **Raises:** `InputError` for a name that is not in `PAPERS`."""
    refuse_unknown(name, PAPERS, "a preset")
    return dict(PAPERS[name])
