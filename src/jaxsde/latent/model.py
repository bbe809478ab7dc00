"""The latent SDE: a prior process, what is observed of it, and a family of posteriors."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxsde.calculus import g_dg
from jaxsde.latent.gaussian import Gaussian
from jaxsde.latent.likelihoods import Likelihood
from jaxsde.latent.series import Series, check_series
from jaxsde.signatures import check_takes
from jaxsde.types import Noise, State, Time


@dataclasses.dataclass(frozen=True)
class DriftPosterior:
    """A posterior that is given by its drift (Li et al., 2020).

    **Arguments:**

    - `encode`: `(times, values, mask, params)` of one series, (n,), (n, width) and (n, width), to a context, any
      pytree. What the mask leaves out must not matter to it.
    - `initial`: `(context, params)` to the `Gaussian` of the state at the first time.
    - `drift`: `(z, t, context, params)` to what is like z.
    """

    encode: Callable[..., Any]
    initial: Callable[..., Any]
    drift: Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class MarginalPosterior:
    """A posterior that is given by its marginal laws, from which its drift follows (Bartosh, Vetrov and Naesseth, "SDE
    Matching: scalable and simulation-free training of latent stochastic differential equations", 2025).

    **Arguments:**

    - `encode`: as of `DriftPosterior`.
    - `marginal`: `(t, context, params)` to the `Gaussian` of the state at t. It is continuous in t: a jump would cost
      an infinite KL that no estimate sees. It may have kinks, as a posterior has where something was observed.
    """

    encode: Callable[..., Any]
    marginal: Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class LatentSDE:
    """A process dz = h(z, t) dt + g(z, t) dB in Ito's sense, of which values are observed at times (Li, Wong, Chen and
    Duvenaud, "Scalable gradients for stochastic differential equations", 2020).

    Every function gets `params`, any pytree, whole and last; z is (d,).

    **Arguments:**

    - `initial`: `(params)` to the `Gaussian` of the state at the first time.
    - `drift`: h, `(z, t, params)` to (d,).
    - `diffusion`: g, `(z, t, params)` to (d,), nowhere zero: the posterior has the same.
    - `posterior`: a `DriftPosterior` or a `MarginalPosterior`.
    - `decoder`: `(z, params)` to what the likelihood reads, of the width of the values.
    - `likelihood`: a `Likelihood`.
    - `noise`: `"additive"` where g does not depend on z, and `"diagonal"` where it does.
    """

    initial: Callable[..., Any]
    drift: Callable[..., Any]
    diffusion: Callable[..., Any]
    posterior: DriftPosterior | MarginalPosterior
    decoder: Callable[..., Any]
    likelihood: Likelihood
    noise: Noise = "additive"

    def posterior_initial(self, times: Any, context: Any, params: PyTree) -> Any:
        """The posterior's Gaussian of the state at the first of `times`."""
        q = self.posterior
        return q.initial(context, params) if isinstance(q, DriftPosterior) else q.marginal(times[0], context, params)

    def posterior_drift(self, z: State, t: Time, context: Any, params: PyTree) -> Any:
        """The posterior's drift."""
        q = self.posterior
        if isinstance(q, DriftPosterior):
            return q.drift(z, t, context, params)
        return self.drift_of_law(*law_and_slope(q, t, context, params), z, t, params)

    def drift_of_law(self, law: Gaussian, slope: Gaussian, z: State, t: Time, params: PyTree) -> Any:
        """The drift of a process with the marginals N(m, s^2), whose slope in time is given, and the diffusion g.

        It is their flow m' + s' (z - m) / s, and of the noise 1/2 g^2 times the score, and g . dg, so that Fokker and
        Planck's equation holds.
        """
        normal = (z - law.mean) / law.std
        g = self.diffusion(z, t, params)
        flow = slope.mean + slope.std * normal
        return flow - 0.5 * g**2 * normal / law.std + g_dg(self.diffusion, self.noise)(z, t, params)


def law_and_slope(q: MarginalPosterior, t: Time, context: Any, params: PyTree) -> tuple[Any, Any]:
    """The marginal law at t, and its derivative in time."""
    return jax.jvp(lambda t: q.marginal(t, context, params), (t,), (jnp.ones_like(t),))


class Processes(NamedTuple):
    """The posterior's drift, the prior's, and the diffusion of both, as functions of (z, t, args); args are `params`,
    the context and the time of the last observation, after which the posterior is the prior.
    """

    posterior: Callable[..., Any]
    prior: Callable[..., Any]
    diffusion: Callable[..., Any]


def processes(model: LatentSDE) -> Processes:
    def posterior(z: State, t: Time, args: Any) -> Any:
        params, context, end = args
        # What a posterior says after its end is nobody's business, and may not be finite.
        drift = model.posterior_drift(z, jnp.minimum(t, end), context, params)
        return jnp.where(t < end, drift, model.drift(z, t, params))

    def prior(z: State, t: Time, args: Any) -> Any:
        return model.drift(z, t, args[0])

    def diffusion(z: State, t: Time, args: Any) -> Any:
        return model.diffusion(z, t, args[0])

    return Processes(posterior, prior, diffusion)


def check_model(model: LatentSDE, params: PyTree, series: Series) -> None:
    """Refuses a model whose parts do not fit each other or the series.

    **Raises:** `TypeError` or `ValueError` that says which part.
    """
    check_series(series)
    family: object = model.posterior
    if not isinstance(family, DriftPosterior | MarginalPosterior):
        raise TypeError(f"posterior is {type(family).__name__}; it is a DriftPosterior or a MarginalPosterior.")
    if model.noise not in ("additive", "diagonal"):
        raise ValueError(f"noise is {model.noise!r}; a latent SDE has 'additive' or 'diagonal' noise.")
    prior = jax.eval_shape(model.initial, params)
    _check_law("prior", prior, prior)

    def log_prob_of(z: Any, values: Any) -> Any:
        return model.likelihood.log_prob(model.decoder(z, params), values, params)

    width = series.values.shape[-1]
    decoded = jax.eval_shape(model.decoder, prior.mean, params)
    log_prob = jax.eval_shape(log_prob_of, prior.mean, series.values[0, 0])
    if log_prob.shape != (width,):
        raise ValueError(
            f"The likelihood gives log densities of shape {log_prob.shape} for values of width {width}, one for each "
            f"being ({width},); the decoder gives {jax.tree.map(jnp.shape, decoded)}. Take a decoder of that width."
        )

    _check_real("The likelihood", log_prob)

    def first_law(times: Any, values: Any, mask: Any) -> Any:
        return model.posterior_initial(times, model.posterior.encode(times, values, mask, params), params)

    one = series.times[0], series.values[0], series.mask[0]
    posterior = jax.eval_shape(first_law, *one)
    _check_law("posterior", posterior, prior)

    def posterior_drift(z: Any, t: Any, params: PyTree) -> Any:
        return model.posterior_drift(z, t, model.posterior.encode(*one, params), params)

    # One of another shape could be spread over the state, or the state over it, and no more be said.
    for name, function in (("drift", model.drift), ("diffusion", model.diffusion)):
        check_takes(name, function, "z", "t", "params")
    if isinstance(model.posterior, DriftPosterior):
        check_takes("posterior.drift", model.posterior.drift, "z", "t", "context", "params")
    functions = {"drift": model.drift, "diffusion": model.diffusion, "posterior's drift": posterior_drift}
    for name, function in functions.items():
        value = jax.eval_shape(function, prior.mean, series.times[0, 0], params)
        found = jax.tree.map(jnp.shape, value)
        if found != prior.mean.shape:
            raise ValueError(
                f"The {name} gives shape {found} for a state of shape {prior.mean.shape}; give one number for each "
                "entry of the state."
            )
        _check_real(f"The {name}", value)


def _check_law(whose: str, law: object, prior: Any) -> None:
    if not isinstance(law, Gaussian):
        raise TypeError(f"The {whose}'s first law is {type(law).__name__}; it is a Gaussian of jaxsde.latent.")
    if law.mean.ndim != 1 or law.std.shape != law.mean.shape or law.mean.shape != prior.mean.shape:
        raise ValueError(
            f"The {whose}'s first law has a mean of shape {law.mean.shape} and a std of shape {law.std.shape}; the "
            f"mean of the prior's has shape {prior.mean.shape}, and all are of one shape (d,)."
        )
    _check_real(f"The {whose}'s first law", *law)


def _check_real(what: str, *arrays: Any) -> None:
    for x in arrays:
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            raise TypeError(f"{what} gives numbers of dtype {x.dtype}; a latent SDE and its densities are real.")
