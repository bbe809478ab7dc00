"""The bound by paths of the posterior, which torchsde solves for."""

from typing import Any, NamedTuple

import torch
import torchsde
from torch.utils import _pytree as pytree

from sdebnn.errors import InputError
from sdebnn.kl_estimators import check_estimator
from sdebnn.torchbnn.latent.bound import Bound, bound, check_weight, log_likelihood
from sdebnn.torchbnn.latent.counts import check_count
from sdebnn.torchbnn.latent.gaussian import Gaussian, gaussian_kl
from sdebnn.torchbnn.latent.model import Encoded, LatentSDE, Processes, encoded
from sdebnn.torchbnn.latent.series import Series
from sdebnn.torchbnn.layers.bayesian import device_of
from sdebnn.torchbnn.layers.lent_parameters import call_with, places_of
from sdebnn.torchbnn.layers.randomness import check_generator
from sdebnn.torchbnn.solving.solver import ALIASES, PaddedBrownian


class Normals(NamedTuple):
    """The standard normals that paths are made of: of their starts, (paths, batch, d), and of each step, (n - 1, paths,
    batch, d).
    """

    first: torch.Tensor
    steps: torch.Tensor


def pathwise(
    model: LatentSDE,
    series: Series,
    rng: torch.Generator | None = None,
    *,
    kl_weight: Any = 1.0,
    paths: int = 1,
    estimator: str = "stl",
    method: str = "euler_maruyama",
    adjoint: str = "backprop",
) -> Bound:
    """The evidence lower bound by solving the posterior's SDE on the grid of each series (Li et al., 2020).

    With any estimator but `"analytic"` it is a bound of the discretised model's evidence, whatever the steps.

    **Arguments:**

    - `model`, `series`: as they are made by `LatentSDE` and `Series.of`.
    - `rng`: a `torch.Generator`; PyTorch's own unless given.
    - `kl_weight`: what both KLs are multiplied by, as a schedule has it.
    - `paths`: how many of each series are averaged.
    - `estimator`: of both KLs, one of `sdebnn.kl_estimators.KL_ESTIMATORS`; with `"stl"` the gradient has no variance
      at the exact posterior, up to the steps.
    - `method`: `"euler_maruyama"`, in torchsde `"euler"`.
    - `adjoint`: `"backprop"`.

    **Returns:** a `Bound`.

    **Raises:** `InputError` for a model that does not fit the series, or another choice than those.
    """
    check_generator(rng, "pathwise")
    check_count("paths", paths)
    check_weight(kl_weight)
    check_estimator(estimator)
    check_way(method, adjoint)
    known = encoded(model, series)
    return bound_of(model, series, known, draw_normals(series, known, paths, rng), kl_weight, estimator)


def bound_of(
    model: LatentSDE, series: Series, known: Encoded, normals: Normals, kl_weight: Any, estimator: str
) -> Bound:
    """The bound of the paths that these normals give."""
    zs = solve_posterior(model, series, known, normals)
    parts = (
        log_likelihood(model, series, zs),
        _kl_path(model, series, known, normals, zs, estimator),
        _kl_initial(known.posterior, known.prior, zs[0], estimator),
    )
    log_prob, kl_path, kl_initial = (x.mean(0) for x in parts)
    return bound(log_prob, kl_path, kl_initial, kl_weight)


def draw_normals(series: Series, known: Encoded, paths: int, rng: torch.Generator | None) -> Normals:
    like = known.posterior.mean
    size, steps = (paths, *like.shape), series.times.shape[1] - 1
    drawn = (torch.randn(of, generator=rng, dtype=like.dtype, device=device_of(rng)) for of in (size, (steps, *size)))
    return Normals(*(x.to(like.device) for x in drawn))


def solve_posterior(model: LatentSDE, series: Series, known: Encoded, normals: Normals) -> torch.Tensor:
    """Paths of the posterior at all times of the series, (n, paths, batch, d). After the last observation it is the
    prior.
    """
    first = known.posterior.at(normals.first)
    steps = _Steps(model, series, known.context, first.shape)
    noise = normals.steps.flatten(1)
    brownian = PaddedBrownian(lambda start, end: noise[round(float(start))], first.numel(), first)
    # On the host, so that nobody waits for the device.
    ts = torch.arange(len(noise) + 1, dtype=torch.float64)
    zs = torchsde.sdeint(steps, first.reshape(1, -1), ts, bm=brownian, method="euler", dt=1.0)
    return zs.view(-1, *first.shape)


class _Steps:
    """The posterior's SDE in the number of the step for a time, which torchsde has one of for all series, whose times
    differ: with t' = h, the length of the step, it is dz = h f ds + sqrt(h) g dB.
    """

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, model: LatentSDE, series: Series, context: Any, shape: torch.Size) -> None:
        self._model, self._context, self._shape, self._end = model, context, shape, series.end[:, None]
        times = series.times.T[:, :, None]
        self._times, self._h, self._root_h = (
            times.unbind(),
            times.diff(dim=0).unbind(),
            times.diff(dim=0).sqrt().unbind(),
        )
        before = times[:-1, :, 0] < series.end
        self._all_before, self._some_before = before.all(1).tolist(), before.any(1).tolist()

    def f(self, s: Any, y: torch.Tensor) -> torch.Tensor:
        step = round(float(s))
        z, t = self._at(step, y)
        return (self._h[step] * self._drift(step, z, t)).reshape(1, -1)

    def g(self, s: Any, y: torch.Tensor) -> torch.Tensor:
        step = round(float(s))
        z, t = self._at(step, y)
        return (self._root_h[step] * self._model.diffusion(z, t)).expand(self._shape).reshape(1, -1)

    def _drift(self, step: int, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        model = self._model
        if not self._some_before[step]:
            return model.drift(z, t)
        drift = model.posterior_drift(z, torch.minimum(t, self._end), self._context)
        return drift if self._all_before[step] else torch.where(t < self._end, drift, model.drift(z, t))

    def _at(self, step: int, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return y.view(self._shape), self._times[step].expand(*self._shape[:-1], 1)


def _kl_path(
    model: LatentSDE, series: Series, known: Encoded, normals: Normals, zs: torch.Tensor, estimator: str
) -> torch.Tensor:
    """Of each path, (paths, batch), read off all its steps at once: what `sdebnn.torchbnn.weights.path_kl` adds up."""
    relative, end = Processes(model), series.end[:, None]
    times = series.times.T[:, None, :, None]
    z, h = zs[:-1].flatten(0, 1), times.diff(dim=0)
    t = times[:-1].expand(*zs[:-1].shape[:-1], 1).flatten(0, 1)
    here = relative(z, t, known.context, end).view_as(zs[:-1])
    kl = 0.5 * h * here**2
    if estimator != "analytic":
        in_sum = here
        if estimator == "stl" and torch.is_grad_enabled():
            arguments = z, t, pytree.tree_map(_detached, known.context), end
            fixed = {name: parameter.detach() for name, parameter in relative.named_parameters()}
            in_sum = call_with(relative, places_of(relative), fixed, arguments).view_as(here)
        kl = kl + in_sum * h.sqrt() * normals.steps
    return kl.sum((0, -1))


def _kl_initial(q: Gaussian, p: Gaussian, z: torch.Tensor, estimator: str) -> torch.Tensor:
    if estimator == "analytic":
        return gaussian_kl(q, p).expand(z.shape[:-1])
    # Sticking the landing leaves out the score of q alone, whose mean is zero.
    fixed = Gaussian(*(x.detach() for x in q)) if estimator == "stl" else q
    return fixed.log_prob(z) - p.log_prob(z)


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, torch.Tensor) else x


def check_way(method: str, adjoint: str = "backprop") -> None:
    """**Raises:** `InputError` for another method or adjoint than there is."""
    if ALIASES.get(method, method) != "euler":
        raise InputError(
            f"method is {method!r}; latent SDEs in PyTorch are solved by 'euler_maruyama'. Take a shorter dt, or "
            "jaxsde.latent, which has others."
        )
    if adjoint != "backprop":
        raise InputError(
            f"adjoint is {adjoint!r}; latent SDEs in PyTorch have 'backprop' alone, as torchsde's adjoints solve "
            "backwards what they lose. For less memory take matching, fewer paths or series a step, or jaxsde.latent."
        )
