"""A latent SDE of small networks."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sdebnn.spelling import refuse_unknown
from sdebnn.torchbnn.latent.counts import check_count
from sdebnn.torchbnn.latent.encoder import Context, Encoder, ahead, around, at_first
from sdebnn.torchbnn.latent.gaussian import Gaussian
from sdebnn.torchbnn.latent.likelihoods import Likelihood, gaussian
from sdebnn.torchbnn.latent.model import DriftPosterior, LatentSDE, MarginalPosterior
from sdebnn.torchbnn.layers.bayesian import device_of
from sdebnn.torchbnn.layers.randomness import check_generator

FAMILIES = ("drift", "marginals")
# At which what the marginals read fades.
RATES = 8


def neural(
    rng: torch.Generator | None = None,
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
    noise: str = "additive",
) -> LatentSDE:
    """A latent SDE of small networks, which begins as an Ornstein-Uhlenbeck process.

    The prior's drift is a linear map and a network of two hidden layers, which do not read the time; the diffusion is
    one number for each latent entry; the decoder is linear. The posterior's drift is the prior's, and what pulls it.

    **Arguments:**

    - `rng`: a `torch.Generator`; PyTorch's own unless given.
    - `width`: of the values, how many there are at a time.
    - `latent`: entries of the latent state.
    - `hidden`: units of each hidden layer.
    - `context`: units of the encoder, a GRU that moves where something was observed.
    - `posterior`: `"drift"`, or `"marginals"`, which `matching` needs.
    - `likelihood`: Gaussian noise of a size that is learned unless given.
    - `initial`, `drift`, `diffusion`, `decoder`, `noise`: of `LatentSDE`, in place of those above; modules where they
      have parameters.

    **Returns:** the model: `.double()` and `.to(device)` are as of any module.

    **Raises:** `InputError` for another posterior, or a size that is not positive.
    """
    refuse_unknown(posterior, FAMILIES, "a posterior")
    for name, size in (("width", width), ("latent", latent), ("hidden", hidden), ("context", context)):
        check_count(name, size)
    check_generator(rng, "neural")
    of_marginals = posterior == "marginals"
    encoder = Encoder(rng, width, context, of_marginals)
    h = _Drift(rng, latent, hidden) if drift is None else drift
    g = _Diffusion(latent) if diffusion is None else diffusion
    if of_marginals:
        family: DriftPosterior | MarginalPosterior = MarginalPosterior(encoder, _Marginal(rng, latent, hidden, context))
    else:
        first = _First(rng, latent, hidden, context)
        family = DriftPosterior(encoder, first, _Pulled(rng, latent, hidden, context, h, g))
    return LatentSDE(
        _Initial(latent) if initial is None else initial,
        h,
        g,
        family,
        mlp(rng, (latent, width)) if decoder is None else decoder,
        gaussian(width=width) if likelihood is None else likelihood,
        noise,
    )


def mlp(rng: torch.Generator | None, sizes: tuple[int, ...]) -> nn.Sequential:
    """A network whose layers have these sizes, with tanh between them; the last layer begins small."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layer = nn.Linear(inputs, outputs)
        small = 0.1 if layers and len(layers) == 2 * (len(sizes) - 2) else 1.0
        with torch.no_grad():
            drawn = torch.randn(outputs, inputs, generator=rng, device=device_of(rng))
            layer.weight.copy_(small * drawn / inputs**0.5)
            layer.bias.zero_()
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _gaussian(outputs: torch.Tensor) -> Gaussian:
    mean, log_std = outputs.chunk(2, -1)
    return Gaussian(mean, log_std.exp())


class _Initial(nn.Module):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.mean, self.log_std = (nn.Parameter(torch.zeros(latent)) for _ in range(2))

    def forward(self) -> Gaussian:
        return Gaussian(self.mean, self.log_std.exp())


class _Drift(nn.Module):
    def __init__(self, rng: torch.Generator | None, latent: int, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Parameter(-torch.eye(latent))
        self.network = mlp(rng, (latent, hidden, hidden, latent))

    def forward(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return z @ self.linear + self.network(z)


class _Diffusion(nn.Module):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.log_diffusion = nn.Parameter(torch.zeros(latent))

    def forward(self, z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.log_diffusion.exp()


class _First(nn.Module):
    """The posterior's first law."""

    def __init__(self, rng: torch.Generator | None, latent: int, hidden: int, context: int) -> None:
        super().__init__()
        self.network = mlp(rng, (context, hidden, 2 * latent))

    def forward(self, context: Context) -> Gaussian:
        return _gaussian(self.network(at_first(context)))


class _Pulled(nn.Module):
    """The prior's drift, and a pull that is affine in z where the network does not bend it: exact of linear
    equations.
    """

    def __init__(
        self, rng: torch.Generator | None, latent: int, hidden: int, context: int, prior: Any, diffusion: Any
    ) -> None:
        super().__init__()
        # Parts of the model already, so that they are no parts of this one.
        self._prior = prior, diffusion
        self.network = mlp(rng, (latent + context + 2, hidden, hidden, 2 * latent))

    def forward(self, z: torch.Tensor, t: torch.Tensor, context: Context) -> torch.Tensor:
        prior, diffusion = self._prior
        offset, slope = self.network(torch.cat([z, ahead(context, t)], -1)).chunk(2, -1)
        return prior(z, t) + diffusion(z, t) * (offset + slope * z)


class _Marginal(nn.Module):
    """A linear map and a network: the mean of a linear equation is linear in what was observed."""

    def __init__(self, rng: torch.Generator | None, latent: int, hidden: int, context: int) -> None:
        super().__init__()
        features = RATES * (1 + math.ceil(2 * context / RATES))
        self.log_rates = nn.Parameter(torch.linspace(-1.0, 2.0, RATES))
        self.linear = nn.Parameter(torch.zeros(features, 2 * latent))
        self.network = mlp(rng, (features, hidden, hidden, 2 * latent))

    def forward(self, t: torch.Tensor, context: Context) -> Gaussian:
        features = around(self.log_rates, context, t)
        return _gaussian(features @ self.linear + self.network(features))
