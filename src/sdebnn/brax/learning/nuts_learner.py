"""A network of a table whose posterior is sampled by chains of NUTS, in place of being trained.

The prior is that of mean field: N(0, prior_std^2) for every weight. The logarithm of the scale of the noise of targets
has the prior N(-2, 1), in the units that the network learns in; those of a standardised table are standard deviations.
The chains begin at initialisations of the network, as draws of the prior are too far from any posterior, and every draw
of theirs is kept.
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PRNGKeyArray

from jaxsde.forks import refuse_fork
from sdebnn.brax.layers.bayesian import Params
from sdebnn.brax.learning.arrays import from_named_arrays, to_named_arrays
from sdebnn.brax.learning.drawn_networks import DrawnNetworks, in_batches
from sdebnn.brax.learning.learner import CHAINS, EVALUATE, OBSERVE, PLAIN, JaxLearner
from sdebnn.brax.learning.model import Model, shapes_of
from sdebnn.brax.learning.nuts import Chain, Nuts, mixing
from sdebnn.data import Dataset, to_float
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.runs.progress import say
from sdebnn.training.drawn_parameters import refuse_validation
from sdebnn.training.predictions import doubles

# Weights, all of which are in a checkpoint as often as there are draws.
MOST = 10_000
# The acceptance rate to which steps are adapted, and the doublings of a way: longer ways would take hours.
TARGET, DOUBLINGS = 0.9, 7
# Mean and standard deviation of the logarithm of the scale of noise under the prior.
NOISE = (-2.0, 1.0)
# Split R-hat up to which chains have agreed, and the training examples whose expected answers it is of.
AGREED, ROWS = 1.05, 100
# Of each chain: halves of which a variance can be told.
FEWEST = 4


class NutsLearner(JaxLearner):
    """The `sdebnn.training.Learner` whose gradient step is one draw of each chain, of all examples; before the first
    the chains take as many steps that adapt them as there will be draws.

    **Arguments:**

    - `config`: the choices of the run: `chains`, each of as many draws as there are gradient steps; predictions take
      `test_samples` of all draws, spread evenly.
    - `model`: of `build_model(config, dataset)`.
    - `dataset`: the training examples.
    - `mesh`: of one device.

    **Raises:** `InputError` for other examples than those of a table in memory, for batches of a part of them, a
    validation split, several devices or processes, fewer than `FEWEST` draws and more than `MOST` weights.
    """

    def __init__(self, config: TrainConfig, model: Model, dataset: Dataset, mesh: Mesh) -> None:
        _refuse_unfitting(config, dataset, mesh)
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes_of(model))
        flat, self._unravel = ravel_pytree(zeros)
        if flat.size > MOST:
            raise InputError(
                f"model={config.model!r} keeps every weight of every draw, and this network has {flat.size} weights, "
                f"more than {MOST}; take a smaller width (now {config.width}) or augment (now {config.augment})."
            )
        super().__init__(config, model, dataset.train_size, mesh, by_choices=True)
        laws = {"network": (0.0, config.prior_std), "likelihood": NOISE}
        self._centre, self._scale = (
            np.concatenate([np.full(ravel_pytree(zeros[of])[0].size, laws[of][k], flat.dtype) for of in sorted(zeros)])
            for k in range(2)
        )
        self._dataset, steps = dataset, config.total_steps(dataset.train_size)
        self._draws = np.zeros((config.chains, steps, flat.size), flat.dtype)
        self._number, self._judged = np.zeros((), np.int32), np.zeros((), bool)
        self._told = _Told(*(np.zeros((config.chains, steps), kind) for kind in (np.float32, bool, np.int32)))
        self._chains: Chain | None = None
        self._drawn: tuple[int, _Draws] | None = None

    @property
    def params(self) -> Params:
        """Those of the newest draw of the first chain."""
        return self._unravel(jnp.asarray(self._draws[0, int(self._number) - 1]))

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        """The `step`-th draw of each chain, of all training examples, which `x` and `y` are."""
        refuse_fork()
        if self._chains is None:
            steps = self._draws.shape[1]
            say(f"{self.config.chains} chains take {steps} steps each that adapt them, and then as many draws.")
            self._chains = self._programs.begin(*self._keys[:2])
        self._chains, info = self._programs.draw(self._chains, self._keys[2], np.uint32(step))
        z, log_density = np.asarray(self._chains.state.position), np.asarray(self._chains.state.logdensity)
        self._draws[:, step] = self._centre + self._scale * z
        for array, values in zip(self._told, (log_density, info.is_divergent, info.num_integration_steps), strict=True):
            array[:, step] = values
        self._number[...], self._judged[...] = step + 1, False
        log_likelihood = log_density + 0.5 * np.square(z).sum(axis=1)
        return {
            "loss": -log_density.mean() / self._train_size,
            "nll": -log_likelihood.mean() / self._train_size,
            "acceptance_rate": float(info.acceptance_rate.mean()),
            "leapfrog": float(info.num_integration_steps.mean()),
        }

    def after_training(self) -> dict[str, float]:
        """Says how the chains have mixed, unless it has been said; returns it."""
        if self._judged:
            return {}
        number, x = int(self._number), self._dataset.x_train
        if number < FEWEST:
            warnings.warn(
                f"Training ended after {number} draws of each chain, so nothing tells whether the chains have agreed.",
                stacklevel=2,
            )
            return {}
        rows = np.unique(np.linspace(0, len(x) - 1, ROWS).astype(int))
        chains = [self._of(draws) for draws in self._draws[:, :number]]
        answers = [doubles(chain.of_likelihood("mean", chain.outputs(x[rows]))) for chain in chains]
        densities = self._told.log_density[:, :number, None]
        values = np.concatenate([np.reshape(answers, (len(chains), number, -1)), densities], axis=2)
        # Probabilities of classes may be 1 to all digits.
        values = values[..., np.ptp(values, axis=(0, 1)) > 0]
        found = mixing(values, self._told.divergent[:, :number], self._told.leapfrog[:, :number])
        self._judged[...] = True
        draws = f"{self.config.chains} chains of {number} draws"
        say(
            f"{draws}: split R-hat up to {found['r_hat']:.3f} (median {found['r_hat_median']:.3f}), effective sample "
            f"size from {found['effective']:.0f} (median {found['effective_median']:.0f}), {found['leapfrog']:.0f} "
            f"leapfrog steps a draw, {found['divergent']:.1%} of the draws divergent."
        )
        if not found["r_hat"] <= AGREED:
            warnings.warn(
                f"The {draws} have not agreed: split R-hat of the expected answers and of the posterior's density is "
                f"up to {found['r_hat']:.3g}, and with agreement it is 1, {AGREED} at most. What they predict is no "
                "truth to measure by; take more draws (max_steps), or a smaller width or prior_std.",
                stacklevel=2,
            )
        return found

    def first_bad(self) -> int:
        # What is not finite is not accepted.
        return 0

    def state(self) -> dict[str, np.ndarray]:
        own = {f"average/nuts/{name}": array.copy() for name, array in self._own().items()}
        chains = {"chains": {"told": self._told._asdict(), "judged": self._judged}}
        if self._chains is not None:
            chains["chains"]["now"] = self._chains._asdict()
        copies = {name: array.copy() for name, array in to_named_arrays(chains).items()}
        return to_named_arrays({"average": self.params}) | own | copies

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        now = jax.eval_shape(self._programs.begin, *self._keys[:2])
        like = {"chains": {"told": self._told._asdict(), "judged": self._judged, "now": now._asdict()}}
        chains = {name: array for name, array in state.items() if name.startswith("chains/")}
        found = from_named_arrays(chains, like=like)["chains"]
        self.load_average({name: array for name, array in state.items() if name not in chains})
        self._chains = Chain(**found["now"])
        self._told = _Told(**{name: np.array(array) for name, array in found["told"].items()})
        self._judged[...] = found["judged"]

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        like = {"average": {**self._shapes, "nuts": self._own()}}
        own = from_named_arrays(average, like=like)["average"]["nuts"]
        self._draws[...], self._number[...] = own["draws"], own["number"]
        self._drawn = None

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        return self.drawn_networks().outputs(x)

    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        return self.drawn_networks().of_likelihood(method, outputs, targets, seed=seed)

    def drawn_networks(self) -> "_Draws":  # type: ignore[override]
        refuse_fork()
        number, samples = int(self._number), self.config.test_samples
        if self._drawn is None or self._drawn[0] != number:
            every = self._every()
            # In the order of the chains, so that each has its share.
            places = ((np.arange(samples) + 0.5) * len(every) / samples).astype(int)
            self._drawn = number, self._of(every[places])
        return self._drawn[1]

    def draw_network(self, seed: int) -> DrawnNetworks:
        refuse_fork()
        every = self._every()
        place = np.random.default_rng([self.config.seed, PLAIN, seed]).integers(len(every))
        one, key = self._of(every[place : place + 1]), jax.random.fold_in(self._rng, EVALUATE)
        params = self._unravel(jnp.asarray(every[place]))
        return DrawnNetworks(self.model, params, key[None], one.of_likelihood, self.by_choices)

    def _every(self) -> Float[np.ndarray, "draws size"]:
        """All draws, those of a chain together."""
        if not self._number:
            raise InputError("The chains have no draws yet: the first step of training makes them; train first.")
        return self._draws[:, : int(self._number)].reshape(-1, self._draws.shape[2])

    def _of(self, draws: Float[np.ndarray, "draws size"]) -> "_Draws":
        return _Draws(self.model, jax.vmap(self._unravel)(jnp.asarray(draws)), jax.random.fold_in(self._rng, OBSERVE))

    def _own(self) -> dict[str, np.ndarray]:
        return {"draws": self._draws, "number": self._number}

    @functools.cached_property
    def _keys(self) -> tuple[Key[Array, " chains"], ...]:
        """Of each chain's start, of its adaptation, and of its draws."""
        keys = jax.random.split(jax.random.fold_in(self._rng, CHAINS), (3, self.config.chains))
        return keys[0], keys[1], keys[2]

    @functools.cached_property
    def _programs(self) -> "_Programs":
        x, y = jnp.asarray(to_float(self._dataset.x_train)), jnp.asarray(self._dataset.y_train)
        network, likelihood, key = self.model.network, self.model.likelihood, jax.random.key(0)

        def log_likelihood(z: Float[Array, " size"]) -> Any:
            params = self._unravel(self._centre + self._scale * z)
            outputs = network.apply(params["network"], x, rng=key)[0]
            return jnp.sum(likelihood.log_prob(params["likelihood"], outputs, y))

        sampler, steps = Nuts(log_likelihood, TARGET, DOUBLINGS), self._draws.shape[1]

        def begin(start: PRNGKeyArray, key: PRNGKeyArray) -> Chain:
            z = (ravel_pytree(self.model.init(start))[0] - self._centre) / self._scale
            return sampler.begin(z, key, steps)

        def draw(chain: Chain, key: PRNGKeyArray, step: Any) -> tuple[Chain, Any]:
            return sampler.draw(chain, jax.random.fold_in(key, step))

        return _Programs(
            jax.jit(jax.vmap(begin)),
            jax.jit(jax.vmap(draw, in_axes=(0, 0, None))),
        )


class _Told(NamedTuple):
    """Of each draw, (chains, draws): the log density of the posterior, up to a constant, whether the way there
    diverged, and its leapfrog steps.
    """

    log_density: np.ndarray
    divergent: np.ndarray
    leapfrog: np.ndarray


class _Programs(NamedTuple):
    """`begin(starts, keys)` and `draw(chains, keys, step)` of all chains, compiled."""

    begin: Callable[..., Chain]
    draw: Callable[..., tuple[Chain, Any]]


class _Draws:
    """The `sdebnn.training.Predictive` of networks whose parameters differ, noise and all.

    **Arguments:**

    - `params`: along a first axis those of each.
    - `rng`: of the targets that are drawn.
    """

    def __init__(self, model: Model, params: Params, rng: PRNGKeyArray) -> None:
        self._model, self._params, self._rng = model, params, rng
        self._run, self._said = _programs_of(model)

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        refuse_fork()
        return in_batches(lambda x: self._run(self._params, to_float(x)), len(x), (0, x))

    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        if not hasattr(self._model.likelihood, method):
            return None
        if method == "sample":
            key = jax.random.fold_in(self._rng, np.uint32(seed)) if seed else self._rng
            keys = jax.random.split(key, len(outputs))
            return np.asarray(self._said(method, self._params, outputs, keys))
        if targets is None:
            return in_batches(lambda part: self._said(method, self._params, part), outputs.shape[1], (1, outputs))
        return in_batches(
            lambda part, y: self._said(method, self._params, part, jnp.broadcast_to(y, (len(part), *y.shape))),
            outputs.shape[1], (1, outputs), (0, targets),
        )  # fmt: skip


@functools.lru_cache(maxsize=8)
def _programs_of(model: Model) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`run(params, x)` and `said(method, params, outputs, *of each)` of several networks' parameters, compiled."""
    key = jax.random.key(0)

    def run(params: Params, x: Array) -> Any:
        return jax.vmap(lambda of: model.predictor.apply(of["network"], x, rng=key)[0])(params)

    def said(method: str, params: Params, outputs: Array, *rest: Array) -> Any:
        return jax.vmap(getattr(model.likelihood, method))(params["likelihood"], outputs, *rest)

    return jax.jit(run), jax.jit(said, static_argnums=0)


def _refuse_unfitting(config: TrainConfig, dataset: Dataset, mesh: Mesh) -> None:
    model = f"model={config.model!r}"
    if dataset.x_train.ndim != 2:
        raise InputError(
            f"{model} is for small networks of tables, and {dataset.name} has inputs of shape "
            f"{dataset.x_train.shape[1:]}; take another model, such as swag_odenet."
        )
    if dataset.train_size != len(dataset.x_train):
        raise InputError(
            f"{model} needs all training examples at once, and of {dataset.name} only a sample is in memory; take "
            "another model, such as swag_odenet."
        )
    if config.batch_size < dataset.train_size:
        raise InputError(
            f"{model} takes each step by all {dataset.train_size} training examples, and batch_size is "
            f"{config.batch_size}; take batch_size={dataset.train_size} or more."
        )
    refuse_validation(config, "keeps the draws of all steps")
    if (draws := config.total_steps(dataset.train_size)) < FEWEST:
        raise InputError(f"{model} takes {FEWEST} draws of a chain or more, and max_steps or epochs allow {draws}.")
    if mesh.size > 1 or jax.process_count() > 1:
        raise InputError(
            f"{model} computes on one device of one process, and there are {mesh.size} of {jax.process_count()}; "
            "leave --devices and --coordinator out."
        )
