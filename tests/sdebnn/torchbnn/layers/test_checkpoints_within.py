"""Modules that have a part of themselves computed again for a gradient, as f_x and in mean-field layers."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sdebnn.errors import InputError
from sdebnn.torchbnn import SDEBNN, HyperODEBlock, MeanField, ODEBlock, Solver, WeightProcess, drift_network

# PyTorch's own, of a checkpoint with use_reentrant=True where no gradient is wanted yet.
pytestmark = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")

X = torch.linspace(-1, 1, 6).reshape(2, 3)


class Recomputing(nn.Module):
    """`use_reentrant` is that of the checkpoint within; `None` is none."""

    def __init__(self, use_reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.use_reentrant = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)), use_reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.use_reentrant is None:
            return self.inner(x)
        return checkpoint(self.inner, x, use_reentrant=self.use_reentrant)


def sdebnn(fx: nn.Module, *choices) -> SDEBNN:
    return SDEBNN(fx, WeightProcess(drift_network((2,)), sigma=1.0), Solver(2, *choices))


BLOCKS = {
    "SDEBNN": sdebnn,
    "adjoint": lambda fx: sdebnn(fx, "midpoint", "stochastic"),
    "HyperODEBlock": lambda fx: HyperODEBlock(fx, drift_network((2,)), Solver(2)),
    "MeanField": MeanField,
}


def run(block: nn.Module, **given) -> torch.Tensor:
    x = X.clone().requires_grad_()
    if isinstance(block, HyperODEBlock | ODEBlock):
        return block(x)
    return block(x, **given or {"rng": torch.Generator().manual_seed(0)})[0]


def gradient(block: nn.Module, **given) -> torch.Tensor:
    run(block, **given).square().sum().backward()
    return torch.cat([p.grad.flatten() for p in block.parameters() if p.grad is not None])


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_part_that_would_be_computed_again_with_other_weights_is_refused(name: str, use_reentrant: bool) -> None:
    with pytest.raises(InputError, match=r"computed again for its gradient.* put the checkpoint around the whole"):
        gradient(BLOCKS[name](Recomputing(use_reentrant)))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_without_a_gradient_and_with_its_own_weights_it_is_taken(use_reentrant: bool) -> None:
    with torch.no_grad():
        for make in BLOCKS.values():
            torch.testing.assert_close(run(make(Recomputing(use_reentrant))), run(make(Recomputing(None))))
    found, whole = (gradient(ODEBlock(Recomputing(kind), Solver(2))) for kind in (use_reentrant, None))
    torch.testing.assert_close(found, whole)
    disabled = MeanField(Recomputing(use_reentrant), disable=True)
    torch.testing.assert_close(gradient(disabled), gradient(MeanField(Recomputing(None), disable=True)))


def test_checkpoints_and_hooks_around_the_whole_and_beside_it_go_on() -> None:
    block = sdebnn(Recomputing(None))
    noise = block.draw_noise(rng=torch.Generator().manual_seed(0))
    expected = gradient(block, noise=noise)
    block.zero_grad()
    before = checkpoint(torch.sin, X.clone().requires_grad_(), use_reentrant=True)
    with torch.autograd.graph.save_on_cpu():
        y = checkpoint(lambda x: block(x, noise=noise)[0], X + 0 * before, use_reentrant=False)
    y.square().sum().backward()
    torch.testing.assert_close(
        torch.cat([p.grad.flatten() for p in block.parameters() if p.grad is not None]), expected
    )
    # Hooks are not refused from then on.
    checkpoint(torch.sin, X.clone().requires_grad_(), use_reentrant=False).sum().backward()


def test_an_error_that_is_not_of_precision_is_pytorchs_own() -> None:
    with pytest.raises(RuntimeError, match=r"^mat1 and mat2 shapes"):
        MeanField(nn.Sequential(nn.Embedding(4, 3), nn.Linear(5, 2)))(torch.tensor([1, 2]), rng=torch.Generator())
