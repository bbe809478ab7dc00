"""Networks of one structure that take their gradient steps together, in one compiled program.

Numbers in which fits differ are arguments of the program: sigma, step sizes, the weight of the KL, seeds, the norm to
which gradients are clipped. So it is compiled once for a structure and shapes, however many fits there are.
"""

import functools
import math
import threading
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from jaxsde.forks import refuse_fork
from sdebnn.brax.layers.bayesian import Params
from sdebnn.brax.learning.arrays import to_named_arrays
from sdebnn.brax.learning.likelihoods import LIKELIHOODS
from sdebnn.brax.learning.model import Model, of_the_network
from sdebnn.brax.learning.networks import build_network
from sdebnn.brax.learning.objective import objective
from sdebnn.runs import TrainConfig
from sdebnn.runs.choices import PriorChoices
from sdebnn.training.committee import CLIP_NORM, Batches, Examples, Networks, power_of_two

INIT, STEP, SCORE = range(3)
# Of a table's fit, compilation is the longest part: at this level of XLA's it takes half the time, and the programs are
# as fast.
QUICKLY = {"xla_backend_optimization_level": 1}


Keys = Key[Array, " networks"]


class _State(NamedTuple):
    """Of all networks, stacked."""

    params: Params
    average: Params
    moments: Any


class JaxCommittee:
    """The `sdebnn.training.committee.Committee` of networks in JAX. See there for what its methods do."""

    def __init__(self, config: TrainConfig, examples: Examples, num_classes: int | None, networks: Networks) -> None:
        refuse_fork()
        outputs = num_classes or examples.y.shape[1]
        structure = _structure(config)
        self._programs = _programs(structure, config.likelihood, outputs, examples.x.shape[1], config.test_samples)
        # Filled up, so that tables of about one length share a program.
        length = power_of_two(len(examples.x))
        self._x, self._y = (jnp.asarray(np.resize(part, (length, *part.shape[1:]))) for part in examples[:2])
        self._sigmas, self._kl_weights = jnp.asarray(networks.sigmas), jnp.asarray(networks.kl_weights)
        self._clip = np.float32(config.clip_norm or CLIP_NORM)
        self._keys = self._programs.keys(jnp.asarray(networks.seeds.astype(np.uint32)))
        self._state = self._programs.start(self._keys, self._sigmas)
        self._aside = self._state.average
        self._compiles: threading.Thread | None = None

    def prepare(self, rows: Int[np.ndarray, "networks held"]) -> None:
        # Beside that of the gradient steps, which is the longer.
        self._compiles = threading.Thread(target=self._log_probs, args=(self._state.average, rows), daemon=True)
        self._compiles.start()

    def take_steps(self, batches: Batches, first: int) -> Float[np.ndarray, " networks"]:
        numbers = np.arange(first, first + len(batches.sizes), dtype=np.uint32)
        self._state, losses = self._programs.steps(
            self._state, self._x, self._y, self._keys, self._sigmas, self._kl_weights, self._clip, numbers,
            batches._replace(rows=batches.rows.astype(np.int32)),
        )  # fmt: skip
        # Steps that change nothing fill the last stretch up.
        return np.asarray(losses)[: np.count_nonzero(batches.decays < 1)].mean(axis=0)

    def log_probs(self, rows: Int[np.ndarray, "networks held"]) -> Float[np.ndarray, "networks held"]:
        if self._compiles is not None:
            self._compiles.join()
            self._compiles = None
        return np.asarray(self._log_probs(self._state.average, rows))

    def keep(self, chosen: Bool[np.ndarray, " networks"]) -> None:
        self._aside = self._programs.keep(jnp.asarray(chosen), self._state.average, self._aside)

    def kept(self, network: int) -> dict[str, np.ndarray]:
        return {name: array[network] for name, array in to_named_arrays({"average": self._aside}).items()}

    def _log_probs(self, average: Params, rows: Int[np.ndarray, "networks held"]) -> Float[Array, "networks held"]:
        return self._programs.log_probs(average, self._x, self._y, self._keys, self._sigmas, rows.astype(np.int32))


class _Programs(NamedTuple):
    keys: Any
    start: Any
    steps: Any
    log_probs: Any
    keep: Any


def _structure(config: TrainConfig) -> TrainConfig:
    """The choices without those that are arguments of the programs."""
    return of_the_network(config, sigma=PriorChoices().sigma)


# Few, as each holds its compiled programs.
@functools.lru_cache(maxsize=16)
def _programs(structure: TrainConfig, likelihood_name: str, outputs: int, inputs: int, samples: int) -> _Programs:
    likelihood = LIKELIHOODS[likelihood_name](outputs)
    optimiser = optax.adam(1.0)

    def model(sigma: Float[Array, ""]) -> Model:
        prior = structure.weight_prior().with_sigma(sigma)
        network = build_network(structure, (inputs,), likelihood.outputs, prior=prior)
        return Model(network, network, likelihood, (inputs,))

    def start(keys: Keys, sigmas: Float[Array, " networks"]) -> _State:
        def of_one(key: PRNGKeyArray, sigma: Float[Array, ""]) -> _State:
            params = model(sigma).init(jax.random.fold_in(key, INIT))
            return _State(params, params, optimiser.init(params))

        return jax.vmap(of_one)(keys, sigmas)

    def one_step(
        state: _State, x: Any, y: Any, weights: Any, key: Any, sigma: Any, kl_weight: Any, clip: Any, size: Any,
        decay: Any,
    ) -> tuple[_State, Float[Array, ""]]:  # fmt: skip
        loss = objective(model(sigma), kl_coef=1.0, train_size=1)
        value_and_gradient = jax.value_and_grad(lambda params: loss(params, x, y, key[None], kl_weight, weights)[0])
        value, gradient = value_and_gradient(state.params)
        shorter = jnp.minimum(1.0, clip / optax.tree.norm(gradient))
        updates, moments = optimiser.update(optax.tree.scale(shorter, gradient), state.moments)
        params = optax.apply_updates(state.params, optax.tree.scale(size, updates))
        return _State(params, optax.incremental_update(params, state.average, 1 - decay), moments), value

    def steps(
        state: _State, x: Any, y: Any, keys: Any, sigmas: Any, kl_weights: Any, clip: Any, numbers: Any,
        batches: Batches,
    ) -> tuple[_State, Float[Array, "steps networks"]]:  # fmt: skip
        of_all = jax.vmap(one_step, in_axes=(0, 0, 0, 0, 0, 0, 0, None, None, None))
        step_keys = jax.vmap(lambda key: jax.random.fold_in(key, STEP))(keys)

        def of_number(state: _State, step: tuple[Any, Batches]) -> tuple[_State, Float[Array, " networks"]]:
            number, batch = step
            own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(step_keys, number)
            return of_all(
                state, x[batch.rows], y[batch.rows], batch.weights, own, sigmas, kl_weights, clip, batch.sizes,
                batch.decays,
            )  # fmt: skip

        return jax.lax.scan(of_number, state, (numbers, batches))

    def log_probs(average: Params, x: Any, y: Any, keys: Any, sigmas: Any, rows: Any) -> Float[Array, "networks held"]:
        def of_one(params: Params, key: PRNGKeyArray, sigma: Any, of_rows: Any) -> Float[Array, " held"]:
            inputs, answers = x[of_rows], y[of_rows]

            def of_sample(sample: PRNGKeyArray) -> Float[Array, " held"]:
                found = model(sigma).network.apply(params["network"], inputs, rng=sample)[0]
                return likelihood.log_prob(params["likelihood"], found, answers)

            of_samples = jax.vmap(of_sample)(jax.random.split(jax.random.fold_in(key, SCORE), samples))
            return jax.nn.logsumexp(of_samples, axis=0) - math.log(samples)

        return jax.vmap(of_one)(average, keys, sigmas, rows)

    def keep(chosen: Any, average: Params, aside: Params) -> Params:
        def of_leaf(new: Any, old: Any) -> Any:
            return jnp.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(of_leaf, average, aside)

    def keys(seeds: Any) -> Keys:
        return jax.vmap(lambda seed: jax.random.key(seed, impl="threefry2x32"))(seeds)

    return _Programs(*(jax.jit(of, compiler_options=QUICKLY) for of in (keys, start, steps, log_probs, keep)))


gather = JaxCommittee
