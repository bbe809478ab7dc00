"""Every prior law, and one of a user's own, is the same process in JAX and in PyTorch."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.flatten_util import ravel_pytree
from torch import nn

from jaxsde import brownian_increments
from jaxsde.brownian.keys import derive_key
from sdebnn import brax, torchbnn
from sdebnn.brax.learning.arrays import from_named_arrays, to_named_arrays
from sdebnn.errors import InputError
from sdebnn.priors import PRIORS, Prior
from sdebnn.priors.by_name import as_prior, prior_by_name
from sdebnn.torchbnn.layers.parameter_names import named_parameters
from sdebnn.torchbnn.learning.arrays import load_named_arrays

STEPS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tide(Prior):
    """A law of a user's own: weights are pulled to a level that rises with depth, ever more strongly."""

    rate: float = 0.5

    def drift(self, w: Any, t: Any, centre: Any) -> Any:
        return self.rate * (1 + t) * (t**2 - w)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spring(Prior):
    """And one whose weights have a velocity."""

    state_width = 2

    def drift(self, w: Any, t: Any, centre: Any) -> Any:
        velocity, weights = w
        return -3.0 * (weights - centre) - velocity, velocity


@dataclasses.dataclass(frozen=True, kw_only=True)
class Funnel(Prior):
    """A law whose drift is infinite at depth 1."""

    def drift(self, w: Any, t: Any, centre: Any) -> Any:
        return (centre - w) / (1.0 - t)


OWN = [Tide(sigma=0.3), Spring(sigma=0.3, sigma_scale="constant")]
LAWS = [*(law(sigma=0.3) for law in PRIORS.values()), *OWN]


def both(prior: Prior) -> tuple[Any, Any, torchbnn.SDEBNN]:
    """A block in both frameworks with the same random parameters, in double precision; and those of JAX."""
    drift = brax.drift_network((3,))
    block = brax.SDEBNN(brax.diffeq_layers.dense("ignore", 3), brax.WeightProcess(drift, prior), steps=STEPS)
    fx = torchbnn.diffeq_layers.dense("ignore", 3, 3)
    process = torchbnn.WeightProcess(torchbnn.drift_network((3,)), prior)
    module = torchbnn.SDEBNN(fx, process, torchbnn.Solver(STEPS)).double()
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: block.init(key, (-1, 3))[1], jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.asarray(0.4 * rng.normal(size=leaf.shape)), shapes)
    load_named_arrays(module, to_named_arrays(params))
    return block, params, module


class Increments:
    """Those that the block of JAX draws from a key."""

    def __init__(self, key: Any, size: int) -> None:
        like = jax.ShapeDtypeStruct((size,), jnp.float64), None, None
        ts = np.linspace(0.0, 1.0, STEPS + 1)
        self.rows = np.array(brownian_increments(derive_key(key, "sdebnn.draw_path.0"), ts, like)[0])

    def __call__(self, start: Any, end: Any) -> torch.Tensor:
        first, last = round(float(start) * STEPS), round(float(end) * STEPS)
        return torch.from_numpy(self.rows[first:last].sum(axis=0))


@pytest.mark.parametrize("prior", LAWS, ids=lambda prior: type(prior).__name__)
def test_outputs_kl_and_gradients_are_equal_on_the_same_increments(prior: Prior, x64: None) -> None:
    block, params, module = both(prior)
    x, key = np.random.default_rng(1).normal(size=(4, 3)), jax.random.key(3)
    size = ravel_pytree(params["w0"])[0].size

    def loss(params: Any) -> Any:
        outputs, kl = block.apply(params, jnp.asarray(x), rng=key)
        return jnp.sum(jnp.sin(outputs)) + kl, (outputs, kl)

    (_, (expected, expected_kl)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    outputs, kl = module(torch.from_numpy(x), noise=Increments(key, size))
    (torch.sin(outputs).sum() + kl).backward()
    np.testing.assert_allclose(outputs.detach(), expected, rtol=1e-6)
    assert kl.item() == pytest.approx(float(expected_kl), rel=1e-6)
    parameters = named_parameters(module)
    for name, leaf in to_named_arrays(gradient).items():
        np.testing.assert_allclose(np.asarray(parameters[name].grad), leaf, rtol=1e-6, atol=1e-9, err_msg=name)
    again = from_named_arrays({name: p.detach().numpy() for name, p in parameters.items()}, like=params)
    jax.tree.map(np.testing.assert_array_equal, again, params)


@pytest.mark.parametrize("prior", LAWS, ids=lambda prior: type(prior).__name__)
def test_a_fresh_block_is_at_its_prior_with_a_kl_of_zero(prior: Prior) -> None:
    process = brax.WeightProcess(brax.drift_network((2,)), prior)
    block = brax.SDEBNN(brax.diffeq_layers.dense("ignore", 3), process, steps=2)
    _, params = block.init(jax.random.key(0), (-1, 3))
    x = jnp.ones((2, 3))
    apply = jax.jit(block.apply, static_argnames="prior")
    outputs, kl = apply(params, x, rng=jax.random.key(1))
    assert float(kl) == 0
    np.testing.assert_allclose(outputs, apply(params, x, rng=jax.random.key(1), prior=True)[0], rtol=1e-5)
    fresh = torchbnn.SDEBNN(
        nn.Linear(3, 3), torchbnn.WeightProcess(torchbnn.drift_network((2,)), prior), torchbnn.Solver(2)
    )
    draws = [fresh(torch.ones(2, 3), rng=torch.Generator().manual_seed(0), prior=prior) for prior in (False, True)]
    assert [draw.kl.item() for draw in draws] == [0, 0]
    torch.testing.assert_close(draws[0].outputs, draws[1].outputs)


@pytest.mark.parametrize("prior", LAWS[: len(PRIORS)], ids=lambda prior: type(prior).__name__)
def test_drawn_paths_have_the_moments_of_the_law(prior: Prior) -> None:
    """In JAX at 64 steps, all of 40 weights and 200 paths; the scheme's own error in the variance is below 3 %."""
    process = brax.WeightProcess(brax.drift_network((1,)), prior)
    params = process.init(jax.random.key(0), jnp.full((40,), 0.7))
    ts = np.linspace(0.0, 1.0, 5)

    def draw(key: Any) -> Any:
        return brax.draw_path(process, params, key, ts, steps=64, prior=True)[0]

    paths = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(1), 200)), np.float64)
    known = process.prior_moments(params, ts)
    assert known is not None
    mean, std = known
    number = paths.shape[0] * paths.shape[2]
    for k in range(1, 4):
        assert paths[:, k].mean() == pytest.approx(mean[k, 0], abs=0.01 + 4 * std[k, 0] / number**0.5)
        assert paths[:, k].std() == pytest.approx(std[k, 0], rel=0.03 + 3 / number**0.5)


def test_what_is_no_prior_and_what_is_beside_one_is_refused() -> None:
    with pytest.raises(InputError, match=re.escape("prior=0.3; it takes a law of sdebnn.priors")):
        as_prior(0.3, {})
    for framework in (brax, torchbnn):
        drift = framework.drift_network((2,))
        with pytest.raises(InputError, match=re.escape("a prior and sigma beside it; these are choices of the prior")):
            framework.WeightProcess(drift, Tide(), sigma=0.1)
        with pytest.raises(InputError, match="WeightProcess got sigmaa; beside the drift it takes a prior, or of an"):
            framework.WeightProcess(drift, sigmaa=0.1)
        for name in ("prior_drift", "posterior_drift"):
            with pytest.raises(InputError, match=f"Own says {name} of its own"):
                type("Own", (framework.WeightProcess,), {name: lambda self, *where: None})
            mixed = type("Mixed", (), {name: lambda self, *where: None})
            with pytest.raises(InputError, match=f"Own says {name} of its own"):
                type("Own", (mixed, framework.WeightProcess), {})
    with pytest.raises(InputError, match=re.escape("prior='bridgee' is not allowed (did you mean 'bridge'?)")):
        prior_by_name("bridgee", {}, {})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wrong(Prior):
    """A law that gives what it is told to."""

    gives: Any = None

    def drift(self, w: Any, t: Any, centre: Any) -> Any:
        return self.gives(w)


@pytest.mark.parametrize(
    "gives", [lambda w: -3.0 * w[:1], lambda w: 0.0, lambda w: w.mean(), lambda w: (w, w), lambda w: w > 0]
)
def test_a_drift_that_is_not_one_number_for_each_weight_is_refused(gives: Any) -> None:
    prior = Wrong(gives=gives)
    process = brax.WeightProcess(brax.drift_network((2,)), prior)
    block = brax.SDEBNN(brax.diffeq_layers.dense("ignore", 3), process, steps=2)
    _, params = block.init(jax.random.key(0), (-1, 3))
    with pytest.raises(InputError, match=r"The drift of the prior Wrong gives .* it gives one number for each"):
        block.apply(params, jnp.ones((2, 3)), rng=jax.random.key(1))
    in_torch = torchbnn.WeightProcess(torchbnn.drift_network((2,)), prior)
    with pytest.raises(InputError, match=r"The drift of the prior Wrong gives .* it gives one number for each"):
        torchbnn.SDEBNN(nn.Linear(3, 3), in_torch, steps=2)(torch.ones(2, 3), rng=torch.Generator())


def test_a_law_that_contradicts_itself_is_refused() -> None:
    for own, says in (
        ({"stationary": lambda self: False}, "says stationary by a method; put @property above it"),
        ({"unit_diffusion": lambda self: 2.0}, "says unit_diffusion by a method"),
        ({"state_width": 3}, "has state_width=3; it takes 1, the weights, or 2"),
    ):
        with pytest.raises(InputError, match=says):
            type("Own", (Tide,), own)()


def test_noise_for_a_part_of_the_weights_does_not_go_with_velocities() -> None:
    for choice in ({"noisy_weights": 0.5}, {"noisy_depth": (0.0, 0.5)}):
        with pytest.raises(InputError, match="takes noise for all weights at all depths"):
            Spring(**choice)


@pytest.mark.parametrize(
    ("choices", "who"),
    [
        ({"method": "coupled_midpoint"}, "method='coupled_midpoint'"),
        ({"method": "ees25", "adjoint": "reversible"}, "adjoint='reversible'"),
    ],
)
def test_steps_back_that_begin_at_an_infinite_drift_are_refused(choices: dict[str, Any], who: str) -> None:
    process = brax.WeightProcess(brax.drift_network((2,)), Funnel())
    with pytest.raises(InputError, match=f"is infinite at depth 1, and {who} asks for it"):
        brax.SDEBNN(brax.diffeq_layers.dense("ignore", 3), process, **choices)
    brax.SDEBNN(brax.diffeq_layers.dense("ignore", 3), process, method="ees25")


@pytest.mark.parametrize("choices", [{"method": "heun"}, {"method": "reversible_heun"}])
def test_solvers_that_ask_for_an_infinite_drift_are_refused(choices: dict[str, Any]) -> None:
    says = re.escape("The drift of the prior Funnel is infinite at depth 1, and method='")
    in_torch = torchbnn.WeightProcess(torchbnn.drift_network((2,)), Funnel())
    with pytest.raises(InputError, match=says):
        torchbnn.SDEBNN(nn.Linear(3, 3), in_torch, torchbnn.Solver(2, **choices))
    process = brax.WeightProcess(brax.drift_network((2,)), Funnel())
    with pytest.raises(InputError, match=says):
        brax.SDEBNN(brax.diffeq_layers.dense("ignore", 3), process, **choices)
    params = process.init(jax.random.key(0), jnp.ones(2))
    early = brax.WeightProcess(process.drift, Funnel(noisy_depth=(0.0, 0.5)))
    brax.SDEBNN(brax.diffeq_layers.dense("ignore", 3), early, **choices)
    with pytest.raises(InputError, match=says):
        brax.draw_path(process, params, jax.random.key(0), np.linspace(0, 1, 3), steps=2, **choices)
