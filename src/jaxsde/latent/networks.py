"""A latent SDE of small networks, with its parameters."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxsde.choices import one_of
from jaxsde.latent.encoder import ahead, at_first, between, encode, encoder_params
from jaxsde.latent.gaussian import Gaussian
from jaxsde.latent.likelihoods import Likelihood, gaussian
from jaxsde.latent.model import DriftPosterior, LatentSDE, MarginalPosterior
from jaxsde.types import Key, State, Time

Family = Literal["drift", "marginals"]
FAMILIES = ("drift", "marginals")


def neural(
    rng: Key,
    *,
    width: int,
    latent: int,
    hidden: int = 32,
    context: int = 16,
    posterior: str = "drift",
    likelihood: Likelihood | None = None,
) -> tuple[LatentSDE, dict[str, Any]]:
    """A latent SDE of small networks, which begins as an Ornstein-Uhlenbeck process.

    The prior's drift is a linear map and a network of two hidden layers, which do not read the time; the diffusion is
    one number for each latent entry; the decoder is linear. For others, `dataclasses.replace` a part and add what it
    reads to the parameters.

    **Arguments:**

    - `rng`: a JAX key.
    - `width`: of the values, how many there are at a time.
    - `latent`: entries of the latent state.
    - `hidden`: units of each hidden layer.
    - `context`: units of the encoder, a GRU that moves where something was observed.
    - `posterior`: `"drift"`, or `"marginals"`, which `matching` needs.
    - `likelihood`: Gaussian noise of a size that is learned unless given.

    **Returns:** the model and its parameters, a dict by part.

    **Raises:** `ValueError` for another posterior, or a size that is not positive.
    """
    one_of("posterior", posterior, FAMILIES)
    for name, size in (("width", width), ("latent", latent), ("hidden", hidden), ("context", context)):
        if size < 1:
            raise ValueError(f"{name} is {size}; it is a whole number of one or more.")
    keys = jax.random.split(rng, 5)
    of_marginals = posterior == "marginals"
    features = 4 * context + 1 if of_marginals else latent + context + 2
    params: dict[str, Any] = {
        "initial": {"mean": jnp.zeros(latent), "log_std": jnp.zeros(latent)},
        "drift": {"linear": -jnp.eye(latent), "network": mlp_params(keys[0], (latent, hidden, hidden, latent))},
        "log_diffusion": jnp.zeros(latent),
        "decoder": mlp_params(keys[1], (latent, width)),
        "log_noise": jnp.full(width, -1.0),
        "encoder": encoder_params(keys[2], width, context, of_marginals),
        "posterior": mlp_params(keys[3], (features, hidden, hidden, 2 * latent)),
    }
    family: DriftPosterior | MarginalPosterior = MarginalPosterior(_encode, _marginal)
    if not of_marginals:
        params["posterior_initial"] = mlp_params(keys[4], (context, hidden, 2 * latent))
        family = DriftPosterior(_encode, _posterior_initial, _posterior_drift)
    return LatentSDE(_initial, _drift, _diffusion, family, _decoder, likelihood or gaussian()), params


def mlp_params(rng: Key, sizes: tuple[int, ...]) -> list[tuple[Array, Array]]:
    """Weights and biases of a network whose layers have these sizes; the last layer begins small."""
    keys = jax.random.split(rng, len(sizes) - 1)
    scales = [1.0] * (len(sizes) - 2) + [0.1 if len(sizes) > 2 else 1.0]
    return [
        (scale * jax.random.normal(key, (n, m)) / n**0.5, jnp.zeros(m))
        for key, scale, n, m in zip(keys, scales, sizes[:-1], sizes[1:], strict=True)
    ]


def mlp(layers: list[tuple[Array, Array]], x: Float[Array, " n"]) -> Float[Array, " m"]:
    """The network, with tanh between its layers."""
    for weight, bias in layers[:-1]:
        x = jnp.tanh(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def _gaussian(outputs: Array) -> Gaussian:
    mean, log_std = jnp.split(outputs, 2)
    return Gaussian(mean, jnp.exp(log_std))


def _initial(params: PyTree) -> Gaussian:
    return Gaussian(params["initial"]["mean"], jnp.exp(params["initial"]["log_std"]))


def _drift(z: State, t: Time, params: PyTree) -> Any:
    return z @ params["drift"]["linear"] + mlp(params["drift"]["network"], z)


def _diffusion(z: State, t: Time, params: PyTree) -> Any:
    return jnp.exp(params["log_diffusion"])


def _decoder(z: State, params: PyTree) -> Any:
    return mlp(params["decoder"], z)


def _encode(times: Array, values: Array, mask: Array, params: PyTree) -> Any:
    return encode(params["encoder"], times, values, mask)


def _posterior_initial(context: Any, params: PyTree) -> Any:
    return _gaussian(mlp(params["posterior_initial"], at_first(context)))


def _posterior_drift(z: State, t: Time, context: Any, params: PyTree) -> Any:
    """The prior's, and a pull that is affine in z where the network does not bend it: exact of linear equations."""
    outputs = mlp(params["posterior"], jnp.concatenate([z, ahead(context, t)]))
    offset, slope = jnp.split(outputs, 2)
    return _drift(z, t, params) + _diffusion(z, t, params) * (offset + slope * z)


def _marginal(t: Time, context: Any, params: PyTree) -> Any:
    return _gaussian(mlp(params["posterior"], between(context, t)))
