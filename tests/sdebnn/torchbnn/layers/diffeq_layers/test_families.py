"""Every layer against the one of the JAX version that has the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from sdebnn.brax import diffeq_layers as theirs
from sdebnn.brax.learning.arrays import to_named_arrays
from sdebnn.errors import InputError
from sdebnn.torchbnn import diffeq_layers as ours
from sdebnn.torchbnn.layers.parameter_names import named_parameters
from sdebnn.torchbnn.learning.arrays import load_named_arrays

SHAPES = {"dense": (4, 3), "conv": (2, 6, 5, 3), "conv_transpose": (2, 3, 4, 3)}


def check_equal(layer, module: nn.Module, shape: tuple[int, ...]) -> None:
    """The same weights give the same outputs, and have the same fan-in."""
    rng = np.random.default_rng(0)
    params = jax.eval_shape(lambda key: layer.init(key, (-1, *shape[1:]))[1], jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)
    load_named_arrays(module.double(), to_named_arrays(params))
    x = rng.normal(size=shape)
    expected = np.asarray(layer.apply(params, jnp.asarray(x), t=0.3))
    with torch.no_grad():
        outputs = module(torch.from_numpy(np.moveaxis(x, -1, 1)), t=0.3).numpy()
    np.testing.assert_allclose(np.moveaxis(outputs, 1, -1), expected, rtol=1e-10, atol=1e-12)
    names = {parameter: name for name, parameter in module.named_parameters()}
    fan_in = [ours.fan_in(module)[names[parameter]] for parameter in named_parameters(module).values()]
    assert fan_in == jax.tree.leaves(theirs.fan_in(params))


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("family", ours.FAMILIES)
def test_every_family_is_that_of_jax(x64, family: str, kind: str) -> None:
    layer, module = getattr(theirs, kind)(family, 2), getattr(ours, kind)(family, 3, 2)
    check_equal(layer, module, SHAPES[kind])


@pytest.mark.parametrize("kind", ["conv", "conv_transpose"])
@pytest.mark.parametrize(
    ("sides", "stride", "padding"),
    [
        ((3, 3), 2, "SAME"),
        ((2, 4), 1, "SAME"),
        ((1, 2), 3, "SAME"),
        ((5, 3), 2, "SAME"),
        ((3, 2), 1, "VALID"),
        ((2, 3), 2, "VALID"),
        ((1, 2), 3, "VALID"),
    ],
)
def test_kernels_strides_and_paddings_are_those_of_jax(x64, kind: str, sides, stride: int, padding: str) -> None:
    layer = getattr(theirs, kind)("ignore", 2, sides, stride, padding)
    check_equal(layer, getattr(ours, kind)("ignore", 3, 2, sides, stride, padding), SHAPES[kind])


def test_the_families_are_those_of_jax() -> None:
    assert list(ours.FAMILIES) == list(theirs.FAMILIES)


def test_weights_start_with_variance_one_over_fan_in() -> None:
    torch.manual_seed(0)
    layer = ours.conv("ignore", 64, 64)
    # 36,864 normals: the standard deviation of the estimate is 0.4 %.
    assert layer.weight.std().item() * (9 * 64) ** 0.5 == pytest.approx(1, abs=0.015)
    assert not layer.bias.any()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_swish_is_that_of_finite_differences(layout) -> None:
    swish = ours.Swish().double()
    rng = torch.Generator().manual_seed(0)
    x, weights = torch.randn(2, 2, 3, 4, 2, dtype=torch.float64, generator=rng)
    x = x.contiguous(memory_format=layout).requires_grad_()

    def weighted(x: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(swish, {"beta": beta}, x) * weights

    beta = torch.tensor(0.7, dtype=torch.float64)
    torch.testing.assert_close(weighted(x, beta), x * torch.sigmoid(nn.functional.softplus(beta) * x) * weights)
    assert torch.autograd.gradcheck(weighted, (x, beta.requires_grad_()))


@pytest.mark.parametrize("family", ours.FAMILIES)
def test_a_layer_that_starts_at_zero(family: str) -> None:
    layer = ours.dense(family, 2, 3, w_init=torch.zeros)
    assert not layer(torch.ones(4, 2), t=0.7).any()


def test_the_fan_in_of_layers_of_pytorch_is_that_of_their_initialisation() -> None:
    module = nn.Sequential(nn.Conv2d(4, 6, (3, 2), groups=2), nn.GroupNorm(2, 6), nn.Flatten(), nn.Linear(7, 2))
    assert ours.fan_in(module) == {
        "0.weight": 12.0, "0.bias": 12.0, "1.weight": 1.0, "1.bias": 1.0, "3.weight": 7.0, "3.bias": 7.0
    }  # fmt: skip
    transposed = nn.ConvTranspose2d(8, 6, (3, 2), groups=2)
    assert ours.fan_in(transposed) == {"weight": 24.0, "bias": 24.0}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ours.dense("squash", 3, 3), r"'squash' is not a family.*ignore, concat, concat_squash"),
        (lambda: ours.dense("concat", 3, 0), "must be positive"),
        (lambda: ours.conv("concat", 3, 2, (3, 0)), "must be positive"),
        (lambda: ours.conv("concat", 3, 2, stride=0), "must be positive"),
        (lambda: ours.conv("concat", 3, 2, padding="FULL"), "'SAME' or 'VALID'"),
        (lambda: ours.dense("hyper", 3, 2, width=0), "width=0"),
        (lambda: ours.activation("sotfplus"), "elu, gaussian, gelu"),
        (lambda: ours.dense("ignore", 3, 2)(torch.ones(4, 2)), "must hold 3 channels"),
        (lambda: ours.conv("ignore", 3, 2)(torch.ones(4, 8)), r"inputs of shape \(4, 8\)"),
        (lambda: ours.conv_transpose("ignore", 3, 2)(torch.ones(4, 2, 8, 8)), "3 channels"),
        (lambda: ours.conv("ignore", 1, 2, (5, 5), padding="VALID")(torch.ones(1, 1, 4, 4)), "must fit"),
    ],
)
def test_refusals(make, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make()


def test_a_vector_goes_through_a_dense_layer_as_the_row_of_a_batch_does() -> None:
    layer = ours.dense("concat", 6, 2)
    torch.nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    x = torch.linspace(-1, 1, 6)
    torch.testing.assert_close(layer(x, t=0.3), layer(x[None], t=0.3)[0])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = nn.Linear(6, 6)(x)
        torch.testing.assert_close(layer(rounded, t=0.3), layer(rounded[None], t=0.3)[0])
