"""Several networks that train and predict as one: a mixture of as many posteriors."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

import numpy as np
from jaxtyping import Float

from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import Exportable, Learner, Predictive, WeightPaths


class SideBySide:
    """The posterior samples of several as those of one `Predictive`: those of the first, then those of the second.

    **Arguments:**

    - `members`: one at least, each with as many posterior samples.
    """

    def __init__(self, members: Sequence[Predictive]) -> None:
        self.members: Sequence[Predictive] = list(members)

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        return np.concatenate([member.outputs(x) for member in self.members])

    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        parts = np.split(outputs, len(self.members))
        # A user's own learner may know of no seed.
        others = {"seed": seed} if seed else {}
        found = [
            member.of_likelihood(method, part, targets, **others)
            for member, part in zip(self.members, parts, strict=True)
        ]
        return None if any(part is None for part in found) else np.concatenate(found)  # type: ignore[arg-type]


class Members(SideBySide):
    """The `Learner` of several, which are alike but for their seeds and see the same batches. Their posterior samples
    stand one after the other: those of the first member, then those of the second.

    **Arguments:**

    - `members`: learners, one at least.
    """

    members: Sequence[Learner]

    def __init__(self, members: Sequence[Learner]) -> None:
        super().__init__(members)
        first = self.members[0]
        self.rank, self.ranks, self.devices = first.rank, first.ranks, first.devices
        self.by_choices = all(getattr(member, "by_choices", False) for member in self.members)
        self.gather = getattr(first, "gather", None)

    def largest_of_ranks(self, value: int) -> int:
        return self.members[0].largest_of_ranks(value)

    def follow_first(self, step: int) -> int:
        # All of them, whose processes meet in each.
        steps = [member.follow_first(step) for member in self.members]
        return steps[0]

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        return _means([member.gradient_step(x, y, step) for member in self.members])

    def after_training(self) -> Mapping[str, SupportsFloat]:
        return _means([getattr(member, "after_training", dict)() for member in self.members])

    def first_bad(self) -> int:
        return min((step for member in self.members if (step := member.first_bad())), default=0)

    def state(self) -> dict[str, np.ndarray]:
        return {
            _named(number, name): array
            for number, member in enumerate(self.members)
            for name, array in member.state().items()
        }

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        for number, member in enumerate(self.members):
            member.load_state(_of_member(number, state))

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        for number, member in enumerate(self.members):
            member.load_average(_of_member(number, average))

    def drawn_networks(self) -> SideBySide | None:
        drawn = [getattr(member, "drawn_networks", lambda: None)() for member in self.members]
        found = [networks for networks in drawn if networks is not None]
        if len(found) < len(self.members):
            return None
        return found[0].together(found[1:]) if self.by_choices else SideBySide(found)

    def draw_network(self, seed: int) -> Exportable | None:
        member = self.members[seed % len(self.members)]
        return getattr(member, "draw_network", lambda seed: None)(seed // len(self.members))

    def memory(self) -> float:
        return max(member.memory() for member in self.members)

    def weight_paths(self, ts: Float[np.ndarray, " times"], draws: int, weights: int) -> WeightPaths | None:
        return self.members[0].weight_paths(ts, draws, weights)


def _means(values: Sequence[Mapping[str, SupportsFloat]]) -> dict[str, SupportsFloat]:
    return {name: sum(of_member[name] for of_member in values) / len(values) for name in values[0]}  # type: ignore[misc]


def build_members(build: Callable[[TrainConfig, Dataset], Learner], config: TrainConfig, dataset: Dataset) -> Learner:
    """The learner of `config`: that of `build`, or of as many as `config.members` says, with seeds of their own.

    **Raises:** `InputError` as `build` does.
    """
    if config.members == 1:
        return build(config, dataset)
    seeds = member_seeds(config)
    return Members([build(dataclasses.replace(config, seed=seed, members=1), dataset) for seed in seeds])


def member_seeds(config: TrainConfig) -> list[int]:
    """The seed of each member: of one alone the run's, of several others than those of other runs."""
    if config.members == 1:
        return [config.seed]
    numbers = range(config.members)
    return [int(np.random.SeedSequence([config.seed, number]).generate_state(1)[0]) for number in numbers]


def of_members(averages: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The averaged parameters of several learners, as `load_average` of the learner that `build_members` makes of so
    many takes them.
    """
    if len(averages) == 1:
        return dict(averages[0])
    return {_named(number, name): array for number, average in enumerate(averages) for name, array in average.items()}


def _named(number: int, name: str) -> str:
    """The member stands behind the first part, by which checkpoints know the averaged parameters."""
    first, _, rest = name.partition("/")
    return f"{first}/{number}" + (f"/{rest}" if rest else "")


def _of_member(number: int, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found = {}
    for name, array in arrays.items():
        first, _, rest = name.partition("/")
        member, _, own = rest.partition("/")
        if member == str(number):
            found[f"{first}/{own}" if own else first] = array
    return found
