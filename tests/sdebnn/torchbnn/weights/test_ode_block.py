import numpy as np
import pytest
import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn import SDEBNN, HyperODEBlock, MeanField, ODEBlock, Serial, Solver, WeightProcess, drift_network
from sdebnn.torchbnn.diffeq_layers import activation, dense

X = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)


def network() -> Serial:
    torch.manual_seed(0)
    return Serial(dense("concat", 3, 4), activation("tanh"), dense("concat", 4, 3))


def disturbed(module: nn.Module) -> nn.Module:
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=rng, dtype=torch.float64))
    return module


def test_the_ode_block_converges_to_the_matrix_exponential() -> None:
    linear = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
    exact = torch.tensor([[np.cos(1.0), np.sin(1.0)]])
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    for method, order in (("euler_maruyama", 1), ("midpoint", 2), ("heun", 2), ("reversible_heun", 2)):
        coarse, fine = ((ODEBlock(linear, Solver(n, method))(x) - exact).abs().max().item() for n in (50, 100))
        assert fine < 0.02**order
        assert np.log2(coarse / fine) == pytest.approx(order, abs=0.1), method


@pytest.mark.parametrize("method", ["euler_maruyama", "midpoint"])
def test_the_hyper_ode_block_is_the_sdebnn_block_without_noise(method: str) -> None:
    torch.manual_seed(0)
    still = SDEBNN(network(), WeightProcess(drift_network((2, 8)), noisy_depth=(0, 0)), Solver(4, method))
    hyper = HyperODEBlock(network(), drift_network((2, 8)), Solver(4, method)).double()
    disturbed(still)
    hyper.load_state_dict(still.state_dict())
    outputs, kl = still(X)
    assert kl.item() == 0
    torch.testing.assert_close(hyper(X), outputs)
    assert (ODEBlock(still.w0, Solver(4, method))(X) - outputs).abs().max() > 1e-3


def test_with_next_to_no_noise_the_sdebnn_block_is_the_ode_block() -> None:
    fx = network().double()
    block = SDEBNN(fx, WeightProcess(drift_network((2,)), sigma=1e-9), Solver(4)).double()
    torch.testing.assert_close(block(X)[0], ODEBlock(fx, Solver(4))(X), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    "block",
    [lambda solver: ODEBlock(network(), solver), lambda solver: HyperODEBlock(network(), drift_network((2,)), solver)],
)
@pytest.mark.parametrize(
    ("steps", "method", "adjoint", "bound"),
    [(64, "midpoint", "stochastic", 1e-3), (16, "reversible_heun", "reversible", 1e-12)],
)
def test_adjoints_give_the_gradient_of_backprop_also_for_weights_that_a_module_around_has_drawn(
    block, steps: int, method: str, adjoint: str, bound: float
) -> None:
    """The adjoint asks for the drift again when the weights that were drawn are no longer in the block."""
    gradients = []
    for chosen in ("backprop", adjoint):
        torch.manual_seed(0)
        module = disturbed(MeanField(block(Solver(steps, method, chosen)), initial_std=0.5))
        outputs, _ = module(X, rng=torch.Generator().manual_seed(2))
        outputs.sin().sum().backward()
        gradients.append(torch.cat([p.grad.reshape(-1) for p in module.parameters()]))
    assert gradients[0].norm() > 0.1
    assert (gradients[1] - gradients[0]).norm() < bound * gradients[0].norm()


def test_evaluations_are_those_of_the_last_call() -> None:
    block = ODEBlock(network().double(), Solver(8, "heun"))
    for _ in range(2):
        block(X)
        assert block.evaluations == 16


def test_what_cannot_be_used_is_refused() -> None:
    for make in (lambda fx, s: ODEBlock(fx, s), lambda fx, s: HyperODEBlock(fx, drift_network((2,)), s)):
        with pytest.raises(InputError, match="steps=0"):
            make(nn.Linear(3, 3), Solver(0))
        with pytest.raises(InputError, match="stochastic or backprop"):
            make(nn.Linear(3, 3), Solver(4, "euler", "reversible"))
        with pytest.raises(InputError, match=r"\(2, 3\) to \(2, 5\)"):
            make(nn.Linear(3, 5).double(), Solver(4)).double()(X)
