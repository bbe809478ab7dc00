"""The optimiser of IVON, for networks of `MeanField`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from sdebnn.brax.layers.bayesian import Params
from sdebnn.brax.learning.arrays import to_named_arrays
from sdebnn.brax.learning.model import Model, shapes_of
from sdebnn.runs import TrainConfig
from sdebnn.training.ivon import Ivon, Moments, refuse_other_priors, refuse_point_weights


class IvonState(NamedTuple):
    """How many steps were taken, the averages of gradient and curvature, pytrees like the means, and the state of the
    optimiser of the likelihood's own parameters.
    """

    number: Int[Array, ""]
    gradient: Any
    hessian: Any
    likelihood: optax.OptState


def ivon(rule: Ivon, step_size: float | Float[Array, ""]) -> optax.GradientTransformation:
    """Makes the optimiser of params `{"network", "likelihood"}`: by `rule` for the network, given the gradient of the
    mean negative log-likelihood; and by Adam, with the longest steps of a weight, for the parameters of the likelihood,
    which have no posterior. It begins with the standard deviations that the network has.
    """
    adam = optax.adam(lambda _: rule.clip_radius * step_size)

    def init(params: Params) -> IvonState:
        means = _part(params["network"], "mean")
        return IvonState(
            jnp.zeros((), jnp.int32),
            jax.tree.map(jnp.zeros_like, means),
            jax.tree.map(lambda log_std: rule.hessian(jnp.exp(2 * log_std)), _part(params["network"], "log_std")),
            adam.init(params["likelihood"]),
        )

    def update(gradient: Params, state: IvonState, params: Params | None = None) -> tuple[Params, IvonState]:
        assert params is not None
        number = state.number + 1

        def step(
            mean: Array, log_std: Array, by_mean: Array, by_log_std: Array, average: Array, hessian: Array
        ) -> Moments:
            curvature = by_log_std * jnp.exp(-2 * log_std)
            of_step = {"number": number.astype(mean.dtype), "step_size": jnp.asarray(step_size, mean.dtype)}
            return rule.step(Moments(mean, average, hessian), by_mean, curvature, **of_step)

        network, by_network = params["network"], gradient["network"]
        means, log_stds = _part(network, "mean"), _part(network, "log_std")
        after = jax.tree.map(
            step, means, log_stds, _part(by_network, "mean"), _part(by_network, "log_std"), state.gradient,
            state.hessian,
        )  # fmt: skip
        moments = jax.tree.transpose(jax.tree.structure(means), jax.tree.structure(Moments(0, 0, 0)), after)
        changes = _gaussians(
            network,
            jax.tree.map(jnp.subtract, moments.mean, means),
            jax.tree.map(lambda h, log_std: 0.5 * jnp.log(rule.variance(h)) - log_std, moments.hessian, log_stds),
        )
        of_likelihood, adam_state = adam.update(gradient["likelihood"], state.likelihood, params["likelihood"])
        return (
            {"network": changes, "likelihood": of_likelihood},
            IvonState(number, moments.gradient, moments.hessian, adam_state),
        )

    return optax.GradientTransformation(init, update)


def check_gaussians(config: TrainConfig, model: Model) -> None:
    """**Raises:** `InputError` for a network with other parameters than those of `MeanField`, and for another prior
    than that of the choices.
    """
    shapes = shapes_of(model)["network"]
    others = jax.tree.map(lambda node: () if _is_gaussian(node) else node, shapes, is_leaf=_is_gaussian)
    refuse_point_weights(config, list(to_named_arrays({"network": jax.tree.map(lambda leaf: 0, others)})))

    def kl(network: PyTree) -> Any:
        return model.network.apply(network, jnp.ones((1, *model.input_shape)), rng=jax.random.key(0))[1]

    # By a mean it is the mean times the precision of the prior.
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes)
    for precision in jax.tree.leaves(_part(jax.jit(jax.grad(kl))(ones), "mean")):
        for end in (precision.min(), precision.max()):
            refuse_other_priors(config, float(end))


def _is_gaussian(node: object) -> bool:
    return isinstance(node, dict) and node.keys() == {"mean", "log_std"}


def _part(network: PyTree, name: str) -> Any:
    return jax.tree.map(lambda node: node[name], network, is_leaf=_is_gaussian)


def _gaussians(network: PyTree, means: PyTree, log_stds: PyTree) -> Any:
    """Of the structure of `network`."""

    def of(_: Any, mean: Params, log_std: Params) -> Params:
        return {"mean": mean, "log_std": log_std}

    return jax.tree.map(of, network, means, log_stds, is_leaf=_is_gaussian)
