"""Networks of one structure that compute as one: `torch.func.vmap` over their parameters, written down as programs."""

import functools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from torch.func import functional_call, vmap
from torch.optim.adam import adam
from torch.utils import _pytree as pytree

from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.learning.model import Model
from sdebnn.torchbnn.learning.program import Program, record
from sdebnn.torchbnn.solving.given_noise import PathNoise
from sdebnn.torchbnn.weights.sdebnn_block import SDEBNN
from sdebnn.torchbnn.weights.weight_process import WeightProcess
from sdebnn.training.committee import CLIP_NORM, Batches, Held
from sdebnn.training.network_choices import of_the_network

STEP, SCORE = range(2)
# Numbers in the hidden states of all networks' batches.
MANY = 2**18


class State(NamedTuple):
    """Of each network, in a row, all parameters one after the other; their average; and Adam's two moments."""

    params: Float[torch.Tensor, "networks p"]
    average: Float[torch.Tensor, "networks p"]
    first_moment: Float[torch.Tensor, "networks p"]
    second_moment: Float[torch.Tensor, "networks p"]

    @classmethod
    def start(cls, params: Float[torch.Tensor, "networks p"]) -> "State":
        """Where training begins, with parameters that become the state's own."""
        return cls(params, params.clone(), torch.zeros_like(params), torch.zeros_like(params))


class Differences(NamedTuple):
    """In what the networks differ, beside their parameters: one number for each."""

    sigma: Float[np.ndarray, " networks"]
    kl_weights: Float[np.ndarray, " networks"]
    seeds: tuple[int, ...]


class OneNetwork(nn.Module):
    """A model's part of the loss, as a function of its parameters, sigma, examples and noise.

    **Raises:** `InputError` for layers whose noise cannot be drawn for several networks at once.
    """

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
        self, sigma: torch.Tensor, x: torch.Tensor, y: torch.Tensor, noise: tuple[PathNoise, ...],
        kl_weight: torch.Tensor | float = 1.0, weights: torch.Tensor | float = 1.0,
        log_temperatures: torch.Tensor | None = None,
    ) -> torch.Tensor:  # fmt: skip
        """The loss; with temperatures the log-likelihood of every example at each."""
        for block in self.blocks:
            block.process = WeightProcess(block.process.drift, block.process.prior.with_sigma(sigma))
        outputs, kl = self.model.network(x, noise=noise)
        params = dict(self.model.likelihood_params.items())
        if log_temperatures is not None:

            def at(log_temperature: torch.Tensor) -> torch.Tensor:
                # Each law has one parameter, the logarithm of a scale.
                of_law = {name: log_scale + log_temperature for name, log_scale in params.items()}
                return self.model.likelihood.log_prob(of_law, outputs, y)

            return vmap(at)(log_temperatures)
        log_probs = self.model.likelihood.log_prob(params, outputs, y)
        return kl_weight * kl - (log_probs * weights).mean()


class StackedNetworks:
    """Networks that take their gradient steps together, each by itself.

    **Arguments:**

    - `network`: one of them, which `config` describes.
    - `state`: their own, which steps change in place.
    - `taken`: how many gradient steps it comes from.
    """

    def __init__(
        self, network: OneNetwork, config: TrainConfig, state: State, differences: Differences, taken: int
    ) -> None:
        self._network, self._config, self.state, self._seeds = network, config, state, differences.seeds
        self._shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
        self._device = state.params.device
        self._sigma, self._kl_weights = self._placed(differences.sigma, differences.kl_weights)
        self._taken = torch.tensor(float(taken), device=self._device)
        self._different = list(dict.fromkeys(self._seeds))
        self._of_seed = torch.tensor([self._different.index(seed) for seed in self._seeds])
        self._scales = [block.noise_scales() for block in network.blocks]
        likelihood = network.model.likelihood
        # One that cannot be compared shares no programs.
        self._structure = of_the_network(config), likelihood if isinstance(likelihood, Hashable) else object()

    @torch.no_grad()
    def take_steps(self, batches: Batches, first: int) -> Float[np.ndarray, " networks"]:
        """The gradient steps of `batches`, which are those of a part of the networks, and of as many that come after
        them. Returns the mean loss of each network.
        """
        placed, losses = self._placed(*batches[:3]), []
        times = len(self._seeds) // batches.x.shape[1]
        with _threads_for(len(self._seeds) * batches.weights[0, 0].size * self._config.width):
            for number in range(np.count_nonzero(batches.decays < 1)):
                x, y, weights = (part[number].repeat(times, *[1] * (part.ndim - 2)) for part in placed)
                noise = self._noise(STEP, first + number)
                given = self.state.params, self._sigma, x, y, noise, self._kl_weights, weights
                loss, gradient = self._run(self._gradient, *given)
                norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
                gradient *= ((self._config.clip_norm or CLIP_NORM) / norms).clamp(max=1.0)
                self._adam(gradient, float(batches.sizes[number]))
                self.state.average.lerp_(self.state.params, 1 - float(batches.decays[number]))
                losses.append(loss)
        return torch.stack(losses).mean(dim=0).cpu().numpy()

    @torch.no_grad()
    def log_probs(self, held: Held) -> Float[np.ndarray, "networks temperatures held"]:
        """As `sdebnn.training.committee.Committee.log_probs`."""
        x, y, log_temperatures = self._placed(*held)
        with _threads_for(held.x.shape[0] * held.x.shape[1] * self._config.width):
            found = [
                self._run(
                    self._values, self.state.average, log_temperatures, self._sigma, x, y, self._noise(SCORE, sample)
                )[0]
                for sample in range(self._config.test_samples)
            ]
        return (torch.stack(found).logsumexp(dim=0) - np.log(len(found))).cpu().numpy()

    def _run(self, function: Callable[..., Any], *given: Any) -> tuple[torch.Tensor, ...]:
        """The function by its program, which is recorded where there is none for the shapes."""
        tensors, structure = pytree.tree_flatten(given)
        like = tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors)
        programs = _programs(*self._structure, function.__name__, like)
        if not programs:
            programs.append(record(lambda *tensors: function(*structure.unflatten(tensors)), tensors))
        return programs[0](*tensors)

    def _gradient(self, rows: torch.Tensor, *others: Any) -> tuple[torch.Tensor, torch.Tensor]:
        params = {name: part.detach().requires_grad_() for name, part in split(rows, self._shapes).items()}
        loss = self._vmapped(params, *others)
        # None of them depends on the others' parameters.
        found = torch.autograd.grad(loss.sum(), list(params.values()), allow_unused=True, materialize_grads=True)
        return loss, torch.cat([gradient.reshape(len(rows), -1) for gradient in found], dim=1)

    def _values(self, rows: torch.Tensor, log_temperatures: torch.Tensor, *others: Any) -> tuple[torch.Tensor]:
        return (self._vmapped(split(rows, self._shapes), *others, 1.0, 1.0, log_temperatures),)

    def _vmapped(self, params: Mapping[str, torch.Tensor], *others: Any) -> torch.Tensor:
        def of_one(params: Mapping[str, torch.Tensor], *others: Any) -> torch.Tensor:
            return functional_call(self._network, dict(params), others)

        axes = tuple(None if isinstance(part, float) else 0 for part in (params, *others))
        return vmap(of_one, in_dims=axes)(params, *others)

    def _adam(self, gradient: torch.Tensor, size: float) -> None:
        state = self.state
        adam(
            [state.params], [gradient], [state.first_moment], [state.second_moment], [], [self._taken], fused=True,
            amsgrad=False, beta1=0.9, beta2=0.999, lr=size, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip

    def _placed(self, *arrays: np.ndarray) -> list[torch.Tensor]:
        return [torch.tensor(array, device=self._device) for array in arrays]

    def _noise(self, *use: int) -> tuple[PathNoise, ...]:
        # Networks of one seed see the same.
        generators = [_generator(seed, *use) for seed in self._different]

        def of_number(scale: torch.Tensor) -> torch.Tensor:
            drawn = torch.empty(len(generators), *scale.shape, dtype=scale.dtype)
            if drawn.numel():
                for rng, of_seed in zip(generators, drawn, strict=True):
                    of_seed.normal_(generator=rng)
            drawn *= scale
            return (drawn if len(drawn) == len(self._seeds) else drawn[self._of_seed]).to(self._device)

        return tuple(PathNoise(*map(of_number, scales)) for scales in self._scales)


# A fit has about six.
@functools.lru_cache(maxsize=64)
def _programs(structure: TrainConfig, likelihood: Hashable, function: str, like: tuple[Any, ...]) -> list[Program]:
    """The program of a function for such inputs, once there is one."""
    return []


def split(rows: Float[torch.Tensor, "networks p"], shapes: Mapping[str, Sequence[int]]) -> dict[str, torch.Tensor]:
    """Views of the parameters in rows, stacked, by their names."""
    parts = rows.split([int(np.prod(shape, dtype=int)) for shape in shapes.values()], dim=1)
    return {name: part.view(len(rows), *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


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


def _generator(*seeds: int) -> torch.Generator:
    seed = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed) >> 1)
