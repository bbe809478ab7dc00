"""Modules that write into their inputs give the numbers of those that do not."""

import copy
import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn import (
    SDEBNN,
    HyperODEBlock,
    MeanField,
    ODEBlock,
    Serial,
    Solver,
    WeightProcess,
    bnn_serial,
    drift_network,
)
from sdebnn.torchbnn.diffeq_layers import dense


class Written(nn.Module):
    """tanh(relu(x) + depth) through a linear map, in place or not."""

    def __init__(self, kind: str, in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.kind, self.in_place = nn.Linear(3, 3), kind, in_place

    def forward(self, x, *, t):
        if not self.in_place:
            x, t = x.clone(), t.clone()
        if self.kind == "relu_":
            F.relu_(x)
        elif self.kind == "+=":
            x += self.linear(torch.tanh(x))
        elif self.kind == "hardtanh_":
            F.hardtanh_(x, -0.5, 0.5)
        else:
            x[:, 0] = x[:, 1]
        t += 0.5
        return self.linear(x) * t if self.kind != "+=" else x * t


MAKERS = {
    "ODEBlock": lambda fx, solver: ODEBlock(fx, solver),
    "HyperODEBlock": lambda fx, solver: HyperODEBlock(fx, drift_network((2,)), solver),
    "SDEBNN": lambda fx, solver: SDEBNN(fx, WeightProcess(drift_network((2,)), sigma=0.3), solver),
}
SOLVERS = [
    Solver(3, "midpoint"),
    Solver(3, "midpoint", "stochastic"),
    Solver(3, "reversible_heun", "reversible"),
    Solver(3, "heun", rtol=0.1, atol=0.1),
]


def outcome(block: nn.Module, x: torch.Tensor, mode) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    with mode():
        found = block(x) if not isinstance(block, SDEBNN) else block(x, rng=rng)[0]
    if found.requires_grad:
        found.sin().sum().backward()
        return [found, *(p.grad for p in block.parameters() if p.grad is not None)]
    return [found]


@pytest.mark.parametrize("kind", ["relu_", "+=", "hardtanh_", "[]"])
@pytest.mark.parametrize("made", MAKERS)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_an_f_x_that_writes_into_its_input_gives_the_same_numbers(kind: str, made: str, mode) -> None:
    for solver in SOLVERS if kind == "+=" else SOLVERS[:1]:
        given = torch.linspace(-2, 2, 6).reshape(2, 3)
        x = given.clone()
        expected, got = (
            outcome(MAKERS[made](Written(kind, writes).double(), solver).double(), x.double(), mode)
            for writes in (False, True)
        )
        assert len(expected) == len(got)
        for one, other in zip(expected, got, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
        single = x.clone()
        outcome(MAKERS[made](Written(kind, True), solver), single, mode)
        assert torch.equal(single, given)


def test_a_drift_network_may_write_into_the_weights_that_it_is_given() -> None:
    class Drift(nn.Module):
        def __init__(self, size: int, in_place: bool) -> None:
            super().__init__()
            self.linear, self.in_place = (
                dense("ignore", size, size, w_init=lambda shape: 0.2 * torch.ones(shape)),
                in_place,
            )

        def forward(self, w, *, t):
            return self.linear(F.relu_(w) if self.in_place else F.relu(w))

    torch.manual_seed(0)
    fx, found = nn.Linear(3, 3), []
    for in_place in (False, True):
        block = SDEBNN(
            copy.deepcopy(fx), WeightProcess(functools.partial(Drift, in_place=in_place)), Solver(3, "midpoint")
        )
        outputs, kl = block(torch.ones(2, 3), rng=torch.Generator().manual_seed(0))
        (outputs.sum() + kl).backward()
        found.append([outputs, kl, *(p.grad for p in block.parameters())])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("solver", SOLVERS[:3])
def test_what_comes_behind_a_block_may_write_into_its_outputs(solver: Solver) -> None:
    gradients: list[Any] = []
    for in_place in (False, True):
        torch.manual_seed(0)
        block = SDEBNN(nn.Linear(3, 3), WeightProcess(drift_network((2,))), solver)
        network = bnn_serial(block, nn.ReLU(inplace=in_place))
        network(torch.linspace(-1, 1, 6).reshape(2, 3), rng=torch.Generator().manual_seed(0))[
            0
        ].square().sum().backward()
        gradients.append(block.w0.weight.grad)
    kept, overwritten = gradients
    assert kept.any()
    assert torch.equal(kept, overwritten)


def test_a_mean_field_module_may_write_into_its_input() -> None:
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    given = x.clone()
    MeanField(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)))(x, rng=torch.Generator())
    assert torch.equal(x, given)


class WritesLater(nn.Linear):
    def forward(self, x, *, t):  # type: ignore[override]
        if t > 0.3:
            x += 1
        return super().forward(x)


class WritesWeights(nn.Linear):
    def forward(self, x):
        with torch.no_grad():
            self.weight.clamp_(-0.1, 0.1)
        return super().forward(x)


@pytest.mark.parametrize(
    ("fx", "says"),
    [(WritesLater(3, 3), "did not where it was called first"), (WritesWeights(3, 3), "writes into its own weights")],
)
def test_what_cannot_be_made_right_is_refused(fx: nn.Module, says: str) -> None:
    with pytest.raises(InputError, match=says), torch.no_grad():
        ODEBlock(fx, Solver(4))(torch.ones(2, 3))


def test_no_copy_is_made_where_nothing_is_written() -> None:
    """But for the first call, which tells."""
    seen = []

    class Looks(nn.Linear):
        def forward(self, x):
            seen.append(x.untyped_storage().data_ptr())
            return super().forward(x)

    states = []
    ODEBlock(Looks(3, 3), Solver(4))(torch.ones(2, 3))
    block = Serial(Looks(3, 3))
    runner = MAKERS["ODEBlock"](block, Solver(1))._layout.runner(block)
    weights = torch.zeros(12)
    for _ in range(3):
        states.append(torch.ones(2, 3))
        runner(weights, states[-1], 0.0)
    pointers = [state.untyped_storage().data_ptr() for state in states]
    assert [given == own for given, own in zip(seen[-3:], pointers, strict=True)] == [False, True, True]
