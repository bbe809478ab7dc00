"""Posterior samples whose weights are drawn once, so that a prediction costs what their networks cost."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Key, PyTree

from jaxsde.forks import refuse_fork
from sdebnn.brax.layers.bayesian import BayesianLayer, DrawnFirstLayer, Params, draw_first
from sdebnn.brax.learning.export import export
from sdebnn.brax.learning.model import Model, batch_size, shapes_of
from sdebnn.data import to_float
from sdebnn.training.likelihood_protocol import check_outputs, number_of_outputs
from sdebnn.training.members import SideBySide
from sdebnn.training.unseen_features import UnseenFeatures

# Weights that are kept, in bytes. Those of larger networks are drawn anew at each call, a sample at a time.
MOST = 2**28


class DrawnNetworks:
    """The posterior samples of a model, each a network with weights of its own: the `outputs` of a
    `sdebnn.training.Learner`, to rounding.

    **Arguments:**

    - `model`, `params`: of the learner; the parameters are the averaged ones.
    - `keys`: one a posterior sample, as `Model.sampler` takes them.
    - `of_likelihood`: that of the learner, for likelihoods of a user's own.
    - `shared`: whether the model is that of a run's choices. Then the compiled programs are those of the posteriors
      before in this process that had such a model, and what its likelihood says is compiled too.
    """

    def __init__(
        self,
        model: Model,
        params: Params,
        keys: Key[Array, " samples"],
        of_likelihood: Callable[..., Any],
        shared: bool,
    ) -> None:
        programs = (_shared_programs if shared else _programs)(model, len(keys), shared)
        self._model, self._params, self._samples = model, params, len(keys)
        self._programs, self._said = programs, programs.said if shared else None
        self._of_likelihood = of_likelihood
        self._drawn = programs.draw(params, keys)

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        refuse_fork()
        outputs = in_batches(lambda x: self._programs.run(self._params, self._drawn, to_float(x)), len(x), (0, x))
        check_outputs(outputs.shape[1:], (len(x), number_of_outputs(self._model.likelihood)))
        return outputs

    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        if self._said is None or method == "sample":
            return self._of_likelihood(method, outputs, targets, seed=seed)
        if not hasattr(self._model.likelihood, method):
            return None
        said, rest = self._said, () if targets is None else ((0, targets),)
        return in_batches(lambda *given: said(method, self._params, *given), outputs.shape[1], (1, outputs), *rest)

    def together(self, others: Sequence["DrawnNetworks"]) -> SideBySide:
        """These samples and those of others, whose models are the same, in this order."""
        every = [self, *others]
        return _Together(every) if self._programs.vmapped and self._said is not None else SideBySide(every)

    def export(
        self,
        path: Path,
        example: Float32[np.ndarray, "1 ..."],
        shift: Float[np.ndarray, " d"],
        scale: Float[np.ndarray, " d"],
        unseen: UnseenFeatures | None = None,
    ) -> None:
        first = jax.tree.map(lambda part: part[0], self._drawn)

        def mean(x: Array) -> Any:
            outputs = self._programs.run_one(self._params, first, x)
            if unseen is not None:
                added = unseen(x)
                outputs = outputs.at[:, : added.shape[1]].add(added)
            return self._model.likelihood.mean(self._params["likelihood"], outputs)

        export(mean, path, example, shift, scale)


class _Together(SideBySide):
    """The samples of several as one program."""

    members: Sequence[DrawnNetworks]

    def __init__(self, members: Sequence[DrawnNetworks]) -> None:
        super().__init__(members)
        self._programs = members[0]._programs
        stack = functools.partial(jax.tree.map, lambda *leaves: jnp.stack(leaves))
        self._params, self._drawn = stack(*((member._params, member._drawn) for member in members))

    def outputs(self, x: Any) -> Float[np.ndarray, "samples n o"]:
        refuse_fork()
        run = self._programs.run_all
        return in_batches(lambda x: run(self._params, self._drawn, to_float(x)), len(x), (0, x))

    def of_likelihood(
        self, method: str, outputs: Float[np.ndarray, "samples n o"], targets: Any = None, *, seed: int = 0
    ) -> np.ndarray | None:
        if method == "sample" or not hasattr(self.members[0]._model.likelihood, method):
            return super().of_likelihood(method, outputs, targets, seed=seed)
        said, rest = self._programs.said_of_all, () if targets is None else ((0, targets),)
        return in_batches(lambda *given: said(method, self._params, *given), outputs.shape[1], (1, outputs), *rest)


class _Programs(NamedTuple):
    """`draw(params, keys)`, `run(params, drawn, x)` and `said(method, params, outputs, *targets)`, compiled; `run_all`
    and `said_of_all`, the same of several networks' parameters and samples along a first axis; `run_one(params, drawn,
    x)`, the outputs of one sample; and whether samples are computed at once, or one after the other.
    """

    run_one: Callable[..., Any]
    draw: Callable[..., Any]
    run: Callable[..., Any]
    said: Callable[..., Any]
    run_all: Callable[..., Any]
    said_of_all: Callable[..., Any]
    vmapped: bool


def _programs(model: Model, samples: int, shared: bool) -> _Programs:
    predictor, keys = model.predictor, jax.ShapeDtypeStruct((samples,), jax.random.key(0).dtype)

    def draw_of(network: BayesianLayer) -> Callable[[Params, Any], Any]:
        return lambda params, keys: jax.lax.map(lambda key: draw_first(network, params["network"], key), keys)

    drawn = jax.tree.leaves(jax.eval_shape(draw_of(predictor), shapes_of(model), keys))
    too_many = sum(leaf.size * leaf.dtype.itemsize for leaf in drawn) > MOST
    network = BayesianLayer(*predictor) if too_many else predictor
    # Of images a few samples at once would fill the memory; of a table's rows one at a time would be all waiting. A
    # network of a user's own need not be one to vmap.
    vmapped = shared and isinstance(network, DrawnFirstLayer) and len(model.input_shape) == 1

    def run_one(params: Params, drawn: PyTree, x: Array) -> Any:
        if isinstance(network, DrawnFirstLayer):
            return network.run(params["network"], drawn, x)
        return network.apply(params["network"], x, rng=drawn)[0]

    def run(params: Params, drawn: PyTree, x: Array) -> Any:
        def of_sample(drawn: PyTree) -> Any:
            return run_one(params, drawn, x)

        return jax.vmap(of_sample)(drawn) if vmapped else jax.lax.map(of_sample, drawn)

    def said(method: str, params: Params, outputs: Array, *targets: Array) -> Any:
        """One call for the examples of all samples."""
        samples, n, _ = outputs.shape
        rest = (jnp.broadcast_to(y, (samples, *y.shape)).reshape(samples * n, *y.shape[1:]) for y in targets)
        found = getattr(model.likelihood, method)(params["likelihood"], outputs.reshape(samples * n, -1), *rest)
        return found.reshape(samples, n, *found.shape[1:])

    def run_all(params: Params, drawn: PyTree, x: Array) -> Any:
        outputs = jax.vmap(run, in_axes=(0, 0, None))(params, drawn, x)
        return outputs.reshape(-1, *outputs.shape[2:])

    def said_of_all(method: str, params: Params, outputs: Array, *targets: Array) -> Any:
        members = len(jax.tree.leaves(params)[0])
        of_each = outputs.reshape(members, -1, *outputs.shape[1:])
        found = jax.vmap(lambda params, outputs: said(method, params, outputs, *targets))(params, of_each)
        return found.reshape(-1, *found.shape[2:])

    return _Programs(
        run_one, jax.jit(draw_of(network)), jax.jit(run), jax.jit(said, static_argnums=0), jax.jit(run_all),
        jax.jit(said_of_all, static_argnums=0), vmapped,
    )  # fmt: skip


_shared_programs = functools.lru_cache(maxsize=8)(_programs)


def in_batches(function: Callable[..., Any], n: int, *given: tuple[int, Any]) -> np.ndarray:
    """What `function` says of n examples, which are along the second axis of what it gives: a batch at a time, filled
    up to one of a few sizes.

    **Arguments:** `given`: what the function takes of the examples, and the axis along which they are.
    """
    batch = batch_size(n)

    def of(start: int) -> Iterator[np.ndarray]:
        for axis, array in given:
            part = np.asarray(array).take(range(start, min(start + batch, n)), axis)
            yield np.pad(part, [(0, batch - part.shape[axis] if a == axis else 0) for a in range(part.ndim)], "edge")

    found = [np.asarray(function(*of(start)))[:, : n - start] for start in range(0, n, batch)]
    return np.concatenate(found, axis=1)
