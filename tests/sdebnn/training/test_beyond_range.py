"""Beyond the range of the training examples posterior samples have features that no example speaks of."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sdebnn
from sdebnn.data import Dataset, StreamedDataset
from sdebnn.errors import InputError
from sdebnn.estimators import SDEBNNRegressor
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import restore, start_run
from sdebnn.training.building import built
from sdebnn.training.task import Task
from sdebnn.training.unseen_features import MOST_HOLES, Seen, UnseenFeatures, draw_one_network, draw_unseen_features

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 2, size=(30, 3)).astype(np.float32)
Y = X[:, :2].copy()
TARGETS = Dataset("targets", "regression", X, Y, X[:2], Y[:2], None)
SEEN = Seen.of(X)
LOW, HIGH = SEEN.low, SEEN.high
SMALL: dict[str, Any] = {
    "framework": "torch",
    "width": 4,
    "augment": 1,
    "drift_widths": (2,),
    "steps": 2,
    "test_samples": 3,
}


def test_they_are_zero_on_every_training_example_to_the_bit() -> None:
    features = draw_one_network(np.random.default_rng(0), 1.0, SEEN, 2)
    assert (features(X) == 0).all()
    assert (features(np.nextafter(HIGH, np.float32(9))[None]) != 0).all()


def test_their_standard_deviation_is_the_slope_times_the_distance_in_half_ranges() -> None:
    """The row is 3 half ranges below the first of three columns, and 4 above the third."""
    half = (HIGH - LOW) / 2
    x = np.array([[LOW[0] - 3 * half[0], 0.5, HIGH[2] + 4 * half[2]]], np.float32)
    rng = np.random.default_rng(1)
    for draws in (
        draw_unseen_features(rng, 20_000, 0.5, SEEN, 2),
        [draw_one_network(rng, 0.5, SEEN, 2) for _ in range(5000)],
    ):
        found = np.stack([features(x)[0] for features in draws])
        np.testing.assert_allclose(found.std(axis=0), 0.5 * 5 / 3**0.5, rtol=0.04)
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=5 * 2.5 / len(draws) ** 0.5)
        assert abs(np.corrcoef(found.T)[0, 1]) < 5 / len(draws) ** 0.5


HOLED = np.array([[0, 5, 1], [1, 5, 0], [4, 5, 1], [10, 5, 0], [10.5, 5, 0]], np.float32)
"""Holes from 1 to 4 and 4 to 10 in a column of range 10.5, whose tenth is 1.05; and between two values of another."""


def test_holes_are_wider_than_a_tenth_of_the_range() -> None:
    seen = Seen.of(HOLED)
    assert [*zip(*(values.tolist() for values in seen[2:]), strict=True)] == [(0, 1, 4), (0, 4, 10), (2, 0, 1)]
    x = np.array([[1, 5, 0], [0.5, 5, 0], [2, 5, 0], [10.2, 5, 0], [9, 5, 0], [1, 5, 0.5], [11, 5, 0]], np.float32)
    assert seen.beyond(x).tolist() == [False, False, True, False, True, True, True]


def test_within_a_hole_their_standard_deviation_is_the_slope_times_the_distance_to_what_was_seen() -> None:
    seen = Seen.of(HOLED)
    features = draw_unseen_features(np.random.default_rng(3), 20_000, 0.5, seen, 1)
    x = np.array([[2, 5, 0], [3.5, 5, 0.7], [4, 5, 1], [0.3, 5, 0]], np.float32)
    found = np.stack([of_sample(x)[:, 0] for of_sample in features])
    wanted = 0.5 / 3**0.5 * np.array([1 / 5.25, np.hypot(0.5 / 5.25, 0.3 / 0.5), 0, 0])
    np.testing.assert_allclose(found.std(axis=0), wanted, rtol=0.03)
    assert (found[:, 2:] == 0).all()
    # Ends that no float32 has, and columns with holes everywhere.
    rough = (np.random.default_rng(4).integers(0, 6, (40, 50)) ** 3 / 7).astype(np.float32)
    assert (draw_one_network(np.random.default_rng(0), 9.0, Seen.of(rough), 2)(rough) == 0).all()


@pytest.mark.parametrize("law", ["normal", "heavy", "whole", "constant", "close"])
def test_what_is_kept_of_the_columns_says_the_same_of_them(law: str) -> None:
    rng = np.random.default_rng(5)
    x = {
        "normal": lambda: rng.normal(size=(25, 4)),
        "heavy": lambda: rng.standard_t(1, size=(300, 4)) * 1e6,
        "whole": lambda: rng.integers(0, 5, (60, 4)) ** 2,
        "constant": lambda: np.full((3, 4), 0.1),
        "close": lambda: 1 + np.finfo(np.float32).eps * rng.integers(0, 40, (9, 4)),
    }[law]().astype(np.float32)  # fmt: skip
    seen = Seen.of(x)
    y = np.zeros((len(x), 1), np.float32)
    of_task = Task.of(Dataset(law, "regression", x, y, x, y, None)).seen()
    assert of_task is not None
    for kept, own in zip(of_task, seen, strict=True):
        np.testing.assert_array_equal(kept, own)
    assert len(seen.columns) == 0 if law == "constant" else len(seen.columns) > 0
    assert not seen.beyond(x).any()


def test_equal_steps_of_a_tenth_are_all_holes_or_none() -> None:
    """Rounding is not to tell them apart."""
    scale = np.arange(11.0)
    for shift, factor in ((5.0, 10**0.5), (0.3, 7.0), (-1e3, 0.1)):
        steps = ((scale - shift) / factor)[:, None].astype(np.float32)
        assert len(Seen.of(steps).columns) == 10
    assert len(Seen.of(np.linspace(0, 1, 12, dtype=np.float32)[:, None]).columns) == 0
    wide = np.tile(HOLED, 30)
    assert len(Seen.of(wide).columns) == 30 * len(Seen.of(HOLED).columns)


def test_of_very_many_holes_the_widest_count() -> None:
    x = np.array([[0, 0], [1, 6], [10, 10]], np.float32).repeat(MOST_HOLES - 1, axis=1)
    seen = Seen.of(x)
    assert len(seen.columns) == MOST_HOLES
    # From 1 to 10, and a few of those from 0 to 6.
    assert ((seen.right - seen.left) == 9).sum() == MOST_HOLES - 1


@pytest.mark.parametrize("samples", [1, 2, 5, 40])
def test_over_few_samples_they_keep_mean_and_variance(samples: int) -> None:
    """So a prediction's mean stays, and its variance is what is said, in one column beyond its range."""
    x = np.array([[0.5, HIGH[1] + (HIGH[1] - LOW[1]), 0.5]], np.float32)
    draws = draw_unseen_features(np.random.default_rng(2), samples, 1.0, SEEN, 3)
    found = np.stack([features(x)[0] for features in draws])
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=0), 0 if samples == 1 else 2 / 3**0.5, rtol=1e-5)


def test_a_column_that_was_the_same_everywhere_has_the_unit_of_its_numbers() -> None:
    (features,) = [draw_one_network(np.random.default_rng(0), 1.0, Seen.of(X[:1, :1]), 1)]
    assert np.isfinite(features(X[:, :1])).all()


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_input"])
def test_a_learner_adds_them_to_the_means_of_its_samples_alone(likelihood: Any) -> None:
    config = TrainConfig(likelihood=likelihood, members=2, **SMALL)
    plain, once, twice = (built(build_learner, dataclasses.replace(config, beyond_range=b), TARGETS) for b in (0, 1, 2))
    np.testing.assert_array_equal(once.outputs(X), plain.outputs(X))
    far = (X + 5).astype(np.float32)
    added, more = (learner.outputs(far) - plain.outputs(far) for learner in (once, twice))
    assert added.shape[0] == 6
    assert (added[..., 2:] == 0).all()
    np.testing.assert_allclose(more, 2 * added, rtol=1e-4, atol=1e-5)
    assert np.abs(np.diff(added[..., :2], axis=0)).min() > 0, "each sample has weights of its own"
    np.testing.assert_allclose(added.mean(axis=0), 0, atol=1e-4)


def test_weights_are_those_of_the_seed() -> None:
    config = TrainConfig(beyond_range=1.0, **SMALL)
    same, other = (built(build_learner, dataclasses.replace(config, seed=seed), TARGETS) for seed in (0, 1))
    task = Task.of(TARGETS)
    again = built(build_learner, config, task.placeholder(), task.seen())
    np.testing.assert_array_equal(again.outputs(X + 5), same.outputs(X + 5))
    assert not np.allclose(other.outputs(X + 5), same.outputs(X + 5), atol=0.5)


def test_frameworks_share_the_arithmetic() -> None:
    import jax.numpy as jnp
    import torch

    features = draw_one_network(np.random.default_rng(0), 1.0, Seen.of(X[::4]), 2)
    assert len(features.columns) > 2
    x = (X * 3).astype(np.float32)
    np.testing.assert_allclose(features(jnp.asarray(x)), features(x), rtol=1e-6, atol=1e-6)
    of_torch: Any = map(torch.from_numpy, features)
    tensors = UnseenFeatures(*of_torch)
    np.testing.assert_allclose(tensors(torch.from_numpy(x)), features(x), rtol=1e-6, atol=1e-6)


def test_an_estimator_doubts_what_is_beyond_its_table_and_a_run_keeps_its_ranges(tmp_path: Path) -> None:
    small = {"framework": "torch", "width": 4, "n_members": 2, "max_iter": 50, "sigma": 0.1, "random_state": 0}
    rows, far = X.astype(float), X.astype(float) + 30
    fitted = SDEBNNRegressor(**small).fit(rows, Y[:, 0])
    without = SDEBNNRegressor(**small, beyond_range=0).fit(rows, Y[:, 0])
    np.testing.assert_array_equal(fitted.predict(rows), without.predict(rows))
    # In the target's unit, by half ranges of the columns.
    half = (rows.max(axis=0) - rows.min(axis=0)) / 2
    distance = np.linalg.norm(np.maximum(far - rows.max(axis=0), 0) / half, axis=1)
    own, more = (model.predict_uncertainty(far).epistemic[:, 0] for model in (without, fitted))
    np.testing.assert_allclose(more, np.hypot(own, 2 * Y[:, 0].std() * distance / 3**0.5), rtol=0.5)
    np.testing.assert_allclose(fitted.predict(far), without.predict(far), rtol=1e-4)

    fitted.save(tmp_path / "run")
    np.testing.assert_array_equal(SDEBNNRegressor.load(tmp_path / "run").predict(far), fitted.predict(far))
    record = json.loads((tmp_path / "run" / "task.json").read_text())
    (tmp_path / "run" / "task.json").write_text(json.dumps(record | {"ranges": None, "holes": None}))
    with pytest.raises(InputError, match=r"task\.json has no ranges .* beyond_range=2 needs; .*changes="):
        sdebnn.load(tmp_path / "run")
    loaded = sdebnn.load(tmp_path / "run", changes={"beyond_range": 0.0})
    np.testing.assert_allclose(loaded.predict(rows).mean[:, 0], fitted.predict(rows), rtol=1e-6, atol=1e-6)
    low, high = record["ranges"]
    hole = [0, low[0], high[0]]
    for bad in (hole, [hole, hole], [[3, *hole[1:]]], [[0, high[0], low[0]]], [[True, *hole[1:]]], [[0, low[0], 9e9]]):
        (tmp_path / "run" / "task.json").write_text(json.dumps(record | {"holes": bad}))
        with pytest.raises(InputError, match=r"task\.json was truncated or altered"):
            sdebnn.load(tmp_path / "run")
    wrong: list[Any] = [[low], [low, high[:1]], [high, low], [low, [1e300] * 3], [low, [None] * 3], "0"]
    for bad in wrong:
        (tmp_path / "run" / "task.json").write_text(json.dumps(record | {"ranges": bad}))
        with pytest.raises(InputError, match=r"task\.json was truncated or altered"):
            sdebnn.load(tmp_path / "run")


def test_an_estimator_doubts_what_is_in_a_hole_and_a_run_keeps_it(tmp_path: Path) -> None:
    small = {"framework": "torch", "width": 4, "n_members": 2, "max_iter": 50, "sigma": 0.1, "random_state": 0}
    rows = np.concatenate([X, X + np.array([10, 0, 0])]).astype(float)
    targets, within = np.sin(rows[:, 1]), np.array([[5.0, 0.5, 0.5]])
    fitted = SDEBNNRegressor(**small).fit(rows, targets)
    without = SDEBNNRegressor(**small, beyond_range=0).fit(rows, targets)
    np.testing.assert_array_equal(fitted.predict(rows), without.predict(rows))
    left, right = X[:, 0].max(), X[:, 0].min() + 10
    distance = min(5 - left, right - 5) / ((rows[:, 0].max() - rows[:, 0].min()) / 2)
    own, more = (model.predict_uncertainty(within).epistemic[0, 0] for model in (without, fitted))
    np.testing.assert_allclose(more, np.hypot(own, 2 * targets.std() * distance / 3**0.5), rtol=0.1)

    fitted.save(tmp_path / "run")
    said = [model.predict_uncertainty(within).epistemic for model in (fitted, SDEBNNRegressor.load(tmp_path / "run"))]
    np.testing.assert_array_equal(*said)
    # An older run does not know of holes, and predicts what it did.
    record = json.loads((tmp_path / "run" / "task.json").read_text())
    del record["holes"]
    (tmp_path / "run" / "task.json").write_text(json.dumps(record))
    older = SDEBNNRegressor.load(tmp_path / "run").predict_uncertainty(within).epistemic
    np.testing.assert_allclose(older, own, rtol=1e-5)


def test_an_older_run_is_scored_as_it_was(tmp_path: Path) -> None:
    x = np.concatenate([X, X + np.array([10, 0, 0], np.float32)])
    data = Dataset("holed", "regression", x, x[:, :1].copy(), np.full((1, 3), 5, np.float32), Y[:1, :1], None)
    config = TrainConfig(beyond_range=1.0, max_steps=2, data="holed", **SMALL)
    run = start_run(build_learner, config, tmp_path / "run", dataset=data).folder
    with_holes = restore(build_learner, run.path, dataset=data).learner.outputs(data.x_test)
    record = json.loads((run.path / "task.json").read_text())
    del record["holes"]
    (run.path / "task.json").write_text(json.dumps(record))
    scored = restore(build_learner, run.path, dataset=data).learner.outputs(data.x_test)
    loaded = sdebnn.load(run.path).outputs(data.x_test)
    np.testing.assert_allclose(scored, loaded, rtol=1e-6)
    assert not np.allclose(scored, with_holes, atol=0.1)


def test_what_has_no_range_is_refused() -> None:
    config = TrainConfig(beyond_range=1.0, **SMALL)
    images = Dataset("images", "regression", X.reshape(30, 3, 1, 1), Y, X.reshape(30, 3, 1, 1), Y, None)
    stream = StreamedDataset("stream", "regression", X, Y, X, Y, None, stream=[(X, Y)], size=300)
    counts = Dataset("counts", "regression", X, np.ones_like(Y), X, np.ones_like(Y), None)
    cases: list[tuple[Dataset, Any, str]] = [
        (images, "auto", r"beyond_range=1 is for .* a table's columns, and images has inputs of shape \(3, 1, 1\)"),
        (stream, "auto", "of stream only a sample of the training examples is known; take 0"),
        (counts, "poisson", "in units of the targets, and likelihood='poisson' has none; take 0"),
    ]
    for dataset, likelihood, says in cases:
        with pytest.raises(InputError, match=says):
            built(build_learner, dataclasses.replace(config, likelihood=likelihood), dataset)
    wide = Dataset(
        "wide", "regression", np.zeros((2, 2**18), np.float32), Y[:2], np.zeros((2, 2**18), np.float32), Y[:2], None
    )
    with pytest.raises(InputError, match=r"with 2 outputs these have 157286400 weights, .* or fewer samples"):
        built(build_learner, dataclasses.replace(config, test_samples=150), wide)
    with pytest.raises(InputError, match="beyond_range='far' is not allowed: it takes a number from 0, or 'auto'"):
        SDEBNNRegressor(beyond_range="far").fit(X, Y)


def test_a_table_has_it_by_default_where_it_has_a_meaning() -> None:
    assert TrainConfig.for_table().beyond_range == 2
    assert TrainConfig.for_table(scale=False).beyond_range == 0
    assert TrainConfig.for_table(likelihood="poisson").beyond_range == 0
    assert TrainConfig.for_table(model="odenet").beyond_range == 0
    assert TrainConfig.for_table(beyond_range=0.5).beyond_range == 0.5
    assert TrainConfig.for_data("digits").beyond_range == 0
