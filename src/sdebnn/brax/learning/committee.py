"""Networks of one structure that take their gradient steps together, in one compiled program.

Numbers in which fits differ are arguments of the program: sigma, step sizes, the weight of the KL, seeds, the norm to
which gradients are clipped. So it is compiled once for a structure and shapes, however many fits there are.
"""

import functools
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray

from jaxsde.forks import refuse_fork
from sdebnn.brax.layers.bayesian import Params
from sdebnn.brax.learning.arrays import from_named_arrays, to_named_arrays
from sdebnn.brax.learning.likelihoods import LIKELIHOODS
from sdebnn.brax.learning.model import Model
from sdebnn.brax.learning.networks import build_network
from sdebnn.brax.learning.objective import objective
from sdebnn.runs import TrainConfig
from sdebnn.runs.choices import PriorChoices
from sdebnn.training.committee import CLIP_NORM, Batches, Candidate, Examples, Held, Networks
from sdebnn.training.network_choices import of_the_network

INIT, STEP, SCORE = range(3)
# Numbers in the hidden states of all networks' batches, from which on one program is worth more than one core.
MANY = 2**18


Keys = Key[Array, " networks"]


class _State(NamedTuple):
    """Of all networks, stacked."""

    params: Params
    average: Params
    moments: Any


class JaxCommittee:
    """The `sdebnn.training.committee.Committee` of networks in JAX. See there for what its methods do. Several that are
    small compute at the same time, on a core each.
    """

    def __init__(self, config: TrainConfig, examples: Examples, num_classes: int | None, networks: Networks) -> None:
        refuse_fork()
        outputs = num_classes or examples.y.shape[1]
        small = len(networks.seeds) * config.batch_size * config.width < MANY
        self._programs = _programs(
            _structure(config), config.likelihood, outputs, examples.x.shape[1], config.test_samples, small
        )
        self._sigma, self._kl_weights = np.float32(config.sigma), networks.kl_weights
        self._clip = np.float32(config.clip_norm or CLIP_NORM)
        self._keys = self._programs.keys(networks.seeds.astype(np.uint32))
        self._compile: list[threading.Thread] = []

    @functools.cached_property
    def _start(self) -> _State:
        return self._programs.start(self._keys, self._sigma)

    @functools.cached_property
    def _state(self) -> _State:
        return self._start

    @functools.cached_property
    def _aside(self) -> Params:
        return self._start.average

    def prepare(self, batches: Batches, held: Held | None) -> None:
        state = jax.eval_shape(self._programs.start, self._keys, self._sigma)

        lowered = [_lowered(*self._of_steps(state, batches, 0))]
        if held is not None:
            lowered.append(_lowered(*self._of_held(state.average, held)))
        # At once, and beside what draws the start.
        self._compile = [threading.Thread(target=program.compile, daemon=True) for program in lowered]
        for thread in self._compile:
            thread.start()

    def go_on_from(self, averages: Sequence[Mapping[str, np.ndarray]]) -> None:
        stacked = {name: np.stack([average[name] for average in averages]) for name in averages[0]}
        params = from_named_arrays(stacked, {"average": self._state.average})["average"]
        self._state, self._aside = self._state._replace(params=params, average=params), params

    def take_steps(self, batches: Batches, first: int) -> Float[Array, " networks"]:
        program, *arguments = self._of_steps(self._state, batches, first)
        self._wait()
        self._state, losses = program(*arguments)
        return losses

    def log_probs(self, held: Held) -> Float[Array, "networks temperatures held"]:
        program, *arguments = self._of_held(self._state.average, held)
        self._wait()
        return program(*arguments)

    def keep(self, chosen: Bool[np.ndarray, " networks"]) -> None:
        self._aside = self._programs.keep(chosen, self._state.average, self._aside)

    def go_back(self) -> None:
        # By numpy, which compiles nothing.
        moments = jax.tree.map(lambda m: np.where(np.isfinite(m), m, np.zeros_like(m)), self._state.moments)
        self._state = _State(self._aside, self._aside, moments)

    def kept(self, network: int) -> dict[str, np.ndarray]:
        return {name: array[network] for name, array in to_named_arrays({"average": self._aside}).items()}

    def _of_steps(self, state: _State, batches: Batches, first: int) -> tuple[Any, ...]:
        numbers = np.arange(first, first + len(batches.sizes), dtype=np.uint32)
        given = (state, self._keys, self._sigma, self._kl_weights, self._clip, numbers, batches)
        return self._programs.steps, *given

    def _of_held(self, average: Params, held: Held) -> tuple[Any, ...]:
        return self._programs.log_probs, average, held, self._keys, self._sigma

    def _wait(self) -> None:
        """For what is being compiled, that nothing is compiled twice."""
        for thread in self._compile:
            thread.join()
        self._compile = []


class _Programs(NamedTuple):
    keys: Any
    start: Any
    steps: Any
    log_probs: Any
    keep: Any


def _lowered(program: Any, *arguments: Any) -> Any:
    return program.lower(*arguments)


def _structure(config: TrainConfig) -> TrainConfig:
    """The choices without those that are arguments of the programs."""
    return of_the_network(config, sigma=PriorChoices().sigma)


# Few, as each holds its compiled programs.
@functools.lru_cache(maxsize=16)
def _programs(
    structure: TrainConfig, likelihood_name: str, outputs: int, inputs: int, samples: int, small: bool
) -> _Programs:
    likelihood = LIKELIHOODS[likelihood_name](outputs)
    optimiser = optax.adam(1.0)

    def model(sigma: Float[Array, ""]) -> Model:
        prior = structure.weight_prior().with_sigma(sigma)
        network = build_network(structure, (inputs,), likelihood.outputs, prior=prior)
        return Model(network, network, likelihood, (inputs,))

    def start(keys: Keys, sigma: Float[Array, ""]) -> _State:
        def of_one(key: PRNGKeyArray) -> _State:
            params = model(sigma).init(jax.random.fold_in(key, INIT))
            return _State(params, params, optimiser.init(params))

        return jax.vmap(of_one)(keys)

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
        state: _State, keys: Any, sigma: Any, kl_weights: Any, clip: Any, numbers: Any, batches: Batches
    ) -> tuple[_State, Float[Array, " networks"]]:
        of_all = jax.vmap(one_step, in_axes=(0, 0, 0, 0, 0, None, 0, None, None, None))
        step_keys = jax.vmap(lambda key: jax.random.fold_in(key, STEP))(keys)

        def of_number(state: _State, step: tuple[Any, Batches]) -> tuple[_State, Float[Array, " networks"]]:
            number, batch = step
            own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(step_keys, number)
            return of_all(
                state, batch.x, batch.y, batch.weights, own, sigma, kl_weights, clip, batch.sizes, batch.decays
            )

        state, losses = jax.lax.scan(of_number, state, (numbers, batches))
        counts = (batches.decays < 1)[:, None]
        return state, jnp.mean(losses, axis=0, where=counts)

    def log_probs(average: Params, held: Held, keys: Any, sigma: Any) -> Float[Array, "networks temperatures held"]:
        def of_one(params: Params, of_network: Held, key: PRNGKeyArray) -> Float[Array, "temperatures held"]:
            def of_sample(sample: PRNGKeyArray) -> Float[Array, "temperatures held"]:
                found = model(sigma).network.apply(params["network"], of_network.x, rng=sample)[0]

                def at(log_temperature: Any) -> Float[Array, " held"]:
                    # Each law has one parameter, the logarithm of a scale.
                    of_law = jax.tree.map(lambda log_scale: log_scale + log_temperature, params["likelihood"])
                    return likelihood.log_prob(of_law, found, of_network.y)

                return jax.vmap(at)(of_network.log_temperatures)

            of_samples = jax.vmap(of_sample)(jax.random.split(jax.random.fold_in(key, SCORE), samples))
            return jax.nn.logsumexp(of_samples, axis=0) - math.log(samples)

        return jax.vmap(of_one)(average, held, keys)

    def keep(chosen: Any, average: Params, aside: Params) -> Params:
        def of_leaf(new: Any, old: Any) -> Any:
            return jnp.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(of_leaf, average, aside)

    def keys(seeds: Any) -> Keys:
        return jax.vmap(lambda seed: jax.random.key(seed, impl="threefry2x32"))(seeds)

    # Of a table's fit, compilation is the longest part: at this level of XLA's it takes half the time, and the programs
    # are as fast.
    options = {"xla_backend_optimization_level": 1, "xla_cpu_multi_thread_eigen": not small}
    return _Programs(*(jax.jit(of, compiler_options=options) for of in (keys, start, steps, log_probs, keep)))


def gather(candidates: Sequence[Candidate], examples: Examples, num_classes: int | None) -> list[JaxCommittee]:
    """The committees of candidates, whose programs run beside Python and beside each other."""
    return [JaxCommittee(config, examples, num_classes, networks) for config, networks in candidates]
