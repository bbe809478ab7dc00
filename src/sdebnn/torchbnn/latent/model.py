"""The latent SDE: a prior process, what is observed of it, and a family of posteriors."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd import forward_ad

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent.gaussian import Gaussian
from sdebnn.torchbnn.latent.likelihoods import Likelihood
from sdebnn.torchbnn.latent.series import Series, check_series
from sdebnn.torchbnn.layers.batch_statistics import check_no_batch_statistics
from sdebnn.torchbnn.layers.dropout import check_no_dropout


class DriftPosterior(nn.Module):
    """A posterior that is given by its drift (Li et al., 2020).

    **Arguments:**

    - `encode`: `(times, values, mask)`, (batch, n), (batch, n, width) and (batch, n, width), to a context: a tensor,
      or tuples and dicts of them. What the mask leaves out must not matter to it.
    - `initial`: `(context)` to the `Gaussian` of the states at the first time, (batch, d).
    - `drift`: `(z, t, context)` to what is like z; see `LatentSDE`.
    """

    def __init__(self, encode: Callable[..., Any], initial: Callable[..., Any], drift: Callable[..., Any]) -> None:
        super().__init__()
        self.encode, self.initial, self.drift = encode, initial, drift


class MarginalPosterior(nn.Module):
    """A posterior that is given by its marginal laws, from which its drift follows (Bartosh, Vetrov and Naesseth, "SDE
    Matching: scalable and simulation-free training of latent stochastic differential equations", 2025).

    **Arguments:**

    - `encode`: as of `DriftPosterior`.
    - `marginal`: `(t, context)` to the `Gaussian` of the states at t, (paths, batch, d) for t of (paths, batch, 1). It
      is continuous in t: a jump would cost an infinite KL that no estimate sees. It may have kinks, as a posterior has
      where something was observed. It is differentiated forwards, by `torch.func.jvp`.
    """

    def __init__(self, encode: Callable[..., Any], marginal: Callable[..., Any]) -> None:
        super().__init__()
        # Here, because where the caller takes forward derivatives himself it could not be.
        _prepare_forward_derivatives()
        self.encode, self.marginal = encode, marginal


class LatentSDE(nn.Module):
    """A process dz = h(z, t) dt + g(z, t) dB in Ito's sense, of which values are observed at times (Li, Wong, Chen and
    Duvenaud, "Scalable gradients for stochastic differential equations", 2020).

    A part is a module where it has parameters, or else any function. States z are (paths, batch, d), and times t
    (paths, batch, 1): the first axis are paths, or paths at several times, the second the series.

    **Arguments:**

    - `initial`: `()` to the `Gaussian` of the state at the first time, (d,).
    - `drift`: h, `(z, t)` to what is like z.
    - `diffusion`: g, `(z, t)` to what is like z, or (d,); nowhere zero: the posterior has the same.
    - `posterior`: a `DriftPosterior` or a `MarginalPosterior`.
    - `decoder`: `(z)` to what the likelihood reads, (paths, batch, width).
    - `likelihood`: a `Likelihood`.
    - `noise`: `"additive"` where g does not depend on z, and `"diagonal"` where it does.
    """

    def __init__(
        self,
        initial: Callable[..., Any],
        drift: Callable[..., Any],
        diffusion: Callable[..., Any],
        posterior: DriftPosterior | MarginalPosterior,
        decoder: Callable[..., Any],
        likelihood: Likelihood,
        noise: str = "additive",
    ) -> None:
        super().__init__()
        self.initial, self.drift, self.diffusion = initial, drift, diffusion
        self.posterior, self.decoder, self.likelihood, self.noise = posterior, decoder, likelihood, noise

    def posterior_initial(self, times: torch.Tensor, context: Any) -> Any:
        """The posterior's Gaussian of the states at the first of `times`, (batch, d)."""
        q = self.posterior
        if isinstance(q, DriftPosterior):
            return q.initial(context)
        law = q.marginal(times[None, :, :1], context)
        return Gaussian(*(x[0] for x in law)) if isinstance(law, Gaussian) else law

    def posterior_drift(self, z: torch.Tensor, t: torch.Tensor, context: Any) -> torch.Tensor:
        """The posterior's drift.

        That of a process with the marginals N(m, s^2) and the diffusion g: their flow m' + s' (z - m) / s, and of the
        noise 1/2 g^2 times the score, and g . dg, so that Fokker and Planck's equation holds.
        """
        q = self.posterior
        if isinstance(q, DriftPosterior):
            return q.drift(z, t, context)
        law, slope = _forward_derivative(lambda t: q.marginal(t, context), t.contiguous(), torch.ones_like(t))
        normal = (z - law.mean) / law.std
        g = self.diffusion(z, t)
        return slope.mean + slope.std * normal - 0.5 * g**2 * normal / law.std + self._g_dg(z, t)

    def _g_dg(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Of each entry of g the derivative along its own entry of z, times it."""
        if self.noise == "additive":
            return torch.zeros_like(z)
        entries = []
        for entry, unit in enumerate(torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)):
            g, along = _forward_derivative(lambda z: self.diffusion(z, t), z, unit.expand_as(z))
            entries.append((g * along)[..., entry])
        return torch.stack(entries, -1)


def _forward_derivative(function: Callable[..., Any], x: torch.Tensor, direction: torch.Tensor) -> tuple[Any, Any]:
    """The value, and its derivative in a direction."""
    _prepare_forward_derivatives()
    value, slope, *_ = torch.func.jvp(function, (x,), (direction,))
    return value, slope


@functools.cache
def _prepare_forward_derivatives() -> None:
    """PyTorch compiles a few of their rules the first time, by what it then warns of itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with forward_ad.dual_level():
            forward_ad.make_dual(torch.zeros(()), torch.zeros(()))


class Processes(nn.Module):
    """The posterior's drift relative to the prior's, as a module, so that gradients can be stopped at what it reads."""

    def __init__(self, model: LatentSDE) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: torch.Tensor, t: torch.Tensor, context: Any, end: torch.Tensor) -> torch.Tensor:
        """u = (f_q - f_p) / g; after `end`, (batch, 1), the posterior is the prior."""
        model = self.model
        # What a posterior says after its end is nobody's business, and may not be finite.
        apart = model.posterior_drift(z, torch.minimum(t, end), context) - model.drift(z, t)
        return torch.where(t < end, apart / model.diffusion(z, t), 0.0)


class Encoded(NamedTuple):
    """What a model says of series before anything is solved: the context, and the first law under either process."""

    context: Any
    prior: Gaussian
    posterior: Gaussian


def encoded(model: LatentSDE, series: Series) -> Encoded:
    """Encodes series, and refuses a model whose parts do not fit each other or the series.

    **Raises:** `InputError` that says which part.
    """
    check_series(series)
    if not isinstance(model, LatentSDE):
        raise InputError(f"model is {type(model).__name__}; it is a LatentSDE, such as neural gives.")
    family: object = model.posterior
    if not isinstance(family, DriftPosterior | MarginalPosterior):
        raise InputError(f"posterior is {type(family).__name__}; it is a DriftPosterior or a MarginalPosterior.")
    if model.noise not in ("additive", "diagonal"):
        raise InputError(f"noise is {model.noise!r}; a latent SDE has 'additive' or 'diagonal' noise.")
    likelihood: object = model.likelihood
    if not isinstance(likelihood, Likelihood):
        raise InputError(
            f"likelihood is {type(likelihood).__name__}; it is a Likelihood, such as gaussian() or your own."
        )
    _check_pure(model, family)
    prior = model.initial()
    _check_law("prior", prior, (), series)
    context = family.encode(series.times, series.values, series.mask)
    posterior = model.posterior_initial(series.times, context)
    batch, size = len(series.times), prior.mean.shape[-1]
    _check_law("posterior", posterior, (batch, size), series)
    _check_parts(model, series, context, posterior)
    return Encoded(context, prior, posterior)


def _check_pure(model: LatentSDE, family: DriftPosterior | MarginalPosterior) -> None:
    """What is called for the path is called for its KL again, and every series is on its own."""
    of_posterior = family.drift if isinstance(family, DriftPosterior) else family.marginal
    parts = {"drift": model.drift, "diffusion": model.diffusion, "posterior": of_posterior}
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            check_no_dropout(part, f"The {name}", "a path and its KL are of one process")
    check_no_batch_statistics(model, "The model", "are not those of each series")


def _check_law(whose: str, law: object, wanted: tuple[int, ...], series: Series) -> None:
    if not isinstance(law, Gaussian):
        raise InputError(
            f"The {whose}'s first law is {type(law).__name__}; it is a Gaussian of sdebnn.torchbnn.latent."
        )
    for x in law:
        _check_numbers(f"The {whose}'s first law", x, series)
    found = tuple(law.mean.shape), tuple(law.std.shape)
    if found[0] != found[1] or (found[0] != wanted if wanted else len(found[0]) != 1):
        raise InputError(
            f"The {whose}'s first law has a mean of shape {found[0]} and a std of shape {found[1]}; both are of shape "
            f"{wanted or '(d,)'}: the prior's (d,), the posterior's (batch, d)."
        )


def _check_parts(model: LatentSDE, series: Series, context: Any, law: Gaussian) -> None:
    with torch.enable_grad():
        z = (law.mean + law.std).detach()[None].requires_grad_()
        t = series.times[None, :, :1]
        diffusion = model.diffusion(z, t)
        _check_numbers("The diffusion", diffusion, series)
        if model.noise == "additive" and diffusion.requires_grad:
            (slope,) = torch.autograd.grad(diffusion.sum(), z, allow_unused=True)
            if slope is not None and slope.count_nonzero():
                raise InputError(
                    "The diffusion depends on the state, and noise='additive' says that it does not; take "
                    "noise='diagonal'."
                )
    with torch.no_grad():
        z = z.detach()
        # One of another shape could be spread over the state, or the state over it, and no more be said.
        functions: dict[str, Callable[[], Any]] = {
            "drift": lambda: model.drift(z, t),
            "diffusion": lambda: diffusion,
            "posterior's drift": lambda: model.posterior_drift(z, t, context),
        }
        for name, function in functions.items():
            value = function()
            _check_numbers(f"The {name}", value, series)
            shape = tuple(value.shape)
            if shape != z.shape and not (name == "diffusion" and shape == z.shape[-1:]):
                raise InputError(
                    f"The {name} gives shape {shape} for states of shape {tuple(z.shape)}; give one number for each "
                    "entry of the state."
                )
        decoded, width = model.decoder(z), series.values.shape[-1]
        _check_numbers("The decoder", decoded, series)
        if decoded.shape[:-1] != z.shape[:-1]:
            raise InputError(
                f"The decoder gives shape {tuple(decoded.shape)} for states of shape {tuple(z.shape)}; it changes the "
                "last axis alone."
            )
        if decoded.shape[-1] != width:
            raise InputError(
                f"The decoder gives shape {tuple(decoded.shape)} for values of width {width}; take a decoder of that "
                "width."
            )
        log_prob = model.likelihood.log_prob(decoded, series.values[None, :, 0])
        _check_numbers("The likelihood", log_prob, series)
        if log_prob.shape != decoded.shape:
            raise InputError(
                f"The likelihood gives log densities of shape {tuple(log_prob.shape)} for values of shape "
                f"{tuple(decoded.shape)}; give one for each."
            )


def _check_numbers(what: str, x: object, series: Series) -> None:
    if not isinstance(x, torch.Tensor):
        raise InputError(f"{what} gives {type(x).__name__}; give a tensor.")
    if (x.dtype, x.device) != (series.values.dtype, series.values.device):
        raise InputError(
            f"{what} gives numbers of {x.dtype} on {x.device}, and the series are of {series.values.dtype} on "
            f"{series.values.device}; bring them together by model.to(...), series.to(device) or Series.of(..., "
            "dtype=...)."
        )
