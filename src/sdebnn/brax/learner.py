"""A JAX network in training: parameters, their average, the optimiser, and the gradient step."""

from collections.abc import Mapping
from typing import Any, NamedTuple, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from sdebnn.brax import gradient_noise
from sdebnn.brax.arrays import from_named_arrays, to_named_arrays
from sdebnn.brax.bayesian import Params
from sdebnn.brax.model import Model, build_model
from sdebnn.brax.networks import weight_process
from sdebnn.brax.objective import objective
from sdebnn.brax.optimiser import build_optimiser, kl_shares
from sdebnn.brax.weight_path import draw_path
from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig
from sdebnn.training import WeightPaths
from sdebnn.training.memory import process_memory

# Keys are folded from the run's seed under these numbers, so that no two uses of randomness meet.
INIT, STEP, EVALUATE, DRAW = range(4)


class TrainState(NamedTuple):
    """All that a gradient step changes. With the run's choices and the number of steps taken it determines the rest of
    the run: randomness is drawn from (seed, step).

    `average` is the running average of the parameters, which predictions use; `moments` those of the gradient
    (`None` unless `snr` is chosen); `first_bad` the first gradient step, counted from 1, whose loss or gradient was not
    finite, and 0 while there is none.
    """

    params: Params
    average: Params
    opt_state: optax.OptState
    moments: gradient_noise.Moments | None
    first_bad: Int[Array, ""]


class JaxLearner:
    """The `sdebnn.training.Learner` of a model. See there for what its methods do.

    **Arguments:**

    - `config`: the choices of the run.
    - `model`: of `build_model(config, dataset)`.
    - `train_size`: how many training examples there are.
    """

    def __init__(self, config: TrainConfig, model: Model, train_size: int) -> None:
        self.config, self.model = config, model
        self._rng = jax.random.key(config.seed)
        self._sampler = model.sampler(config.test_samples)
        optimiser = build_optimiser(config, config.total_steps(train_size))
        self._step = _gradient_step(config, model, train_size, optimiser, jax.random.fold_in(self._rng, STEP))
        params = model.init(jax.random.fold_in(self._rng, INIT))
        moments = gradient_noise.init(params) if config.snr else None
        self._state = TrainState(params, params, optimiser.init(params), moments, jnp.zeros((), jnp.int32))

    @property
    def params(self) -> Params:
        """The averaged parameters, which predictions use: `{"network", "likelihood"}`."""
        return self._state.average

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        self._state, values = self._step(self._state, x, y, np.uint32(step))
        return values

    def first_bad(self) -> int:
        return int(self._state.first_bad)

    def state(self) -> dict[str, np.ndarray]:
        return to_named_arrays(self._state._asdict())

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self._state = TrainState(**from_named_arrays(state, like=self._state._asdict()))

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        params = from_named_arrays(average, like={"average": self._state.average})["average"]
        self._state = self._state._replace(average=params)

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        return self._sampler(self.params, x, jax.random.fold_in(self._rng, EVALUATE))

    def noise_scale(self) -> Float[np.ndarray, " o"] | None:
        return next((np.exp(np.asarray(leaf)) for leaf in self.params["likelihood"].values()), None)

    def memory(self) -> float:
        statistics = jax.local_devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in statistics:
            return statistics["peak_bytes_in_use"] / 2**20
        return process_memory()

    def weight_paths(self, ts: Float[np.ndarray, " times"], draws: int, weights: int) -> WeightPaths | None:
        if not self.config.model.endswith("sdebnn"):
            return None
        process = weight_process(self.config)
        block = next(layer for layer in self.params["network"] if isinstance(layer, dict) and "drift" in layer)
        keys = jax.random.split(jax.random.fold_in(self._rng, DRAW), draws)
        paths = np.asarray(jax.vmap(lambda key: draw_path(process, block, key, ts, steps=len(ts) - 1)[0])(keys))
        chosen = np.linspace(0, paths.shape[2] - 1, weights).astype(int)
        prior = None
        if (process.noisy_weights, *process.noisy_depth) == (1, 0, 1):
            mean, std = process.prior_moments(block, ts)
            prior = (mean[:, chosen], std[:, chosen])
        return WeightPaths(ts, paths[:, :, chosen], prior)


def build_learner(config: TrainConfig, dataset: Dataset) -> JaxLearner:
    """The learner of the model that `config` describes. **Raises:** `InputError` when that does not fit the data."""
    return JaxLearner(config, build_model(config, dataset), len(dataset.x_train))


def _gradient_step(
    config: TrainConfig, model: Model, train_size: int, optimiser: optax.GradientTransformation, rng: PRNGKeyArray
) -> Any:
    loss = objective(model, kl_coef=config.kl_coef, train_size=train_size, samples=config.train_samples)
    shares = kl_shares(config, config.steps_per_epoch(train_size))

    def value_and_gradient(params: Params, x: Any, y: Any, key: PRNGKeyArray, step: Any) -> Any:
        return jax.value_and_grad(loss, has_aux=True)(params, x, y, key, shares(step))

    @jax.jit
    def gradient_step(state: TrainState, x: Any, y: Any, step: Any) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        key = jax.random.fold_in(rng, step)
        if len(x) == 1:
            (value, parts), gradient = value_and_gradient(state.params, x[0], y[0], key, step)
        else:
            # Every slice sees the weight path that the whole batch would see, so this is the whole batch's gradient.
            of_slices = jax.lax.map(lambda xy: value_and_gradient(state.params, xy[0], xy[1], key, step), (x, y))
            (value, parts), gradient = jax.tree.map(lambda of_slice: jnp.mean(of_slice, axis=0), of_slices)
        updates, opt_state = optimiser.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = optax.incremental_update(params, state.average, 1 - config.ema)
        norm = optax.tree.norm(gradient)
        values = {"loss": value, **parts, "gradient_norm": norm}
        moments = state.moments
        if moments is not None:
            moments = gradient_noise.update(moments, gradient)
            values["gradient_snr"] = gradient_noise.signal_to_noise(moments, step + 1)
        bad = (state.first_bad == 0) & ~(jnp.isfinite(value) & jnp.isfinite(norm))
        first_bad = jnp.where(bad, jnp.asarray(step + 1, jnp.int32), state.first_bad)
        return TrainState(params, average, opt_state, moments, first_bad), values

    return gradient_step
