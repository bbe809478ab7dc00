"""Networks that compute together learn what a network learns in PyTorch's own loop."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.layers.parameter_names import named_parameters
from sdebnn.torchbnn.learning import stacked_networks
from sdebnn.torchbnn.learning.committee import gather
from sdebnn.torchbnn.learning.model import build_model
from sdebnn.torchbnn.solving.given_noise import PathNoise
from sdebnn.torchbnn.weights.sdebnn_block import SDEBNN
from sdebnn.training.committee import CLIP_NORM, STEPS, Batches, Candidate, Examples, Held, Networks

RNG = np.random.default_rng(0)
EXAMPLES = Examples(
    RNG.normal(size=(24, 3)).astype(np.float32), RNG.integers(0, 3, 24).astype(np.int32), np.ones(24, np.float32)
)
CONFIG = TrainConfig(
    framework="torch", likelihood="categorical", width=5, drift_widths=(2, 4, 2), steps=2, augment=1, test_samples=2,
    members=2,
)  # fmt: skip
NETWORKS = Networks(np.array([0.3, 0.1], np.float32), np.array([3, 5]))
TAKEN = 3


def batches() -> Batches:
    rows, counts = RNG.integers(0, 24, (STEPS, 2, 8)), np.arange(STEPS) < TAKEN
    weights = RNG.uniform(0.5, 2, rows.shape).astype(np.float32)
    sizes, decays = np.where(counts, 0.03, 0.0), np.where(counts, 0.7, 1.0)
    return Batches(EXAMPLES.x[rows], EXAMPLES.y[rows], weights, sizes.astype(np.float32), decays.astype(np.float32))


def in_a_plain_loop(config: TrainConfig, given: Batches, network: int, first: int) -> tuple[float, dict[str, Any]]:
    """The mean loss, and the averaged parameters."""
    seed = int(NETWORKS.seeds[network])
    data = Dataset("plain", "classification", EXAMPLES.x, EXAMPLES.y, EXAMPLES.x, EXAMPLES.y, 3)
    model = build_model(dataclasses.replace(config, seed=seed, members=1), data)
    blocks = [layer for layer in model.network.modules() if isinstance(layer, SDEBNN)]
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    average = {name: parameter.detach().clone() for name, parameter in named_parameters(model).items()}
    losses = []
    for step in range(TAKEN):
        rng = stacked_networks._generator(seed, stacked_networks.STEP, first + step)
        scales = [block.noise_scales() for block in blocks]
        noise = tuple(
            PathNoise(*(torch.randn(scale.shape, generator=rng) * scale for scale in of_block)) for of_block in scales
        )
        x, y, weights = (torch.from_numpy(part[step, network]) for part in given[:3])
        outputs, kl = model.network(x, noise=noise)
        log_probs = model.likelihood.log_prob({}, outputs, y)
        loss = float(NETWORKS.kl_weights[network]) * kl - (log_probs * weights).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or CLIP_NORM)
        optimiser.step()
        for name, parameter in named_parameters(model).items():
            average[name].lerp_(parameter.detach(), 1 - 0.7)
        losses.append(loss.item())
    return float(np.mean(losses)), average


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"clip_norm": 0.05, "kl_estimator": "analytic"},
        {"prior": "integrated_ou", "method": "midpoint", "activation": "softplus"},
        {"prior": "bridge", "method": "euler_maruyama", "noisy_weights": 0.4, "sigma_scale": "constant"},
        {"start": "gaussian", "method": "heun", "layer": "concat", "noisy_until": 0.5},
        {"model": "odenet"},
    ],
)
def test_steps_are_those_of_a_plain_loop(choices: dict[str, Any]) -> None:
    config, given = dataclasses.replace(CONFIG, **choices), batches()
    (committee,) = gather([Candidate(config, NETWORKS)], EXAMPLES, 3)
    losses = np.asarray(committee.take_steps(given, 50))
    committee.keep(np.ones(2, bool))
    for network in range(2):
        loss, average = in_a_plain_loop(config, given, network, 50)
        np.testing.assert_allclose(losses[network], loss, rtol=1e-4)
        found = committee.kept(network)
        assert found.keys() == {f"average/{name}" for name in average}
        for name, parameter in average.items():
            np.testing.assert_allclose(found[f"average/{name}"], parameter, rtol=2e-3, atol=2e-5)


def test_candidates_together_are_those_alone_also_when_one_is_given_up() -> None:
    configs = [dataclasses.replace(CONFIG, sigma=sigma) for sigma in (0.1, 0.5, 2.0)]
    first, second = batches(), batches()
    x, y = (part[None, :8].repeat(2, axis=0) for part in (EXAMPLES.x, EXAMPLES.y))
    held = Held(x, y, np.zeros((2, 1), np.float32))
    together = gather([Candidate(config, NETWORKS) for config in configs], EXAMPLES, 3)
    assert len({committee._group for committee in together}) == 1
    asked = [(committee.take_steps(first, 0), committee.log_probs(held)) for committee in together]
    answers = [tuple(map(np.asarray, of_one)) for of_one in asked]
    left = together[::2]
    asked = [(committee.take_steps(second, STEPS), committee.log_probs(held)) for committee in left]
    later = [tuple(map(np.asarray, of_one)) for of_one in asked]
    for number, config in enumerate(configs):
        (alone,) = gather([Candidate(config, NETWORKS)], EXAMPLES, 3)
        expected = [alone.take_steps(first, 0), alone.log_probs(held)]
        for found, of_alone in zip(answers[number], expected, strict=True):
            np.testing.assert_allclose(found, np.asarray(of_alone), rtol=1e-4, atol=1e-5)
        if number == 1:
            continue
        expected = [alone.take_steps(second, STEPS), alone.log_probs(held)]
        for found, of_alone in zip(later[number // 2], expected, strict=True):
            np.testing.assert_allclose(found, np.asarray(of_alone), rtol=1e-3, atol=1e-4)


def test_another_fit_of_the_shape_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = []

    def counted(*given: Any) -> Any:
        recorded.append(given)
        return record(*given)

    record = stacked_networks.record
    monkeypatch.setattr(stacked_networks, "record", counted)
    changed: dict[str, Any] = {"sigma": 0.7, "learning_rate": 0.1, "kl_coef": 0.5, "clip_norm": 1.0, "seed": 4}
    for others in ({}, changed):
        config = dataclasses.replace(CONFIG, width=6, **others)
        (committee,) = gather([Candidate(config, NETWORKS)], EXAMPLES, 3)
        np.asarray(committee.take_steps(batches(), 0))
        assert len(recorded) == 1
