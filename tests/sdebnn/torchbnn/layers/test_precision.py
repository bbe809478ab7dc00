"""What blocks take as inputs and weights, and the precision of what they return."""

import re

import pytest
import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn import (
    SDEBNN,
    Flatten,
    HyperODEBlock,
    MeanField,
    ODEBlock,
    Serial,
    Solver,
    WeightProcess,
    bnn_serial,
    drift_network,
    independent_paths,
)
from sdebnn.torchbnn.diffeq_layers import dense


def process(**choices) -> WeightProcess:
    return WeightProcess(drift_network((2,)), **choices)


def blocks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "SDEBNN": SDEBNN(nn.Linear(3, 3), process(start="gaussian"), Solver(2)),
        "adjoint": SDEBNN(nn.Linear(3, 3), process(), Solver(2, "midpoint", "stochastic")),
        "reversible": SDEBNN(nn.Linear(3, 3), process(), Solver(2, "reversible_heun", "reversible")),
        "MeanField": MeanField(nn.Linear(3, 3)),
        "ODEBlock": ODEBlock(nn.Linear(3, 3), Solver(2)),
        "HyperODEBlock": HyperODEBlock(nn.Linear(3, 3), drift_network((2,)), Solver(2)),
    }


def run(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(module, ODEBlock | HyperODEBlock):
        outputs = module(x)
        return outputs, outputs.sum().float() * 0
    return module(x, rng=torch.Generator().manual_seed(0))


X = torch.linspace(-1, 1, 6).reshape(2, 3)


@pytest.mark.parametrize("name", blocks())
@pytest.mark.parametrize("double", ["fx", "block", "x", "drift"])
def test_outputs_have_the_highest_precision_of_all_that_goes_in(name: str, double: str) -> None:
    block, x = blocks()[name], X.double() if double == "x" else X
    expected, _ = run(blocks()[name], X)
    if double == "drift" and not hasattr(block, "drift"):
        return
    part = {"fx": getattr(block, "w0", getattr(block, "mean", block)), "block": block, "x": nn.Identity()}
    part.get(double, getattr(block, "drift", block)).double()
    outputs, kl = run(block, x)
    assert outputs.dtype == torch.float64
    assert kl.dtype in (torch.float64, torch.float32 if "ODE" in name else torch.float64)
    (outputs.sum() + kl).backward()
    assert all(p.grad is None or p.grad.dtype == p.dtype for p in block.parameters())
    if double == "x":
        # The same noise in another precision.
        torch.testing.assert_close(outputs.float(), expected)


@pytest.mark.parametrize("name", blocks())
def test_half_precision_is_solved_in_single(name: str) -> None:
    expected, kl = run(blocks()[name], X)
    for dtype in (torch.float16, torch.bfloat16):
        outputs, _ = run(blocks()[name], X.to(dtype))
        assert outputs.dtype == torch.float32
        torch.testing.assert_close(outputs, expected, rtol=0.02, atol=0.02)
        half, half_kl = run(blocks()[name].to(dtype), X.to(dtype))
        assert (half.dtype, half_kl.dtype) == (dtype, kl.dtype)
        if name != "MeanField":
            # A MeanField of bfloat16 draws other numbers.
            assert torch.isfinite(half).all()


@pytest.mark.parametrize("name", [name for name in blocks() if name != "MeanField"])
def test_whole_numbers_are_taken_as_real_ones(name: str) -> None:
    whole = torch.arange(6).reshape(2, 3)
    torch.testing.assert_close(run(blocks()[name], whole)[0], run(blocks()[name], whole.float())[0], rtol=0, atol=0)


def test_whole_numbers_are_the_keys_of_an_embedding_and_else_refused() -> None:
    outputs, kl = MeanField(nn.Embedding(4, 2))(torch.tensor([0, 3]), rng=torch.Generator())
    assert outputs.shape == (2, 2)
    assert kl.dtype == torch.float32
    with pytest.raises(InputError, match=r"parameters of torch.float32 and got inputs of torch.int64"):
        MeanField(nn.Linear(3, 2))(torch.ones(1, 3, dtype=torch.int64), rng=torch.Generator())
    with pytest.raises(InputError, match=r"Layer 1 of bnn_serial has parameters of torch.float32 .* torch.float64"):
        bnn_serial(blocks()["SDEBNN"], nn.Linear(3, 2))(X.double(), rng=torch.Generator())


LAZY = "of a lazy module that was never called"
MAKES = [
    (lambda: SDEBNN(nn.LazyLinear(3), process()), LAZY),
    (lambda: MeanField(nn.LazyConv2d(3, 3)), LAZY),
    (lambda: ODEBlock(nn.Sequential(nn.Linear(3, 3), nn.LazyLinear(3))), LAZY),
    (lambda: HyperODEBlock(nn.Linear(3, 3), lambda size: Serial(nn.LazyLinear(size))), LAZY),
    (lambda: SDEBNN(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)), process()), "'1'"),
    (lambda: SDEBNN(nn.Linear(3, 3), WeightProcess(lambda n: Serial(nn.BatchNorm1d(n), nn.Linear(n, n)))), "'0'"),
    (
        lambda: SDEBNN(
            nn.Linear(3, 3), WeightProcess(lambda n: Serial(nn.InstanceNorm1d(n, track_running_stats=True)))
        ),
        "statistics of the batch",
    ),
    (
        lambda: SDEBNN(
            nn.Linear(3, 3), WeightProcess(lambda n: Serial(nn.utils.parametrizations.spectral_norm(nn.Linear(n, n))))
        ),
        "weight_norm in place of spectral_norm",
    ),
    (lambda: SDEBNN(nn.utils.spectral_norm(nn.Linear(3, 3)), process()), "has the buffer"),
    (lambda: SDEBNN(nn.Linear(3, 3, dtype=torch.complex64), process()), "real numbers"),
    (lambda: blocks()["SDEBNN"](X + 0j, rng=torch.Generator()), "complex numbers"),
    (lambda: nn.Sequential(blocks()["SDEBNN"], nn.Linear(3, 2))(X), "bnn_serial in place of nn.Sequential"),
    (lambda: nn.Sequential(blocks()["MeanField"], nn.Linear(3, 2))(X), "pair (outputs, kl)"),
    (lambda: nn.Sequential(blocks()["SDEBNN"], blocks()["SDEBNN"])(X), "pair (outputs, kl)"),
    (lambda: nn.Sequential(blocks()["SDEBNN"], ODEBlock(nn.Linear(3, 3)))(X), "pair (outputs, kl)"),
    (lambda: nn.Sequential(blocks()["SDEBNN"], dense("ignore", 3, 2))(X), "pair (outputs, kl)"),
    (lambda: nn.Sequential(blocks()["SDEBNN"], Flatten())(X), "pair (outputs, kl)"),
    (lambda: blocks()["SDEBNN"](X.numpy(), rng=torch.Generator()), "takes a tensor"),
    (lambda: blocks()["SDEBNN"](X, rng=0), "rng = torch.Generator().manual_seed(0)"),
    (lambda: blocks()["MeanField"](X, rng=7), "rng = torch.Generator().manual_seed(7)"),
    (lambda: blocks()["SDEBNN"].weight_path(torch.tensor([0.0, 1.0]).double(), rng=3), "manual_seed(3)"),
    (lambda: independent_paths(nn.Sequential(blocks()["SDEBNN"])), "returns no KL"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "says"), MAKES)
def test_what_cannot_be_used_is_refused_in_a_sentence(make, says: str, unchecked) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        make()


def test_a_lazy_module_that_was_called_is_taken() -> None:
    fx = nn.LazyLinear(3)
    fx(X)
    assert SDEBNN(fx, process(), Solver(2))(X, rng=torch.Generator())[0].shape == X.shape


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_weights_of_a_normed_layer_follow_the_sde(norm) -> None:
    """Its direction and its length are the weights; without noise and drift the block is Euler's method."""
    torch.manual_seed(0)
    fx = norm(nn.Linear(3, 3))
    block = SDEBNN(fx, process(noisy_depth=(0, 0)), Solver(2))
    y = X
    for _ in range(2):
        y = y + 0.5 * fx(y)
    torch.testing.assert_close(block(X, rng=torch.Generator())[0], y)


def test_depth_is_given_to_an_f_x_that_reads_it_from_its_keywords() -> None:
    class Reads(nn.Linear):
        def forward(self, x, **kwargs):  # type: ignore[override]
            return super().forward(x) * kwargs["t"]

    class Names(nn.Linear):
        def forward(self, x, *, t):  # type: ignore[override]
            return super().forward(x) * t

    found = []
    for kind in (Reads, Names):
        torch.manual_seed(0)
        found.append(ODEBlock(Serial(kind(3, 3), nn.Tanh()), Solver(3))(X))
        found.append(ODEBlock(kind(3, 3), Solver(3))(X))
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])
    assert not torch.equal(found[1], X)


def test_an_f_x_that_hands_depth_to_what_takes_none_is_refused() -> None:
    class Hands(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x, **kwargs):
            return self.inner(x, **kwargs)

    with pytest.raises(InputError, match=r"hands it to what takes none.*forward\(self, x, \*, t\)"):
        ODEBlock(Hands(), Solver(2))(X)
