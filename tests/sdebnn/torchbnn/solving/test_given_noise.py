"""Networks as functions of their noise."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

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
    independent_paths,
)
from sdebnn.torchbnn.diffeq_layers import activation, dense
from sdebnn.torchbnn.solving.solver import SDE_TYPES


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(solver: Solver, *, estimator: str = "stl", **prior) -> bnn_serial:
    torch.manual_seed(0)
    fx = Serial(dense("concat", 3, 4), activation("swish"), dense("concat", 4, 3))
    block = SDEBNN(fx, WeightProcess(drift_network((2,)), sigma=0.3, **prior), solver, kl_estimator=estimator)
    nn.init.normal_(list(block.drift.parameters())[-1], std=0.3)
    module = bnn_serial(nn.Linear(2, 3), block, nn.ReLU(inplace=True), bnn_serial(MeanField(nn.Linear(3, 2))))
    return module.double()


X = torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(4, 2)
SOLVERS = [*(Solver(3, method) for method in SDE_TYPES), Solver(3, "midpoint", "stochastic")]
SOLVERS += [Solver(3, "reversible_heun", "reversible")]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("prior", [{}, {"start": "gaussian", "noisy_depth": (0.3, 0.85), "noisy_weights": 0.5}])
def test_on_the_noise_that_it_would_have_drawn_a_network_is_the_same(solver: Solver, prior) -> None:
    """Outputs, KL and gradient."""
    module = network(solver, **prior)
    found = []
    noise = module.draw_noise(rng=generator())
    for given in ({"rng": generator()}, {"noise": noise}):
        outputs, kl = module(X, **given)
        gradients = torch.autograd.grad(outputs.square().sum() + kl, list(module.parameters()))
        found.append([outputs, kl, *gradients])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert found[0][1] > 0
    for drawn, same in zip(module(X, rng=generator(), prior=True), module(X, prior=True, noise=noise), strict=True):
        torch.testing.assert_close(drawn, same)


def test_without_noise_on_the_weights_there_is_none_to_give() -> None:
    module = network(Solver(2), noisy_depth=(0, 0))
    noise = module.draw_noise(rng=generator())
    assert noise[0].increments.shape == (0, 39)
    torch.testing.assert_close(module(X, noise=noise)[0], module(X, rng=generator())[0])


@pytest.mark.parametrize("estimator", ["stl", "analytic"])
def test_samples_are_drawn_at_once_by_vmap(estimator: str) -> None:
    module = network(Solver(2, "midpoint"), estimator=estimator, start="gaussian")
    noises = [module.draw_noise(rng=generator(seed)) for seed in range(3)]
    together = pytree.tree_map(lambda *parts: torch.stack(parts), *noises)
    outputs, kls = torch.func.vmap(lambda noise: module(X, noise=noise))(together)
    for number, noise in enumerate(noises):
        expected, kl = module(X, noise=noise)
        torch.testing.assert_close(outputs[number], expected)
        torch.testing.assert_close(kls[number], kl)
    assert not torch.allclose(outputs[0], outputs[1])


def test_a_network_is_exported_with_its_noise_as_an_input_for_batches_of_any_size() -> None:
    module = network(Solver(2, "midpoint"))
    noise, other = (module.draw_noise(rng=generator(seed)) for seed in range(2))
    shapes = {"x": {0: torch.export.Dim.DYNAMIC}, "noise": pytree.tree_map(lambda _: None, noise)}
    exported = torch.export.export(module, (X,), {"noise": noise}, dynamic_shapes=shapes).module()
    for x in (X, X[:3]):
        outputs, kl = exported(x, noise=other)
        torch.testing.assert_close(outputs, module(x, noise=other)[0])
        torch.testing.assert_close(kl, module(x, noise=other)[1])


COMPILED = """
import torch
from torch import nn
from sdebnn.torchbnn import SDEBNN, MeanField, Serial, Solver, WeightProcess, bnn_serial, drift_network
from sdebnn.torchbnn.diffeq_layers import activation, dense

fx = Serial(dense("concat", 3, 4), activation("swish"), dense("concat", 4, 3))
block = SDEBNN(fx, WeightProcess(drift_network((2,))), Solver(1, "midpoint"))
module, graphs = bnn_serial(block, nn.ReLU(inplace=True), MeanField(nn.Linear(3, 2))), []

def backend(graph, _):
    graphs.append(graph)
    return graph.forward

compiled = torch.compile(module, backend=backend, fullgraph=True)
for size in (4, 3, 2):
    noise, x = module.draw_noise(rng=torch.Generator().manual_seed(size)), torch.ones(size, 3)
    for one, other in zip(compiled(x, noise=noise), module(x, noise=noise)):
        torch.testing.assert_close(one, other)
assert len(graphs) == 2, len(graphs)
"""


def test_a_compiled_network_is_one_graph_which_two_sizes_of_batches_settle() -> None:
    """In a process of its own: what checks the types in these tests is not compiled."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("method", ["midpoint", "reversible_heun"])
def test_neural_odes_beside_bayesian_modules_are_traced_too(method: str) -> None:
    torch.manual_seed(0)
    blocks = (
        ODEBlock(nn.Linear(3, 3), Solver(2, method)),
        HyperODEBlock(nn.Linear(3, 3), drift_network((2,)), Solver(2)),
    )
    module = bnn_serial(MeanField(nn.Linear(2, 3)), *blocks, MeanField(nn.Linear(3, 2))).double()
    noises = [module.draw_noise(rng=generator(seed)) for seed in range(2)]
    together = pytree.tree_map(lambda *parts: torch.stack(parts), *noises)
    outputs, _ = torch.func.vmap(lambda noise: module(X, noise=noise))(together)
    exported = torch.export.export(module, (X,), {"noise": noises[0]}).module()
    for number, noise in enumerate(noises):
        expected, _ = module(X, noise=noise)
        torch.testing.assert_close(outputs[number], expected)
        torch.testing.assert_close(exported(X, noise=noise)[0], expected)


def test_independent_paths_take_noise_for_every_part() -> None:
    module = network(Solver(2))
    noises = [module.draw_noise(rng=generator(seed)) for seed in range(2)]
    outputs, _ = independent_paths(module, 2)(X, noise=noises)
    torch.testing.assert_close(outputs[2:], module(X[2:], noise=noises[1])[0])
    with pytest.raises(InputError, match="noise for 2 parts and has 4"):
        independent_paths(module)(X, noise=noises)


def test_noise_that_does_not_fit_is_refused() -> None:
    module = network(Solver(2))
    noise = module.draw_noise(rng=generator())
    for steps, says in ((Solver(3), r"noise of shapes \[\[0\], \[2, 39\]\]; .* \[\[0\], \[3, 39\]\]"),
                        (Solver(2, "heun", rtol=0.1), "with adaptive ones rng")):  # fmt: skip
        with pytest.raises(InputError, match=says):
            network(steps)(X, noise=noise)
    with pytest.raises(InputError, match="adaptive steps"):
        network(Solver(2, "heun", rtol=0.1)).draw_noise(rng=generator())
    with pytest.raises(InputError, match="noise for 1 modules and has 2"):
        module(X, noise=noise[:1])
