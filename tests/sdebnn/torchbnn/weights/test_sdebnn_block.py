"""The mathematics of the block: the prior's law, the KL, gradients, and what it takes and refuses."""

import gc
import math
import pickle
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn import SDEBNN, Bfloat16, HyperODEBlock, MeanField, Serial, Solver, WeightProcess, drift_network
from sdebnn.torchbnn.diffeq_layers import activation, dense, fan_in
from sdebnn.torchbnn.solving.brownian_motion import BrownianMotion
from sdebnn.torchbnn.solving.solver import SDE_TYPES, grid, solve
from sdebnn.torchbnn.weights.drift_network import parameters_to_read
from sdebnn.torchbnn.weights.flat_weights import FlatWeights
from sdebnn.torchbnn.weights.path_kl import path_kl
from sdebnn.torchbnn.weights.weight_path import LONGEST_PART


class Scaled(nn.Linear):
    def forward(self, x, t=0.0):
        return super().forward(x) * t


class Attention(nn.Module):
    def __init__(self, **options) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(3, 1, **options)

    def forward(self, x):
        return self.inner(x, x, x)[0]


def small_block(solver: Solver | None = None, *, widths=(4,), estimator="stl", dtype=torch.float64, **prior) -> SDEBNN:
    torch.manual_seed(0)
    fx = Serial(dense("concat", 3, 5), activation("tanh"), dense("ignore", 5, 3))
    process = WeightProcess(drift_network(widths), **{"sigma": 0.3, "sigma_scale": "constant", **prior})
    return SDEBNN(fx, process, solver or Solver(8), kl_estimator=estimator).to(dtype)


def disturbed(block: SDEBNN) -> SDEBNN:
    """With a posterior that is not the prior."""
    with torch.no_grad():
        for parameter in block.drift.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return block


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("estimator", ["stl", "full_mc", "analytic"])
def test_a_fresh_block_is_at_its_prior_with_no_kl(estimator: str) -> None:
    block = small_block(estimator=estimator)
    x = torch.ones(2, 3, dtype=torch.float64)
    outputs, kl = block(x, rng=generator(0))
    assert kl.item() == 0
    torch.testing.assert_close(outputs, block(x, rng=generator(0), prior=True)[0])


def test_a_fresh_path_has_the_law_of_the_ou_process(unchecked) -> None:
    """Kolmogorov-Smirnov at depths 1/2 and 1, all weights of 40 draws against their exact marginals; the Euler scheme
    itself has a stationary variance that is 1 / (1 - rate h / 2) too large, 0.8 % here."""
    block = small_block(Solver(64), rate=1.0, centre="zero")
    ts = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    with torch.no_grad():
        paths = np.stack([block.weight_path(ts, rng=generator(seed)).numpy() for seed in range(40)])
    known = block.process.prior.moments(block.start_mean().detach().numpy(), block.sigma.numpy(), ts.numpy())
    assert known is not None
    mean, std = known
    for depth in (1, 2):
        standardised = ((paths[:, depth] - mean[depth]) / std[depth]).ravel()
        assert scipy.stats.kstest(standardised, "norm").pvalue > 1e-3


def test_between_the_steps_of_the_solver_a_path_has_noise_of_its_own() -> None:
    block = small_block(Solver(2), rate=0.0)
    ts = torch.linspace(0, 1, 33, dtype=torch.float64)
    with torch.no_grad():
        steps = torch.stack([block.weight_path(ts, rng=generator(seed)) for seed in range(3)]).diff(dim=1)
    assert scipy.stats.kstest((steps / 0.3 * 32**0.5).ravel().numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("depths", [[0.5, 1.0], [0.0, 0.5], [0.0, 1.0, 1.0], [0.0, 0.5, 1.5], [1.0, 0.0], [0.0]])
def test_a_path_is_asked_for_from_0_to_1(depths: list[float]) -> None:
    with pytest.raises(InputError, match="must increase from 0 to 1"):
        small_block(Solver(2)).weight_path(torch.tensor(depths, dtype=torch.float64))


def test_a_block_has_no_double_precision_beside_single() -> None:
    """Some devices have none."""
    block = small_block(dtype=torch.float32).to("meta")
    assert not list(block.buffers())
    assert (block.sigma.dtype, block.sigma.device.type) == (torch.float32, "meta")
    assert block.double().sigma.dtype == torch.float64


def test_a_network_can_be_pickled() -> None:
    block = disturbed(small_block(Solver(2)))
    x = torch.ones(2, 3, dtype=torch.float64)
    first, second = (network(x, rng=generator(0))[0] for network in (block, pickle.loads(pickle.dumps(block))))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_the_kl_between_ou_processes_is_its_closed_form() -> None:
    """Prior dw = -w dt + sigma dB, posterior dw = -(1 + a) w dt + sigma dB from w_0: the KL is
    a^2 / (2 sigma^2) times the integral of E[w^2]."""
    a, rate, sigma, w0, steps, draws = 0.8, 1.0, 0.5, 1.2, 200, 4000

    ts = grid(0.0, 1.0, steps)
    h = 1 / steps
    normals = torch.randn(steps, draws, dtype=torch.float64, generator=generator(0)) * math.sqrt(h)
    ws = [torch.full((draws,), w0, dtype=torch.float64)]
    for row in normals:
        ws.append(ws[-1] - (rate + a) * ws[-1] * h + sigma * row)

    def u(t, w):
        return -a * w / sigma

    def noise(start, end):
        return normals[round(float(start) * steps)]

    names = ("analytic", "full_mc", "stl")
    kls = {name: path_kl(u, u, ts, torch.stack(ws), noise, name) / draws for name in names}
    theta = rate + a
    t = (np.arange(2000) + 0.5) / 2000
    second_moment = w0**2 * np.exp(-2 * theta * t) + sigma**2 / (2 * theta) * (1 - np.exp(-2 * theta * t))
    exact = a**2 / (2 * sigma**2) * second_moment.mean()
    for estimator, kl in kls.items():
        # The Ito sum has a variance of 2 KL a draw; the left Riemann sum is 1 % off at 200 steps.
        error = 0.015 * exact + (4 * math.sqrt(2 * exact / draws) if estimator != "analytic" else 0.02 * exact)
        assert kl.item() == pytest.approx(exact, abs=error), estimator
    assert kls["stl"].item() == kls["full_mc"].item()


def test_with_stl_no_gradient_reaches_the_drift_through_the_ito_sum_but_by_the_path() -> None:
    """With weights that stand still, the gradient of stl is that of the analytic estimator."""
    drift, ts = nn.Linear(3, 3).double(), grid(0.0, 1.0, 4)
    ws = torch.randn(5, 3, dtype=torch.float64)

    def noise(start, end):
        return torch.ones(3, dtype=torch.float64)

    def stopped(t, w):
        return w @ drift.weight.detach().T + drift.bias.detach()

    gradients = {}
    for estimator in ("stl", "analytic", "full_mc"):
        drift.zero_grad()
        path_kl(lambda t, w: drift(w), stopped, ts, ws, noise, estimator).backward()
        gradients[estimator] = drift.weight.grad.clone()
    torch.testing.assert_close(gradients["stl"], gradients["analytic"])
    assert not torch.allclose(gradients["full_mc"], gradients["analytic"])


def gradients_of(solver: Solver, **choices) -> dict[str, Any]:
    block = disturbed(small_block(solver, estimator="analytic", **choices))
    outputs, kl = block(torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3), rng=generator(3))
    (outputs.sin().sum() + 0.1 * kl).backward()
    return {name: p.grad for name, p in block.named_parameters()}


def relative_error(one: Mapping[Any, torch.Tensor], other: Mapping[Any, torch.Tensor]) -> float:
    difference = sum(float((one[name] - other[name]).square().sum()) for name in one)
    return math.sqrt(difference / sum(float(g.square().sum()) for g in other.values()))


@pytest.mark.parametrize("choices", [{}, {"noisy_depth": (0.3, 0.85)}, {"start": "gaussian"}])
def test_the_adjoint_of_reversible_heun_is_exact(choices) -> None:
    exact = gradients_of(Solver(16, "reversible_heun", "backprop"), **choices)
    assert relative_error(gradients_of(Solver(16, "reversible_heun", "reversible"), **choices), exact) < 1e-10


@pytest.mark.parametrize(("method", "adjoint"), [("midpoint", "stochastic"), ("reversible_heun", "reversible")])
@pytest.mark.parametrize("choices", [{"estimator": "full_mc"}, {"noisy_depth": (0.3, 0.85), "start": "gaussian"}])
def test_with_an_adjoint_the_kl_has_the_gradient_of_backpropagation(method: str, adjoint: str, choices) -> None:
    """It is computed a second time, on the same increments."""
    gradients = []
    for kind in ("backprop", adjoint):
        block = disturbed(small_block(Solver(11, method, kind), **choices))
        _, kl = block(torch.ones(2, 3, dtype=torch.float64), rng=generator(3))
        kl.backward()
        zero = torch.zeros((), dtype=torch.float64)
        gradients.append({name: zero + (0 if p.grad is None else p.grad) for name, p in block.named_parameters()})
    bound = 1e-10 if "noisy_depth" not in choices or adjoint == "reversible" else 1e-3
    assert relative_error(gradients[1], gradients[0]) < bound


@pytest.mark.parametrize("method", SDE_TYPES)
def test_the_kl_is_that_of_the_states_where_steps_end(method: str) -> None:
    """Its gradient too: those states are solved for here, and in the block known from the solver's own drift."""
    steps, estimator = grid(0.0, 1.0, 6), "stl"
    block = disturbed(small_block(Solver(6, method), estimator=estimator))
    normals = torch.randn(6, block.sigma.numel(), dtype=torch.float64, generator=generator(4)) * 6**-0.5

    def noise(start, end):
        return normals[round(float(start) * 6)]

    _, kl = block(torch.ones(2, 3, dtype=torch.float64), noise=noise)
    w0, drift = block.start_mean(), block.drift
    frozen = {name: p.detach() for name, p in drift.named_parameters()}

    def u(t, w):
        return drift(w, t=t) / block.sigma

    def stopped(t, w):
        return torch.func.functional_call(drift, frozen, (w,), {"t": t}) / block.sigma

    def weight_drift(t, w):
        return block.process.prior.rate * (w0 - w) + drift(w, t=t)

    ws = solve(weight_drift, block.sigma, w0, steps, block.solver, noise, ()).ys
    expected = path_kl(u, stopped, steps, ws, noise, estimator)
    torch.testing.assert_close(kl, expected, rtol=1e-12, atol=0)
    parameters = list(block.parameters())
    ours, theirs = (torch.autograd.grad(value, parameters) for value in (kl, expected))
    assert relative_error(dict(enumerate(ours)), dict(enumerate(theirs))) < 1e-12


@pytest.mark.parametrize(
    ("solver", "estimator", "calls"),
    [
        (Solver(8, "midpoint"), "full_mc", 16),
        (Solver(8, "midpoint"), "stl", 24),
        (Solver(1), "full_mc", 1),
        (Solver(8, "reversible_heun"), "full_mc", 17),
    ],
)
def test_the_kl_asks_the_drift_network_for_nothing_that_the_solver_knows(solver, estimator: str, calls: int) -> None:
    block = small_block(solver, estimator=estimator)
    asked: list[None] = []
    block.drift.register_forward_hook(lambda *_: asked.append(None))
    block(torch.ones(2, 3, dtype=torch.float64), rng=generator(0))
    assert len(asked) == calls


@pytest.mark.parametrize("solver", [Solver(8, "midpoint"), Solver(8, "midpoint", "stochastic")])
def test_nothing_is_drawn_but_from_the_generator_that_is_given(solver: Solver) -> None:
    block, before = small_block(solver), torch.get_rng_state()
    outputs, kl = block(torch.ones(2, 3, dtype=torch.float64), rng=generator(0))
    (outputs.sum() + kl).backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_drift_is_read_with_matrices_along_their_longer_axis_and_keeps_its_own() -> None:
    drift = drift_network((2, 5, 2))(30)
    read = parameters_to_read(drift, torch.float32)
    for name, parameter in drift.named_parameters():
        assert torch.equal(read[name], parameter)
        assert parameter.is_contiguous()
        assert read[name].stride()[max(range(parameter.ndim), key=lambda axis: parameter.shape[axis])] == 1


def test_a_weight_that_two_layers_share_is_one_weight() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(torch.tanh(self.first(x)))

    layout, fx, x = FlatWeights(Tied()), Tied(), torch.ones(2, 3)
    w = torch.linspace(-1, 1, 9)
    assert layout.size == 9
    torch.testing.assert_close(layout.run(fx, w, x, 0.0), torch.tanh(x @ w.view(3, 3).T) @ w.view(3, 3).T)


@pytest.mark.parametrize("adjoint", ["backprop", "stochastic"])
def test_a_layer_that_is_a_part_twice_keeps_its_parameters(adjoint: str) -> None:
    class Twice(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.first = self.second = nn.Linear(size, size)

        def forward(self, x, t):
            return 0.1 * self.second(torch.tanh(self.first(x))) * t

    torch.manual_seed(0)
    block = SDEBNN(Twice(3), WeightProcess(Twice), Solver(16, adjoint=adjoint))
    before = dict(block.named_parameters())
    for _ in range(2):
        outputs, kl = block(torch.ones(2, 3), rng=generator(0))
        (outputs.sum() + kl).backward()
        after = dict(block.named_parameters())
        assert after.keys() == before.keys()
        assert all(after[name] is parameter and parameter.grad.abs().max() > 0 for name, parameter in before.items())


@pytest.mark.parametrize("solver", [Solver(32), Solver(32, "midpoint", "stochastic"), Solver(32, "reversible_heun")])
def test_no_path_outlives_its_gradient_until_garbage_is_collected(solver: Solver) -> None:
    block = small_block(solver)
    gc.collect()
    gc.disable()
    try:
        outputs, kl = block(torch.ones(2, 3, dtype=torch.float64), rng=generator(0))
        (outputs.sum() + kl).backward()
        del outputs, kl
        of_paths = [a for a in gc.get_objects() if type(a) is torch.Tensor and a.grad_fn is not None]
    finally:
        gc.enable()
    # The learned start and what a section began with stay; a path has 32 states of each kind.
    assert len(of_paths) < 16


@pytest.mark.parametrize(("method", "adjoint"), [("midpoint", "stochastic"), ("reversible_heun", "reversible")])
def test_what_an_adjoint_keeps_does_not_grow_with_the_number_of_steps(method: str, adjoint: str) -> None:
    def kept(steps: int) -> int:
        sizes = []

        def pack(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            small_block(Solver(steps, method, adjoint))(torch.ones(50, 3, dtype=torch.float64), rng=generator(0))
        return sum(sizes)

    assert kept(144) == kept(9)


@pytest.mark.parametrize("method", ["euler", "milstein", "midpoint", "heun", "euler_heun"])
def test_the_adjoint_sde_comes_close_to_backpropagation_and_closer_with_more_steps(method: str, unchecked) -> None:
    errors = [
        relative_error(gradients_of(Solver(n, method, "stochastic")), gradients_of(Solver(n, method))) for n in (16, 64)
    ]
    assert errors[1] < 0.02
    assert errors[1] < errors[0]


@pytest.mark.parametrize(("method", "adjoint"), [("euler", "backprop"), ("midpoint", "stochastic")])
def test_adaptive_steps_agree_with_many_fixed_ones(method: str, adjoint: str, unchecked) -> None:
    """The same Brownian motion at both; and the same gradients, also where the adjoint is adaptive."""
    few = Solver(10, method, adjoint, rtol=1e-4, atol=1e-5, adjoint_adaptive=adjoint == "stochastic")
    fine, adaptive = (disturbed(small_block(solver)) for solver in (Solver(400, "midpoint"), few))
    x = torch.ones(2, 3, dtype=torch.float64)
    noise = BrownianMotion(fine.sigma.numel(), 7, grid(0.0, 1.0, 10), x)
    results = []
    for block in (fine, adaptive):
        outputs, _ = block(x, noise=noise)
        outputs.sum().backward()
        results.append({"outputs": outputs.detach(), "gradient": block.w0.get_parameter("0.weight").grad})
    assert relative_error({"": results[1]["outputs"]}, {"": results[0]["outputs"]}) < 0.005
    assert relative_error({"": results[1]["gradient"]}, {"": results[0]["gradient"]}) < 0.02


def test_adaptive_steps_that_meet_nan_say_so() -> None:
    block = small_block(Solver(4, "heun", rtol=0.1))
    with pytest.raises(FloatingPointError, match="became NaN in adaptive steps"):
        block(torch.full((2, 3), math.nan, dtype=torch.float64))


@pytest.fixture(scope="module")
def solutions() -> list[torch.Tensor]:
    """Of four paths, by many steps."""
    exact, x = disturbed(small_block(Solver(512, "midpoint"))), torch.ones(2, 3, dtype=torch.float64)
    with torch.no_grad():
        return [exact(x, noise=path(exact, seed, x))[0] for seed in range(4)]


def path(block: SDEBNN, seed: int, x: torch.Tensor) -> BrownianMotion:
    return BrownianMotion(block.sigma.numel(), seed, grid(0.0, 1.0, 512), x)


@pytest.mark.parametrize("method", SDE_TYPES)
def test_every_method_comes_to_the_same_solution(method: str, solutions: list[torch.Tensor], unchecked) -> None:
    """With a constant diffusion the calculus makes no difference, and errors are of first order in the step."""
    x, errors = torch.ones(2, 3, dtype=torch.float64), torch.zeros(2)
    with torch.no_grad():
        for seed, expected in enumerate(solutions):
            for number, steps in enumerate((8, 64)):
                block = disturbed(small_block(Solver(steps, method)))
                outputs, _ = block(x, noise=path(block, seed, x))
                errors[number] += (outputs - expected).abs().max()
    assert errors[1] < errors[0] / 4
    assert errors[1] < 4 * 0.02


def test_the_ito_sum_has_mean_zero_with_adaptive_steps_too(unchecked) -> None:
    """Steps grow beyond those that the sum is over, and 400 weights pull back to zero in each of ten draws."""

    class Pull(nn.Module):
        def forward(self, w, *, t):
            return -0.8 * w

    class Still(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(400))

        def forward(self, x):
            return 0 * self.w[:1] * x

    process = WeightProcess(lambda size: Pull(), sigma=0.5, sigma_scale="constant", centre="zero")
    block = SDEBNN(Still(), process, Solver(8, "heun", rtol=0.5, atol=0.5)).double()
    kls, x = [], torch.ones(1, 1, dtype=torch.float64)
    with torch.no_grad():
        for block.kl_estimator in ("full_mc", "analytic"):
            kls.append(torch.stack([block(x, rng=generator(seed))[1] for seed in range(10)]) / 400)
    ito_sum = kls[0] - kls[1]
    # Of one weight it has the variance 2 KL, about 1.
    assert 0 < ito_sum.std() < 4 * math.sqrt(2 * kls[1].mean() / 400)
    assert abs(ito_sum.mean()) < 3 * math.sqrt(2 * kls[1].mean() / 4000)


@pytest.mark.parametrize(
    ("fx", "sentence"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)), r"dropout \(1\).*leave it out"),
        (Attention(dropout=0.5), r"dropout \(inner\)"),
        (nn.Sequential(nn.Linear(3, 3), nn.RReLU()), r"random slopes \(1\)"),
        (nn.Sequential(dense("concat", 3, 3)), r"layer '0' of f_x depends on depth t.*Serial"),
        (nn.Sequential(Scaled(3, 3), nn.Tanh()), r"layer '0' of f_x depends on depth t"),
        (Serial(nn.Linear(3, 3), nn.Sequential(dense("blend", 3, 3))), r"layer '1.0' of f_x depends on depth t"),
        (Bfloat16(nn.Sequential(dense("concat", 3, 3))), r"layer '_fx.0' of f_x depends on depth t"),
        (nn.Sequential(torch.compile(dense("concat", 3, 3), backend="eager")), r"layer '0' of f_x depends on depth t"),  # type: ignore[call-overload]
    ],
)
def test_an_fx_that_draws_or_loses_depth_is_refused(fx: nn.Module, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SDEBNN(fx, WeightProcess(drift_network((2,))))


def test_an_fx_whose_dropout_is_switched_off_is_taken() -> None:
    fx = nn.Sequential(Attention(dropout=0.0), nn.Dropout(0.0), dense("ignore", 3, 3))
    SDEBNN(fx, WeightProcess(drift_network((2,))))(torch.ones(2, 3))


def test_layers_that_take_depth_and_have_no_use_for_it_may_lose_it() -> None:
    fx = nn.Sequential(nn.Linear(3, 3), activation("tanh"), Serial(nn.Linear(3, 3), activation("swish")))
    SDEBNN(fx, WeightProcess(drift_network((2,))))(torch.ones(2, 3))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_depth_reaches_an_f_x_that_is_compiled() -> None:
    x, results = torch.ones(2, 3), []
    for compiled in (False, True):
        torch.manual_seed(0)
        fx: Any = Scaled(3, 3)
        if compiled:
            fx = torch.compile(fx, backend="eager")
        results.append(SDEBNN(fx, WeightProcess(drift_network((2,))), Solver(2))(x, rng=generator(0))[0])
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("choices", [{"steps": 20.5}, {"steps": "20"}, {"rtol": math.nan}, {"atol": math.inf}])
def test_a_solver_of_no_numbers_is_refused(choices: dict) -> None:
    with pytest.raises(InputError, match=r"is not allowed|must be finite"):
        SDEBNN(nn.Linear(3, 3), WeightProcess(drift_network((2,))), Solver(8, "midpoint")._replace(**choices))


def test_evaluations_are_counted() -> None:
    x = torch.ones(2, 3, dtype=torch.float64)
    # Reversible Heun begins with one more.
    for solver, expected in (
        (Solver(8), 8),
        (Solver(8, "midpoint"), 16),
        (Solver(8, "reversible_heun"), 9),
        (Solver(8, "midpoint", "stochastic"), 16),
    ):
        block = small_block(solver)
        for _ in range(2):
            block(x, rng=generator(0))
            assert block.evaluations == expected


def test_steps_that_do_not_add_up_do_not_divide_the_brownian_motion() -> None:
    """A hundred steps of 0.01 leave a 101st of 7e-7 in single precision."""
    for steps in (10, 49, 100):
        assert len(grid(0.0, 1.0, steps)) == steps + 1
    block = small_block(Solver(100), dtype=torch.float32)
    noise = BrownianMotion(block.sigma.numel(), 0, grid(0.0, 1.0, 100), block.sigma)
    with torch.no_grad():
        block(torch.ones(2, 3), noise=noise)
    assert not noise.within


def test_a_module_of_one_s_own_becomes_infinitely_deep_and_bayesian() -> None:
    fx = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 3, 3, padding=1))
    block = SDEBNN(fx, WeightProcess(drift_network((2,)), sigma=0.2), Solver(4))
    x = torch.randn(2, 3, 5, 5, generator=generator(0))
    outputs, kl = block(x, rng=generator(1))
    (outputs.square().sum() + kl).backward()
    assert outputs.shape == x.shape
    assert all(p.grad is not None for p in block.parameters())
    assert fan_in(fx) == {"0.weight": 27.0, "0.bias": 27.0, "2.weight": 54.0, "2.bias": 54.0}


def test_f_x_takes_depth_if_it_names_it_and_none_if_it_does_not() -> None:
    for kind, expected in ((nn.Linear, 1.0), (Scaled, 0.5)):
        fx = kind(1, 1).double()
        with torch.no_grad():
            fx.weight.zero_()
            fx.bias.fill_(1.0)
            outputs, _ = SDEBNN(fx, WeightProcess(drift_network((2,)), sigma=1e-9), Solver(50, "midpoint")).double()(
                torch.zeros(1, 1, dtype=torch.float64)
            )
        assert outputs.item() == pytest.approx(expected, abs=1e-6)


def test_a_generator_decides_the_weights_and_the_whole_batch_shares_them() -> None:
    block = disturbed(small_block())
    x = torch.linspace(-1, 1, 15, dtype=torch.float64).reshape(5, 3)
    together, kl = block(x, rng=generator(4))
    again, kl_again = block(x, rng=generator(4))
    assert torch.equal(together, again)
    assert torch.equal(kl, kl_again)
    assert not torch.allclose(together, block(x, rng=generator(5))[0])
    apart = torch.cat([block(row[None], rng=generator(4))[0] for row in x])
    torch.testing.assert_close(together, apart)


def test_with_adaptive_steps_an_example_has_the_weights_of_its_seed_whatever_is_beside_it(unchecked) -> None:
    """To the solver's tolerance, over many steps."""
    block = disturbed(small_block(Solver(4, "midpoint", rtol=3e-4, atol=3e-5), sigma=1.0))
    x = torch.cat([torch.ones(1, 3), 8 * torch.randn(9, 3, generator=generator(0))]).double()
    with torch.no_grad():
        alone, together = block(x[:1], rng=generator(0))[0], block(x, rng=generator(0))[0]
    torch.testing.assert_close(alone, together[:1], rtol=0, atol=0.005)


def test_a_trained_block_still_draws_from_its_prior() -> None:
    x = torch.ones(2, 3, dtype=torch.float64)
    fresh, trained = small_block(), disturbed(small_block())
    expected, kl = fresh(x, rng=generator(0), prior=True)
    prior, kl_of_prior = trained(x, rng=generator(0), prior=True)
    torch.testing.assert_close(prior, expected)
    assert kl.item() == kl_of_prior.item() == 0
    posterior, kl = trained(x, rng=generator(0))
    assert kl.item() != 0
    assert not torch.allclose(prior, posterior)


def test_a_gaussian_start_has_the_kl_of_two_gaussians_and_their_law() -> None:
    rate, sigma, w0, log_ratio = 2.0, 0.7, 0.9, -0.4
    fx = nn.Linear(50, 50, bias=False)
    block = SDEBNN(fx, WeightProcess(drift_network((2,)), sigma=sigma, sigma_scale="constant", rate=rate,
                                     centre="zero", start="gaussian"))  # fmt: skip
    with torch.no_grad():
        fx.weight.fill_(w0)
        block.w0_log_ratio.fill_(log_ratio)
        prior_std = sigma / (2 * rate) ** 0.5
        std = prior_std * math.exp(log_ratio)
        at_start = torch.tensor([0.0, 1.0], dtype=torch.float64)
        for prior, law in ((False, scipy.stats.norm(w0, std)), (True, scipy.stats.norm(0, prior_std))):
            draws = block.weight_path(at_start, rng=generator(0), prior=prior)[0]
            assert scipy.stats.kstest(draws.double().numpy(), law.cdf).pvalue > 1e-3
        _, kl = block(torch.ones(1, 50), rng=generator(0))
    expected = math.log(prior_std / std) + (std**2 + w0**2) / (2 * prior_std**2) - 0.5
    assert kl.item() == pytest.approx(2500 * expected, rel=1e-5)


class DepthFirst(nn.Linear):
    def __init__(self) -> None:
        super().__init__(3, 3)

    def forward(self, t, x):  # type: ignore[override]
        return super().forward(x) * t


PROCESS = WeightProcess(drift_network((2,)))
DROPPING = WeightProcess(lambda size: Serial(nn.Linear(size, size), nn.Dropout(0.5)))
SHORT = WeightProcess(lambda size: dense("concat", size, 1))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SDEBNN(nn.BatchNorm1d(3), PROCESS), "has the buffer 'running_mean'"),
        (lambda: SDEBNN(nn.Tanh(), PROCESS), "no parameters"),
        (lambda: SDEBNN(nn.Linear(3, 2), PROCESS)(torch.ones(1, 3)), "must keep its shape"),
        (lambda: SDEBNN(DepthFirst(), PROCESS), "x before t"),
        (lambda: SDEBNN(Bfloat16(DepthFirst()), PROCESS), "x before t"),
        (lambda: SDEBNN(nn.Bilinear(3, 3, 3), PROCESS), "takes 'input2' too"),
        (lambda: SDEBNN(nn.GRU(3, 3), PROCESS)(torch.ones(1, 3)), "f_x returns a tuple"),
        (
            lambda: SDEBNN(Serial(MeanField(nn.Linear(3, 3))), PROCESS),
            "Bayesian module '0' within, whose KL would be lost",
        ),
        (lambda: SDEBNN(nn.Linear(3, 3), SHORT)(torch.ones(1, 3)), "12 weights to shape (1,); it must give one number"),
        (lambda: HyperODEBlock(nn.Linear(3, 3), SHORT.drift)(torch.ones(1, 3)), "one number for each weight"),
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, kl_estimator="mc"), "stl, full_mc, analytic"),
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, Solver(0)), "1 or more"),
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, Solver(4, "srk")), "torchsde takes euler"),
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, Solver(4, "heun", "reversible")), "does not go with"),
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, Solver(4, "reversible_heun", "stochastic")), "does not go with"),
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, Solver(4, "reversible_heun", rtol=0.1)), "Adaptive steps"),
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, Solver(4, rtol=-1.0)), "0 or more"),
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, Solver(4, adjoint_adaptive=True)), "adjoint_adaptive takes"),
        (lambda: WeightProcess(drift_network(), sigma=0.0), "positive, finite"),
    ],
)
def test_what_cannot_be_used_is_refused(make, says) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        make()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SDEBNN(nn.Linear(3, 3), PROCESS, "midpoint"), "like Solver(20, method='midpoint')"),  # type: ignore[arg-type]
        (lambda: drift_network(64), "like (2, 64, 2)"),  # type: ignore[arg-type]
        (lambda: SDEBNN(nn.Linear(3, 3), WeightProcess(nn.Linear(12, 12))), "given as a Linear; it takes a function"),
        (lambda: SDEBNN(nn.Linear(3, 3), WeightProcess(lambda size: torch.tanh)), "must return a torch.nn.Module"),  # type: ignore[arg-type, return-value]
        (lambda: HyperODEBlock(nn.Linear(3, 3), lambda size: nn.Linear(size, size)), "drift takes no t"),
        (lambda: SDEBNN(nn.Linear(3, 3), DROPPING), "drift has dropout (1)"),
    ],
)
def test_what_is_of_another_type_is_refused(make, says, unchecked) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        make()


@pytest.mark.parametrize(("method", "adjoint"), [("midpoint", "stochastic"), ("reversible_heun", "reversible")])
def test_gradients_are_those_of_parameters_that_are_lent_for_one_call(method: str, adjoint: str) -> None:
    """Adjoints come back to the drift when `functional_call` has given the block its own parameters back."""
    block = disturbed(small_block(Solver(2 * LONGEST_PART, method, adjoint)))
    lent = {name: (0.9 * p.detach()).requires_grad_() for name, p in block.named_parameters()}
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    outputs, kl = torch.func.functional_call(block, lent, (x,), {"rng": generator(3)})
    gradients = torch.autograd.grad(outputs.sin().sum() + 0.1 * kl, list(lent.values()))
    block.load_state_dict({name: p.detach() for name, p in lent.items()})
    outputs, kl = block(x, rng=generator(3))
    (outputs.sin().sum() + 0.1 * kl).backward()
    for gradient, (name, p) in zip(gradients, block.named_parameters(), strict=True):
        torch.testing.assert_close(gradient, p.grad, msg=name)
        assert gradient.any(), name
