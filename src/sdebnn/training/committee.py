"""Several networks for one table that are trained together. Each holds out a part of the examples, by which it is
judged: so the examples themselves choose sigma, the likelihood and the length of training, and the networks of the
best choice predict as one mixture, in which every example is learned from by most.

It is cross-validation whose networks are kept (Krogh and Vedelsby, Neural network ensembles, cross validation, and
active learning, 1995). What is chosen is chosen by the mean log-likelihood of held-out examples, never by test data.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped

from sdebnn.data.held_out import hold_out
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training.members import member_seeds

# Gradient steps between two looks at the held-out examples; in one compiled program.
STEPS = 50
# Held-out examples of a network that are looked at: of more, the first of them in their mixed order.
MOST_HELD = 2000
# The share of the examples that a member holds out, where nothing else is said: a fifth; of targets a tenth, as soon as
# that is so many that their mean log-likelihood says which parameters are better.
HELD_OUT, OF_TARGETS, ENOUGH_TARGETS = 0.2, 0.1, 30
# Of targets so many members hold out the same examples: what these give them together, none of them has learned from.
SHARED = 2
# Stretches of `STEPS` without a better log-likelihood, after which training ends, where nothing else is said. The noise
# of targets is found by long training.
PATIENCE, PATIENCE_OF_TARGETS = 6, 24
# The shares of the step size with which training goes on, one after the other, from the best parameters, where nothing
# gets better, and the stretches of `STEPS` without anything better after which each of them ends. The first comes after
# this share of all steps at the latest. Of labels there are none.
FALLS, PATIENCE_OF_FALLS, LATEST_FALL = (0.25, 0.0625), 6, 0.75
# Nats: a log-likelihood that is not better by that much is no reason to go on.
LITTLE = 2e-3
# Of the number of parts of a share such as 1/49, which need not be whole in double precision.
ROUNDING = 1e-9
# Stretches of `STEPS` after which the better half of the candidates goes on alone; and again after twice as many.
FIRST_RUNG = 4
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
    """The gradient steps of a stretch: of each step and network the examples, and their weights within the batch; of
    each step its size, and what the parameter average keeps of itself. Steps that are there to fill the stretch up have
    size 0, and keep all.
    """

    x: Float32[np.ndarray, "steps networks batch d"]
    y: Shaped[np.ndarray, "steps networks batch *of_one"]
    weights: Float32[np.ndarray, "steps networks batch"]
    sizes: Float32[np.ndarray, " steps"]
    decays: Float32[np.ndarray, " steps"]

    def shortened(self, share: float) -> "Batches":
        """The same with steps of this share of their size."""
        return self if share == 1 else self._replace(sizes=self.sizes * np.float32(share))


class Held(NamedTuple):
    """What each network is judged by: as many examples each, and the logarithms of the temperatures at which it is
    asked, by which the scale of noise is multiplied; of labels they are 0.
    """

    x: Float32[np.ndarray, "networks held d"]
    y: Shaped[np.ndarray, "networks held *of_one"]
    log_temperatures: Float32[np.ndarray, "networks temperatures"]


@runtime_checkable
class Committee(Protocol):
    """Networks of one structure, in a framework, that take their gradient steps together. What is returned as an array
    may still be computed: `numpy.asarray` waits for it.
    """

    def prepare(self, batches: Batches, held: Held | None) -> None:
        """Is told, before the first step, what batches and held-out examples will look like: to compile for them."""

    def go_on_from(self, averages: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Takes, before the first step, parameters of each network, named as in `kept`, in place of those that it drew;
        they are their average too.

        **Raises:** `InputError` when they are of another model.
        """

    def take_steps(self, batches: Batches, first: int) -> Any:
        """Takes gradient steps, of which the first has the number `first`. Returns the mean loss of each network."""

    def log_probs(self, held: Held) -> Any:
        """(networks, temperatures, held): the log-probability, in nats, of the answers of these examples under the
        mixture of the posterior samples of each network's averaged parameters, at each temperature.
        """

    def keep(self, chosen: Bool[np.ndarray, " networks"]) -> None:
        """Puts the averaged parameters of the chosen networks aside, in place of what was aside."""

    def go_back(self) -> None:
        """Takes the parameters that are aside in place of its own; they are their average too. The optimiser's moments
        stay, but for those that are not finite, which are 0 from now on.
        """

    def kept(self, network: int) -> dict[str, np.ndarray]:
        """What is aside of a network, named as in `Learner.state`: `average/...`."""


class Networks(NamedTuple):
    """In what the networks of a committee differ: the weight of the KL in the loss of an example, and the seed; one
    number for each network.
    """

    kl_weights: Float32[np.ndarray, " networks"]
    seeds: Int[np.ndarray, " networks"]


class Candidate(NamedTuple):
    """Choices, and the networks that are to be trained by them."""

    config: TrainConfig
    networks: Networks


Gather = Callable[[Sequence[Candidate], Examples, int | None], Sequence[Committee]]
"""Makes the committees of a framework, one for each candidate: of examples for their shapes, and the number of classes
(`None` for targets). Of several that are asked before any answer is read, the framework may compute the answers
together.
"""


class Start(NamedTuple):
    """Where a training goes on: the averaged parameters of each member, named as in `Learner.state`, and how many
    gradient steps were taken before, so that other batches and other noise are drawn now.
    """

    averages: Sequence[Mapping[str, np.ndarray]]
    steps: int


class Trained(NamedTuple):
    """What came of it.

    - `config`: the choices, with the sigma and the likelihood that were chosen, and as many `members` as there are.
    - `averages`: the averaged parameters of each member, named as in `Learner.state`.
    - `steps`: the gradient steps of each member up to these parameters; 0 where they are those that it went on from.
    - `log_likelihood`: of the examples by the members that held them out, in nats, mean over examples, of each member
      at the best of the temperatures; NaN where none were held out.
    - `losses`, `held_out`: the curves of the chosen members, by stretches of `STEPS` gradient steps: the mean loss, and
      the mean log-likelihood of held-out examples.
    - `candidates`: the log-likelihood of every candidate, by what was tried: of those given up, what it was then.
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
    temperatures: Sequence[float] = (1.0,),
    falls: Sequence[float] = (),
    look: Callable[[int, float, float], object] = lambda step, loss, held_out: None,
    start: Start | None = None,
) -> Trained:
    """Trains the candidates and takes the best. Those that hold out worse are given up by halves, at first after
    `FIRST_RUNG` stretches of `STEPS` gradient steps: successive halving (Jamieson and Talwalkar, Non-stochastic best
    arm identification and hyperparameter optimization, 2016).

    **Arguments:**

    - `gather`: makes the committees, in a framework.
    - `candidates`: choices, at least one, that differ in sigma and likelihood.
    - `examples`, `num_classes`: see there.
    - `members`: how many networks predict together.
    - `steps`: gradient steps at most.
    - `patience`: stretches of `STEPS` without a log-likelihood better by `LITTLE`, after which training stops, or its
      step size falls.
    - `held_out`: share of the examples that each member is judged by; 0 holds none out: then the first candidate is
      trained to the last step.
    - `temperatures`: a member is judged at that one of them at which its held-out examples are predicted best, of
      targets whose temperature is fitted afterwards; see `sdebnn.training.calibration.tried_temperatures`.
    - `falls`: shares of the step size with which training then goes on, one after the other, each time from the
      parameters that predict held-out examples best, and with a patience of `PATIENCE_OF_FALLS` at most; with the first
      after `LATEST_FALL` of the steps, if not before.
    - `look`: is told how training goes: the steps taken, the mean loss, and the log-likelihood of held-out examples,
      of the best candidate, NaN where none are held out.
    - `start`: where training goes on; its parameters are kept where no later ones predict held-out examples better.

    **Raises:** `InputError` where too few examples are left, and for a start of another model; `FloatingPointError`
    where training breaks down.
    """
    first = candidates[0]
    labels = examples.y if num_classes else None
    folds = folds_of(len(examples.x), members, held_out, first.seed, labels)
    if not held_out:
        candidates = candidates[:1]
    taken = 0 if start is None else start.steps
    batches = _Drawn(first, examples, folds, taken + steps)
    of_candidates = [Candidate(config, _networks(config, folds)) for config in candidates]
    committees = gather(of_candidates, examples, num_classes)
    courses = [
        _Course(committee, config, examples, folds, temperatures, patience, falls)
        for committee, config in zip(committees, candidates, strict=True)
    ]
    left, rung = courses, FIRST_RUNG
    # Of those that share a program the first, which asks for it.
    for course in {course.config.likelihood: course for course in reversed(courses)}.values():
        course.prepare(batches.of(taken))
    if start is not None:
        for course in courses:
            course.go_on_from(start)
    for number, done in enumerate(range(taken, taken + steps, STEPS), 1):
        late = done - taken >= LATEST_FALL * steps
        running = [course for course in left if course.goes_on(late)]
        if not running:
            break
        stretch, last = batches.of(done), min(done + STEPS, taken + steps)
        # Candidates that are given the same batches may compute together.
        of_share = {share: stretch.shortened(share) for share in {course.share for course in running}}
        # All are asked before any answer is read.
        for course in running:
            course.take_steps(of_share[course.share], done)
        for course in running:
            course.look(last)
        best = max(left, key=lambda course: course.log_likelihood)
        look(last - taken, best.losses[-1], best.held_out[-1])
        if number == rung:
            left = sorted(left, key=lambda course: -course.log_likelihood)[: math.ceil(len(left) / 2)]
            rung *= 2
    best = max(left, key=lambda course: course.log_likelihood)
    if held_out and not np.isfinite(best.log_likelihood):
        raise FloatingPointError(
            "Training broke down: no network gives held-out examples a finite log-likelihood; take a smaller "
            f"learning_rate (now {first.learning_rate:g})."
        )
    tried = {
        f"sigma={course.config.sigma:g}, likelihood={course.config.likelihood}": course.log_likelihood
        for course in courses
    }
    return best.trained()._replace(candidates=tried)


def held_share(examples: int, num_classes: int | None) -> float:
    """The share of so many examples that each member is judged by, where nothing else is said."""
    return HELD_OUT if num_classes else min(HELD_OUT, max(OF_TARGETS, ENOUGH_TARGETS / max(examples, 1)))


def patience_for(num_classes: int | None) -> int:
    """The stretches without anything better, after which training ends, where nothing else is said."""
    return PATIENCE if num_classes else PATIENCE_OF_TARGETS


def falls_for(config: TrainConfig, num_classes: int | None) -> tuple[float, ...]:
    """The shares of the step size with which training goes on, where nothing else is said. None where the step size
    has a schedule of its own.
    """
    return () if num_classes or config.schedule != "constant" else FALLS


def folds_of(
    examples: int, members: int, held_out: float, seed: int, labels: Int[np.ndarray, " n"] | None
) -> list[Fold]:
    """Of each member the examples that it learns from and those that it is judged by: parts of one division, as long as
    there are any, and then of another. Of labels the parts have nothing in common. Of targets each is `SHARED`
    neighbours of a ring of pieces, so that each piece is held out by as many members, where there are more; pieces of
    a second division come on top.

    **Raises:** `InputError` where nothing would be left to learn from or to be judged by.
    """
    everything = np.arange(examples)
    if not held_out:
        return [Fold(everything, everything[:0])] * members
    if examples < 2:
        raise InputError(f"There are {examples} examples; 2 or more are needed, so that some can be held out.")
    # Fewer leave nothing to learn from, or hold out more than is asked for.
    enough = examples >= 2 * SHARED and examples * held_out >= SHARED
    shared = SHARED if labels is None and members > SHARED and enough else 1
    # Of a division, of which the last need not be whole: then it is learned from by all.
    pieces = min(max(2.0, 1 / held_out) * shared, examples)
    whole = int(pieces + ROUNDING)
    order = np.random.default_rng(seed).permutation(examples)
    folds: list[Fold] = []
    for division in range(-(-members // whole)):
        left, ring = everything, []
        for piece in range(min(whole, max(members - len(folds), shared))):
            held, share = left, 1 / (pieces - piece)
            if round(share * len(left)) < len(left):
                of_left = None if labels is None else labels[left]
                kept, chosen = hold_out(len(left), share, seed + division, of_left)
                left, held = left[kept], left[chosen]
            ring.append(held)
        for first in range(min(len(ring), members - len(folds))):
            own = np.concatenate([ring[(first + number) % len(ring)] for number in range(shared)])
            # The same order for all, that of many examples each member looks at those that its neighbours look at.
            folds.append(Fold(np.setdiff1d(everything, own), order[np.isin(order, own)]))
    return folds


class _Drawn:
    """The batches of all candidates, which see the same ones."""

    def __init__(self, config: TrainConfig, examples: Examples, folds: list[Fold], steps: int) -> None:
        self._config, self._examples, self._folds, self._steps = config, examples, folds, steps
        self._batch = min(config.batch_size, power_of_two(max(len(fold.learned) for fold in folds)))

    def of(self, done: int) -> Batches:
        """Of `STEPS` steps, of which those after the last change nothing."""
        config, batch = self._config, self._batch
        rows, weights = [], []
        for member, fold in enumerate(self._folds):
            size = len(fold.learned)
            if size <= batch:
                # All of them, and no weight for what fills the batch up.
                of_member = np.broadcast_to(np.resize(fold.learned, batch), (STEPS, batch))
                share = np.where(np.arange(batch) < size, batch / size, 0.0)
            else:
                rng = np.random.default_rng([config.seed, member, done])
                of_member, share = fold.learned[rng.integers(0, size, (STEPS, batch))], np.ones(batch)
            rows.append(of_member)
            weights.append(share * self._examples.weights[of_member])
        chosen, number = np.stack(rows, axis=1), done + np.arange(STEPS)
        counts = number < self._steps
        sizes = [config.step_size(int(step), self._steps) if step < self._steps else 0.0 for step in number]
        decays = np.where(counts, [config.average_decay(int(step)) for step in number], 1.0)
        return Batches(
            self._examples.x[chosen], self._examples.y[chosen], np.stack(weights, axis=1).astype(np.float32),
            np.array(sizes, np.float32), decays.astype(np.float32),
        )  # fmt: skip


class _Course:
    """The training of one candidate: of as many networks as there are members, by what each holds out."""

    def __init__(
        self, committee: Committee, config: TrainConfig, examples: Examples, folds: list[Fold],
        temperatures: Sequence[float], patience: int, falls: Sequence[float],
    ) -> None:  # fmt: skip
        self.config = dataclasses.replace(config, members=len(folds))
        self.losses: list[float] = []
        self.held_out: list[float] = []
        self._committee = committee
        self._held, self._weights = _held_out(examples, folds, temperatures)
        self._best, self._at = np.full(len(folds), -np.inf), np.zeros(len(folds), int)
        self._best_of_rows = np.full(self._weights.shape, -np.inf)
        # Of the mean over members, that one which is slow does not hold up the others.
        self._better_than, self._better_at, self._looks = -np.inf, 0, 0
        self._patience, self._falls = patience, list(falls)
        self.share = 1.0

    @property
    def log_likelihood(self) -> float:
        """Of the examples by the members that held them out, in nats; NaN where none were."""
        return float(_weighted(self._best_of_rows, self._weights, axis=None)) if self._held else np.nan

    def prepare(self, batches: Batches) -> None:
        self._committee.prepare(batches, self._held)

    def go_on_from(self, start: Start) -> None:
        self._committee.go_on_from(start.averages)
        if self._held:
            self._judge(self._committee.log_probs(self._held), 0)
            self._better_than = self._best.mean()

    def goes_on(self, late: bool) -> bool:
        """Whether there are steps to take. Where nothing has got better for so long, or it is late, they are shorter
        from now on, and begin at the best parameters.
        """
        stale = self._looks - self._better_at >= self._patience
        due = stale or (late and self.share == 1 and bool(self._falls))
        if self._held is None or not due:
            return True
        if not self._falls:
            return False
        self.share, self._patience = self._falls.pop(0), min(self._patience, PATIENCE_OF_FALLS)
        self._better_at = self._looks
        self._committee.go_back()
        return True

    def take_steps(self, batches: Batches, done: int) -> None:
        self._loss = self._committee.take_steps(batches, done)
        self._log_probs = self._committee.log_probs(self._held) if self._held else None

    def look(self, done: int) -> None:
        """Looks at the held-out examples, and keeps what is better than before."""
        loss, log_probs = np.asarray(self._loss), self._log_probs
        self.losses.append(float(loss.mean()))
        if log_probs is None:
            if not np.isfinite(loss).all():
                raise FloatingPointError(
                    f"Training broke down before step {done}: the loss is not finite; take a smaller "
                    f"learning_rate (now {self.config.learning_rate:g})."
                )
            self._at[:] = done
            self.held_out.append(np.nan)
            self._committee.keep(np.ones(len(self._at), bool))
            return
        self.held_out.append(self._judge(log_probs, done))
        self._looks += 1
        if (mean := self._best.mean()) > self._better_than + LITTLE:
            self._better_than, self._better_at = mean, self._looks

    def _judge(self, log_probs: Any, done: int) -> float:
        """Keeps what is better than before. Returns the mean log-likelihood."""
        at_temperatures = np.asarray(log_probs, np.float64)
        means = _weighted(at_temperatures, self._weights[:, None], axis=2)
        chosen = np.arange(len(means)), means.argmax(axis=1)
        of_rows, values = at_temperatures[chosen], means[chosen]
        better = values > self._best
        self._best[better], self._at[better], self._best_of_rows[better] = values[better], done, of_rows[better]
        self._committee.keep(better)
        return float(values.mean())

    def trained(self) -> Trained:
        """What came of it."""
        averages = [self._committee.kept(member) for member in range(len(self._at))]
        curves = self.losses, self.held_out
        return Trained(self.config, averages, self._at.tolist(), self.log_likelihood, *curves, {})


def _networks(config: TrainConfig, folds: list[Fold]) -> Networks:
    shares = np.array([config.kl_coef / len(fold.learned) for fold in folds], np.float32)
    seeds = member_seeds(dataclasses.replace(config, members=len(folds)))
    return Networks(shares, np.array(seeds, np.int64))


def _held_out(
    examples: Examples, folds: list[Fold], temperatures: Sequence[float]
) -> tuple[Held | None, Float[np.ndarray, "members held"]]:
    """Of each member as many, filled up by the first, that have no weight; a few lengths, for which programs are
    compiled.
    """
    held = [fold.held[:MOST_HELD] for fold in folds]
    most = max(map(len, held))
    if most == 0:
        return None, np.zeros((len(held), 0))
    length = power_of_two(most)
    rows = np.stack([np.resize(part, length) for part in held])
    counts = np.stack([np.arange(length) < len(part) for part in held])
    log_temperatures = np.broadcast_to(np.log(np.asarray(temperatures, np.float32)), (len(held), len(temperatures)))
    return Held(examples.x[rows], examples.y[rows], log_temperatures), np.where(counts, examples.weights[rows], 0.0)


def _weighted(
    log_probs: Float[np.ndarray, "members ... held"], weights: Float[np.ndarray, "members ... held"], axis: int | None
) -> Any:
    """The mean over held-out examples; minus infinity in place of NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(weights > 0, log_probs * weights, 0.0).sum(axis=axis) / weights.sum(axis=axis)
    return np.where(np.isnan(means), -np.inf, means)


def power_of_two(number: int) -> int:
    """The next one, at least 8: arrays that are filled up to it have few shapes, and programs are compiled for each."""
    return max(8, 1 << (number - 1).bit_length())
