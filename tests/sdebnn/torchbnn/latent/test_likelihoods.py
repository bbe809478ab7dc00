"""Densities against scipy's, draws against their laws, and the Gaussian KL against an integral."""

import numpy as np
import pytest
import torch
from scipy import stats

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent import Gaussian, gaussian, poisson, student_t
from sdebnn.torchbnn.latent.gaussian import gaussian_kl

DECODED, Y = torch.tensor([0.3, -1.0]), torch.tensor([2.0, 1.0])


def learned(likelihood):
    likelihood.log_noise.data = torch.tensor([0.5, 2.0]).log()
    return likelihood


@pytest.mark.parametrize(
    ("likelihood", "law"),
    [
        (learned(gaussian(width=2)), stats.norm([0.3, -1.0], [0.5, 2.0])),
        (gaussian(0.7), stats.norm([0.3, -1.0], 0.7)),
        (learned(student_t(5.0, width=2)), stats.t(5.0, [0.3, -1.0], [0.5, 2.0])),
        (student_t(5.0, 0.7), stats.t(5.0, [0.3, -1.0], 0.7)),
        (poisson(), stats.poisson(np.exp([0.3, -1.0]))),
    ],
)
def test_densities_and_draws(likelihood, law):
    density = law.logpmf if hasattr(law.dist, "logpmf") else law.logpdf
    with torch.no_grad():
        np.testing.assert_allclose(likelihood.log_prob(DECODED, Y), density(Y), rtol=1e-5)
        draws = likelihood.sample(DECODED.expand(4000, 2), torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(draws.mean(0), law.mean(), atol=4 * law.std().max() / 4000**0.5)
    np.testing.assert_allclose(draws.std(0), law.std(), rtol=0.1)


def test_the_kl_of_gaussians():
    q, p = (Gaussian(torch.tensor([mean]), torch.tensor([std])) for mean, std in ((0.3, 0.5), (-0.4, 1.5)))
    z = np.linspace(-6, 6, 4001)
    density = stats.norm(0.3, 0.5)
    integrand = density.pdf(z) * (density.logpdf(z) - stats.norm(-0.4, 1.5).logpdf(z))
    np.testing.assert_allclose(gaussian_kl(q, p), np.trapezoid(integrand, z), rtol=1e-4)
    np.testing.assert_allclose(q.log_prob(torch.tensor([0.1])), density.logpdf(0.1), rtol=1e-5)
    assert gaussian_kl(q._replace(std=-q.std), p).isnan()


def test_what_is_no_count_and_what_no_integer_holds():
    density = poisson().log_prob(torch.zeros(3), torch.tensor([-1.0, 1.5, 1.0]))
    np.testing.assert_allclose(density, [-np.inf, -np.inf, -1.0], rtol=1e-6)
    assert poisson().sample(torch.tensor([50.0, 1.0]), None).isnan().tolist() == [True, False]


@pytest.mark.parametrize(
    "call",
    [lambda: gaussian(0.0), lambda: student_t(3.0, float("inf")), lambda: student_t(-1.0), lambda: gaussian(width=0)],
)
def test_refusals(call):
    with pytest.raises(InputError, match=r"positive|above 0|width is 0"):
        call()
