"""The same parameters and the same normals give the same bound in both frameworks."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from ornstein_uhlenbeck import TIMES, VALUES

from sdebnn.torchbnn import latent
from sdebnn.torchbnn.latent.model import encoded
from sdebnn.torchbnn.latent.path_bound import Normals, bound_of

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from jaxsde import latent as jax_latent  # noqa: E402
from jaxsde.brownian import CounterPath  # noqa: E402
from jaxsde.brownian.keys import derive_key  # noqa: E402

MASK = np.isfinite(VALUES)
SIZES: dict[str, Any] = {"width": 1, "latent": 2, "hidden": 4, "context": 3}


def tensor(x):
    return torch.from_numpy(np.array(x))


def of_mlp(layers):
    """By the names that they have in a `Sequential` with a tanh between them."""
    return {
        f"{2 * i}.{name}": x
        for i, (w, b) in enumerate(layers)
        for name, x in (("weight", tensor(w).T), ("bias", tensor(b)))
    }


def of_gru(params):
    """PyTorch has the gates in another order, reset first, and a second bias."""

    def ordered(x):
        keep, reset, new = tensor(x).chunk(3, -1)
        return torch.cat([reset, keep, new], -1)

    bias = ordered(params["bias"])
    return {
        "weight_ih_l0": ordered(params["input"]).T,
        "weight_hh_l0": ordered(params["recurrent"]).T,
        "bias_ih_l0": bias,
        "bias_hh_l0": torch.zeros_like(bias),
    }


def of_jax(params, posterior):
    """The `state_dict` of the same model."""
    parts = {
        **{f"posterior.encode.ways.{way}": of_gru(x) for way, x in params["encoder"].items()},
        "decoder": of_mlp(params["decoder"]),
        "drift.network": of_mlp(params["drift"]["network"]),
    }
    found = {
        "initial.mean": params["initial"]["mean"],
        "initial.log_std": params["initial"]["log_std"],
        "drift.linear": params["drift"]["linear"],
        "diffusion.log_diffusion": params["log_diffusion"],
        "likelihood.log_noise": params["log_noise"],
    }
    if posterior == "marginals":
        parts["posterior.marginal.network"] = of_mlp(params["posterior"])
        found |= {"posterior.marginal.log_rates": params["log_rates"], "posterior.marginal.linear": params["marginal"]}
    else:
        parts["posterior.drift.network"] = of_mlp(params["posterior"])
        parts["posterior.initial.network"] = of_mlp(params["posterior_initial"])
    return {name: tensor(x) for name, x in found.items()} | {
        f"{part}.{name}": x for part, of_part in parts.items() for name, x in of_part.items()
    }


def normals_of(rng, paths, batch, steps, size):
    """Those that `jaxsde.latent.pathwise` draws from the key."""

    def of_path(number, path):
        key = jax.random.fold_in(jax.random.fold_in(derive_key(rng, "jaxsde.latent"), number), path)
        first = jax.random.normal(derive_key(key, "jaxsde.latent.first"), (size,), float)
        like = (jax.ShapeDtypeStruct((size,), first.dtype),)
        of_step = functools.partial(CounterPath(key).increment, t=None, h=jnp.asarray(1.0), like=like)
        return first, jax.vmap(lambda k: of_step(k).dW[0])(jnp.arange(steps))

    drawn = jax.jit(jax.vmap(jax.vmap(of_path, (0, None)), (None, 0)))(jnp.arange(batch), jnp.arange(paths))
    first, of_steps = map(tensor, drawn)
    return Normals(first, of_steps.movedim(2, 0))


@pytest.mark.parametrize(("posterior", "estimator"), [("drift", "stl"), ("drift", "analytic"), ("marginals", "stl")])
def test_the_bound_is_the_same(x64, posterior, estimator):
    rng = jax.random.key(3)
    model, params = jax_latent.neural(rng, posterior=posterior, **SIZES)
    leaves, structure = jax.tree.flatten(params)
    draw = np.random.default_rng(0)
    params = jax.tree.unflatten(structure, [x + 0.1 * draw.normal(size=x.shape) for x in leaves])
    series = jax_latent.Series.of(TIMES, VALUES, MASK, dt=0.1)
    wanted = jax.jit(
        lambda params: jax_latent.pathwise(model, params, series, rng, paths=2, estimator=estimator, kl_weight=0.7)
    )(params)

    same = latent.neural(posterior=posterior, **SIZES).double()
    same.load_state_dict(of_jax(params, posterior))
    of_torch = latent.Series.of(TIMES, VALUES, MASK, dt=0.1)
    for name in ("times", "values", "mask", "end"):
        np.testing.assert_array_equal(getattr(of_torch, name), getattr(series, name))
    known = encoded(same, of_torch)
    normals = normals_of(rng, 2, 2, of_torch.times.shape[1] - 1, SIZES["latent"])
    found = bound_of(same, of_torch, known, normals, 0.7, estimator)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.detach(), b, rtol=1e-10)
