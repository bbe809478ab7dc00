"""The bound by paths of the posterior, which are solved for."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxsde.brownian.keys import check_key, derive_key, fold_in
from jaxsde.counts import check_count
from jaxsde.integrate import solve
from jaxsde.latent.bound import Bound, bound, check_weight, log_likelihood
from jaxsde.latent.gaussian import Gaussian, gaussian_kl
from jaxsde.latent.model import LatentSDE, check_model, processes
from jaxsde.latent.series import Series
from jaxsde.path_kl import relative_drift, running_path_kl
from jaxsde.sde import SDE
from jaxsde.steps import FixedSteps
from jaxsde.types import Key


def pathwise(
    model: LatentSDE,
    params: PyTree,
    series: Series,
    rng: Key,
    *,
    kl_weight: Any = 1.0,
    paths: int = 1,
    estimator: str = "stl",
    method: str = "euler_maruyama",
    adjoint: str = "backprop",
) -> Bound:
    """The evidence lower bound by solving the posterior's SDE on the grid of each series (Li et al., 2020).

    With `"euler_maruyama"` and any estimator but `"analytic"` it is a bound of the discretised model's evidence,
    whatever the steps.

    **Arguments:**

    - `model`, `params`, `series`: as they are made by `LatentSDE` and `Series.of`.
    - `rng`: a JAX key.
    - `kl_weight`: what both KLs are multiplied by, as a schedule has it.
    - `paths`: how many of each series are averaged.
    - `estimator`: of both KLs, one of those of `jaxsde.path_kl`; with `"stl"` the gradient has no variance at the exact
      posterior, up to the steps.
    - `method`, `adjoint`: of `solve`.

    **Returns:** a `Bound`.

    **Raises:** `ValueError` or `TypeError` for a model that does not fit the series, or what `solve` refuses.
    """
    check_key(rng)
    check_model(model, params, series)
    check_count("paths", paths)
    check_weight(kl_weight)

    def of_series(number: Array, one: Series) -> Any:
        context = model.posterior.encode(one.times, one.values, one.mask, params)
        p, q = model.initial(params), model.posterior_initial(one.times, context, params)

        def of_path(path: Array) -> Any:
            key = fold_in(fold_in(derive_key(rng, "jaxsde.latent"), number), path)
            first, zs, kl = solve_posterior(model, params, one, context, key, method, adjoint, estimator)
            return log_likelihood(model, params, one, zs), kl, _kl_initial(q, p, first, estimator)

        log_prob, kl_path, kl_initial = (x.mean(0) for x in jax.vmap(of_path)(jnp.arange(paths)))
        return bound(log_prob, kl_path, kl_initial, kl_weight)

    return jax.vmap(of_series)(jnp.arange(series.times.shape[0]), series)


def solve_posterior(
    model: LatentSDE,
    params: PyTree,
    series: Series,
    context: Any,
    key: Key,
    method: str,
    adjoint: str,
    estimator: str | None = None,
) -> Any:
    """One path of one series: its start, its states at all times, (n, d), and with an estimator its KL.

    After the last observation the posterior is the prior.
    """

    posterior, prior, diffusion = processes(model)
    law = model.posterior_initial(series.times, context, params)
    first = law.at(jax.random.normal(derive_key(key, "jaxsde.latent.first"), law.mean.shape, law.mean.dtype))
    running: Callable[..., Any] | None = None
    if estimator is not None:
        running = running_path_kl(relative_drift(posterior, prior, diffusion), estimator)
    solution = solve(
        SDE(posterior, diffusion, noise=model.noise),
        first,
        series.times,
        key,
        (params, context, series.end),
        steps=FixedSteps(1),
        method=method,
        adjoint=adjoint,
        running=running,
    )
    return first, solution.ys, None if solution.sums is None else solution.sums[-1]


def _kl_initial(q: Gaussian, p: Gaussian, z: Array, estimator: str) -> Any:
    if estimator == "analytic":
        return gaussian_kl(q, p)
    # Sticking the landing leaves out the score of q alone, whose mean is zero.
    fixed = Gaussian(*jax.lax.stop_gradient(tuple(q))) if estimator == "stl" else q
    return fixed.log_prob(z) - p.log_prob(z)
