"""What a solver asks of a drift."""

import pytest
import torch

from sdebnn.torchbnn.solving.given_noise import solve_given
from sdebnn.torchbnn.solving.solver import ASK_AT_THE_END, SDE_TYPES, Solver, fixed_depths, grid, solve


@pytest.mark.parametrize("method", SDE_TYPES)
@pytest.mark.parametrize("given", [False, True])
def test_a_method_asks_for_the_drift_at_depth_1_where_it_says_so(method: str, given: bool) -> None:
    asked: list[float] = []

    def drift(t, y: torch.Tensor) -> torch.Tensor:
        asked.append(float(t))
        return -y

    y0, solver = torch.ones(2, dtype=torch.float64), Solver(4, method)
    if given:
        solve_given(drift, y0, y0, fixed_depths(0.0, 1.0, 4), solver, lambda start, end: 0 * y0)
    else:
        solve(drift, y0, y0, grid(0.0, 1.0, 4), solver, lambda start, end: 0 * y0, ())
    assert (max(asked) == 1.0) == (method in ASK_AT_THE_END)
    assert bool(solver.asks_at_the_end) == (method in ASK_AT_THE_END)
    assert max(asked) == 1.0 or max(asked) < 0.876


def test_adjoints_and_adaptive_steps_ask_at_depth_1() -> None:
    assert Solver(4, "midpoint", "stochastic").asks_at_the_end == "adjoint='stochastic'"
    assert Solver(4, "midpoint", rtol=0.1).asks_at_the_end == "rtol=0.1, atol=0.0"
