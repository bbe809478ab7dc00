"""Latent SDEs in PyTorch, on torchsde: the names of `jaxsde.latent`, whose parameters are in modules."""

from sdebnn.torchbnn.latent.bound import Bound
from sdebnn.torchbnn.latent.gaussian import Gaussian
from sdebnn.torchbnn.latent.likelihoods import Likelihood, gaussian, poisson, student_t
from sdebnn.torchbnn.latent.model import DriftPosterior, LatentSDE, MarginalPosterior
from sdebnn.torchbnn.latent.networks import neural
from sdebnn.torchbnn.latent.path_bound import pathwise
from sdebnn.torchbnn.latent.prediction import Draws, forecast, posterior
from sdebnn.torchbnn.latent.sde_matching import matching
from sdebnn.torchbnn.latent.series import Series
from sdebnn.torchbnn.latent.training import Fitted, fit

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
