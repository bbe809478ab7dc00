"""IVON: its steps by hand, the Gaussians that it finds where the best ones are known, runs that resume to the bit."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import pytest
import torch

import sdebnn
from sdebnn import brax, torchbnn
from sdebnn.brax.learning.ivon import ivon
from sdebnn.brax.learning.model import Model as JaxModel
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.torchbnn.learning.ivon import IvonOptimiser
from sdebnn.torchbnn.learning.learner import TorchLearner
from sdebnn.torchbnn.learning.model import Model as TorchModel
from sdebnn.training import start_run
from sdebnn.training.building import built
from sdebnn.training.divergence import check_outputs
from sdebnn.training.ivon import Ivon, Moments
from sdebnn.training.learner import Learner

Framework = Literal["jax", "torch"]
FRAMEWORKS: tuple[Framework, ...] = ("jax", "torch")
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(40, 3)) @ np.array([[1.0, 0.4, 0.0], [0.0, 0.8, -0.3], [0.0, 0.0, 1.2]]) + 0.3).astype(np.float32)
NOISE = 0.5
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 0.7 + NOISE * RNG.normal(size=(40, 1))).astype(np.float32)
DATA = Dataset("lines", "regression", X, Y, X, Y, None)
SMALL = TrainConfig(
    model="ivon_odenet", width=4, steps=2, augment=1, batch_size=20, test_samples=3, learning_rate=0.5, epochs=10,
    initial_std=0.07, prior_std=0.5,
)  # fmt: skip


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


class KnownNoise:
    """Real targets: the outputs plus Gaussian noise of a known size, in either framework."""

    outputs = 1

    def init(self) -> dict[str, Any]:
        return {}

    def log_prob(self, params: Any, outputs: Any, targets: Any) -> Any:
        return (-0.5 * ((targets - outputs) / NOISE) ** 2).sum(1)

    def mean(self, params: Any, outputs: Any) -> Any:
        return outputs

    def sample(self, params: Any, outputs: Any, rng: Any) -> Any:
        return outputs


def linear_regression(config: TrainConfig, **choices: Any) -> Learner:
    """One layer of independent Gaussians, by the arguments of `MeanField`."""
    if config.framework == "jax":
        dense = brax.diffeq_layers.dense("ignore", 1)
        network = brax.bnn_serial(brax.MeanField(dense, initial_std=0.1, **choices))
        model = JaxModel(network, network, KnownNoise(), (3,))
        return brax.JaxLearner(config, model, len(X), brax.devices.make_mesh())

    def own() -> TorchModel:
        torch.manual_seed(0)
        dense = torchbnn.diffeq_layers.dense("ignore", 3, 1)
        return TorchModel(torchbnn.bnn_serial(torchbnn.MeanField(dense, initial_std=0.1, **choices)), KnownNoise())

    return TorchLearner(config, own(), own(), len(X))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_on_linear_regression_it_finds_the_best_independent_gaussians(framework: Framework, unchecked) -> None:
    """Which have the mean of the posterior and the diagonal of its precision. An estimate of a curvature has a standard
    deviation of about 1.5 times itself; the mean over 4 draws and some 200 steps of 5 %: three of these are allowed.
    """
    config = dataclasses.replace(
        SMALL, framework=framework, batch_size=40, epochs=400, train_samples=4, learning_rate=0.1, clip_radius=1.0,
        hessian_momentum=0.99,
    )  # fmt: skip
    learner = linear_regression(config, prior_std=config.prior_std)
    ones = np.concatenate([X, np.ones((40, 1), np.float32)], axis=1).astype(np.float64)
    prior = 1 / config.prior_std**2
    for step in range(400):
        values = learner.gradient_step(X[None], Y[None], step)
    precision = ones.T @ ones / NOISE**2 + prior * np.eye(4)
    exact = np.linalg.solve(precision, ones.T @ Y[:, 0] / NOISE**2)
    # Far from the answers without the prior, and with it twice.
    assert (np.abs(np.linalg.solve(precision + prior * np.eye(4), precision @ exact) - exact) > 0.01).any()
    state = learner.state()
    mean, log_std = (
        np.concatenate([state[f"average/network/0/{part}/{name}"].ravel() for name in ("weight", "bias")])
        for part in ("mean", "log_std")
    )
    wide = 1 / np.sqrt(np.diag(precision))
    np.testing.assert_allclose((mean - exact) / wide, 0, atol=0.15)
    np.testing.assert_allclose(np.exp(2 * log_std), wide**2, rtol=0.15)
    # Of the loss the KL is a part, as for mean field.
    assert float(values["loss"]) == pytest.approx(float(values["nll"]) + float(values["kl"]) / 40, rel=1e-5)
    assert float(values["kl"]) > 0


RULE = Ivon(effective_size=50.0, weight_decay=0.02, hessian_momentum=0.9, clip_radius=1.0)
MATRIX = np.array([[3.0, 0.4], [0.4, 1.0]])
START = np.array([[0.5], [-1.0]])


def by_hand(noises: np.ndarray, radius: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Means and standard deviations after each step: algorithm 1 of Shen et al. (2024), in its letters."""
    lam, delta, beta1, beta2, h0, alpha = 50.0, 0.02, 0.9, 0.9, 2.0, 0.3
    m, h, g, found = START, np.full((2, 1), h0), np.zeros((2, 1)), []
    sigma = 1 / np.sqrt(lam * (h + delta))
    for t, noise in enumerate(noises, 1):
        theta = m + sigma * noise
        g_hat = MATRIX @ theta
        h_hat = g_hat * (theta - m) / sigma**2
        g = beta1 * g + (1 - beta1) * g_hat
        h = beta2 * h + (1 - beta2) * h_hat + (1 - beta2) ** 2 * (h - h_hat) ** 2 / (2 * (h + delta))
        g_bar = g / (1 - beta1**t)
        newton = (g_bar + delta * m) / (h + delta)
        m = m - alpha * np.clip(newton, -radius, radius)
        sigma = 1 / np.sqrt(lam * (h + delta))
        found.append((m, sigma))
    return found


def gradients(mean: np.ndarray, std: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a quadratic loss by the means and by the logarithms of the standard deviations, at given noise."""
    gradient = MATRIX @ (mean + std * noise)
    return gradient, gradient * noise * std


@pytest.mark.parametrize("radius", [1e9, 0.3])
def test_steps_are_those_of_the_paper_in_either_framework(radius: float, x64) -> None:
    noises = np.random.default_rng(1).normal(size=(6, 2, 1))
    rule = dataclasses.replace(RULE, clip_radius=radius)
    expected = by_hand(noises, radius)

    optimiser = ivon(rule, 0.3)
    std = np.full((2, 1), 1 / math.sqrt(50 * 2.02))
    params = {"network": [{"mean": {"w": START}, "log_std": {"w": np.log(std)}}, ()], "likelihood": {}}
    params = jax.tree.map(jax.numpy.asarray, params)
    state = optimiser.init(params)

    layer = torch.nn.Linear(2, 1, bias=False).double()
    network = torchbnn.MeanField(layer, initial_std=float(std[0, 0]))
    in_torch = IvonOptimiser(network, rule)
    in_torch.param_groups[0]["lr"] = 0.3
    mean, log_std = (getattr(network, part).weight for part in ("mean", "log_std"))
    mean.data = torch.from_numpy(START.T.copy())

    for noise, (of_paper, std_of_paper) in zip(noises, expected, strict=True):
        before = params["network"][0]
        by_mean, by_log_std = gradients(before["mean"]["w"], np.exp(before["log_std"]["w"]), noise)
        gradient = {"network": [{"mean": {"w": by_mean}, "log_std": {"w": by_log_std}}, ()], "likelihood": {}}
        updates, state = optimiser.update(gradient, state, params)
        params = jax.tree.map(lambda array, update: array + update, params, updates)
        np.testing.assert_allclose(params["network"][0]["mean"]["w"], of_paper, rtol=1e-6)
        np.testing.assert_allclose(np.exp(params["network"][0]["log_std"]["w"]), std_of_paper, rtol=1e-6)

        at = mean.detach().numpy().T, np.exp(log_std.detach().numpy().T)
        mean.grad, log_std.grad = (torch.from_numpy(array.T.copy()) for array in gradients(*at, noise))
        in_torch.step()
        np.testing.assert_allclose(mean.detach().numpy().T, of_paper, rtol=1e-6)
        np.testing.assert_allclose(np.exp(log_std.detach().numpy().T), std_of_paper, rtol=1e-6)


def test_the_variance_stays_positive_whatever_the_curvature() -> None:
    """The second term makes of 1 + r the beginning 1 + r + r^2 / 2 of an exponential."""
    h = np.array([-0.01, 0.0, 2.0, 2.0])
    before, curvature = Moments(np.zeros(4), np.zeros(4), h), np.array([-1e3, -50.0, -1e4, 1e4])
    after = RULE.step(before, np.zeros(4), curvature, number=1, step_size=0.1)
    assert (RULE.variance(after.hessian) > 0).all()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_run_predicts_with_samples_that_differ_and_is_read_back(framework: Framework, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, framework=framework, members=2)
    run = start_run(build_learner, config, tmp_path / "run", dataset=DATA)
    outputs = run.learner.outputs(X)
    assert outputs.shape == (6, 40, 1)
    assert (outputs.std(axis=0) > 1e-4).all()
    loaded = sdebnn.load(tmp_path / "run")
    np.testing.assert_allclose(loaded.outputs(X), outputs, rtol=1e-6, atol=1e-6)
    # The parameters have the same names and shapes in both, and other draws.
    other = sdebnn.load(tmp_path / "run", framework="torch" if framework == "jax" else "jax").outputs(X)
    assert np.abs(other.mean(axis=0) - outputs.mean(axis=0)).max() < 3 * outputs.std(axis=0).max()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_state_goes_on_to_the_bit(framework: Framework) -> None:
    config = dataclasses.replace(SMALL, framework=framework)
    whole, first, second = (built(build_learner, config, DATA) for _ in range(3))
    batches = np.random.default_rng(2).integers(0, 40, (9, 1, 20))
    for step, rows in enumerate(batches):
        values = whole.gradient_step(X[rows], Y[rows], step)
        if step == 0:
            # With the prior and the beginning that were chosen.
            size = sum(array.size for name, array in first.state().items() if name.startswith("params/network/0/mean"))
            squares = sum((a**2).sum() for n, a in first.state().items() if n.startswith("params/network/0/mean"))
            variance = 0.07**2
            kl = 0.5 * (size * (variance * 4 - 1 - math.log(variance * 4)) + squares * 4)
            assert float(values["kl"]) == pytest.approx(kl, rel=1e-5)
        if step < 6:
            first.gradient_step(X[rows], Y[rows], step)
    second.load_state(first.state())
    for step in range(6, 9):
        second.gradient_step(X[batches[step]], Y[batches[step]], step)
    expected, found = whole.state(), second.state()
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_cannot_be_right_is_refused(framework: Framework) -> None:
    config = dataclasses.replace(SMALL, framework=framework)
    of_a_fit: tuple[tuple[dict[str, Any], str], ...] = (
        ({"kl_coef": 0.0}, "got kl_coef=0, with which its weights have no posterior; take a number above 0"),
        ({"kl_warmup": 2.0}, "with the whole KL from the first one on, and kl_warmup=2; take kl_warmup=0"),
        ({"clip_norm": 5.0}, "which clip_norm=5 would change; take clip_norm=0, and clip_radius for shorter steps"),
        ({"initial_std": 0.5}, "initial_std=0.5 and prior_std=0.5, with which its first curvature would be 0 or less"),
    )
    for choices, sentence in of_a_fit:
        with pytest.raises(InputError, match=sentence):
            built(build_learner, dataclasses.replace(config, **choices), DATA)
    of_a_config: tuple[tuple[dict[str, Any], str], ...] = (
        ({"learning_rate": 0.0}, "learning_rate=0.0 is not allowed: it takes a number above 0"),
        ({"model": "ivon_sdebnn"}, "model='ivon_sdebnn' is not allowed: it takes sdebnn, .*ivon_odenet"),
        ({"initial_std": 0.0}, "initial_std=0.0 is not allowed: it takes a number above 0"),
        ({"hessian_momentum": 1.0}, "hessian_momentum=1.0 is not allowed: it takes a number below 1"),
        ({"clip_radius": 0.0}, "clip_radius=0.0 is not allowed: it takes a number above 0"),
        ({"prior_std": 0.0}, "prior_std=0.0 is not allowed: it takes a number above 0"),
        ({"model": "ivon_meanfield_odenet"}, "model='ivon_meanfield_odenet' is not allowed: it takes .*ivon_odenet"),
    )
    for choices, sentence in of_a_config:
        with pytest.raises(InputError, match=sentence):
            dataclasses.replace(config, **choices)


def test_a_run_that_breaks_off_is_told_what_shortens_its_steps(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    advices: dict[Any, str] = {
        "ivon_odenet": r"a smaller clip_radius \(now 0\.01\)",
        "odenet": r"clip_norm \(now 0\.0\)",
    }
    for model, advice in advices.items():
        with pytest.raises(FloatingPointError, match=rf"lower learning_rate .* or with {advice}"):
            check_outputs(run, TrainConfig(model=model), np.array(math.nan), saved=False)


def test_a_network_with_weights_that_have_no_gaussian_is_refused() -> None:
    layers = brax.MeanField(brax.diffeq_layers.dense("ignore", 2)), brax.diffeq_layers.dense("ignore", 1)
    network = brax.bnn_serial(*layers)
    with pytest.raises(InputError, match=r"parameters are all those of MeanField, and learn, .* 'network/1/bias'"):
        brax.JaxLearner(SMALL, JaxModel(network, network, KnownNoise(), (3,)), 40, brax.devices.make_mesh())
    own = torchbnn.bnn_serial(torchbnn.MeanField(torch.nn.Linear(3, 2)), torch.nn.Linear(2, 1))
    with pytest.raises(InputError, match=r"parameters are all those of MeanField, and learn, .* 'network/1/bias'"):
        TorchLearner(SMALL, TorchModel(own, KnownNoise()), TorchModel(own, KnownNoise()), 40)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_network_with_another_prior_than_that_of_the_steps_is_refused(framework: Framework) -> None:
    config = dataclasses.replace(SMALL, framework=framework)
    for choices, found in (
        ({"prior_std": 0.6}, "the prior_std 0.6"),
        ({"prior_std": 0.5, "disable": True}, "no KL of that prior"),
    ):
        with pytest.raises(InputError, match=f"by prior_std=0.5, and a MeanField of this network has {found}; give"):
            linear_regression(config, **choices)


def test_weights_that_stand_still_are_refused() -> None:
    """A step by the prior alone would move them."""
    own = torchbnn.bnn_serial(torchbnn.MeanField(torch.nn.Linear(3, 1), prior_std=SMALL.prior_std))
    own.get_submodule("0.mean").bias.requires_grad_(False)
    with pytest.raises(InputError, match=r"parameters are all those of MeanField, and learn, .* 'network/0/mean/bias'"):
        TorchLearner(SMALL, TorchModel(own, KnownNoise()), TorchModel(own, KnownNoise()), 40)


def test_tables_are_trained_for_all_steps_and_not_by_folds() -> None:
    config = TrainConfig.for_table(model="ivon_odenet")
    assert (config.tuning, config.total_steps(300)) == ("none", config.max_steps)
    for made in (config, TrainConfig.for_data("digits", model="ivon_odenet")):
        assert (made.schedule, made.learning_rate) == ("cosine", 1.0)
    assert TrainConfig.for_table(model="ivon_odenet", learning_rate=0.3).learning_rate == 0.3
