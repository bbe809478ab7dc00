"""The bound by marginal laws of the posterior, without solving for its paths."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxsde.brownian.keys import check_key, derive_key, fold_in
from jaxsde.brownian.normals import normals
from jaxsde.counts import check_count
from jaxsde.latent.bound import Bound, bound, check_weight, log_likelihood
from jaxsde.latent.gaussian import gaussian_kl
from jaxsde.latent.model import LatentSDE, MarginalPosterior, check_model, law_and_slope, processes
from jaxsde.latent.series import Series
from jaxsde.path_kl import relative_drift, running_path_kl
from jaxsde.types import Key, State, Time


def matching(
    model: LatentSDE, params: PyTree, series: Series, rng: Key, *, kl_weight: Any = 1.0, draws: int = 16
) -> Bound:
    """The evidence lower bound by SDE Matching (Bartosh, Vetrov and Naesseth, 2025): nothing is solved for.

    The path KL is an integral over time of a mean over the posterior's marginal, here estimated at random times. There
    are no steps, so no bias of any; the grid of the series is read at its observations alone.

    **Arguments:**

    - `model`: with a `MarginalPosterior`.
    - `params`, `series`, `rng`, `kl_weight`: as of `pathwise`.
    - `draws`: at how many times of each series the KL is looked at, each in its own part of the series.

    **Returns:** a `Bound`, of the same mean as `pathwise` has with steps that tend to zero.

    **Raises:** `TypeError` or `ValueError` for another posterior, a model that does not fit the series, draws that are
    no whole number of one or more, or a weight that is not one number.
    """
    check_key(rng)
    check_model(model, params, series)
    if not isinstance(model.posterior, MarginalPosterior):
        raise TypeError(
            "matching needs the marginal laws of the posterior, and this one is given by its drift: take a "
            "MarginalPosterior, or pathwise."
        )
    check_count("draws", draws)
    check_weight(kl_weight)
    q = model.posterior
    _, prior, diffusion = processes(model)

    def of_series(number: Array, one: Series) -> Any:
        context = q.encode(one.times, one.values, one.mask, params)
        start, span = one.times[0], one.end - one.times[0]
        key = fold_in(derive_key(rng, "jaxsde.latent.matching"), number)

        def draw(law: Any, which: Array, purpose: str) -> Any:
            (normal,) = normals(fold_in(derive_key(key, purpose), which), (law.mean,))
            return law.at(normal)

        def kl_at(t: Array, which: Array) -> Any:
            # One look at the law for the state and for the drift: a gradient goes through each.
            law, slope = law_and_slope(q, t, context, params)

            def posterior(z: State, t: Time, args: Any) -> Any:
                return model.drift_of_law(law, slope, z, t, params)

            kl_of_length = running_path_kl(relative_drift(posterior, prior, diffusion), "analytic")
            return kl_of_length(draw(law, which, "kl"), t, span, None, (params, context, one.end))

        def observed(t: Array, which: Array) -> Any:
            return draw(q.marginal(jnp.minimum(t, one.end), context, params), which, "likelihood")

        uniform = jax.random.uniform(derive_key(key, "times"), (draws,), start.dtype)
        at = start + span * (jnp.arange(draws, dtype=start.dtype) + uniform) / draws
        kl_path = jax.vmap(kl_at)(at, jnp.arange(draws)).mean()
        zs = jax.vmap(observed)(one.times, jnp.arange(one.times.size))
        kl_initial = gaussian_kl(q.marginal(start, context, params), model.initial(params))
        return bound(log_likelihood(model, params, one, zs), kl_path, kl_initial, kl_weight)

    return jax.vmap(of_series)(jnp.arange(series.times.shape[0]), series)
