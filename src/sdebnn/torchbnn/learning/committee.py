"""Networks of one structure that take their gradient steps together: `torch.func.vmap` over stacked parameters."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import nn
from torch.func import functional_call, vmap
from torch.utils import _pytree as pytree

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.layers.parameter_names import array_name
from sdebnn.torchbnn.learning import processes
from sdebnn.torchbnn.learning.arrays import check_names
from sdebnn.torchbnn.learning.model import Model, build_model
from sdebnn.torchbnn.solving.given_noise import PathNoise
from sdebnn.torchbnn.weights.sdebnn_block import SDEBNN
from sdebnn.training.committee import CLIP_NORM, Batches, Examples, Held, Networks

STEP, SCORE = range(2)
# Numbers in the hidden states of all networks' batches.
MANY = 2**18


class TorchCommittee:
    """The `sdebnn.training.committee.Committee` of networks in PyTorch. See there for what its methods do.

    **Raises:** `InputError` for choices whose noise cannot be drawn for several networks at once.
    """

    def __init__(self, config: TrainConfig, examples: Examples, num_classes: int | None, networks: Networks) -> None:
        task: Literal["classification", "regression"] = "classification" if num_classes else "regression"
        data = Dataset("committee", task, examples.x, examples.y, examples.x, examples.y, num_classes)
        models = [build_model(dataclasses.replace(config, seed=int(seed), members=1), data) for seed in networks.seeds]
        self._call = _Call(models[0])
        self._config, self._device = config, processes.device()
        self._call.to(self._device)
        stacked = {
            name: torch.stack(
                [dict(model.named_parameters())[name.removeprefix("model.")].detach() for model in models]
            )
            for name, _ in self._call.named_parameters()
        }
        self._params = {name: tensor.to(self._device).requires_grad_() for name, tensor in stacked.items()}
        self._average = {name: tensor.detach().clone() for name, tensor in self._params.items()}
        self._aside = {name: tensor.clone() for name, tensor in self._average.items()}
        self._optimiser = torch.optim.Adam(self._params.values(), lr=1.0)
        self._kl_weights = torch.tensor(networks.kl_weights, device=self._device)
        self._seeds = [int(seed) for seed in networks.seeds]

    def prepare(self, batches: Batches, held: Held | None) -> None:
        pass

    @torch.no_grad()
    def go_on_from(self, averages: Sequence[Mapping[str, np.ndarray]]) -> None:
        names = {f"average/{array_name(name.removeprefix('model.'))}": name for name in self._params}
        stacked = {name: np.stack([average[name] for average in averages]) for name in averages[0]}
        check_names(stacked, {name: self._params[own] for name, own in names.items()})
        for name, own in names.items():
            for tensors in (self._params, self._average, self._aside):
                tensors[own].copy_(torch.from_numpy(stacked[name]))

    def take_steps(self, batches: Batches, first: int) -> Float[np.ndarray, " networks"]:
        with _threads_for(batches.weights[0].size * self._config.width):
            return self._take_steps(batches, first)

    def _take_steps(self, batches: Batches, first: int) -> Float[np.ndarray, " networks"]:
        losses = []
        for number in range(np.count_nonzero(batches.decays < 1)):
            x, y, weights = self._placed(*(part[number] for part in batches[:3]))
            noise = self._noise(STEP, first + number)
            self._optimiser.zero_grad()
            each = self._vmapped(self._params, x, y, weights, noise, self._kl_weights)
            # None of them depends on the others' parameters.
            each.sum().backward()
            self._clip()
            for group in self._optimiser.param_groups:
                group["lr"] = float(batches.sizes[number])
            self._optimiser.step()
            with torch.no_grad():
                decay = float(batches.decays[number])
                torch._foreach_lerp_(list(self._average.values()), list(self._params.values()), 1 - decay)
            losses.append(each.detach())
        return torch.stack(losses).mean(dim=0).cpu().numpy()

    @torch.no_grad()
    def log_probs(self, held: Held) -> Float[np.ndarray, "networks held"]:
        x, y = self._placed(*held)
        with _threads_for(held.x.shape[0] * held.x.shape[1] * self._config.width):
            found = [
                self._vmapped(self._average, x, y, None, self._noise(SCORE, sample), None)
                for sample in range(self._config.test_samples)
            ]
        return (torch.stack(found).logsumexp(dim=0) - np.log(len(found))).cpu().numpy()

    @torch.no_grad()
    def keep(self, chosen: Bool[np.ndarray, " networks"]) -> None:
        which = torch.from_numpy(chosen).to(self._device)
        for name, aside in self._aside.items():
            aside[which] = self._average[name][which]

    def kept(self, network: int) -> dict[str, np.ndarray]:
        return {
            f"average/{array_name(name.removeprefix('model.'))}": tensor[network].cpu().numpy().copy()
            for name, tensor in self._aside.items()
        }

    def _vmapped(
        self, params: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor | None,
        noise: tuple[PathNoise, ...], kl_weights: torch.Tensor | None,
    ) -> torch.Tensor:  # fmt: skip
        def of_one(params: Mapping[str, torch.Tensor], *arguments: Any) -> torch.Tensor:
            return functional_call(self._call, dict(params), arguments)

        given = (params, x, y, weights, noise, kl_weights)
        return vmap(of_one, in_dims=tuple(None if part is None else 0 for part in given))(*given)

    @torch.no_grad()
    def _clip(self) -> None:
        """The gradient of each network by itself."""
        gradients = [parameter.grad for parameter in self._params.values() if parameter.grad is not None]
        norms = (
            torch.stack([gradient.reshape(len(gradient), -1).square().sum(dim=1) for gradient in gradients])
            .sum(dim=0)
            .sqrt()
        )
        shorter = ((self._config.clip_norm or CLIP_NORM) / norms).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(shorter.view(-1, *[1] * (gradient.ndim - 1)))

    def _placed(self, *arrays: np.ndarray) -> list[torch.Tensor]:
        return [torch.tensor(array, device=self._device) for array in arrays]

    def _noise(self, *use: int) -> tuple[PathNoise, ...]:
        def of_number(scale: torch.Tensor) -> torch.Tensor:
            normals = [torch.randn(scale.shape, generator=rng, dtype=scale.dtype) for rng in generators]
            return (torch.stack(normals) * scale).to(self._device)

        generators = [_generator(seed, *use) for seed in self._seeds]
        return pytree.tree_map(of_number, tuple(block.noise_scales() for block in self._call.blocks))


@contextmanager
def _threads_for(numbers: int) -> Iterator[None]:
    """One thread for networks so small that several wait for each other longer than they compute."""
    before = torch.get_num_threads()
    if numbers < MANY:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Call(nn.Module):
    """One network's part of the loss, as a function of its parameters, examples and noise."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.blocks = [layer for layer in model.network.modules() if isinstance(layer, SDEBNN)]
        others = [layer for layer in model.network._bayesian() if not isinstance(layer, SDEBNN)]  # type: ignore[operator]
        if others:
            raise InputError(
                f"The layer {type(others[0]).__name__} draws its own noise, so several such networks do not train in "
                "one program; take model='sdebnn', or 'odenet'."
            )

    def forward(
        self, x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor | None, noise: tuple[PathNoise, ...],
        kl_weight: torch.Tensor | None,
    ) -> torch.Tensor:  # fmt: skip
        """The loss; without weights the log-likelihood of every example."""
        outputs, kl = self.model.network(x, noise=noise)
        log_probs = self.model.likelihood.log_prob(dict(self.model.likelihood_params.items()), outputs, y)
        if kl_weight is None or weights is None:
            return log_probs
        return kl_weight * kl - (log_probs * weights).mean()


def _generator(*seeds: int) -> torch.Generator:
    seed = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed) >> 1)


gather = TorchCommittee
