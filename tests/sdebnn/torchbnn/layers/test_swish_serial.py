import pytest
import torch

from sdebnn.torchbnn import Serial
from sdebnn.torchbnn.diffeq_layers import activation, conv, conv_transpose, dense
from sdebnn.torchbnn.layers.swish_serial import SwishSerial

NETWORKS = {
    "dense": (lambda: [dense("ignore", 3, 4), activation("swish"), dense("ignore", 4, 3)], (5, 3)),
    "strided": (
        lambda: [
            conv("ignore", 2, 4, stride=2),
            activation("swish"),
            conv("ignore", 4, 4),
            activation("swish"),
            conv_transpose("ignore", 4, 2, stride=2),
        ],
        (2, 2, 6, 4),
    ),
    "one layer": (lambda: [dense("ignore", 3, 3)], (5, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_are_those_of_the_layers_one_after_the_other(name: str) -> None:
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    plain = Serial(*make()).double()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(torch.randn(parameter.shape))
    folded = SwishSerial(*make()).double()
    folded.load_state_dict(plain.state_dict())
    results = []
    for module in (plain, folded):
        x = torch.linspace(-2, 2, torch.Size(shape).numel(), dtype=torch.float64).reshape(shape).requires_grad_()
        outputs = module(x, t=0.3)
        results.append([outputs, *torch.autograd.grad(outputs.sin().sum(), [x, *module.parameters()])])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
