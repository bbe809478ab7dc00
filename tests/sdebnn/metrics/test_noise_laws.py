import math

import numpy as np
import pytest
from scipy import special

from sdebnn.errors import InputError
from sdebnn.metrics import NOISE_LAWS, mixture_cdf, mixture_log_likelihood

Z = np.linspace(-6.0, 6.0, 25)
DENSITIES = {
    "gaussian": np.exp(-(Z**2) / 2) / math.sqrt(2 * math.pi),
    "laplace": np.exp(-np.abs(Z)) / 2,
    "cauchy": 1 / (math.pi * (1 + Z**2)),
    "student_t": 3 / 8 * (1 + Z**2 / 4) ** -2.5,
}
DENSITIES["gaussian_input"] = DENSITIES["gaussian"]
DENSITIES["student_t_input"] = math.gamma(5.5) / math.sqrt(10 * math.pi) / math.gamma(5) * (1 + Z**2 / 10) ** -5.5
CDFS = {
    "gaussian": np.array([(1 + math.erf(z / math.sqrt(2))) / 2 for z in Z]),
    "laplace": np.where(Z < 0, np.exp(-np.abs(Z)) / 2, 1 - np.exp(-np.abs(Z)) / 2),
    "cauchy": 0.5 + np.arctan(Z) / math.pi,
    "student_t": 0.5 + 3 / 8 * Z / np.sqrt(1 + Z**2 / 4) * (1 - Z**2 / (12 * (1 + Z**2 / 4))),
}
CDFS["gaussian_input"] = CDFS["gaussian"]
# By the distribution of the square, z^2 / (10 + z^2), which is a beta law.
CDFS["student_t_input"] = 0.5 + np.sign(Z) / 2 * special.betainc(0.5, 5, Z**2 / (10 + Z**2))


@pytest.mark.parametrize("name", NOISE_LAWS)
def test_density_and_distribution_are_those_of_the_law(name: str) -> None:
    np.testing.assert_allclose(np.exp(NOISE_LAWS[name].log_density(Z)), DENSITIES[name], rtol=1e-12)
    np.testing.assert_allclose(NOISE_LAWS[name].cdf(Z), CDFS[name], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", NOISE_LAWS)
def test_a_mixture_averages_densities(name: str) -> None:
    y, means, scale = np.asarray([0.3, -2.0]), np.asarray([[0.0, 1.0], [0.5, -2.0]]), np.asarray([0.4, 2.0])
    law = NOISE_LAWS[name]
    densities = np.mean([np.exp(law.log_density((y - mean) / scale)) / scale for mean in means], axis=0)
    assert mixture_log_likelihood(y, means, scale, noise=name) == pytest.approx(np.log(densities).mean())
    expected = np.mean([law.cdf((y - mean) / scale) for mean in means], axis=0)
    np.testing.assert_allclose(mixture_cdf(y, means, scale, noise=name), expected)


def test_an_unknown_law_is_refused() -> None:
    with pytest.raises(
        InputError, match="'normal' is not a law of noise; allowed are gaussian, gaussian_input, laplace, cauchy"
    ):
        mixture_log_likelihood(Z, Z[None], np.ones(1), noise="normal")
