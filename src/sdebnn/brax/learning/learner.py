"""A JAX network in training: parameters, their average, the optimiser, and the gradient step."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from jaxsde.forks import refuse_fork
from sdebnn.brax.layers.bayesian import Params
from sdebnn.brax.learning import devices, gradient_noise
from sdebnn.brax.learning.arrays import from_named_arrays, to_named_arrays
from sdebnn.brax.learning.committee import gather
from sdebnn.brax.learning.devices import (
    AXES,
    EXAMPLES,
    SAMPLE,
    by_default,
    cores,
    largest,
    make_mesh,
    most_that_share,
    offer,
)
from sdebnn.brax.learning.drawn_networks import DrawnNetworks
from sdebnn.brax.learning.ivon import check_gaussians
from sdebnn.brax.learning.model import Model, build_model, of_the_network, shapes_of
from sdebnn.brax.learning.networks import weight_process
from sdebnn.brax.learning.objective import objective
from sdebnn.brax.learning.optimiser import build_optimiser
from sdebnn.brax.weights.weight_path import draw_path
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.machine import physical_memory
from sdebnn.runs import TrainConfig
from sdebnn.training import WeightPaths
from sdebnn.training.agreement import refuse_different_runs
from sdebnn.training.ivon import Ivon
from sdebnn.training.likelihood_protocol import check_likelihood, check_outputs, number_of_outputs
from sdebnn.training.memory import process_memory
from sdebnn.training.predictions import check_class_weights, class_weights

# Keys are folded from the run's seed under these numbers, so that no two uses of randomness meet.
INIT, STEP, EVALUATE, DRAW, OBSERVE, PLAIN, CHAINS = range(7)


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
    - `model`: of `build_model(config, dataset)`, or of one's own.
    - `train_size`: how many training examples there are.
    - `mesh`: of `sdebnn.brax.learning.devices.make_mesh`: the devices that take each gradient step together.
    - `scoring`: that of the devices that share predictions, where it is another.
    - `by_choices`: whether `config` alone determines the model, as `build_model` makes it. Then the compiled programs
      are those of the runs before in this process that had such a model; they are compiled anew for every other
      learner, as whoever wrote its network may have changed it.
    - `class_weights`: as for `objective`.

    **Raises:** `InputError` for a likelihood that lacks what training or predictions need.
    """

    gather = staticmethod(gather)

    def __init__(
        self,
        config: TrainConfig,
        model: Model,
        train_size: int,
        mesh: Mesh,
        *,
        scoring: Mesh | None = None,
        by_choices: bool = False,
        class_weights: tuple[float, ...] | None = None,
    ) -> None:
        check_class_weights(config, class_weights)
        refuse_fork()
        check_likelihood(model.likelihood)
        if Ivon.chosen(config) and not by_choices:
            check_gaussians(config, model)
        self.by_choices = by_choices
        self.config, self.model, self._mesh, self._scoring = config, model, mesh, scoring or mesh
        self.devices = mesh.size
        self.rank, self.ranks = jax.process_index(), jax.process_count()
        self._rng = jax.random.key(config.seed, impl="threefry2x32")
        self._step_key = jax.random.fold_in(self._rng, STEP)
        make_sampler, make_step = (_shared_sampler, _shared_step) if by_choices else (Model.sampler, _gradient_step)
        self._sampler = make_sampler(model, config.test_samples, self._scoring)
        self._step = make_step(_of_the_step(config), model, train_size, mesh, class_weights)
        self._train_size = train_size
        self._steps_per_epoch, self._total = config.steps_per_epoch(train_size), config.total_steps(train_size)
        self._loaded: Params | None = None
        if not (by_choices and jax.default_backend() == "cpu"):
            # What a user's own layers refuse they refuse here; not all that they do can be traced.
            self._shapes = self._state.average
            return
        self._shapes = _shared_shapes(model)
        if 4 * _size(self._shapes) > (memory := physical_memory() or math.inf):
            raise MemoryError(f"{4 * _size(self._shapes) / 2**30:.0f} GiB of {memory / 2**30:.0f}")

    @functools.cached_property
    def _state(self) -> TrainState:
        """At the start of training. It is drawn when it is asked for: predictions need no more than `load_average`
        brings, and what draws it is compiled anew in every process.
        """
        optimiser = build_optimiser(self.config, self._train_size)(0.0)
        params = self.model.init(jax.random.fold_in(self._rng, INIT))
        moments = gradient_noise.init(params) if self.config.snr else None
        average = params if self._loaded is None else self._loaded
        state = TrainState(params, average, optimiser.init(params), moments, jnp.zeros((), jnp.int32))
        return devices.place(self._mesh, state)

    @property
    def params(self) -> Params:
        """The averaged parameters, which predictions use: `{"network", "likelihood"}`."""
        alone = self._loaded is not None and "_state" not in vars(self)
        average = self._loaded if alone else self._state.average
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), average)

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        refuse_fork()
        x, y = devices.place(self._mesh, (x, y), EXAMPLES)
        config = self.config
        self._state, values = self._step(
            self._state, self._step_key, x, y, np.uint32(step), config.step_size(step, self._total),
            config.kl_share(step, self._steps_per_epoch), config.average_decay(step),
        )  # fmt: skip
        # XLA takes 32 programs a device of a CPU before the host waits for one. With a device that is full and another
        # in the middle of an exchange with another process, both processes wait for each other, for ever.
        if self.ranks > 1 and jax.default_backend() == "cpu":
            jax.block_until_ready(values)
        return values

    def largest_of_ranks(self, value: int) -> int:
        return devices.largest(value) if self.ranks > 1 else value

    def follow_first(self, step: int) -> int:
        if self.ranks > 1:
            state, step = devices.of_first((jax.tree.map(np.asarray, self._state), np.int64(step)))
            self._state = devices.place(self._mesh, state)
        return int(step)

    def first_bad(self) -> int:
        return int(self._state.first_bad)

    def state(self) -> dict[str, np.ndarray]:
        return to_named_arrays(self._state._asdict())

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        arrays = from_named_arrays(state, like=self._state._asdict())
        self._state = devices.place(self._mesh, TrainState(**arrays))

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        params = from_named_arrays(average, like={"average": self._shapes})["average"]
        params = devices.place(self._mesh, params)
        if "_state" in vars(self):
            self._state = self._state._replace(average=params)
        else:
            self._loaded = params

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        refuse_fork()
        outputs = self._sampler(self.params, x, jax.random.fold_in(self._rng, EVALUATE))
        check_outputs(outputs.shape[1:], (len(x), number_of_outputs(self.model.likelihood)))
        return outputs

    def drawn_networks(self) -> DrawnNetworks:
        refuse_fork()
        keys = jax.random.split(jax.random.fold_in(self._rng, EVALUATE), self.config.test_samples)
        return DrawnNetworks(self.model, self.params, keys, self.of_likelihood, self.by_choices)

    def draw_network(self, seed: int) -> DrawnNetworks:
        refuse_fork()
        key = jax.random.fold_in(jax.random.fold_in(self._rng, PLAIN), np.uint32(seed))
        return DrawnNetworks(self.model, self.params, key[None], self.of_likelihood, self.by_choices)

    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        of_examples = getattr(self.model.likelihood, method, None)
        if of_examples is None:
            return None
        params, found = self.params["likelihood"], []
        rest = () if targets is None else (jnp.asarray(targets),)
        for sample, of_sample in enumerate(jnp.asarray(outputs)):
            if method == "sample":
                key = jax.random.fold_in(jax.random.fold_in(self._rng, OBSERVE), sample)
                rest = (jax.random.fold_in(key, np.uint32(seed)) if seed else key,)
            found.append(np.asarray(of_examples(params, of_sample, *rest)))
        return np.stack(found)

    def memory(self) -> float:
        statistics = jax.local_devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in statistics:
            return statistics["peak_bytes_in_use"] / 2**20
        return process_memory()

    def weight_paths(self, ts: Float[np.ndarray, " times"], draws: int, weights: int) -> WeightPaths | None:
        # Another network's block has a process that the choices do not tell.
        if not self.by_choices or not self.config.model.endswith("sdebnn"):
            return None
        process = weight_process(self.config)
        block = next(layer for layer in self.params["network"] if isinstance(layer, dict) and "drift" in layer)
        size = sum(leaf.size for leaf in jax.tree.leaves(block["w0"]))
        chosen = np.linspace(0, size - 1, weights).astype(int)
        keys = jax.random.split(jax.random.fold_in(self._rng, DRAW), draws)
        paths = _paths_drawer(of_the_network(self.config), tuple(ts.tolist()), tuple(chosen.tolist()))(block, keys)
        return WeightPaths(ts, np.asarray(paths), process.prior_moments(block, ts, chosen))


@functools.lru_cache(maxsize=8)
def _paths_drawer(config: TrainConfig, ts: tuple[float, ...], chosen: tuple[int, ...]) -> Any:
    """The compiled function `(block, keys) -> paths`: one path after the other, the chosen weights of each."""
    process, depths, keep = weight_process(config), np.array(ts), np.array(chosen)

    def of_key(block: Params, key: PRNGKeyArray) -> Float[Array, "times k"]:
        return draw_path(process, block, key, depths, steps=len(depths) - 1, keep=keep)[0]

    return jax.jit(lambda block, keys: jax.lax.map(lambda key: of_key(block, key), keys))


def build_learner(config: TrainConfig, dataset: Dataset, *, devices: int | None = None) -> JaxLearner:
    """The learner of the model that `config` describes.

    **Arguments:**

    - `devices`: of this process, that take each gradient step together; 0 is all that it has. The losses are those of
      one device, up to rounding. Unless given it is one; but on CPUs, with a JAX before 0.11 and images, one for each
      core, or as many as can share the batch equally: convolutions keep to one core each there. JAX takes a CPU for
      several devices only before it has computed anything; later, those that there are are taken.

    **Raises:** `InputError` when the configuration does not fit the data or the devices, and in every process of
    several that were started with different choices or data.
    """
    refuse_fork()
    if devices is not None:
        offer(min(devices or cores(), cores()))
    else:
        there = by_default(convolutions=dataset.x_train.ndim > 2)
    if jax.process_count() > 1:
        refuse_different_runs(config, dataset, largest)
    model = build_model(config, dataset)
    examples, samples = config.batch_shape(dataset.train_size)[1], config.train_samples
    if devices is None:
        share = most_that_share(there, examples=examples, samples=samples) if config.batch_paths == 1 else 1
        mesh, scoring = make_mesh(share, examples=examples, samples=samples), make_mesh(there)
    else:
        mesh = scoring = make_mesh(devices, examples=examples, samples=samples)
    if config.batch_paths != 1 and mesh.size > 1:
        raise InputError(
            f"batch_paths={config.batch_paths} gives parts of the batch weight paths of their own, which several "
            "devices do not; take batch_paths=1, with train_samples for more weight paths."
        )
    if config.samples_posterior:
        from sdebnn.brax.learning.nuts_learner import NutsLearner

        return NutsLearner(config, model, dataset, mesh)
    weights = class_weights(config, dataset)
    return JaxLearner(config, model, dataset.train_size, mesh, scoring=scoring, by_choices=True, class_weights=weights)


def _of_the_step(config: TrainConfig) -> TrainConfig:
    """Without those choices that the program of a gradient step knows nothing of."""
    return dataclasses.replace(
        config, data="", seed=0, augmentation="none", test_samples=1, ema=0.0, evaluate_every=0, test_examples=0,
        checkpoint_steps=0, validation=0.0, test_steps=0, test_method="", epochs=1, max_steps=0, learning_rate=1.0,
        schedule="constant", warmup_steps=0,
    )  # fmt: skip


def _gradient_step(
    config: TrainConfig, model: Model, train_size: int, mesh: Mesh, class_weights: tuple[float, ...] | None
) -> Any:
    optimiser_of = build_optimiser(config, train_size)
    loss = objective(
        model,
        kl_coef=config.kl_coef,
        train_size=train_size,
        class_weights=class_weights,
        kl_gradient=not Ivon.chosen(config),
    )

    def of_shard(params: Params, x: Array, y: Array, keys: Key[Array, "..."], share: Array) -> Any:
        """Value and gradient, which are those of the whole batch and all keys, as the mean over equal shares."""
        value_and_gradient = jax.value_and_grad(loss, has_aux=True)
        if len(x) == 1:
            found = value_and_gradient(params, x[0], y[0], keys, share)
        else:
            # Every slice sees the weight path that the whole batch would see, so this is the whole batch's gradient.
            of_slices = jax.lax.map(lambda xy: value_and_gradient(params, xy[0], xy[1], keys, share), (x, y))
            found = jax.tree.map(lambda of_slice: jnp.mean(of_slice, axis=0), of_slices)
        return jax.lax.pmean(found, AXES)

    # Unchecked, because with the check every use of the parameters would send its part of the gradient by itself.
    of_batch = jax.shard_map(
        of_shard, mesh=mesh, in_specs=(P(), EXAMPLES, EXAMPLES, P(SAMPLE), P()), out_specs=P(), check_vma=False
    )

    @jax.jit
    def gradient_step(
        state: TrainState, rng: PRNGKeyArray, x: Any, y: Any, step: Any, step_size: Any, share: Any, decay: Any
    ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        keys = jax.random.split(jax.random.fold_in(rng, step), config.train_samples)
        (value, parts), gradient = of_batch(state.params, x, y, keys, share)
        updates, opt_state = optimiser_of(step_size).update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = optax.incremental_update(params, state.average, 1 - decay)
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


def _size(shapes: Params) -> int:
    """Of all arrays, in bytes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


# Few, as each holds its compiled program.
_shared_step = functools.lru_cache(maxsize=8)(_gradient_step)
_shared_sampler = functools.lru_cache(maxsize=8)(Model.sampler)
_shared_shapes = functools.lru_cache(maxsize=8)(shapes_of)
