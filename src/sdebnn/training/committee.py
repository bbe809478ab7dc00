"""Several networks for one table that are trained together. Each holds out a part of the examples, by which it is
judged: so the examples themselves choose sigma, the likelihood and the length of training, and the networks of the
best choice predict as one mixture, in which every example is learned from by most.

It is cross-validation whose networks are kept (Krogh and Vedelsby, Neural network ensembles, cross validation, and
active learning, 1995). What is chosen is chosen by the mean log-likelihood of held-out examples, never by test data.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from sdebnn.data.split import hold_out
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.runs.choices import PriorChoices
from sdebnn.training.members import member_seeds

# Gradient steps between two looks at the held-out examples; in one compiled program.
STEPS = 100
# Held-out examples of a network that are looked at: of more, the first of them in their mixed order.
MOST_HELD = 2000
# Nats: a log-likelihood that is not better by that much is no reason to go on.
LITTLE = 2e-3
# Of the number of parts of a share such as 1/49, which need not be whole in double precision.
ROUNDING = 1e-9
# Gradients are clipped to this norm where no other is chosen: one strange batch is not to end a training without
# anybody who looks at it.
CLIP_NORM = 10.0


class Examples(NamedTuple):
    """What networks learn from: inputs as they take them, answers, and the weight of each example, of mean 1."""

    x: Float32[np.ndarray, "n d"]
    y: np.ndarray
    weights: Float32[np.ndarray, " n"]


class Fold(NamedTuple):
    """Numbers of the examples that a network learns from, and of those that it is judged by."""

    learned: Int[np.ndarray, " a"]
    held: Int[np.ndarray, " b"]


class Batches(NamedTuple):
    """The gradient steps of a stretch: of each step and network the examples, by number, and their weights within the
    batch; of each step its size, and what the parameter average keeps of itself.
    """

    rows: Int[np.ndarray, "steps networks batch"]
    weights: Float32[np.ndarray, "steps networks batch"]
    sizes: Float32[np.ndarray, " steps"]
    decays: Float32[np.ndarray, " steps"]


class Committee(Protocol):
    """Networks of one structure, in a framework, that take their gradient steps together."""

    def prepare(self, rows: Int[np.ndarray, "networks held"]) -> None:
        """Is told, before the first step, for which examples `log_probs` will be asked: to compile for them."""

    def take_steps(self, batches: Batches, first: int) -> Float[np.ndarray, " networks"]:
        """Takes gradient steps, of which the first has the number `first`. Returns the mean loss of each network."""

    def log_probs(self, rows: Int[np.ndarray, "networks held"]) -> Float[np.ndarray, "networks held"]:
        """The log-probability, in nats, of the answers of these examples under the mixture of the posterior samples of
        each network's averaged parameters.
        """

    def keep(self, chosen: Bool[np.ndarray, " networks"]) -> None:
        """Puts the averaged parameters of the chosen networks aside, in place of what was aside."""

    def kept(self, network: int) -> dict[str, np.ndarray]:
        """What is aside of a network, named as in `Learner.state`: `average/...`."""


class Networks(NamedTuple):
    """The choices in which the networks of a committee differ: sigma, the weight of the KL in the loss of an example,
    and the seed; one number for each network.
    """

    sigmas: Float32[np.ndarray, " networks"]
    kl_weights: Float32[np.ndarray, " networks"]
    seeds: Int[np.ndarray, " networks"]


Gather = Callable[[TrainConfig, Examples, int | None, Networks], Committee]
"""Makes the committee of a framework: of choices, examples, the number of classes (`None` for targets) and networks."""


class Trained(NamedTuple):
    """What came of it.

    - `config`: the choices, with the sigma and the likelihood that were chosen, and as many `members` as there are.
    - `averages`: the averaged parameters of each member, named as in `Learner.state`.
    - `steps`: the gradient steps of each member up to these parameters.
    - `log_likelihood`: of the examples by the members that held them out, in nats, mean over examples; NaN where none
      were held out.
    - `losses`, `held_out`: the curves of the chosen members, by stretches of `STEPS` gradient steps: the mean loss, and
      the mean log-likelihood of held-out examples.
    - `candidates`: the log-likelihood of every candidate, by what was tried.
    """

    config: TrainConfig
    averages: list[dict[str, np.ndarray]]
    steps: list[int]
    log_likelihood: float
    losses: list[float]
    held_out: list[float]
    candidates: dict[str, float]


def train_committee(
    gather: Gather,
    candidates: Sequence[TrainConfig],
    examples: Examples,
    num_classes: int | None,
    *,
    members: int,
    steps: int,
    patience: int,
    held_out: float,
    look: Callable[[int, float, float], object] = lambda step, loss, held_out: None,
) -> Trained:
    """Trains the candidates and takes the best.

    **Arguments:**

    - `gather`: makes the committee, in a framework.
    - `candidates`: choices, at least one; those that differ in sigma alone are trained in one program.
    - `examples`, `num_classes`: see there.
    - `members`: how many networks predict together.
    - `steps`: gradient steps at most.
    - `patience`: stretches of `STEPS` without a log-likelihood better by `LITTLE`, after which training stops.
    - `held_out`: share of the examples that each member is judged by; 0 holds none out: then the first candidate is
      trained to the last step.
    - `look`: is told how training goes: the steps taken, the mean loss, and the log-likelihood of held-out examples,
      of the best candidate, NaN where none are held out.

    **Raises:** `InputError` where too few examples are left; `FloatingPointError` where training breaks down.
    """
    seed = candidates[0].seed
    labels = examples.y if num_classes else None
    folds = folds_of(len(examples.x), members, held_out, seed, labels)
    if not held_out:
        candidates = candidates[:1]
    best: Trained | None = None
    tried: dict[str, float] = {}
    for group in _alike(candidates):
        course = _Course(gather, group, examples, num_classes, folds)
        course.run(steps, patience, look)
        for number, config in enumerate(group):
            found = course.trained(number)
            tried[f"sigma={config.sigma:g}, likelihood={config.likelihood}"] = found.log_likelihood
            if best is None or found.log_likelihood > best.log_likelihood:
                best = found
    if best is None or (held_out and not (np.isfinite(best.log_likelihood) and min(best.steps))):
        raise FloatingPointError(
            "Training broke down: no network gives held-out examples a finite log-likelihood; take a smaller "
            f"learning_rate (now {candidates[0].learning_rate:g})."
        )
    return best._replace(candidates=tried)


def folds_of(
    examples: int, members: int, held_out: float, seed: int, labels: Int[np.ndarray, " n"] | None
) -> list[Fold]:
    """Of each member the examples that it learns from and those that it is judged by: parts of one division, as long as
    there are any, and then of another.

    **Raises:** `InputError` where nothing would be left to learn from or to be judged by.
    """
    everything = np.arange(examples)
    if not held_out:
        return [Fold(everything, everything[:0])] * members
    if examples < 2:
        raise InputError(f"There are {examples} examples; 2 or more are needed, so that some can be held out.")
    # Parts of a division, of which the last need not be whole: then it is learned from by all.
    parts = min(max(2.0, 1 / held_out), examples)
    whole = int(parts + ROUNDING)
    folds: list[Fold] = []
    for division in range(-(-members // whole)):
        left = everything
        for part in range(whole):
            held, share = left, 1 / (parts - part)
            if round(share * len(left)) < len(left):
                of_left = None if labels is None else labels[left]
                kept, chosen = hold_out(len(left), share, seed + division, of_left)
                left, held = left[kept], left[chosen]
            folds.append(Fold(np.setdiff1d(everything, held), np.random.default_rng(seed).permutation(held)))
    return folds[:members]


def _alike(candidates: Sequence[TrainConfig]) -> Iterator[list[TrainConfig]]:
    groups: dict[TrainConfig, list[TrainConfig]] = {}
    for config in candidates:
        groups.setdefault(dataclasses.replace(config, sigma=PriorChoices().sigma), []).append(config)
    yield from groups.values()


class _Course:
    """The training of candidates that differ in sigma alone: network c * members + m is member m of candidate c. All
    candidates have the same seeds and see the same batches.
    """

    def __init__(
        self,
        gather: Gather,
        group: list[TrainConfig],
        examples: Examples,
        num_classes: int | None,
        folds: list[Fold],
    ) -> None:
        self._group, self._folds, self._examples = group, folds, examples
        config, count = group[0], len(group)
        seeds = np.array(member_seeds(dataclasses.replace(config, members=len(folds))), np.int64)
        networks = Networks(
            np.repeat(np.array([of.sigma for of in group], np.float32), len(folds)),
            np.tile(np.array([config.kl_coef / len(fold.learned) for fold in folds], np.float32), count),
            np.tile(seeds, count),
        )
        self._committee = gather(config, examples, num_classes, networks)
        self._batch = min(config.batch_size, power_of_two(max(len(fold.learned) for fold in folds)))
        self._orders = [np.random.default_rng([int(seed), 0]) for seed in seeds]
        self._held, self._mask = self._held_out()
        shape = (count, len(folds))
        self._best = np.full(shape, -np.inf)
        self._best_of_rows = np.full((*shape, self._held.shape[1]), -np.inf)
        self._at = np.zeros(shape, int)
        # Of the mean over members, that one which is slow does not hold up the others.
        self._better_than, self._better_at = np.full(count, -np.inf), np.zeros(count, int)
        self._losses: list[np.ndarray] = []
        self._looks: list[np.ndarray] = []

    def run(self, steps: int, patience: int, look: Callable[[int, float, float], object]) -> None:
        config, done = self._group[0], 0
        if self._held.shape[1]:
            self._committee.prepare(np.tile(self._held, (len(self._group), 1)))
        while done < steps:
            taken = min(STEPS, steps - done)
            loss = self._committee.take_steps(self._batches(done, taken, steps), done)
            self._losses.append(loss.reshape(self._at.shape))
            done += taken
            if self._held.shape[1] == 0:
                if not np.isfinite(loss).all():
                    raise FloatingPointError(
                        f"Training broke down before step {done}: the loss is not finite; take a smaller "
                        f"learning_rate (now {config.learning_rate:g})."
                    )
                self._at[:] = done
                look(done, float(loss.mean()), np.nan)
                continue
            values = self._look(done)
            look(done, float(self._losses[-1][values.argmax()].mean()), float(values.max()))
            if (done - self._better_at >= patience * STEPS).all():
                break
        if self._held.shape[1] == 0:
            self._committee.keep(np.ones(self._at.size, bool))

    def trained(self, candidate: int) -> Trained:
        """What came of a candidate."""
        members = len(self._folds)
        mean = self._mean(self._best_of_rows[candidate], axis=None) if self._held.shape[1] else np.nan
        config = dataclasses.replace(self._group[candidate], members=members)
        return Trained(
            config,
            [self._committee.kept(candidate * members + member) for member in range(members)],
            self._at[candidate].tolist(),
            float(mean),
            [float(loss[candidate].mean()) for loss in self._losses],
            [float(look[candidate].mean()) for look in self._looks],
            {},
        )

    def _look(self, done: int) -> Float[np.ndarray, " candidates"]:
        """Looks at the held-out examples, and keeps what is better than before. Returns the mean of each candidate."""
        count = len(self._group)
        rows = np.tile(self._held, (count, 1))
        log_probs = self._committee.log_probs(rows).astype(np.float64).reshape(self._best_of_rows.shape)
        values = self._mean(log_probs, axis=2)
        self._looks.append(values)
        better = values > self._best
        self._best[better], self._at[better] = values[better], done
        self._best_of_rows[better] = log_probs[better]
        self._committee.keep(better.ravel())
        means = self._best.mean(axis=1)
        counts = means > self._better_than + LITTLE
        self._better_than[counts], self._better_at[counts] = means[counts], done
        return values.mean(axis=1)

    def _mean(self, log_probs: np.ndarray, axis: int | None) -> Any:
        """Over held-out examples, by their weights."""
        weights = np.where(self._mask, self._examples.weights[self._held], 0.0)
        weights = np.broadcast_to(weights, log_probs.shape)
        with np.errstate(invalid="ignore"):
            of_rows = np.where(weights > 0, log_probs * weights, 0.0)
        means = of_rows.sum(axis=axis) / weights.sum(axis=axis)
        return np.where(np.isnan(means), -np.inf, means)

    def _held_out(self) -> tuple[Int[np.ndarray, "members held"], Bool[np.ndarray, "members held"]]:
        """Of each member as many numbers, filled up by the first; a few lengths, for which programs are compiled."""
        held = [fold.held[:MOST_HELD] for fold in self._folds]
        most = max(map(len, held))
        if most == 0:
            return np.zeros((len(held), 0), int), np.zeros((len(held), 0), bool)
        length = power_of_two(most)
        rows = np.stack([np.resize(part, length) for part in held])
        return rows, np.stack([np.arange(length) < len(part) for part in held])

    def _batches(self, done: int, taken: int, steps: int) -> Batches:
        """Of `STEPS` steps, of which those after `taken` change nothing."""
        config, batch = self._group[0], self._batch
        rows, weights = [], []
        for fold, order in zip(self._folds, self._orders, strict=True):
            size = len(fold.learned)
            if size <= batch:
                # All of them, and no weight for what fills the batch up.
                of_member = np.broadcast_to(np.resize(fold.learned, batch), (STEPS, batch))
                share = np.where(np.arange(batch) < size, batch / size, 0.0)
            else:
                of_member, share = fold.learned[order.integers(0, size, (STEPS, batch))], np.ones(batch)
            rows.append(of_member)
            weights.append(share * self._examples.weights[of_member])
        count = len(self._group)
        number = done + np.arange(STEPS)
        counts = np.arange(STEPS) < taken
        sizes = [config.step_size(int(step), steps) if step < steps else 0.0 for step in number]
        decays = np.where(counts, [config.average_decay(int(step)) for step in number], 1.0)
        return Batches(
            np.tile(np.stack(rows, axis=1), (1, count, 1)),
            np.tile(np.stack(weights, axis=1), (1, count, 1)).astype(np.float32),
            np.where(counts, sizes, 0.0).astype(np.float32),
            decays.astype(np.float32),
        )


def power_of_two(number: int) -> int:
    """The next one, at least 8: arrays that are filled up to it have few shapes, and programs are compiled for each."""
    return max(8, 1 << (number - 1).bit_length())
