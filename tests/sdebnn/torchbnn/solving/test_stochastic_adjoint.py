from typing import Any

import pytest
import torch
from torch import nn

from sdebnn.torchbnn.solving.brownian_motion import BrownianMotion
from sdebnn.torchbnn.solving.solver import SDE_TYPES, Solver, check_solver, grid, solve
from sdebnn.torchbnn.solving.stochastic_adjoint import Problem, solve_with_adjoint


@pytest.mark.parametrize("method", sorted(set(SDE_TYPES) - {"reversible_heun"}))
def test_the_summed_gradient_is_that_of_a_solver_that_moves_it_too(method: str) -> None:
    """Over two stretches of unlike steps, and for a parameter that the drift does not read."""
    torch.manual_seed(0)
    net, unread = nn.Linear(3, 3).double(), nn.Parameter(torch.ones(2, dtype=torch.float64))
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    sigma, ts = torch.tensor([0.3, 0.1, 0.0], dtype=torch.float64), torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    noise = BrownianMotion(3, 7, grid(0.0, 1.0, 10), sigma)
    solver = check_solver(Solver(10, method, "stochastic"))

    def drift(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(net(y)) * (1 + t)

    def gradients(ys: Any) -> list[torch.Tensor]:
        return list(torch.autograd.grad((ys[1] ** 2).sum() + ys[-1].sum(), [y0, *net.parameters(), unread]))

    parameters = [*net.parameters(), unread]
    summed = gradients(solve(drift, sigma, y0, ts, solver, noise, parameters).ys)

    def stepped(drift, sigma, y0, ts, noise) -> Any:
        return solve(drift, sigma, y0, ts, solver._replace(adjoint="backprop"), noise, ())[:2]

    moved = gradients(solve_with_adjoint(Problem(drift, sigma, ts, noise, stepped, stepped, None), y0, parameters)[0])
    for first, second in zip(summed, moved, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)
    assert float(summed[1].abs().max()) > 1e-3
    assert not summed[-1].any()


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize(("rate", "lost"), [(1.0, False), (50.0, True), (2000.0, True)])
def test_a_gradient_of_states_that_were_lost_on_the_way_back_is_nan(rate: float, lost: bool, noisy: bool) -> None:
    """dy = rate (centre - y) dt + sigma dB of the first number; beside it, without noise, a large one stands still."""
    y0, centre = torch.tensor([1.0, 255.0])[: 2 if noisy else 1].requires_grad_(), torch.tensor(0.5, requires_grad=True)
    still = torch.tensor([1.0, 0.0])[: len(y0)]
    ts, sigma = torch.tensor([0.0, 1.0], dtype=torch.float64), 0.2 * noisy * still
    noise = BrownianMotion(len(y0), 3, grid(0.0, 1.0, 64), sigma) if noisy else None

    def gradients(adjoint: str) -> torch.Tensor:
        solver = check_solver(Solver(64, "midpoint", adjoint))
        ys: Any = solve(lambda t, y: rate * still * (centre - y), sigma, y0, ts, solver, noise, [centre]).ys
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(ys[-1, 0], [y0, centre])])

    if lost:
        with pytest.warns(RuntimeWarning, match="lost the states.*Take more steps"):
            assert torch.isnan(gradients("stochastic")).all()
    else:
        torch.testing.assert_close(gradients("stochastic"), gradients("backprop"), rtol=1e-3, atol=1e-4)
