"""A PyTorch network in training: parameters, their average, the optimiser, and the gradient step."""

import contextlib
import copy
import itertools
from collections.abc import Mapping
from typing import Any, SupportsFloat

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.parallel import DistributedDataParallel

from sdebnn.data import Dataset, to_float
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.layers.batch_statistics import check_no_batch_statistics
from sdebnn.torchbnn.layers.parameter_names import named_parameters
from sdebnn.torchbnn.layers.precision import check_weights
from sdebnn.torchbnn.layers.randomness import drawing_from
from sdebnn.torchbnn.learning import processes
from sdebnn.torchbnn.learning.arrays import check_names, load_named_arrays, to_named_arrays
from sdebnn.torchbnn.learning.committee import gather
from sdebnn.torchbnn.learning.drawn_networks import DrawnNetworks, draw_networks
from sdebnn.torchbnn.learning.model import Model, build_model, build_predictor
from sdebnn.torchbnn.learning.objective import Objective
from sdebnn.torchbnn.learning.optimiser import build_optimisers
from sdebnn.torchbnn.weights.sdebnn_block import SDEBNN
from sdebnn.training import WeightPaths
from sdebnn.training.agreement import refuse_different_runs
from sdebnn.training.ivon import Ivon
from sdebnn.training.likelihood_protocol import check_outputs, number_of_outputs
from sdebnn.training.memory import process_memory
from sdebnn.training.predictions import check_class_weights, class_weights

BATCH = 500
# Generators are seeded from the run's seed and these numbers, so that no two uses of randomness meet.
STEP, EVALUATE, DRAW, OBSERVE, PLAIN = range(5)


class TorchLearner:
    """The `sdebnn.training.Learner` of a model, on a GPU where there is one. See there for what its methods do.

    **Arguments:**

    - `model`, `predictor`: of `build_model` and `build_predictor`, or of one's own; the predictor holds the averaged
      parameters, and is in evaluation mode, so without dropout. Where the two share parameters, it is copied.
    - `train_size`: how many training examples there are.
    - `class_weights`: as for `Objective`.

    **Raises:** `InputError` for a network that normalises by the batch, or with lazy modules that were never called.
    """

    gather = staticmethod(gather)

    by_choices = False

    def __init__(
        self,
        config: TrainConfig,
        model: Model,
        predictor: Model,
        train_size: int,
        *,
        class_weights: tuple[float, ...] | None = None,
    ) -> None:
        check_class_weights(config, class_weights)
        for network in (model.network, predictor.network):
            check_weights(network, "The network")
            check_no_batch_statistics(network, "The network", "neither predictions nor checkpoints have")
        self.config = config
        self.rank, self.ranks = processes.join()
        self.devices = self.ranks
        self._device = processes.device()
        if {id(p) for p in model.parameters()} & {id(p) for p in predictor.parameters()}:
            predictor = copy.deepcopy(predictor).requires_grad_(False)
        self.model, self.predictor = model.to(self._device), predictor.to(self._device).eval()
        objective = Objective(
            self.model,
            kl_coef=config.kl_coef,
            train_size=train_size,
            batch_paths=config.batch_paths,
            class_weights=class_weights,
            kl_gradient=not Ivon.chosen(config),
        )
        self._objective = processes.averaged(objective)
        self._steps_per_epoch, self._total = config.steps_per_epoch(train_size), config.total_steps(train_size)
        self._parameters, self._average = named_parameters(self.model), named_parameters(self.predictor)
        self._optimisers = build_optimisers(config, self.model, train_size)
        self._first_bad = torch.zeros((), dtype=torch.int64, device=self._device)

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        for optimiser in self._optimisers:
            optimiser.zero_grad()
        values = self._add_gradients(x, y, step)
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.config.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self._parameters.values(), self.config.clip_norm, norm)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["share"] * self.config.step_size(step, self._total)
            optimiser.step()
        with torch.no_grad():
            for name, average in self._average.items():
                average.lerp_(self._parameters[name], 1 - self.config.average_decay(step))
            bad = ~(torch.isfinite(values["loss"]) & torch.isfinite(norm))
            self._first_bad = torch.where(bad & (self._first_bad == 0), step + 1, self._first_bad)
        evaluations = sum(getattr(layer, "evaluations", 0) for layer in self.model.network.modules())
        return {**values, "gradient_norm": norm, "evaluations": evaluations}

    def largest_of_ranks(self, value: int) -> int:
        return processes.largest(value)

    def follow_first(self, step: int) -> int:
        number = torch.tensor(step)
        processes.follow_first(
            *self._parameters.values(), *self._average.values(), *self._moments().values(), self._first_bad, number
        )
        return int(number)

    def first_bad(self) -> int:
        return int(self._first_bad)

    def state(self) -> dict[str, np.ndarray]:
        arrays = {f"params/{name}": array for name, array in to_named_arrays(self.model).items()}
        arrays |= {f"average/{name}": array for name, array in to_named_arrays(self.predictor).items()}
        arrays |= {name: tensor.cpu().numpy().copy() for name, tensor in self._moments().items()}
        return arrays | {"first_bad": self._first_bad.cpu().numpy().copy()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        moments = self._moments()
        check_names(
            state,
            {f"params/{name}": parameter for name, parameter in self._parameters.items()}
            | {f"average/{name}": parameter for name, parameter in self._average.items()}
            | moments
            | {"first_bad": self._first_bad},
        )
        load_named_arrays(self.model, _part(state, "params/"))
        self.load_average(_part(state, "average/", keep=True))
        for name, tensor in moments.items():
            tensor.copy_(torch.from_numpy(np.array(state[name])))
        self._first_bad = torch.from_numpy(np.array(state["first_bad"])).to(self._device)

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        load_named_arrays(self.predictor, _part(average, "average/"))

    @torch.no_grad()
    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        numbers = number_of_outputs(self.predictor.likelihood)
        found = torch.zeros((self.config.test_samples, len(x), numbers), device=self._device)
        for sample in range(self.config.test_samples):
            for start in range(self.rank * BATCH, len(x), self.ranks * BATCH):
                part = slice(start, start + BATCH)
                # A posterior sample is one function of its input: every batch sees the same weights.
                rng = self._generator(EVALUATE, sample)
                outputs = self.predictor.network(self._inputs(to_float(x[part])), rng=rng)[0]
                check_outputs(tuple(outputs.shape), (len(x[part]), numbers))
                found[sample, part] = outputs
        return processes.total(found).cpu().numpy()

    def drawn_networks(self) -> DrawnNetworks | None:
        return self._drawn([self._generator(EVALUATE, sample) for sample in range(self.config.test_samples)])

    def draw_network(self, seed: int) -> DrawnNetworks | None:
        return self._drawn([self._generator(PLAIN, seed)])

    def _drawn(self, rngs: list[torch.Generator]) -> DrawnNetworks | None:
        drawn = draw_networks(self.predictor.network, rngs)
        if drawn is None:
            return None
        return DrawnNetworks(self.predictor, drawn, len(rngs), self._inputs, self.of_likelihood, self.by_choices)

    @torch.no_grad()
    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        of_examples = getattr(self.predictor.likelihood, method, None)
        if of_examples is None:
            return None
        params, found = dict(self.predictor.likelihood_params.items()), []
        rest: list[Any] = [] if targets is None else [torch.from_numpy(targets).to(self._device)]
        for sample, of_sample in enumerate(torch.from_numpy(outputs).to(self._device)):
            rng = self._generator(OBSERVE, sample, *([seed] if seed else []))
            if method == "sample":
                rest = [torch.Generator(self._device).manual_seed(rng.initial_seed())]
            # What draws without a generator draws the same numbers again too, and not those of the program around.
            with drawing_from(rng):
                found.append(of_examples(params, of_sample, *rest).cpu().numpy())
        return np.stack(found)

    def memory(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20
        return process_memory()

    @torch.no_grad()
    def weight_paths(self, ts: Float[np.ndarray, " times"], draws: int, weights: int) -> WeightPaths | None:
        block = next((layer for layer in self.predictor.network.modules() if isinstance(layer, SDEBNN)), None)
        if block is None:
            return None
        prior = block.process.prior
        depths = torch.from_numpy(ts)
        mean, sigma = block.start_mean().cpu().numpy(), block.sigma.cpu().numpy()
        chosen = np.linspace(0, mean.size - 1, weights).astype(int)
        rngs = [self._generator(DRAW, draw) for draw in range(draws)]
        # Of each path, as large as all weights at all depths, the chosen weights alone outlive the next.
        paths = np.stack([block.weight_path(depths, rng=rng)[:, chosen].cpu().numpy() for rng in rngs])
        moments = prior.moments(mean[chosen], sigma[chosen], ts) if prior.noise_everywhere else None
        return WeightPaths(ts, paths, moments)

    def _add_gradients(self, x: Any, y: Any, step: int) -> dict[str, torch.Tensor]:
        """Adds up the gradients of every slice under every weight path; returns the means of the losses' parts."""
        config, own = self.config, processes.share(x.shape[1])
        share = config.kl_share(step, self._steps_per_epoch)
        draws = list(itertools.product(zip(x[:, own], y[:, own], strict=True), range(config.train_samples)))
        parts = []
        for number, ((inputs, targets), sample) in enumerate(draws, 1):
            rng = self._generator(STEP, step, sample)
            # The processes' gradients are averaged once, with the last of their own.
            waits = isinstance(self._objective, DistributedDataParallel) and number < len(draws)
            with self._objective.no_sync() if waits else contextlib.nullcontext():  # type: ignore[operator]
                part = self._objective(
                    self._inputs(inputs), torch.from_numpy(targets).to(self._device), rng=rng, kl_share=share
                )
                (part["loss"] / len(draws)).backward()
            parts.append(torch.stack([value.detach() for value in part.values()]))
        means = processes.total(torch.stack(parts).mean(dim=0)) / self.ranks
        return dict(zip(part, means.unbind(), strict=True))

    def _inputs(self, x: np.ndarray) -> torch.Tensor:
        """Images come as NHWC and go as NCHW."""
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim == 4 else x)).to(self._device)

    def _generator(self, *use: int) -> torch.Generator:
        seed = np.random.SeedSequence([self.config.seed, *use]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed) >> 1)

    def _moments(self) -> dict[str, torch.Tensor]:
        return {
            f"opt_state/{moment}/{name}": tensor
            for name, parameter in self._parameters.items()
            for optimiser in self._optimisers
            for moment, tensor in optimiser.state.get(parameter, {}).items()
        }


def build_learner(config: TrainConfig, dataset: Dataset) -> TorchLearner:
    """The learner of the model that `config` describes.

    **Raises:** `InputError` when that does not fit the data, and in every process of several that were started with
    different choices or data.
    """
    if processes.join()[1] > 1:
        refuse_different_runs(config, dataset, processes.largest)
    if config.snr:
        raise InputError("snr=1 is not offered in PyTorch; take snr=0 or framework='jax'.")
    train_size = dataset.train_size
    paths, size = config.batch_paths, config.batch_shape(train_size)[1]
    processes.share(size)
    if paths != 1 and processes.join()[1] > 1:
        raise InputError(
            f"batch_paths={paths} gives parts of the batch weight paths of their own, which several processes do not; "
            "take batch_paths=1, with train_samples for more weight paths."
        )
    if paths and size % paths:
        raise InputError(f"batch_paths={paths} does not divide a batch of {size} examples; take a number that does.")
    weights = class_weights(config, dataset)
    model, predictor = build_model(config, dataset), build_predictor(config, dataset)
    learner = TorchLearner(config, model, predictor, train_size, class_weights=weights)
    learner.by_choices = True
    return learner


def _part(arrays: Mapping[str, np.ndarray], prefix: str, *, keep: bool = False) -> dict[str, np.ndarray]:
    """The arrays whose names begin so, without that beginning unless it is to be kept."""
    chosen = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    return chosen if keep else {name.removeprefix(prefix): array for name, array in chosen.items()}
