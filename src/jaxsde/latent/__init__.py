"""Latent SDEs: time series at irregular times as what is observed of a stochastic process."""

from jaxsde.latent.bound import Bound
from jaxsde.latent.gaussian import Gaussian
from jaxsde.latent.likelihoods import Likelihood, gaussian, poisson, student_t
from jaxsde.latent.model import DriftPosterior, LatentSDE, MarginalPosterior
from jaxsde.latent.networks import neural
from jaxsde.latent.path_bound import pathwise
from jaxsde.latent.prediction import Draws, forecast, posterior
from jaxsde.latent.sde_matching import matching
from jaxsde.latent.series import Series
from jaxsde.latent.training import Fitted, fit

__all__ = [
    "Bound",
    "Draws",
    "DriftPosterior",
    "Fitted",
    "Gaussian",
    "LatentSDE",
    "Likelihood",
    "MarginalPosterior",
    "Series",
    "fit",
    "forecast",
    "gaussian",
    "matching",
    "neural",
    "pathwise",
    "poisson",
    "posterior",
    "student_t",
]
