import numpy as np
import pytest

from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig


@pytest.fixture(scope="session")
def table() -> Dataset:
    """24 points of the plane; the label says on which side of a line they are."""
    x = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)
    return Dataset("table", "classification", x, y, x[:10], y[:10], 2)


@pytest.fixture(scope="session")
def quick() -> TrainConfig:
    """Choices that train in a moment: 3 gradient steps an epoch."""
    return TrainConfig(
        epochs=2, batch_size=8, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=3, evaluate_every=1
    )


class NoisyLogisticRegression:
    """A learner that needs no framework: gradient ascent with noise drawn from the seed and the step."""

    rank, ranks, devices = 0, 1, 1

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.weights = np.zeros((2, 2))
        self.average = self.weights
        self.bad, self.steps = 0, 0

    def gradient_step(self, x, y, step):
        self.steps = step + 1
        x, y = x.reshape(-1, 2), y.reshape(-1)
        noise = np.random.default_rng([self.config.seed, step]).normal(size=(2, 2))
        error = np.eye(2)[y] - _softmax(x @ self.weights)
        self.weights = self.weights + self.config.learning_rate * (x.T @ error + 0.1 * noise)
        decay = self.config.average_decay(step)
        self.average = decay * self.average + (1 - decay) * self.weights
        if not self.bad and not np.isfinite(self.weights).all():
            self.bad = step + 1
        return {"loss": -np.mean(np.log(_softmax(x @ self.weights)[np.arange(len(y)), y]))}

    def largest_of_ranks(self, value):
        return value

    def follow_first(self, step):
        return step

    def first_bad(self):
        return self.bad

    def state(self):
        return {"params/w": self.weights, "average/w": self.average}

    def load_state(self, state):
        self.weights, self.average = state["params/w"], state["average/w"]

    def load_average(self, average):
        self.average = average["average/w"]

    def outputs(self, x):
        return (x @ self.average)[None]

    def of_likelihood(self, method, outputs, targets=None):
        probabilities = np.stack([_softmax(of_sample) for of_sample in outputs])
        if method == "log_prob":
            return np.log(probabilities[:, np.arange(len(targets)), targets])
        return {"mean": probabilities, "sample": probabilities.argmax(axis=2)}.get(method)

    def memory(self):
        return 1.0

    def weight_paths(self, ts, draws, weights):
        return None


def _softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


@pytest.fixture(scope="session")
def build():
    """Makes a learner of a configuration."""
    return lambda config, dataset: NoisyLogisticRegression(config)
