"""What a committee learns, and that its networks are those that would have been trained alone."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import pytest

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner, gather
from sdebnn.runs import TrainConfig
from sdebnn.training.building import built
from sdebnn.training.calibration import at_temperature
from sdebnn.training.committee import (
    FIRST_RUNG,
    SHARED,
    STEPS,
    Batches,
    Candidate,
    Examples,
    Held,
    Networks,
    falls_for,
    folds_of,
    held_share,
    patience_for,
    train_committee,
)
from sdebnn.training.members import of_members

FRAMEWORKS: tuple[Literal["jax", "torch"], ...] = ("jax", "torch")


@pytest.fixture(autouse=True)
def as_optax_needs_it() -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"):
        yield


def choices(framework: Any, **others: Any) -> TrainConfig:
    return TrainConfig(
        framework=framework, likelihood="gaussian", width=8, drift_widths=(2, 4, 2), steps=2, augment=2,
        learning_rate=3e-2, schedule="constant", test_samples=4, **others,
    )  # fmt: skip


def line(n: int = 120, noise: float = 0.3) -> Examples:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (n, 1))
    y = 2 * x + noise * rng.normal(size=(n, 1))
    return Examples(x.astype(np.float32), y.astype(np.float32), np.ones(n, np.float32))


def batches(examples: Examples, rows: np.ndarray) -> Batches:
    shape = (STEPS, *rows.shape)
    counts, every = np.arange(STEPS) < 3, np.broadcast_to(rows, shape)
    return Batches(
        examples.x[every], examples.y[every], np.ones(shape, np.float32), np.where(counts, 1e-2, 0).astype(np.float32),
        np.where(counts, 0.5, 1).astype(np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_network_does_not_depend_on_those_beside_it(framework: str) -> None:
    examples, config = line(32), choices(framework)
    weights, seeds = np.array([0.01, 0.02], np.float32), np.array([3, 5])
    rows = np.stack([np.arange(16), np.arange(16, 32)])
    (both,) = gather(config)([Candidate(config, Networks(weights, seeds))], examples, None)
    losses = np.asarray(both.take_steps(batches(examples, rows), 0))
    both.keep(np.ones(2, bool))
    held = Held(examples.x[rows], examples.y[rows], np.log(np.array([[1, 2], [1, 3]], np.float32)))
    of_held = np.asarray(both.log_probs(held))
    for number in range(2):
        one = slice(number, number + 1)
        (alone,) = gather(config)([Candidate(config, Networks(weights[one], seeds[one]))], examples, None)
        np.testing.assert_allclose(alone.take_steps(batches(examples, rows[one]), 0), losses[one], rtol=1e-4)
        alone.keep(np.ones(1, bool))
        found, expected = both.kept(number), alone.kept(0)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-5)
        of_one = alone.log_probs(Held(*(part[one] for part in held)))
        np.testing.assert_allclose(of_held[one], of_one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_examples_without_weight_are_not_learned_from(framework: str) -> None:
    examples, config = line(16), choices(framework)
    candidate = Candidate(config, Networks(np.array([0.01], np.float32), np.array([1])))
    (whole,), (filled,) = (gather(config)([candidate], examples, None) for _ in range(2))
    eight = np.arange(8)[None]
    of_eight = whole.take_steps(batches(examples, eight), 0)
    # The eight count twice, so that the mean over sixteen is theirs.
    sixteen = np.arange(16)[None]
    weights = np.broadcast_to(2 * (sixteen < 8).astype(np.float32), (STEPS, 1, 16))
    of_sixteen = batches(examples, sixteen)._replace(weights=weights)
    np.testing.assert_allclose(filled.take_steps(of_sixteen, 0), of_eight, rtol=1e-4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("likelihood", ["gaussian", "student_t_input"])
def test_at_a_temperature_it_is_judged_by_the_law_that_calibration_makes(framework: str, likelihood: Any) -> None:
    examples, temperatures = line(16), np.array([[0.5, 1, 2]])
    config = dataclasses.replace(choices(framework), likelihood=likelihood)
    rows = np.arange(16)[None]
    held = Held(examples.x[rows], examples.y[rows], np.log(temperatures).astype(np.float32))
    (committee,) = gather(config)(
        [Candidate(config, Networks(np.array([0.01], np.float32), np.array([1])))], examples, None
    )
    found = np.asarray(committee.log_probs(held))
    committee.keep(np.ones(1, bool))
    average = committee.kept(0)
    for temperature, of_rows in zip(temperatures[0], found[0], strict=True):
        committee.go_on_from([at_temperature(average, np.log(temperature), None)])
        as_it_is = np.asarray(committee.log_probs(held))[0, 1]
        np.testing.assert_allclose(of_rows, as_it_is, rtol=1e-4, atol=1e-5)
    # At the start networks predict about 0, and noise of another size is another law.
    assert np.abs(np.diff(found.mean(axis=2))).min() > 0.05


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_learns_a_line_and_how_wide_its_noise_is(framework: str) -> None:
    examples, config = line(), choices(framework)
    candidates = [dataclasses.replace(config, sigma=sigma) for sigma in (0.1, 3.0)]
    trained = train_committee(
        gather(config), candidates, examples, None, members=2, steps=200, patience=3, held_out=0.5
    )
    # Noise of .3 has this log-likelihood under its own law, and nothing can have a higher one.
    best = -np.log(0.3) - 0.5 * np.log(2 * np.pi * math.e)
    assert best - 0.25 < trained.log_likelihood < best + 0.15
    assert trained.log_likelihood == max(trained.candidates.values())
    assert (trained.config.sigma, trained.config.members) == (0.1, 2)
    data = Dataset("line", "regression", examples.x, examples.y, examples.x, examples.y, None)
    learner = built(build_learner, trained.config, data)
    learner.load_average(of_members(trained.averages))
    outputs = learner.outputs(np.array([[-0.5], [0.5]], np.float32))
    assert outputs.shape == (8, 2, 1)
    np.testing.assert_allclose(outputs.mean(axis=0)[:, 0], [-1, 1], atol=0.2)
    variance = learner.of_likelihood("variance", outputs)
    assert variance is not None
    np.testing.assert_allclose(np.sqrt(variance), 0.3, atol=0.06)


def test_noise_that_depends_on_the_input_is_found() -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (400, 1))
    y = np.where(x > 0, 0.5, 0.05) * rng.normal(size=(400, 1))
    examples = Examples(x.astype(np.float32), y.astype(np.float32), np.ones(400, np.float32))
    config = choices("jax")
    candidates = [dataclasses.replace(config, likelihood=name) for name in ("gaussian", "gaussian_input")]
    trained = train_committee(
        gather(config), candidates, examples, None, members=2, steps=300, patience=3, held_out=0.5
    )
    assert trained.config.likelihood == "gaussian_input"
    best = -0.5 * np.log(2 * np.pi * math.e) - 0.5 * (np.log(0.5) + np.log(0.05))
    assert best - 0.3 < trained.log_likelihood < best + 0.15


class Steady(NamedTuple):
    """A committee that learns nothing: its held-out examples have the log-likelihood that its likelihood is named by.
    Every network notes the step at which it is asked.
    """

    value: float
    asked: list[tuple[float, int]]

    def prepare(self, batches: Batches, held: Held | None) -> None:
        pass

    def go_on_from(self, averages: Sequence[Mapping[str, np.ndarray]]) -> None:
        pass

    def go_back(self) -> None:
        pass

    def take_steps(self, batches: Batches, first: int) -> np.ndarray:
        self.asked.append((self.value, first))
        return np.zeros(1)

    def log_probs(self, held: Held) -> np.ndarray:
        # Better by more than a little at every look.
        return np.full((len(held.y), 1, held.y.shape[1]), self.value + 0.01 * len(self.asked))

    def keep(self, chosen: np.ndarray) -> None:
        pass

    def kept(self, network: int) -> dict[str, np.ndarray]:
        return {"average/value": np.array(self.value)}


def test_the_worse_half_of_the_candidates_is_given_up() -> None:
    asked: list[tuple[float, int]] = []
    candidates = [choices("jax", sigma=sigma) for sigma in (1.0, 3.0, 2.0, 4.0)]
    trained = train_committee(
        lambda candidates, examples, classes: [Steady(-config.sigma, asked) for config, _ in candidates], candidates,
        line(20), None,
        members=1, steps=9 * STEPS, patience=99, held_out=0.5,
    )  # fmt: skip
    stretches = {sigma: sum(value == -sigma for value, _ in asked) for sigma in (1.0, 2.0, 3.0, 4.0)}
    assert stretches == {1.0: 9, 2.0: 2 * FIRST_RUNG, 3.0: FIRST_RUNG, 4.0: FIRST_RUNG}
    assert trained.config.sigma == 1.0
    assert len(trained.candidates) == 4


def test_training_ends_when_nothing_gets_better() -> None:
    asked: list[tuple[float, int]] = []

    class Still(Steady):
        def log_probs(self, held: Held) -> np.ndarray:
            return np.full((len(held.y), 1, held.y.shape[1]), self.value)

    train_committee(
        lambda candidates, examples, classes: [Still(0.0, asked)], [choices("jax")], line(20), None,
        members=1, steps=50 * STEPS, patience=3, held_out=0.5,
    )  # fmt: skip
    # The first stretch is better than nothing.
    assert len(asked) == 4


@pytest.mark.parametrize(("temperatures", "best"), [((1.0,), 1), ((1.0, 2.0), 8)])
def test_what_is_predicted_better_at_another_temperature_is_better(temperatures: tuple[float, ...], best: int) -> None:
    """Held-out examples are predicted worse and worse at temperature 1, and at 2 better up to the eighth look."""
    asked: list[tuple[float, int]] = []

    class TooSure(Steady):
        def log_probs(self, held: Held) -> np.ndarray:
            number = len(self.asked)
            found = np.where(held.log_temperatures > 0, 0.01 * min(number, 8), -0.01 * number)
            return np.repeat(found[..., None], held.y.shape[1], axis=2)

    trained = train_committee(
        lambda candidates, examples, classes: [TooSure(0.0, asked)], [choices("jax")], line(20), None,
        members=1, steps=50 * STEPS, patience=3, held_out=0.5, temperatures=temperatures,
    )  # fmt: skip
    assert len(asked) == best + 3
    assert trained.steps == [best * STEPS]
    assert trained.log_likelihood == pytest.approx(0.08 if len(temperatures) > 1 else -0.01)


class Noted(Steady):
    """It notes the step size of every stretch, as a share of the first, and where it went back to what was kept; what
    it holds out is predicted better up to the look of this number."""

    def take_steps(self, batches: Batches, first: int) -> np.ndarray:
        self.asked.append((float(batches.sizes[-1] / 3e-2), first))
        return np.zeros(1)

    def go_back(self) -> None:
        self.asked.append((-1.0, -1))

    def log_probs(self, held: Held) -> np.ndarray:
        looks = sum(share > 0 for share, _ in self.asked)
        return np.full((len(held.y), 1, held.y.shape[1]), 0.01 * min(looks, self.value))


@pytest.mark.parametrize(
    ("best", "patience", "stretches"),
    [
        # Where nothing gets better for so long, and for 6 looks at most after that.
        (5, 8, [1.0] * 13 + [-1.0] + [0.5] * 6 + [-1.0] + [0.25] * 6),
        (5, 3, [1.0] * 8 + [-1.0] + [0.5] * 3 + [-1.0] + [0.25] * 3),
        # After three quarters of forty stretches, and what gets better then goes on to the last step.
        (99, 8, [1.0] * 30 + [-1.0] + [0.5] * 10),
        (31, 8, [1.0] * 30 + [-1.0] + [0.5] * 7 + [-1.0] + [0.25] * 3),
    ],
)
def test_steps_are_shorter_where_nothing_gets_better_and_begin_at_the_best(
    best: int, patience: int, stretches: list[float]
) -> None:
    asked: list[tuple[float, int]] = []
    trained = train_committee(
        lambda candidates, examples, classes: [Noted(best, asked)], [choices("jax")], line(20), None,
        members=1, steps=40 * STEPS, patience=patience, held_out=0.5, falls=(0.5, 0.25),
    )  # fmt: skip
    np.testing.assert_allclose([share for share, _ in asked], stretches, rtol=1e-6)
    assert [first for share, first in asked if share > 0] == [
        STEPS * number for number in range(sum(share > 0 for share in stretches))
    ]
    assert trained.steps == [min(best, 40) * STEPS]


def two_networks(framework: str) -> tuple[Any, Batches]:
    """Of one committee, and a stretch of steps for both, on half of the examples each."""
    examples, config = line(16), choices(framework)
    networks = Networks(np.array([0.01, 0.02], np.float32), np.array([1, 2]))
    (committee,) = gather(config)([Candidate(config, networks)], examples, None)
    given = batches(examples, np.stack([np.arange(8), np.arange(8, 16)]))
    return committee, given


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_networks_go_back_to_what_was_kept(framework: str) -> None:
    committee, given = two_networks(framework)
    np.asarray(committee.take_steps(given, 0))
    committee.keep(np.ones(2, bool))
    best = [committee.kept(network) for network in range(2)]
    np.asarray(committee.take_steps(given, STEPS))
    committee.go_back()
    np.asarray(committee.take_steps(given._replace(sizes=1e-30 * given.sizes), 2 * STEPS))
    committee.keep(np.ones(2, bool))
    for network in range(2):
        for name, array in committee.kept(network).items():
            np.testing.assert_allclose(array, best[network][name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_network_that_broke_down_goes_on_from_what_was_kept(framework: str) -> None:
    committee, given = two_networks(framework)
    broken = given.y.copy()
    broken[:, 0] = np.inf
    losses = np.asarray(committee.take_steps(given._replace(y=broken), 0))
    assert np.isfinite(losses).tolist() == [False, True]
    # Nothing was kept but the start.
    committee.go_back()
    losses = np.asarray(committee.take_steps(given, STEPS))
    assert np.isfinite(losses).all()
    committee.keep(np.ones(2, bool))
    assert all(np.isfinite(array).all() for network in range(2) for array in committee.kept(network).values())


def test_every_labelled_example_is_held_out_once() -> None:
    folds = folds_of(53, 5, 0.2, 0, np.arange(53) % 2)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.held for fold in folds])), np.arange(53))
    for fold in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate(fold)), np.arange(53))
        assert 10 <= len(fold.held) <= 11


@pytest.mark.parametrize("share", [0.07, 0.15, 0.3, 0.4, 1 / 49])
def test_the_share_that_is_asked_for_is_held_out(share: float) -> None:
    folds = folds_of(400, 9, share, 0, np.zeros(400, int))
    assert all(abs(len(fold.held) - 400 * share) <= 1 for fold in folds)
    assert all(abs(len(fold.held) - 400 * share) <= SHARED for fold in folds_of(400, 9, share, 0, None))
    of_one_division = folds[: min(int(1 / share), 9)]
    held = np.concatenate([fold.held for fold in of_one_division])
    assert len(np.unique(held)) == len(held)


@pytest.mark.parametrize(
    ("examples", "held"), [(10, 2), (100, 20), (150, 30), (200, 30), (299, 30), (300, 30), (1000, 100)]
)
def test_of_targets_a_tenth_is_held_out_or_as_many_as_are_enough(examples: int, held: int) -> None:
    assert {len(fold.held) for fold in folds_of(examples, 5, held_share(examples, None), 0, None)} == {held}
    assert held_share(examples, 3) == 0.2
    assert patience_for(None) > patience_for(3)
    falls = falls_for(TrainConfig.for_table(), None)
    assert 1 > falls[0] > falls[1] > 0
    assert falls_for(TrainConfig.for_table(), 3) == falls_for(TrainConfig.for_table(schedule="cosine"), None) == ()


@pytest.mark.parametrize(("examples", "members", "share"), [(100, 5, 0.1), (247, 5, 0.12), (40, 4, 0.5), (4, 3, 0.5)])
def test_two_members_hold_out_the_same_targets_and_no_two_all_of_them(
    examples: int, members: int, share: float
) -> None:
    folds = folds_of(examples, members, share, 0, None)
    holders = np.zeros(examples, int)
    for number, fold in enumerate(folds):
        np.testing.assert_array_equal(np.sort(np.concatenate(fold)), np.arange(examples))
        holders[fold.held] += 1
        with_next = np.intersect1d(fold.held, folds[(number + 1) % members].held)
        assert 0 < len(with_next) < len(fold.held)
    assert set(holders) <= {0, 2}


def test_what_more_members_than_pieces_hold_out_comes_on_top() -> None:
    folds = folds_of(100, 5, 0.5, 0, None)
    assert {len(fold.held) for fold in folds} == {50}
    assert set(np.bincount(np.concatenate([fold.held for fold in folds]), minlength=100)) == {2, 3}


@pytest.mark.parametrize(("examples", "members"), [(100, 2), (100, 1), (3, 5)])
def test_few_members_or_targets_share_nothing(examples: int, members: int) -> None:
    held = [set(fold.held) for fold in folds_of(examples, members, 0.2, 0, None)[:2]]
    assert len(held) == 1 or not held[0] & held[1]


def test_classes_keep_their_share_in_every_fold() -> None:
    labels = np.repeat([0, 1], [80, 20])
    for fold in folds_of(100, 4, 0.25, 0, labels):
        assert np.bincount(labels[fold.held]).tolist() == [20, 5]


def test_more_members_than_parts_take_another_division() -> None:
    folds = folds_of(40, 4, 0.5, 0, None)
    assert len({tuple(sorted(fold.held)) for fold in folds}) == 4


def test_without_held_out_examples_all_are_learned_from_to_the_last_step() -> None:
    examples, config = line(24), choices("torch")
    trained = train_committee(gather(config), [config], examples, None, members=2, steps=30, patience=1, held_out=0.0)
    assert trained.steps == [30, 30]
    assert np.isnan(trained.log_likelihood)


def test_one_example_cannot_be_held_out() -> None:
    with pytest.raises(InputError, match="2 or more are needed"):
        folds_of(1, 5, 0.2, 0, None)
