"""Committees in PyTorch, of which those that differ in sigma alone compute together."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig
from sdebnn.runs.choices import PriorChoices
from sdebnn.torchbnn.layers.parameter_names import array_name
from sdebnn.torchbnn.learning import processes
from sdebnn.torchbnn.learning.arrays import check_names
from sdebnn.torchbnn.learning.model import build_model
from sdebnn.torchbnn.learning.stacked_networks import Differences, OneNetwork, StackedNetworks, State, split
from sdebnn.training.committee import Batches, Candidate, Examples, Held


def gather(candidates: Sequence[Candidate], examples: Examples, num_classes: int | None) -> list["TorchCommittee"]:
    """The committees of candidates.

    **Raises:** `InputError` for choices whose noise cannot be drawn for several networks at once.
    """
    structures = [dataclasses.replace(config, sigma=PriorChoices().sigma) for config, _ in candidates]
    groups: dict[TrainConfig, _Group] = {}
    committees = []
    for structure, candidate in zip(structures, candidates, strict=True):
        if structure not in groups:
            groups[structure] = _Group(structure, examples, num_classes)
        committees.append(TorchCommittee(groups[structure], candidate))
    return committees


class TorchCommittee:
    """The `sdebnn.training.committee.Committee` of a candidate's networks. See there for what its methods do.

    **Arguments:**

    - `group`: those that compute together.
    """

    def __init__(self, group: "_Group", candidate: Candidate) -> None:
        (self.config, self.networks), self._group = candidate, group
        self.state, self.taken = group.start(candidate.networks.seeds), 0
        self._aside = self.state.average.clone()

    def prepare(self, batches: Batches, held: Held | None) -> None:
        pass

    @torch.no_grad()
    def go_on_from(self, averages: Sequence[Mapping[str, np.ndarray]]) -> None:
        stacked = {name: np.stack([average[name] for average in averages]) for name in averages[0]}
        check_names(stacked, self._named(self._aside))
        for rows in (self.state.params, self.state.average, self._aside):
            for name, part in self._named(rows).items():
                part.copy_(torch.from_numpy(stacked[name]))

    def take_steps(self, batches: Batches, first: int) -> "_Answer":
        return self._group.ask(_Answer(self, _Steps(batches, first)))

    def log_probs(self, held: Held) -> "_Answer":
        return self._group.ask(_Answer(self, held))

    @torch.no_grad()
    def keep(self, chosen: Bool[np.ndarray, " networks"]) -> None:
        self._group.answer()
        which = torch.from_numpy(chosen).to(self._aside.device)
        self._aside[which] = self.state.average[which]

    @torch.no_grad()
    def go_back(self) -> None:
        self._group.answer()
        for rows in (self.state.params, self.state.average):
            rows.copy_(self._aside)
        for moment in (self.state.first_moment, self.state.second_moment):
            moment.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)

    def kept(self, network: int) -> dict[str, np.ndarray]:
        return {name: part[network].cpu().numpy().copy() for name, part in self._named(self._aside).items()}

    def _named(self, rows: Float[torch.Tensor, "networks p"]) -> dict[str, torch.Tensor]:
        parts = split(rows, self._group.shapes)
        return {f"average/{array_name(name.removeprefix('model.'))}": part for name, part in parts.items()}


class _Steps(NamedTuple):
    batches: Batches
    first: int


class _Answer:
    """What a committee was asked for: computed when it is read, or another that was asked before is."""

    def __init__(self, committee: TorchCommittee, question: _Steps | Held) -> None:
        self.committee, self.question = committee, question
        self.value: np.ndarray | None = None

    def joins(self, other: "_Answer") -> bool:
        """Whether the same is asked for."""
        if isinstance(self.question, _Steps) and isinstance(other.question, _Steps):
            same = self.question.batches is other.question.batches and self.question.first == other.question.first
            return same and self.committee.taken == other.committee.taken
        if isinstance(self.question, Held) and isinstance(other.question, Held):
            return [part.shape for part in self.question] == [part.shape for part in other.question]
        return False

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self.committee._group.answer()
        return np.asarray(self.value, dtype)


class _Group:
    """Committees whose networks are of one structure, which is that of `config`."""

    def __init__(self, config: TrainConfig, examples: Examples, num_classes: int | None) -> None:
        task: Literal["classification", "regression"] = "classification" if num_classes else "regression"
        self._data = Dataset("committee", task, examples.x, examples.y, examples.x, examples.y, num_classes)
        self._config, self._device = dataclasses.replace(config, members=1), processes.device()
        self._network = OneNetwork(build_model(self._config, self._data)).to(self._device)
        self.shapes = {name: parameter.shape for name, parameter in self._network.named_parameters()}
        self._starts: dict[int, torch.Tensor] = {}
        self._waiting: list[_Answer] = []
        self._of: list[TorchCommittee] = []

    @torch.no_grad()
    def start(self, seeds: np.ndarray) -> State:
        """Where networks of these seeds start, which does not depend on sigma."""
        for seed in map(int, seeds):
            if seed not in self._starts:
                model = OneNetwork(build_model(dataclasses.replace(self._config, seed=seed), self._data))
                self._starts[seed] = torch.cat([parameter.reshape(-1) for parameter in model.parameters()])
        return State.start(torch.stack([self._starts[int(seed)] for seed in seeds]).to(self._device))

    def ask(self, answer: _Answer) -> _Answer:
        """Is told what will be read."""
        self._waiting.append(answer)
        return answer

    def answer(self) -> None:
        """Computes what was asked for, in that order; of committees that ask for the same together."""
        while self._waiting:
            together: list[_Answer] = []
            rest: list[_Answer] = []
            for answer in self._waiting:
                later = any(answer.committee is other.committee for other in together + rest)
                (rest if later or not answer.joins(self._waiting[0]) else together).append(answer)
            self._waiting = rest
            joined = self._joined([answer.committee for answer in together])
            if isinstance(question := together[0].question, _Steps):
                found = joined.take_steps(*question)
                for answer in together:
                    answer.committee.taken += int(np.count_nonzero(question.batches.decays < 1))
            else:
                found = joined.log_probs(Held(*map(np.concatenate, zip(*(a.question for a in together), strict=True))))
            for answer, value in zip(together, np.split(found, len(together)), strict=True):
                answer.value = value

    def _joined(self, committees: list[TorchCommittee]) -> StackedNetworks:
        """Their networks, with one state, of which that of each is a part from now on."""
        if committees != self._of:
            state = State(*map(torch.cat, zip(*(committee.state for committee in committees), strict=True)))
            sizes = [len(committee.networks.seeds) for committee in committees]
            parts = zip(*(rows.split(sizes) for rows in state), strict=True)
            for committee, of_one in zip(committees, parts, strict=True):
                committee.state = State(*of_one)
            sigma = np.repeat([np.float32(committee.config.sigma) for committee in committees], sizes)
            kl_weights = np.concatenate([committee.networks.kl_weights for committee in committees])
            seeds = tuple(int(seed) for committee in committees for seed in committee.networks.seeds)
            differences = Differences(sigma, kl_weights, seeds)
            self._of = committees
            self._networks = StackedNetworks(self._network, self._config, state, differences, committees[0].taken)
        return self._networks
