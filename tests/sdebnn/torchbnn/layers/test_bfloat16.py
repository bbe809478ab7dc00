"""Rounding of f_x in bfloat16."""

import pytest
import torch

from sdebnn.runs import TrainConfig
from sdebnn.torchbnn import SDEBNN, Bfloat16, Solver, WeightProcess, drift_network
from sdebnn.torchbnn.diffeq_layers import activation, conv
from sdebnn.torchbnn.layers.parameter_names import named_parameters
from sdebnn.torchbnn.layers.swish_serial import SwishSerial
from sdebnn.torchbnn.learning.networks import build_network


def block(adjoint: str, rounded: bool) -> SDEBNN:
    torch.manual_seed(0)
    fx = SwishSerial(conv("ignore", 3, 8), activation("swish"), conv("ignore", 8, 3))
    return SDEBNN(Bfloat16(fx) if rounded else fx, WeightProcess(drift_network((2,))), Solver(6, "midpoint", adjoint))


@pytest.mark.parametrize("adjoint", ["backprop", "stochastic"])
def test_outputs_and_gradients_are_those_of_float32_to_bfloat16_rounding(adjoint: str) -> None:
    x, results = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(1)), []
    for rounded in (False, True):
        module = block(adjoint, rounded)
        outputs, kl = module(x, rng=torch.Generator().manual_seed(2))
        (outputs.square().sum() + kl).backward()
        assert outputs.dtype == torch.float32
        results.append((outputs.detach(), kl.detach(), {name: p.grad for name, p in named_parameters(module).items()}))
    (exact, kl, gradients), (rounded_outputs, rounded_kl, rounded_gradients) = results
    # An evaluation of f_x is rounded by 2^-9, and a solution moves by as much as its inputs.
    assert 0 < (rounded_outputs - exact).norm() < 0.01 * (exact - x).norm()
    assert torch.equal(rounded_kl, kl)
    assert gradients.keys() == rounded_gradients.keys()
    for name, gradient in gradients.items():
        if name.startswith("w0"):
            assert 0 < (rounded_gradients[name] - gradient).norm() < 0.05 * gradient.norm(), name


def test_the_precision_of_a_configuration_is_that_of_its_blocks() -> None:
    results = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        config = TrainConfig(framework="torch", steps=2, width=4, drift_widths=(2,), precision=precision)
        network = build_network(config, (5,), 3)
        results.append(network(torch.ones(2, 5), rng=torch.Generator().manual_seed(1)))
    (exact, kl), (rounded, rounded_kl) = results
    assert 0 < (rounded - exact).abs().max() < 0.02 * exact.abs().max()
    assert kl == rounded_kl
