"""Latent SDEs: time series at irregular times as what is observed of a stochastic process."""

from jaxsde.latent.bound import Bound
from jaxsde.latent.gaussian import Gaussian
from jaxsde.latent.likelihoods import Likelihood, gaussian, poisson, student_t
from jaxsde.latent.matching import matching
from jaxsde.latent.model import DriftPosterior, LatentSDE, MarginalPosterior
from jaxsde.latent.pathwise import pathwise
from jaxsde.latent.series import Series

__all__ = [
    "Bound",
    "DriftPosterior",
    "Gaussian",
    "LatentSDE",
    "Likelihood",
    "MarginalPosterior",
    "Series",
    "gaussian",
    "matching",
    "pathwise",
    "poisson",
    "student_t",
]
