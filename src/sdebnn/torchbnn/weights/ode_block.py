"""The deterministic counterparts of the SDEBNN block: neural ODEs whose weights stand still, or follow an ODE too."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.precision import precision, working
from sdebnn.torchbnn.solving.flat_state import FlatState
from sdebnn.torchbnn.solving.given_noise import solve_given
from sdebnn.torchbnn.solving.solver import Solver, as_solver, fixed_depths, solve
from sdebnn.torchbnn.weights.drift_network import build_drift, correction, depth, parameters_to_read
from sdebnn.torchbnn.weights.flat_weights import FlatWeights, with_parameters

DEPTHS = torch.tensor([0.0, 1.0], dtype=torch.float64)


class ODEBlock(nn.Module):
    """Moves a hidden state along dx = f_x(x, t) dt from depth 0 to 1 (Chen et al., 2018).

    **Arguments and errors:** as those of `SDEBNN`. Without noise Euler-Maruyama is Euler's method.
    """

    def __init__(self, fx: nn.Module, solver: Solver | None = None, **choices: Any) -> None:
        super().__init__()
        self._layout = FlatWeights(fx)
        self.solver = as_solver("ODEBlock", solver, choices)
        self._fx = fx
        self.evaluations = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dtype = precision(x, self.parameters(), "ODEBlock")
        x = x.to(working(dtype))
        # Read once: an adjoint asks for the drift again when a module around this one has put its weights back.
        weights, state, fx = (
            self._layout.of(self._fx).to(x.dtype),
            FlatState(x),
            self._layout.runner(self._fx, own=True),
        )

        def drift(t: Depth, y: torch.Tensor) -> torch.Tensor:
            return state.flat(fx(weights, state.shaped(y), depth(t, y)))

        y, self.evaluations = _flow(drift, state.flat(x), self.solver, self.parameters())
        return state.outputs(y, dtype)


class HyperODEBlock(nn.Module):
    """A neural ODE whose weights follow an ODE of their own: dx = f_x(x, t; w_t) dt, dw = NN(w, t) dt.

    It is the SDEBNN block without noise and without the prior's pull, and has its parameters.

    **Arguments:** `drift` makes the module NN from the number of weights, as `drift_network()` does; the others and the
    errors are those of `SDEBNN`.
    """

    def __init__(
        self, fx: nn.Module, drift: Callable[[int], nn.Module], solver: Solver | None = None, **choices: Any
    ) -> None:
        super().__init__()
        self._layout = FlatWeights(fx)
        self.solver = as_solver("HyperODEBlock", solver, choices)
        self.w0 = fx
        self.drift = build_drift(drift, self._layout.size)
        self.evaluations = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dtype = precision(x, self.parameters(), "HyperODEBlock")
        x = x.to(working(dtype))
        w0, state, fx = self._layout.of(self.w0).to(x.dtype), FlatState(x), self._layout.runner(self.w0)
        sizes = [w0.numel(), x.numel()]
        parameters = parameters_to_read(self.drift, x.dtype)
        nn_drift = with_parameters(self.drift, parameters)

        def drift(t: Depth, y: torch.Tensor) -> torch.Tensor:
            w, hidden = y.split(sizes)
            dx = fx(w, state.shaped(hidden), depth(t, y))
            return torch.cat([correction(nn_drift, w, t), state.flat(dx)])

        y, self.evaluations = _flow(drift, torch.cat([w0, state.flat(x)]), self.solver, parameters.values())
        return state.outputs(y.split(sizes)[1], dtype)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *others)
        unexpected_keys = others[3]
        # An SDEBNN block's parameters come with its choices, which are no matter here.
        if (key := f"{prefix}_extra_state") in unexpected_keys:
            unexpected_keys.remove(key)


def _flow(
    drift: Callable[..., torch.Tensor], y0: torch.Tensor, solver: Solver, parameters: Iterable[torch.Tensor]
) -> tuple[torch.Tensor, int]:
    """The state at depth 1, and the evaluations of the drift."""
    traced = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    if traced and solver.adjoint == "backprop" and not solver.adaptive:
        given = solve_given(drift, y0[:0], y0, fixed_depths(0.0, 1.0, solver.steps), solver, None)
        return given.ys[-1], given.evaluations
    solution = solve(drift, torch.zeros_like(y0), y0, DEPTHS, solver, None, parameters)
    return solution.ys[-1], solution.evaluations
