from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn import (
    SDEBNN,
    BayesianModule,
    MeanField,
    Serial,
    Solver,
    WeightProcess,
    bnn_serial,
    drift_network,
    independent_paths,
)
from sdebnn.torchbnn.diffeq_layers import dense


class Drawn(BayesianModule):
    """Adds one normal number to its input."""

    def __init__(self, kl: float) -> None:
        super().__init__()
        self.kl = kl

    def forward(self, x, *, rng, prior=False):
        return x + torch.randn((), generator=rng), torch.tensor(0.0 if prior else self.kl)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_bnn_serial_is_sequential_where_no_module_is_bayesian() -> None:
    layers = [dense("ignore", 3, 5), nn.Tanh(), nn.Linear(5, 2)]
    x = torch.linspace(-1, 1, 6).reshape(2, 3)
    outputs, kl = bnn_serial(*layers)(x, rng=generator(0))
    torch.testing.assert_close(outputs, nn.Sequential(*layers)(x))
    assert kl.item() == 0


def test_bnn_serial_adds_up_the_kl_of_bayesian_modules_and_nests() -> None:
    network = bnn_serial(Drawn(1.0), nn.ReLU(), bnn_serial(Drawn(2.0), Drawn(4.0)))
    assert network(torch.ones(2, 3), rng=generator(0))[1].item() == 7
    assert network(torch.ones(2, 3), rng=generator(0), prior=True)[1].item() == 0


@pytest.mark.parametrize("make", [bnn_serial, MeanField])
def test_a_kl_that_would_be_lost_is_refused(make) -> None:
    with pytest.raises(InputError, match=r"Bayesian module '1' within, whose KL would be lost: .*bnn_serial"):
        make(nn.Sequential(nn.Linear(2, 2), Drawn(1.0)))


def test_a_module_that_comes_twice_is_applied_twice() -> None:
    layer, drawn = nn.Linear(2, 2), Drawn(1.0)
    x = torch.ones(1, 2)
    torch.testing.assert_close(Serial(layer, nn.Tanh(), layer)(x), layer(torch.tanh(layer(x))))
    outputs, kl = bnn_serial(drawn, layer, drawn, layer)(x, rng=generator(0))
    rng = generator(0)
    torch.testing.assert_close(outputs, layer(drawn(layer(drawn(x, rng=rng)[0]), rng=rng)[0]))
    assert kl.item() == 2


def test_a_layer_that_is_a_part_twice_keeps_its_parameters() -> None:
    layer = nn.Linear(2, 2)
    mean_field = MeanField(Serial(layer, nn.Tanh(), layer))
    before = dict(mean_field.named_parameters())
    outputs, kl = mean_field(torch.ones(1, 2), rng=generator(0))
    (outputs.sum() + kl).backward()
    after = dict(mean_field.named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is parameter and parameter.grad is not None for name, parameter in before.items())


def test_serial_hands_depth_to_the_modules_that_take_it() -> None:
    layers = (dense("concat", 2, 3), nn.Tanh(), nn.Linear(3, 2))
    x = torch.ones(1, 2)
    torch.testing.assert_close(Serial(*layers)(x, t=0.7), layers[2](torch.tanh(layers[0](x, t=0.7))))
    assert not torch.allclose(Serial(*layers)(x, t=0.7), Serial(*layers)(x, t=0.1))


def test_bayesian_modules_in_a_chain_draw_independent_weights() -> None:
    network = bnn_serial(Drawn(0.0), Drawn(0.0))
    rng = generator(1)
    draws = torch.stack([network(torch.zeros(()), rng=rng)[0] for _ in range(4000)])
    # The standard deviation of the estimate is 2.2 %.
    assert draws.var().item() == pytest.approx(2.0, rel=0.09)


def test_mean_field_kl_is_that_between_gaussians() -> None:
    module = MeanField(nn.Linear(3, 2), prior_std=0.7, initial_std=0.3)
    _, kl = module(torch.ones(4, 3), rng=generator(0))
    mean = np.concatenate([p.detach().numpy().ravel() for p in module.mean.parameters()])
    expected = np.sum(np.log(0.7 / 0.3) + (0.3**2 + mean**2) / (2 * 0.7**2) - 0.5)
    assert kl.item() == pytest.approx(expected, rel=1e-5)


def test_mean_field_weights_follow_their_gaussian_and_those_of_the_prior_the_prior() -> None:
    module = MeanField(nn.Linear(1, 20_000), prior_std=2.0, initial_std=0.5)
    with torch.no_grad():
        for parameter in module.mean.parameters():
            parameter.fill_(0.3)
        for prior, mean, std in ((False, 0.3, 0.5), (True, 0.0, 2.0)):
            bias, kl = module(torch.zeros(1, 1), rng=generator(0), prior=prior)
            assert bias.mean().item() == pytest.approx(mean, abs=4 * std / 20_000**0.5)
            assert bias.std().item() == pytest.approx(std, rel=0.02)
            assert (kl.item() == 0) == prior


def test_without_a_generator_that_of_pytorch_decides() -> None:
    network = bnn_serial(MeanField(nn.Linear(1, 5), initial_std=1.0))
    outputs = []
    for _ in range(2):
        torch.manual_seed(3)
        outputs.append(network(torch.zeros(1, 1))[0])
    assert torch.equal(*outputs)
    assert not torch.equal(outputs[0], network(torch.zeros(1, 1))[0])


class Elsewhere(torch.Generator):
    """In place of one on a GPU: numbers on this device cannot be copied to where the weights are."""

    device = torch.device("meta")


@pytest.mark.parametrize("start", [None, "learned", "gaussian"])
def test_numbers_are_drawn_where_the_generator_is(start: str | None) -> None:
    module: BayesianModule = MeanField(nn.Linear(3, 3))
    if start is not None:
        module = SDEBNN(nn.Linear(3, 3), WeightProcess(drift_network((2,)), start=start), Solver(1))
    with pytest.raises((NotImplementedError, RuntimeError), match="meta tensor"):
        module(torch.ones(1, 3), rng=Elsewhere())


def test_disabled_mean_field_is_the_deterministic_module() -> None:
    layer, x = nn.Linear(3, 2), torch.ones(4, 3)
    outputs, kl = MeanField(layer, disable=True)(x)
    assert torch.equal(outputs, layer(x))
    assert kl.item() == 0


@pytest.mark.parametrize("name", ["prior_std", "initial_std"])
def test_mean_field_refuses_a_standard_deviation_that_is_not_positive(name: str) -> None:
    choice: dict[str, Any] = {name: 0.0}
    with pytest.raises(InputError, match=f"{name}=0.*positive"):
        MeanField(nn.Linear(1, 1), **choice)


def test_independent_paths_draw_weights_for_every_part_of_the_batch() -> None:
    x = torch.zeros(4, 1)
    outputs, kl = independent_paths(Drawn(3.0))(x, rng=generator(0))
    assert len(outputs.unique()) == 4
    assert kl.item() == 3
    pairs, _ = independent_paths(Drawn(3.0), 2)(x, rng=generator(0))
    assert len(pairs.unique()) == 2
    assert pairs[0] == pairs[1]
    with pytest.raises(InputError, match="4 examples cannot be divided into 3"):
        independent_paths(Drawn(3.0), 3)(x, rng=generator(0))
    with pytest.raises(InputError, match="groups=0; it takes 1 or more"):
        independent_paths(Drawn(3.0), 0)
