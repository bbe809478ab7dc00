"""The solver over depth, and how its gradient is computed."""

import dataclasses
from typing import Literal, no_type_check

from sdebnn.runs.choices.choice import Choices, choice


@no_type_check
@dataclasses.dataclass(frozen=True, kw_only=True)
class SolverChoices(Choices):
    """Solver."""

    steps: int = choice(8, "steps of the solver over depth 0 to 1", low=1, high=100_000)
    method: str = choice("euler_maruyama", "solver over depth, by its name in jaxsde, or in torchsde for PyTorch")
    test_steps: int = choice(0, "steps of the solver for predictions; 0 is as in training", low=0, high=100_000)
    test_method: str = choice("", "solver for predictions; empty is as in training")
    adjoint: Literal["backprop", "checkpoint", "reversible", "stochastic"] = choice(
        "backprop",
        "how gradients are computed: backprop keeps every step, checkpoint and stochastic few of them and compute the "
        "others again (stochastic keeps none in PyTorch), reversible (with the method reversible_heun, in "
        "JAX also with ees25 and with coupled_midpoint and the like) none",
    )
    rtol: float = choice(
        0.0, "relative tolerance of adaptive steps, in PyTorch; with atol 0 too, steps are fixed", low=0
    )
    atol: float = choice(0.0, "absolute tolerance of adaptive steps, in PyTorch", low=0)
    adjoint_adaptive: bool = choice(False, "1 takes adaptive steps in the adjoint stochastic too, in PyTorch")
