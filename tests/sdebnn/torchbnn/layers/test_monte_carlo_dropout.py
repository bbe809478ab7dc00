import pytest
import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn import MonteCarloDropout, ODEBlock, bnn_serial, diffeq_layers

RATE = 0.3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_draws_have_the_mean_of_the_layer_and_the_variance_of_bernoulli_s_law() -> None:
    """Of outputs sum_i w_i x_i: sum_i (w_i x_i)^2 rate / (1 - rate). Over 4,000 draws, five standard errors."""
    layer = nn.Linear(4, 3, bias=False)
    module, rng = MonteCarloDropout(layer, rate=RATE).eval(), seeded()
    x = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    with torch.no_grad():
        draws = torch.stack([module(x, rng=rng)[0][0] for _ in range(4000)])
        variance = ((layer.weight * x) ** 2).sum(dim=1) * RATE / (1 - RATE)
        torch.testing.assert_close(
            draws.mean(dim=0), layer(x)[0], atol=5 * (variance.max() / 4000).sqrt().item(), rtol=0
        )
        torch.testing.assert_close(draws.var(dim=0), variance, rtol=0.15, atol=0)


@pytest.mark.parametrize(
    ("layer", "x", "axis"),
    [
        (nn.Linear(8, 2), torch.eye(8), 1),
        (diffeq_layers.dense("ignore", 8, 2), torch.eye(8), 0),
        (nn.Conv2d(8, 2, 3, padding=1), torch.eye(8)[:, :, None, None].expand(8, 8, 3, 3), 1),
        (diffeq_layers.conv("ignore", 8, 2), torch.eye(8)[:, :, None, None].expand(8, 8, 3, 3), 2),
    ],
    ids=["linear", "dense", "convolution of PyTorch's", "convolution"],
)
def test_inputs_are_left_out_for_all_examples_alike(layer, x, axis) -> None:
    module = MonteCarloDropout(layer, rate=0.5)
    noise = module.draw_noise(rng=seeded())
    assert noise["weight"].shape[axis] == noise["weight"].numel() == 8
    assert set(noise["weight"].flatten().tolist()) == {0.0, 2.0}
    with torch.no_grad():
        found, whole = module(x, noise=noise)[0], MonteCarloDropout(layer, rate=0.0)(x)[0]
        bias = layer(torch.zeros_like(x[:1]))
        scale = noise["weight"].flatten().view(-1, *[1] * (x.ndim - 1))
        torch.testing.assert_close(found - bias, scale * (whole - bias))
        torch.testing.assert_close(module(x, rng=seeded())[0], found)


def test_the_kl_is_that_of_the_squares_and_without_dropout_it_is_the_layer() -> None:
    layer = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = torch.randn(5, 3, generator=seeded())
    matrices, biases = (sum(p.square().sum() for p in layer.parameters() if p.ndim == n) for n in (2, 1))
    outputs, kl = MonteCarloDropout(layer, rate=0.0, prior_std=2.0)(x)
    torch.testing.assert_close(outputs, layer(x))
    torch.testing.assert_close(kl, (matrices + biases) / (2 * 2.0**2))
    kl = MonteCarloDropout(layer, rate=RATE, prior_std=0.5)(x)[1]
    torch.testing.assert_close(kl, (matrices / (1 - RATE) + biases) / (2 * 0.5**2))


def test_in_an_ode_block_a_draw_is_one_network_at_every_depth_and_gradients_are_its_own() -> None:
    fx = diffeq_layers.dense("ignore", 4, 4)
    module = bnn_serial(MonteCarloDropout(ODEBlock(fx, steps=5), rate=0.5))
    x = torch.randn(3, 4, generator=seeded(1))
    drawn = module.draw_first(rng=seeded())
    mask = drawn[0]["_fx.weight"]
    outputs = module(x, rng=seeded())[0]
    outputs.square().sum().backward()
    gradient = fx.weight.grad.clone()
    torch.testing.assert_close(module.run_drawn(x, drawn), outputs)

    masked = diffeq_layers.dense("ignore", 4, 4)
    with torch.no_grad():
        masked.weight.copy_(fx.weight * mask)
    expected = ODEBlock(masked, steps=5)(x)
    torch.testing.assert_close(outputs, expected)
    expected.square().sum().backward()
    torch.testing.assert_close(gradient, masked.weight.grad * mask)


def test_draws_of_the_prior_have_its_standard_deviation() -> None:
    module, rng = MonteCarloDropout(nn.Linear(1, 1000), prior_std=0.5), seeded()
    outputs, kl = module(torch.zeros(1, 1), rng=rng, prior=True)
    assert outputs.std().item() == pytest.approx(0.5, rel=0.1)
    assert kl == 0


def test_what_cannot_be_dropped_is_refused() -> None:
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"MonteCarloDropout got rate=.* lies from 0 to below 1"):
            MonteCarloDropout(nn.Linear(2, 2), rate=rate)
    with pytest.raises(InputError, match=r"prior_std=0.0; a standard deviation must be positive"):
        MonteCarloDropout(nn.Linear(2, 2), prior_std=0.0)
    with pytest.raises(
        InputError, match=r"parameter '1.weight' of a ConvTranspose2d, of which it is not known which axis"
    ):
        MonteCarloDropout(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ConvTranspose2d(1, 1, 3)))
    with pytest.raises(InputError, match=r"parameter 'weight' of a Conv2d, of which it is not known which axis"):
        MonteCarloDropout(nn.Conv2d(4, 4, 3, groups=4))
    with pytest.raises(InputError, match="whose KL would be lost"):
        MonteCarloDropout(bnn_serial(MonteCarloDropout(nn.Linear(2, 2))))
