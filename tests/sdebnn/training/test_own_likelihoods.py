"""Likelihoods of a user's own, in both frameworks: refused before training, or trained, scored and asked for
predictions.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from sdebnn.brax import BayesianLayer, JaxLearner, bnn_serial, devices
from sdebnn.brax.learning.model import Model
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training import prediction_file, restore, start_run
from sdebnn.training.predictions import report, target_moments

torch = pytest.importorskip("torch")
torchbnn = pytest.importorskip("sdebnn.torchbnn", exc_type=ImportError)
nn = torch.nn

DRAWN = True
CONFIG = TrainConfig(epochs=2, batch_size=10, test_samples=3, evaluate_every=1, validation=0.2)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2)).astype(np.float32)
COUNTS = RNG.poisson(np.exp(X[:, :1])).astype(np.float32)
TIMES = np.column_stack([RNG.exponential(size=30), np.arange(30) % 2]).astype(np.float32)


def data(y, classes=None) -> Dataset:
    return Dataset("own", "classification" if classes else "regression", X, y, X[:10], y[:10], classes)


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class JaxPoisson:
    outputs = 1

    def init(self):
        return {}

    def log_prob(self, params, outputs, targets):
        return (targets * outputs - jnp.exp(outputs) - jax.scipy.special.gammaln(targets + 1)).sum(1)

    def mean(self, params, outputs):
        return jnp.exp(outputs)

    def sample(self, params, outputs, rng):
        return jax.random.poisson(rng, jnp.exp(outputs))


class TorchPoisson:
    outputs = 1

    def init(self):
        return {}

    def log_prob(self, params, outputs, targets):
        return torch.distributions.Poisson(outputs.exp()).log_prob(targets).sum(1)

    def mean(self, params, outputs):
        return outputs.exp()

    def sample(self, params, outputs, rng):
        return torch.distributions.Poisson(outputs.exp()).sample()


class JaxStudent:
    """With its scale among the outputs, and a parameter whose exponential is nothing."""

    def outputs(self):
        return 2

    def init(self):
        return {"shift": np.float64(-0.4)}

    def log_prob(self, params, outputs, targets):
        loc, log_scale = outputs[:, 0] + params["shift"], outputs[:, 1]
        return jax.scipy.stats.t.logpdf(targets[:, 0], 4.0, loc, jnp.exp(log_scale))

    def mean(self, params, outputs):
        return outputs[:, :1] + params["shift"]

    def variance(self, params, outputs):
        return 2 * jnp.exp(2 * outputs[:, 1:])

    def sample(self, params, outputs, rng):
        return self.mean(params, outputs) + jnp.exp(outputs[:, 1:]) * jax.random.t(rng, 4.0, (len(outputs), 1))


class TorchStudent:
    outputs = 2

    def init(self):
        return {"shift": -0.4}

    def _law(self, params, outputs):
        return torch.distributions.StudentT(4.0, outputs[:, :1] + params["shift"], outputs[:, 1:].exp())

    def log_prob(self, params, outputs, targets):
        return self._law(params, outputs).log_prob(targets)[:, 0]

    def mean(self, params, outputs):
        return self._law(params, outputs).mean

    def variance(self, params, outputs):
        return self._law(params, outputs).variance

    def sample(self, params, outputs, rng):
        return self._law(params, outputs).sample()


class JaxCensored:
    """Times of exponential law; the second target says whether one was seen to end."""

    outputs = 1

    def init(self):
        return {}

    def log_prob(self, params, outputs, targets):
        return -targets[:, 1] * outputs[:, 0] - targets[:, 0] * jnp.exp(-outputs[:, 0])

    def mean(self, params, outputs):
        return jnp.exp(outputs)

    def sample(self, params, outputs, rng):
        return jnp.exp(outputs) * jax.random.exponential(rng, outputs.shape)


class TorchCensored:
    outputs = 1

    def init(self):
        return {}

    def log_prob(self, params, outputs, targets):
        return -targets[:, 1] * outputs[:, 0] - targets[:, 0] * (-outputs[:, 0]).exp()

    def mean(self, params, outputs):
        return outputs.exp()

    def sample(self, params, outputs, rng):
        return outputs.exp() * torch.empty_like(outputs).exponential_(generator=rng)


class JaxOrdinal:
    """Three ordered classes, of one number and a learned distance of the cuts."""

    outputs = 1

    def init(self):
        return {"log_half": jnp.zeros(())}

    def mean(self, params, outputs):
        cuts = jnp.asarray([-1.0, 1.0]) * jnp.exp(params["log_half"])
        below = jax.nn.sigmoid(cuts - outputs)
        return jnp.column_stack([below[:, 0], below[:, 1] - below[:, 0], 1 - below[:, 1]])

    def log_prob(self, params, outputs, targets):
        return jnp.log(jnp.take_along_axis(self.mean(params, outputs), targets[:, None], axis=1))[:, 0]

    def sample(self, params, outputs, rng):
        return jax.random.categorical(rng, jnp.log(self.mean(params, outputs)))


class Noisy(torchbnn.BayesianModule):  # type: ignore[name-defined]
    """A layer with noise on its outputs."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(2, outputs)

    def forward(self, x, *, rng):
        return self.layer(x) + 0.3 * torch.randn(1, generator=rng), torch.zeros(())


def of_jax(likelihood, outputs=None):
    def builder(config, dataset):
        def init(rng, shape):
            number = outputs or (likelihood.outputs if isinstance(likelihood.outputs, int) else likelihood.outputs())
            return (-1, number), 0.1 * jax.random.normal(rng, (2, number))

        def apply(params, x, *, rng):
            return x @ params + 0.3 * jax.random.normal(rng), jnp.zeros(())

        network = bnn_serial(BayesianLayer(init, apply))
        return JaxLearner(config, Model(network, network, likelihood, (2,)), len(dataset.x_train), devices.make_mesh())

    return builder


def of_torch(likelihood, outputs=None):
    def builder(config, dataset):
        torch.manual_seed(0)
        model = torchbnn.Model(Noisy(outputs or likelihood.outputs), likelihood)
        return torchbnn.TorchLearner(config, model, model, len(dataset.x_train))

    return builder


SCORES = {"rmse", "log_likelihood", "coverage_95", "width_95", "interval_score_95"}
OF = {"Jax": of_jax, "Torch": of_torch}
POISSONS = [(of_jax, JaxPoisson()), (of_torch, TorchPoisson())]
STUDENTS = [(of_jax, JaxStudent()), (of_torch, TorchStudent())]
CENSORED = [(of_jax, JaxCensored()), (of_torch, TorchCensored())]


def mixture(log_probs) -> float:
    return float(np.mean(scipy.special.logsumexp(log_probs, axis=0) - math.log(len(log_probs))))


@pytest.mark.parametrize(("of", "poisson"), POISSONS)
def test_the_scores_of_counts_are_those_of_the_mixture(of, poisson) -> None:
    learner = of(poisson)(CONFIG, data(COUNTS))
    outputs = RNG.normal(size=(3, 30, 1)).astype(np.float32)
    rates = np.exp(outputs.astype(np.float64))
    scores = report(learner, outputs, COUNTS)
    assert scores["log_likelihood"] == pytest.approx(
        mixture(scipy.stats.poisson.logpmf(COUNTS, rates)[..., 0]), rel=1e-5
    )
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((rates.mean(axis=0) - COUNTS) ** 2)), rel=1e-5)
    means, variances = target_moments(learner, outputs)
    np.testing.assert_allclose(means, rates, rtol=1e-5)
    # The variance of 334 draws each: within five standard errors, of a law with a fourth moment of rate + 3 rate^2.
    assert (np.abs(variances - rates) <= 5 * np.sqrt((rates + 2 * rates**2) / 334)).all()


@pytest.mark.parametrize(("of", "poisson"), POISSONS)
def test_the_interval_of_draws_covers_what_it_should(of, poisson) -> None:
    """One rate of 9: the central interval of the counts is 4 to 15, of which the draws may miss either end by one."""
    learner = of(poisson)(CONFIG, data(COUNTS))
    outputs = np.full((2, 7, 1), math.log(9.0), np.float32)
    y = np.array([[2], [5], [6], [9], [12], [14], [17]], np.float32)
    assert scipy.stats.poisson.ppf([0.025, 0.975], 9.0).tolist() == [4, 15]
    assert report(learner, outputs, y)["coverage_95"] == pytest.approx(5 / 7)
    assert report(learner, outputs, y) == report(learner, outputs, y)


@pytest.mark.parametrize(("of", "student"), STUDENTS)
def test_a_scale_among_the_outputs_is_the_likelihoods_own(of, student) -> None:
    learner = of(student)(CONFIG, data(COUNTS))
    outputs, y = RNG.normal(size=(3, 30, 2)).astype(np.float32), RNG.normal(size=(30, 1)).astype(np.float32)
    loc, scale = outputs[..., :1].astype(float) - 0.4, np.exp(outputs[..., 1:].astype(float))
    expected = mixture(scipy.stats.t.logpdf(y, 4.0, loc, scale)[..., 0])
    assert report(learner, outputs, y)["log_likelihood"] == pytest.approx(expected, rel=1e-5)
    means, variances = target_moments(learner, outputs)
    np.testing.assert_allclose(means, loc, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variances, 2 * scale**2, rtol=1e-5)


@pytest.mark.parametrize(("of", "censored"), CENSORED)
def test_targets_of_more_numbers_than_the_mean_have_a_likelihood_alone(of, censored) -> None:
    learner = of(censored)(CONFIG, data(TIMES))
    outputs = RNG.normal(size=(3, 30, 1)).astype(np.float32)
    means = np.exp(outputs[..., 0].astype(float))
    seen = scipy.stats.expon.logpdf(TIMES[:, 0], scale=means)
    later = scipy.stats.expon.logsf(TIMES[:, 0], scale=means)
    scores = report(learner, outputs, TIMES)
    assert scores == {"log_likelihood": pytest.approx(mixture(np.where(TIMES[:, 1] == 1, seen, later)), rel=1e-5)}


@pytest.mark.parametrize(
    ("of", "likelihood", "y", "names"),
    [
        (of_jax, JaxStudent(), COUNTS, SCORES),
        (of_torch, TorchPoisson(), COUNTS, SCORES),
        (of_torch, TorchCensored(), TIMES, {"log_likelihood"}),
    ],
)
def test_it_is_trained_scored_and_asked_for_predictions(of, likelihood, y, names, tmp_path) -> None:
    """A validation split chooses the best parameters, and the network has no block of weights that move."""
    run = start_run(of(likelihood), CONFIG, tmp_path / "run", dataset=data(y))
    assert run.fitted.scores.keys() == names
    assert restore(of(likelihood), tmp_path / "run", dataset=data(y)).score() == run.fitted.scores
    made = prediction_file.predict(of(likelihood), tmp_path / "run", X)
    learner = run.learner
    means = learner.of_likelihood("mean", learner.outputs(X)).astype(float)
    np.testing.assert_allclose(made["mean"], means.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(made["epistemic_std"], means.std(axis=0), rtol=1e-5)
    assert (made["std"] > made["epistemic_std"]).all()


def test_labels_take_a_likelihood_of_their_own_too(tmp_path) -> None:
    y = (np.digitize(X[:, 0], [-0.5, 0.5])).astype(np.int32)
    run = start_run(of_jax(JaxOrdinal()), CONFIG, tmp_path / "run", dataset=data(y, 3))
    made = prediction_file.predict(of_jax(JaxOrdinal()), tmp_path / "run", X[:10])
    np.testing.assert_allclose(made["probabilities"].sum(axis=1), 1)
    nll = -np.log(made["probabilities"][np.arange(10), y[:10]]).mean()
    assert run.fitted.scores["nll"] == pytest.approx(nll, rel=1e-5)
    assert run.fitted.scores["accuracy"] == np.mean(made["label"] == y[:10])


def changed(likelihood, **methods):
    return type("Changed", (type(likelihood),), methods)()


@pytest.mark.parametrize("likelihood", [JaxPoisson(), TorchPoisson()], ids=["jax", "torch"])
@pytest.mark.parametrize(
    ("methods", "says"),
    [
        ({"init": None}, r"Changed cannot be trained or scored: it lacks init\(\)"),
        ({"log_prob": None}, r"it lacks log_prob\(params, outputs, targets\)"),
        ({"mean": None, "sample": None}, r"lacks mean\(params, outputs\).*; sample\(params, outputs, rng\)"),
        ({"outputs": None}, "outputs=None; it takes how many numbers"),
        ({"outputs": 0}, "outputs=0"),
        ({"variance": 1.0}, "has a variance that is no method"),
        ({"log_prob": lambda self, params, outputs, targets: targets * outputs}, r"shape \(5, 1\) where \(5\) is"),
        ({"log_prob": lambda self, params, outputs, targets: targets - outputs[:, 0]}, r"shape \(5, 5\)"),
        ({"log_prob": lambda self, params, outputs, targets: outputs[:, 0] * 0 - math.inf}, "finite"),
        ({"log_prob": lambda self, params, outputs: outputs[:, 0]}, "for the first 5 training examples it failed: "),
        ({"mean": lambda self, params, outputs: outputs[:, 0]}, r"mean.* gave the shape \(5,\) where \(5, d\)"),
        ({"mean": lambda self, params, outputs: outputs * math.nan}, "mean.*finite numbers are needed"),
        ({"sample": lambda self, params, outputs, rng: outputs[:, 0]}, r"sample.*\(5,\) where \(5, 1\)"),
        ({"sample": lambda self, params, outputs: outputs}, "sample.* it failed"),
        ({"variance": lambda self, params, outputs: outputs * 0 - 1}, "numbers of 0 or more"),
        ({"cdf": lambda self, params, outputs, targets: targets + 2}, "numbers from 0 to 1"),
    ],
)
def test_what_would_fail_or_mislead_in_scoring_is_refused_before_training(likelihood, methods, says, tmp_path) -> None:
    of = of_jax if isinstance(likelihood, JaxPoisson) else of_torch
    # The networks' outputs must not depend on what is wrong.
    builder = of(changed(likelihood, **methods), outputs=1)
    with pytest.raises(InputError, match=says):
        start_run(builder, CONFIG, tmp_path / "run", dataset=data(COUNTS))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("of", "poisson"), POISSONS)
def test_a_network_that_gives_other_outputs_than_the_likelihood_takes_is_refused(of, poisson, tmp_path) -> None:
    with pytest.raises(InputError, match=r"outputs have shape \(5, 3\), but its likelihood takes \(5, 1\)"):
        start_run(of(poisson, outputs=3), CONFIG, tmp_path / "run", dataset=data(COUNTS))
    with pytest.raises(InputError, match="is a class; give an object"):
        of(type(poisson))(CONFIG, data(COUNTS))


def test_a_model_that_is_given_twice_is_averaged_all_the_same() -> None:
    learner = of_torch(TorchPoisson())(CONFIG, data(COUNTS))
    before = learner.outputs(X)
    learner.gradient_step(X[None, :10], COUNTS[None, :10], 0)
    learner.gradient_step(X[None, :10], COUNTS[None, :10], 1)
    state = learner.state()
    assert not np.array_equal(state["params/network/layer/bias"], state["average/network/layer/bias"])
    assert not np.array_equal(before, learner.outputs(X))
