"""A PyTorch network in training: parameters, their average, the optimiser, and the gradient step."""

from collections.abc import Mapping
from typing import Any, SupportsFloat

import numpy as np
import torch
from jaxtyping import Float

from sdebnn.data import Dataset, to_float
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.arrays import check_names, load_named_arrays, named_parameters, to_named_arrays
from sdebnn.torchbnn.independent_paths import independent_paths
from sdebnn.torchbnn.model import Model, build_model, build_predictor
from sdebnn.torchbnn.sdebnn_block import SDEBNN
from sdebnn.torchbnn.step_sizes import kl_share, step_size
from sdebnn.training import WeightPaths
from sdebnn.training.memory import process_memory

BATCH = 500
MOMENTS = ("exp_avg", "exp_avg_sq")
# Generators are seeded from the run's seed and these numbers, so that no two uses of randomness meet.
STEP, EVALUATE, DRAW = range(3)


class TorchLearner:
    """The `sdebnn.training.Learner` of a model, on a GPU where there is one. See there for what its methods do.

    **Arguments:**

    - `model`, `predictor`: of `build_model` and `build_predictor`; the predictor holds the averaged parameters.
    - `train_size`: how many training examples there are.
    """

    def __init__(self, config: TrainConfig, model: Model, predictor: Model, train_size: int) -> None:
        self.config, self._train_size = config, train_size
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.predictor = model.to(self._device), predictor.to(self._device)
        self._steps_per_epoch, self._total = config.steps_per_epoch(train_size), config.total_steps(train_size)
        self._parameters, self._average = named_parameters(self.model), named_parameters(self.predictor)
        self._optimiser = torch.optim.Adam(self._parameters.values(), lr=config.learning_rate)
        for parameter in self._parameters.values():
            zeros = {name: torch.zeros_like(parameter) for name in MOMENTS}
            self._optimiser.state[parameter] = {"step": torch.tensor(0.0), **zeros}
        self._first_bad = torch.zeros((), dtype=torch.int64, device=self._device)

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        self._optimiser.zero_grad()
        slices = [self._loss(*part, step) for part in zip(x, y, strict=True)]
        values = {name: torch.stack([part[name] for part in slices]).mean() for name in slices[0]}
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.config.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self._parameters.values(), self.config.clip_norm, norm)
        for group in self._optimiser.param_groups:
            group["lr"] = step_size(self.config, self._total, step)
        self._optimiser.step()
        with torch.no_grad():
            for name, average in self._average.items():
                average.lerp_(self._parameters[name], 1 - self.config.ema)
            bad = ~(torch.isfinite(values["loss"]) & torch.isfinite(norm))
            self._first_bad = torch.where(bad & (self._first_bad == 0), step + 1, self._first_bad)
        evaluations = sum(getattr(layer, "evaluations", 0) for layer in self.model.network.children())
        return {**values, "gradient_norm": norm, "evaluations": evaluations}

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
        samples = []
        for sample in range(self.config.test_samples):
            parts = []
            for start in range(0, len(x), BATCH):
                # A posterior sample is one function of its input: every batch sees the same weights.
                rng = self._generator(EVALUATE, sample)
                parts.append(self.predictor.network(self._inputs(to_float(x[start : start + BATCH])), rng=rng)[0])
            samples.append(torch.cat(parts).cpu().numpy())
        return np.stack(samples)

    def noise_scale(self) -> Float[np.ndarray, " o"] | None:
        return next((p.detach().exp().cpu().numpy() for p in self.predictor.likelihood.parameters()), None)

    def memory(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20
        return process_memory()

    @torch.no_grad()
    def weight_paths(self, ts: Float[np.ndarray, " times"], draws: int, weights: int) -> WeightPaths | None:
        blocks = [layer for layer in self.predictor.network.children() if isinstance(layer, SDEBNN)]
        if not blocks:
            return None
        block, process = blocks[0], blocks[0].process
        depths = torch.from_numpy(ts)
        rngs = [self._generator(DRAW, draw) for draw in range(draws)]
        paths = np.stack([block.weight_path(depths, rng=rng).cpu().numpy() for rng in rngs])
        chosen = np.linspace(0, paths.shape[2] - 1, weights).astype(int)
        prior = None
        if (process.noisy_weights, *process.noisy_depth) == (1, 0, 1):
            mean, std = process.moments(block.start_mean().cpu().numpy(), block.sigma.cpu().numpy(), ts)
            prior = (mean[:, chosen], std[:, chosen])
        return WeightPaths(ts, paths[:, :, chosen], prior)

    def _loss(self, x: Any, y: Any, step: int) -> dict[str, torch.Tensor]:
        """The loss of a slice of the batch and its parts; its share of the gradient is added up."""
        config = self.config
        inputs, targets = self._inputs(x), torch.from_numpy(y).to(self._device)
        parts: list[dict[str, torch.Tensor]] = []
        for sample in range(config.train_samples):
            rng = self._generator(STEP, step, sample)
            if config.batch_paths == 1:
                outputs, kl = self.model.network(inputs, rng=rng)
            else:
                outputs, kl = independent_paths(self.model.network, inputs, config.batch_paths or None, rng=rng)
            nll = -self.model.likelihood(outputs, targets).mean()
            share = kl_share(config, self._steps_per_epoch, step) * config.kl_coef / self._train_size
            loss = nll + share * kl
            (loss / (config.train_samples * config.accumulate)).backward()
            parts.append({"loss": loss.detach(), "nll": nll.detach(), "kl": kl.detach()})
            if self.noise_scale() is None:
                parts[-1]["accuracy"] = (outputs.argmax(dim=1) == targets).float().mean()
        return {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}

    def _inputs(self, x: np.ndarray) -> torch.Tensor:
        """Images come as NHWC and go as NCHW."""
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim == 4 else x)).to(self._device)

    def _generator(self, *use: int) -> torch.Generator:
        seed = np.random.SeedSequence([self.config.seed, *use]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed) >> 1)

    def _moments(self) -> dict[str, torch.Tensor]:
        return {
            f"opt_state/{moment}/{name}": self._optimiser.state[parameter][moment]
            for moment in ("step", *MOMENTS)
            for name, parameter in self._parameters.items()
        }


def build_learner(config: TrainConfig, dataset: Dataset) -> TorchLearner:
    """The learner of the model that `config` describes. **Raises:** `InputError` when that does not fit the data."""
    if config.snr:
        raise InputError("snr=1 is not offered in PyTorch; take snr=0 or framework='jax'.")
    train_size = len(dataset.x_train)
    paths, size = config.batch_paths, config.batch_shape(train_size)[1]
    if paths and size % paths:
        raise InputError(f"batch_paths={paths} does not divide a batch of {size} examples; take a number that does.")
    return TorchLearner(config, build_model(config, dataset), build_predictor(config, dataset), train_size)


def _part(arrays: Mapping[str, np.ndarray], prefix: str, *, keep: bool = False) -> dict[str, np.ndarray]:
    """The arrays whose names begin so, without that beginning unless it is to be kept."""
    chosen = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    return chosen if keep else {name.removeprefix(prefix): array for name, array in chosen.items()}
