"""Against the JAX version: the same names, and with the same weights and Brownian increments the same numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from sdebnn import brax, torchbnn
from sdebnn.brax.learning.arrays import from_named_arrays, to_named_arrays
from sdebnn.brax.learning.networks import _block, weight_process
from sdebnn.brax.learning.networks import build_network as jax_network
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.diffeq_layers import FAMILIES
from sdebnn.torchbnn.layers.parameter_names import named_parameters
from sdebnn.torchbnn.learning.arrays import load_named_arrays
from sdebnn.torchbnn.learning.arrays import to_named_arrays as torch_arrays
from sdebnn.torchbnn.learning.networks import build_network

SMALL = TrainConfig(width=3, augment=1, drift_widths=(2,), steps=5, sigma=0.5)
IMAGES, TABLE = (8, 8, 1), (3,)


def jax_params(network: brax.BayesianLayer, shape: tuple[int, ...]):
    """The shapes and dtypes of its params."""
    return jax.eval_shape(lambda key: network.init(key, (-1, *shape))[1], jax.random.key(0))


def both(config: TrainConfig, shape: tuple[int, ...]):
    """The network in both frameworks, with the same random weights, in double precision; and its params in JAX."""
    network = jax_network(config, shape, 2)
    rng = np.random.default_rng(0)

    def draw(leaf):
        return jnp.asarray(rng.normal(size=leaf.shape) / max(1, np.prod(leaf.shape[:-1])) ** 0.5, jnp.float64)

    params = jax.tree.map(draw, jax_params(network, shape))
    module = build_network(config, shape, 2).double()
    load_named_arrays(module, to_named_arrays(params))
    return network, params, module


def inputs(shape: tuple[int, ...]) -> tuple[np.ndarray, torch.Tensor]:
    x = np.random.default_rng(1).normal(size=(2, *shape))
    return x, torch.from_numpy(np.moveaxis(x, -1, 1) if len(shape) == 3 else x)


MODELS = [model for kind in ("", "meanfield_") for model in (f"{kind}sdebnn", f"{kind}odenet", f"{kind}hyperodenet")]


@pytest.mark.parametrize(
    ("model", "shape", "choices"),
    [
        *((model, IMAGES, {"squeeze": 1, "blocks": (1, 2)}) for model in MODELS),
        *((model, TABLE, {}) for model in MODELS),
        *(("sdebnn", shape, {"layer": family}) for shape in (IMAGES, TABLE) for family in FAMILIES),
        ("sdebnn", IMAGES, {"fx": "strided", "start": "gaussian"}),
        ("sdebnn", TABLE, {"start": "gaussian", "noisy_weights": 0.5, "drift_widths": (2, 5, 3)}),
        ("resnet32", IMAGES, {}),
        ("meanfield_resnet32", (8, 8, 3), {}),
        ("dropout_resnet32", (8, 8, 3), {}),
        ("ivon_resnet32", (8, 8, 3), {}),
        *((model, TABLE, {}) for model in ("dropout_odenet", "dropout_hyperodenet", "ivon_odenet", "ivon_hyperodenet")),
    ],
)
def test_the_same_configuration_gives_the_same_parameters(model, shape, choices) -> None:
    config = dataclasses.replace(SMALL, model=model, **choices)
    params = jax_params(jax_network(config, shape, 2), shape)
    ours = torch_arrays(build_network(config, shape, 2))
    theirs = to_named_arrays(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), params))
    assert list(ours) == list(theirs)
    assert [(a.shape, a.dtype) for a in ours.values()] == [(a.shape, a.dtype) for a in theirs.values()]


DETERMINISTIC = [
    *(("odenet", IMAGES, {"layer": family, "method": "midpoint", "steps": 2}) for family in ("concat_squash", "gated")),
    ("odenet", (6, 8, 2), {"fx": "strided", "activation": "gelu", "steps": 2}),
    ("odenet", IMAGES, {"squeeze": 1, "blocks": (1, 1), "activation": "elu", "steps": 2}),
    ("hyperodenet", TABLE, {"method": "heun", "activation": "gaussian"}),
    ("resnet32", (4, 4, 1), {}),
    ("dropout_odenet", TABLE, {"dropout": 0.0, "method": "midpoint", "steps": 2}),
]


@pytest.mark.parametrize(("model", "shape", "choices"), DETERMINISTIC)
def test_outputs_and_gradients_of_deterministic_networks_are_equal(model, shape, choices, x64) -> None:
    network, params, module = both(dataclasses.replace(SMALL, model=model, **choices), shape)
    x, x_torch = inputs(shape)

    def loss(params):
        return jnp.sum(jnp.sin(network.apply(params, jnp.asarray(x), rng=jax.random.key(0))[0]))

    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    ours = torch.sin(module(x_torch, rng=torch.Generator())[0]).sum()
    ours.backward()
    assert ours.item() == pytest.approx(float(value), rel=1e-9)
    parameters = named_parameters(module)
    for name, expected in to_named_arrays(gradient).items():
        np.testing.assert_allclose(np.asarray(parameters[name].grad), expected, rtol=1e-6, atol=1e-9, err_msg=name)


def increments(config: TrainConfig, block: dict, key: jax.Array) -> "Replayed":
    """The Brownian increments of a block's weights, read off an Euler-Maruyama path; zero where there is no noise."""
    process = weight_process(config)
    grids = [
        np.linspace(s.start, s.end, max(1, round(config.steps * (s.end - s.start))) + 1)
        for s in process.prior.sections()
    ]
    noisy = np.concatenate([np.full(len(g) - 1, s.noisy) for g, s in zip(grids, process.prior.sections(), strict=True)])
    ts = np.concatenate([[0.0], *(g[1:] for g in grids)])
    path = np.asarray(brax.draw_path(process, block, key, ts, steps=config.steps)[0])
    drift = jax.jit(jax.vmap(process.posterior_drift, (0, 0, None)))(path[:-1], ts[:-1], block)
    noise = np.diff(path, axis=0) - np.asarray(drift) * np.diff(ts)[:, None]
    sigma = process.diffusion(block)
    return Replayed(ts, noise[:, : len(sigma)] / sigma * noisy[:, None])


class Replayed:
    """Brownian increments between the depths `ts`."""

    def __init__(self, ts: np.ndarray, rows: np.ndarray) -> None:
        self.ts, self.rows = ts, torch.from_numpy(rows)

    def __call__(self, start, end) -> torch.Tensor:
        first, last = (int(np.abs(self.ts - float(t)).argmin()) for t in (start, end))
        np.testing.assert_allclose([self.ts[first], self.ts[last]], [float(start), float(end)], atol=1e-9)
        return self.rows[first:last].sum(dim=0)


@pytest.mark.parametrize(
    ("method", "estimator"),
    [
        *((method, "stl") for method in ("euler_maruyama", "midpoint", "heun", "reversible_heun")),
        ("euler_maruyama", "full_mc"),
        ("midpoint", "analytic"),
    ],
)
def test_kl_outputs_and_gradients_of_a_block_are_equal_on_the_same_increments(method, estimator, x64) -> None:
    config = dataclasses.replace(SMALL, method=method, kl_estimator=estimator)
    _, params, module = both(config, TABLE)
    x, x_torch = inputs((4,))
    key = jax.random.key(3)
    block = params[1]
    blocks = [layer for layer in module.children() if isinstance(layer, torchbnn.SDEBNN)]
    layer = _block("sdebnn", config, False)

    def loss(block):
        outputs, kl = layer.apply(block, jnp.asarray(x), rng=key)
        return jnp.sum(jnp.sin(outputs)) + kl, (outputs, kl)

    (_, (expected, expected_kl)), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(block)
    euler = dataclasses.replace(config, method="euler_maruyama")
    outputs, kl = blocks[0](x_torch, noise=increments(euler, block, key))
    (torch.sin(outputs).sum() + kl).backward()
    np.testing.assert_allclose(outputs.detach(), expected, rtol=1e-8)
    assert kl.item() == pytest.approx(float(expected_kl), rel=1e-8)
    parameters = named_parameters(blocks[0])
    for name, leaf in to_named_arrays(gradient).items():
        np.testing.assert_allclose(np.asarray(parameters[name].grad), leaf, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize(
    "choices",
    [
        {"noisy_weights": 0.4},
        {"noisy_from": 0.2, "noisy_until": 0.6},
        # Cuts that no equal steps over the whole depth would meet: 2, 2 and 1 steps.
        {"noisy_from": 0.35, "noisy_until": 0.85},
        {"ou_centre": "zero", "ou_rate": 0.5},
    ],
)
def test_partially_stochastic_blocks_are_equal_too(choices, x64) -> None:
    config = dataclasses.replace(SMALL, **choices)
    _, params, module = both(config, TABLE)
    x, x_torch = inputs((4,))
    key, block = jax.random.key(5), params[1]
    layer = _block("sdebnn", config, False)
    expected, expected_kl = jax.jit(lambda block: layer.apply(block, jnp.asarray(x), rng=key))(block)
    blocks = [layer for layer in module.children() if isinstance(layer, torchbnn.SDEBNN)]
    outputs, kl = blocks[0](x_torch, noise=increments(config, block, key))
    np.testing.assert_allclose(outputs.detach(), expected, rtol=1e-8)
    assert kl.item() == pytest.approx(float(expected_kl), rel=1e-8)


def test_weights_go_back_to_jax(x64) -> None:
    _, params, module = both(SMALL, TABLE)
    again = from_named_arrays(torch_arrays(module), like=params)
    jax.tree.map(np.testing.assert_array_equal, again, params)


@pytest.mark.parametrize(
    ("choices", "shape", "says"),
    [
        ({"model": "resnet32"}, TABLE, "it takes images"),
        ({"squeeze": 2}, (6, 6, 1), "divisible by 2"),
        ({"fx": "strided"}, (7, 7, 1), "keep its shape"),
        ({"layer": "conct"}, TABLE, "it takes ignore, concat.*did you mean 'concat'"),
        ({"activation": "sotfplus"}, TABLE, "softplus"),
        ({"method": "eulr"}, TABLE, "torchsde takes euler, milstein"),
        ({"adjoint": "checkpoint"}, TABLE, "in PyTorch: it takes backprop"),
        ({"adjoint": "reversible"}, TABLE, "does not go with method"),
    ],
)
def test_what_cannot_be_built_is_refused(choices, shape, says) -> None:
    with pytest.raises(InputError, match=says):
        build_network(dataclasses.replace(SMALL, **choices), shape, 2)
