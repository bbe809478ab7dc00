import numpy as np
import pytest
import scipy.stats

from sdebnn.errors import InputError
from sdebnn.metrics import NOISE_LAWS, mixture_cdf, mixture_log_likelihood

LAWS = {"gaussian": scipy.stats.norm, "laplace": scipy.stats.laplace, "cauchy": scipy.stats.cauchy}
Z = np.linspace(-6.0, 6.0, 25)


@pytest.mark.parametrize("name", NOISE_LAWS)
def test_density_and_distribution_are_those_of_the_law(name: str) -> None:
    np.testing.assert_allclose(NOISE_LAWS[name].log_density(Z), LAWS[name].logpdf(Z), rtol=1e-12)
    np.testing.assert_allclose(NOISE_LAWS[name].cdf(Z), LAWS[name].cdf(Z), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", NOISE_LAWS)
def test_a_mixture_averages_densities(name: str) -> None:
    y, means, scale = np.asarray([0.3, -2.0]), np.asarray([[0.0, 1.0], [0.5, -2.0]]), np.asarray([0.4, 2.0])
    law = LAWS[name]
    densities = np.mean([law.pdf(y, loc=mean, scale=scale) for mean in means], axis=0)
    assert mixture_log_likelihood(y, means, scale, noise=name) == pytest.approx(np.log(densities).mean())
    expected = np.mean([law.cdf(y, loc=mean, scale=scale) for mean in means], axis=0)
    np.testing.assert_allclose(mixture_cdf(y, means, scale, noise=name), expected)


def test_an_unknown_law_is_refused() -> None:
    with pytest.raises(InputError, match="'normal' is not allowed: it takes gaussian, laplace, cauchy"):
        mixture_log_likelihood(Z, Z[None], np.ones(1), noise="normal")
