"""SDE Matching against the exact evidence, and against paths of the same posterior."""

import numpy as np
import pytest
import torch
from ornstein_uhlenbeck import TIMES, VALUES

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent import Gaussian, MarginalPosterior, Series, matching, pathwise

STANDARD_ERRORS = 4.0


def bare(start=0.0):
    return Series.of(TIMES + start, VALUES, np.isfinite(VALUES), dt=np.inf)


def bounds(objective, model, series, paths):
    """Of single draws, (paths, 2)."""
    with torch.no_grad():
        many = series[[0, 1] * paths]
        return objective(model, many, torch.Generator().manual_seed(1)).value.numpy().reshape(paths, 2)


def mean_and_error(*call):
    values = bounds(*call)
    return values.mean(0), values.std(0) / len(values) ** 0.5


def test_at_the_exact_posterior_the_bound_is_the_evidence(ou):
    """Without a bias of steps."""
    mean, error = mean_and_error(matching, ou.by_marginals, bare(), 4000)
    assert (np.abs(mean - ou.evidence) < STANDARD_ERRORS * error).all()
    assert error.max() < 0.03


def test_the_drift_of_the_marginals_is_that_of_the_information_filter(ou):
    """Two derivations of the same posterior: by its marginals and by messages from what is yet to be observed."""
    z, t = (x.reshape(-1, 1, 1).expand(-1, 2, 1) for x in torch.meshgrid(
        torch.tensor([-1.0, 2.0]).double(), torch.tensor([0.01, 0.32, 0.9]).double(), indexing="ij"
    ))  # fmt: skip
    drifts = []
    for model in (ou.by_marginals, ou.by_drift):
        context = model.posterior.encode(ou.series.times, ou.series.values, ou.series.mask)
        drifts.append(model.posterior_drift(z, t, context))
    torch.testing.assert_close(*drifts, rtol=1e-6, atol=1e-9)


def test_the_drift_of_the_marginals_solves_the_fokker_planck_equation(ou):
    """With a diffusion of all entries, so that its derivative along one of them alone is not the divergence."""

    def diffusion(z, t):
        return 0.5 + 0.3 * torch.tanh(z + 0.5 * z.flip(-1)) + 0.1 * t

    def marginal(t, context):
        return Gaussian(torch.cat([t.sin(), t**2], -1), torch.cat([0.5 + 0.2 * t, torch.exp(-t)], -1))

    model = ou.by_marginals
    model.posterior, model.diffusion, model.noise = MarginalPosterior(lambda *_: None, marginal), diffusion, "diagonal"

    def density(z, t):
        return marginal(t, None).log_prob(z).exp()

    def flux(z, t):
        return model.posterior_drift(z[None, None], t[None, None, None], None)[0, 0] * density(z, t[None])

    def second(z, t):
        return diffusion(z, t) ** 2 * density(z, t[None])

    def residual(z, t):
        """Of dq/dt = -div(f q) + 1/2 sum_i d^2 (g_i^2 q) / dz_i^2."""
        divergence = torch.func.jacfwd(flux)(z, t).diagonal().sum()
        curvature = torch.func.jacfwd(torch.func.jacfwd(second))(z, t)
        return (
            torch.func.jacfwd(density, 1)(z, t[None]).squeeze()
            + divergence
            - 0.5 * sum(curvature[i, i, i] for i in range(2))
        )

    points = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for point in points:
        assert abs(residual(point, torch.tensor(0.6).double())) < 1e-12


def test_paths_of_a_wrong_posterior_have_the_same_bound(ou):
    model = ou.by_marginals
    model.truth.gain.data.fill_(0.0)
    mean, error = mean_and_error(matching, model, bare(), 4000)
    coarse, fine = (
        mean_and_error(pathwise, model, Series.of(TIMES, VALUES, np.isfinite(VALUES), dt=dt), 1000)
        for dt in (0.05, 0.0125)
    )
    # The steps of the paths leave a bias of order one.
    for dt, (other, other_error) in ((0.05, coarse), (0.0125, fine)):
        assert (np.abs(mean - other) < 4 * dt + STANDARD_ERRORS * np.hypot(error, other_error)).all()
    assert (mean < ou.evidence - 2).all()


def test_gradients_are_those_of_finite_differences(ou, slopes_are_right):
    model = ou.by_marginals
    model.truth.gain.data.fill_(0.8)
    parameters = list(model.parameters())

    def value():
        return matching(model, bare(), torch.Generator().manual_seed(1), kl_weight=0.7).value.sum()

    slopes_are_right(value, parameters)


def test_times_far_from_zero_and_the_sign_of_the_diffusion_change_nothing(ou):
    model = ou.by_marginals
    plain = bounds(matching, model, bare(), 100)
    np.testing.assert_allclose(bounds(matching, model, bare(1e6), 100), plain, rtol=1e-6)
    model.diffusion = lambda z, t: -model.truth.s[None]
    np.testing.assert_array_equal(bounds(matching, model, bare(), 100), plain)


def test_refusals(ou):
    with pytest.raises(InputError, match="marginal laws"):
        matching(ou.by_drift, ou.series)
    for choice in ({"draws": 0}, {"kl_weight": torch.ones(2)}):
        with pytest.raises(InputError, match=next(iter(choice))):
            matching(ou.by_marginals, ou.series, **choice)
