"""A latent SDE of small networks, with its parameters."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxsde.choices import one_of
from jaxsde.counts import check_count
from jaxsde.latent.encoder import ahead, around, at_first, encode, encoder_params, faded
from jaxsde.latent.gaussian import Gaussian
from jaxsde.latent.likelihoods import Likelihood, gaussian
from jaxsde.latent.model import DriftPosterior, LatentSDE, MarginalPosterior
from jaxsde.types import Key, Noise, State, Time

FAMILIES = ("drift", "marginals")
# At which what the marginals read fades.
RATES = 8


def neural(
    rng: Key,
    *,
    width: int,
    latent: int,
    hidden: int = 32,
    context: int = 16,
    posterior: str = "drift",
    likelihood: Likelihood | None = None,
    initial: Callable[..., Any] | None = None,
    drift: Callable[..., Any] | None = None,
    diffusion: Callable[..., Any] | None = None,
    decoder: Callable[..., Any] | None = None,
    noise: Noise = "additive",
) -> tuple[LatentSDE, dict[str, Any]]:
    """A latent SDE of small networks, which begins as an Ornstein-Uhlenbeck process.

    The prior's drift is a linear map and a network of two hidden layers, which do not read the time; the diffusion is
    one number for each latent entry; the decoder is linear. The posterior's drift is the prior's, and what pulls it.

    **Arguments:**

    - `rng`: a JAX key.
    - `width`: of the values, how many there are at a time.
    - `latent`: entries of the latent state.
    - `hidden`: units of each hidden layer.
    - `context`: units of the encoder, a GRU that moves where something was observed.
    - `posterior`: `"drift"`, or `"marginals"`, which `matching` needs.
    - `likelihood`: Gaussian noise of a size that is learned unless given.
    - `initial`, `drift`, `diffusion`, `decoder`, `noise`: of `LatentSDE`, in place of those above. What they read of
      the parameters you add to them.

    **Returns:** the model and its parameters, a dict by part.

    **Raises:** `ValueError` for another posterior, or a size that is not positive.
    """
    one_of("posterior", posterior, FAMILIES)
    for name, size in (("width", width), ("latent", latent), ("hidden", hidden), ("context", context)):
        check_count(name, size)
    keys = jax.random.split(rng, 5)
    of_marginals = posterior == "marginals"
    features = RATES * (1 + math.ceil(2 * context / RATES)) if of_marginals else latent + context + 2
    params: dict[str, Any] = {
        "encoder": encoder_params(keys[2], width, context, of_marginals),
        "posterior": mlp_params(keys[3], (features, hidden, hidden, 2 * latent)),
    }
    if likelihood is None:
        params["log_noise"] = jnp.full(width, -1.0)
    if initial is None:
        params["initial"] = {"mean": jnp.zeros(latent), "log_std": jnp.zeros(latent)}
    if drift is None:
        params["drift"] = {
            "linear": -jnp.eye(latent),
            "network": mlp_params(keys[0], (latent, hidden, hidden, latent)),
        }
    if diffusion is None:
        params["log_diffusion"] = jnp.zeros(latent)
    if decoder is None:
        params["decoder"] = mlp_params(keys[1], (latent, width))
    h, g = drift or _drift, diffusion or _diffusion
    family: DriftPosterior | MarginalPosterior = MarginalPosterior(_encode_around, _marginal)
    if of_marginals:
        params["log_rates"] = jnp.linspace(-1.0, 2.0, RATES)
        params["marginal"] = jnp.zeros((features, 2 * latent))
    else:
        params["posterior_initial"] = mlp_params(keys[4], (context, hidden, 2 * latent))
        family = DriftPosterior(_encode, _posterior_initial, _pulled(h, g))
    law = likelihood or gaussian()
    return LatentSDE(initial or _initial, h, g, family, decoder or _decoder, law, noise), params


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


def _encode_around(times: Array, values: Array, mask: Array, params: PyTree) -> Any:
    return faded(params["log_rates"], _encode(times, values, mask, params))


def _posterior_initial(context: Any, params: PyTree) -> Any:
    return _gaussian(mlp(params["posterior_initial"], at_first(context)))


def _pulled(prior: Callable[..., Any], diffusion: Callable[..., Any]) -> Callable[..., Any]:
    """The prior's drift, and a pull that is affine in z where the network does not bend it: exact of linear
    equations.
    """

    def drift(z: State, t: Time, context: Any, params: PyTree) -> Any:
        offset, slope = jnp.split(mlp(params["posterior"], jnp.concatenate([z, ahead(context, t)])), 2)
        return prior(z, t, params) + diffusion(z, t, params) * (offset + slope * z)

    return drift


def _marginal(t: Time, context: Any, params: PyTree) -> Any:
    """A linear map and a network: the mean of a linear equation is linear in what was observed."""
    features = around(context, t)
    return _gaussian(features @ params["marginal"] + mlp(params["posterior"], features))
