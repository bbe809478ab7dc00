import numpy as np
import pytest

from sdebnn.data import load
from sdebnn.data.toy import TOYS

# The first draws of numpy's RandomState(0).randn: its stream is frozen.
FIRST = 1.764052345967664


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [("cos", 40, 200), ("cos2", 80, 400), ("coscos", 20, 400), ("b20", 20, 200), ("b40", 40, 200), ("b40gap", 40, 200)],
)
def test_sizes(name: str, train: int, test: int) -> None:
    dataset = load(name)
    assert dataset.task == "regression"
    assert dataset.x_train.shape == dataset.y_train.shape == (train, 1)
    assert dataset.x_test.shape == dataset.y_test.shape == (test, 1)
    assert dataset.x_train.dtype == dataset.y_train.dtype == dataset.x_test.dtype == np.float32


def test_every_toy_has_a_row_above() -> None:
    assert set(TOYS) == {"cos", "cos2", "coscos", "b20", "b40", "b40gap"}


def test_cos_is_exact() -> None:
    dataset = load("cos")
    x = 4 * dataset.x_train[:, 0].astype(np.float64) + 4
    np.testing.assert_allclose(x, [*np.linspace(0, 2, 20), *np.linspace(6, 8, 20)], atol=1e-6)
    noise = (dataset.y_train[:, 0] - np.cos(x)) / 0.1
    np.testing.assert_allclose(noise, np.random.RandomState(0).randn(40), atol=1e-5)
    assert dataset.y_train[0, 0] == pytest.approx(1 + 0.1 * FIRST, rel=1e-6)
    assert dataset.x_test[[0, -1], 0].tolist() == [-1.5, 1.0]
    np.testing.assert_allclose(dataset.y_test, np.cos(4 * dataset.x_test.astype(np.float64) + 4), atol=1e-6)


def test_cos2_overlays_the_two_branches() -> None:
    one, two = load("cos"), load("cos2")
    np.testing.assert_array_equal(two.x_train, np.concatenate([one.x_train] * 2))
    np.testing.assert_array_equal(two.y_train[:40], one.y_train)
    noise = two.y_train[40:, 0] + np.cos(4 * one.x_train[:, 0].astype(np.float64) + 4)
    np.testing.assert_allclose(noise / 0.1, np.random.RandomState(0).randn(80)[40:], atol=1e-5)
    np.testing.assert_array_equal(two.y_test, np.concatenate([one.y_test, -one.y_test]))


def test_coscos_overlays_two_roots() -> None:
    dataset = load("coscos")
    x, y = dataset.x_train[:, 0].astype(np.float64), dataset.y_train[:, 0]
    assert x.tolist() == [0, 0.5, 1, 1.5, 2, 2, 2.5, 3, 3.5, 4, 1, 1.25, 1.5, 1.75, 2, 2, 2.5, 3, 3.5, 4]
    branch = np.repeat([1, -1], 10) * np.sqrt(x + 1)
    np.testing.assert_allclose((y - branch) / 0.1, np.random.RandomState(0).randn(20), atol=1e-5)
    np.testing.assert_allclose(dataset.y_test[:200] ** 2, dataset.x_test[:200] + 1, atol=1e-5)
    np.testing.assert_array_equal(dataset.y_test[200:], -dataset.y_test[:200])


@pytest.mark.parametrize(
    ("name", "intervals", "ends"),
    [
        ("b20", [(-2, -0.5), (0, 2)], 4),
        ("b40", [(-4, -3), (-2.5, -1), (-1, 2), (2, 4)], 6),
        ("b40gap", [(-4, -3), (-2.5, -1), (1, 2), (3, 4)], 6),
    ],
)
def test_cubes_are_exact(name: str, intervals: list[tuple[float, float]], ends: float) -> None:
    dataset = load(name)
    x = np.concatenate([np.linspace(low, high, 10) for low, high in intervals])
    np.testing.assert_allclose(dataset.x_train[:, 0], x, atol=1e-6)
    np.testing.assert_allclose((dataset.y_train[:, 0] - x**3) / 3, np.random.RandomState(0).randn(len(x)), atol=1e-5)
    assert dataset.x_test[[0, -1], 0].tolist() == [-ends, ends]
    np.testing.assert_allclose(dataset.y_test, dataset.x_test.astype(np.float64) ** 3, atol=1e-4)
