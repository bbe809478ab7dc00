"""The bound by paths, against the exact evidence of an OU process."""

import numpy as np
import pytest
import torch
from ornstein_uhlenbeck import TIMES, VALUES

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent import Gaussian, Series, gaussian, pathwise
from sdebnn.torchbnn.latent.model import encoded
from sdebnn.torchbnn.latent.path_bound import Normals, bound_of, draw_normals

STANDARD_ERRORS = 4.0
PATHS = 200
MASK = np.isfinite(VALUES)


def seeded():
    return torch.Generator().manual_seed(0)


def values_and_slopes(ou, dt, estimator, gain=1.0, paths=PATHS):
    """The bound of single paths, (paths, 2), and its derivative by the gain of each."""
    series = Series.of(TIMES, VALUES, MASK, dt=dt)[[0, 1] * paths]
    model = ou.by_drift
    model.truth.gain = torch.nn.Parameter(torch.full((2 * paths, 1), gain, dtype=torch.float64))
    value = pathwise(model, series, seeded(), estimator=estimator).value
    (slope,) = torch.autograd.grad(value.sum(), model.truth.gain)
    return tuple(x.detach().numpy().reshape(paths, 2) for x in (value, slope))


def test_at_the_exact_posterior_every_path_says_the_evidence_and_the_gradient_sticks_the_landing(ou):
    """Values and slopes are off by the discretisation alone: a quarter of the step, half the spread or less."""
    spreads, of_slopes = [], []
    for dt in (0.05, 0.0125):
        values, slopes = values_and_slopes(ou, dt, "stl")
        # Of order one; a path of the wrong law would be off by tenths, whatever the steps.
        error = 2 * dt + STANDARD_ERRORS * values.std(0) / PATHS**0.5
        assert (np.abs(values.mean(0) - ou.evidence) < error).all()
        spreads.append(values.std(0))
        of_slopes.append(slopes.std(0))
    assert (spreads[1] < 0.6 * spreads[0]).all()
    assert spreads[1].max() < 0.25
    assert (of_slopes[1] < 0.6 * of_slopes[0]).all()
    others, slopes = values_and_slopes(ou, 0.0125, "full_mc")
    np.testing.assert_allclose(others, values, rtol=1e-12)
    assert (of_slopes[1] < 0.2 * slopes.std(0)).all()


def test_it_sticks_the_landing_of_what_the_context_says(ou):
    series, spreads = Series.of(TIMES, VALUES, MASK, dt=0.0125)[[0, 1] * PATHS], []
    for estimator in ("stl", "full_mc"):
        model, scale = ou.by_drift, torch.ones(2 * PATHS, 1, dtype=torch.float64, requires_grad=True)
        known = model.posterior.encode(series.times, series.values, series.mask)
        model.posterior.encode = lambda *_, known=known, scale=scale: (
            known[0].detach(),
            *(scale * x for x in known[1:]),
        )
        value = pathwise(model, series, seeded(), estimator=estimator).value
        (slope,) = torch.autograd.grad(value.sum(), scale)
        spreads.append(slope.view(PATHS, 2).std(0))
    assert (spreads[0] < 0.2 * spreads[1]).all()


def test_the_estimators_have_one_mean_below_the_evidence(ou):
    full_mc, analytic = (values_and_slopes(ou, 0.05, name, gain=0.5, paths=1000)[0] for name in ("full_mc", "analytic"))
    # By paths that are the same, whose differences have less spread.
    difference = full_mc - analytic
    assert (np.abs(difference.mean(0)) < STANDARD_ERRORS * difference.std(0) / 1000**0.5).all()
    assert (analytic != full_mc).all()
    below = ou.evidence - full_mc.mean(0)
    assert (below > STANDARD_ERRORS * full_mc.std(0) / 1000**0.5).all()


def test_what_sticks_the_landing_has_the_mean_gradient_of_a_wrong_posterior_too(ou):
    stl, full_mc = (values_and_slopes(ou, 0.05, name, gain=0.5, paths=1000)[1] for name in ("stl", "full_mc"))
    difference = stl - full_mc
    assert (np.abs(difference.mean(0)) < STANDARD_ERRORS * difference.std(0) / 1000**0.5).all()
    assert (np.abs(full_mc.mean(0)) > STANDARD_ERRORS * full_mc.std(0) / 1000**0.5).all()


@pytest.mark.parametrize("estimator", ["full_mc", "analytic"])
def test_gradients_are_those_of_finite_differences(ou, estimator, slopes_are_right):
    model = ou.by_drift
    parameters = list(model.parameters())

    def value():
        return pathwise(model, ou.series, seeded(), estimator=estimator, kl_weight=0.7, paths=2).value.sum()

    slopes_are_right(value, parameters)


def test_what_is_masked_and_padded_changes_nothing(ou):
    """The short one of a batch with a longer one is what it is alone, by the same normals."""
    model, masked = ou.by_drift, Series.of(TIMES, np.where(MASK, VALUES, 17.0), MASK, dt=0.05)
    known = encoded(model, ou.series)
    normals = draw_normals(ou.series, known, 2, seeded())
    alone = bound_of(model, ou.series, known, normals, 1.0, "stl")
    again = bound_of(model, masked, encoded(model, masked), normals, 1.0, "stl")
    assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True))

    later, mask = VALUES[[0, 1]].copy(), MASK[[0, 1]].copy()
    times = np.append(TIMES, [3.0, 4.0])
    later, mask = (np.pad(x, ((0, 0), (0, 2), (0, 0))) for x in (later, mask))
    later[0, -1], mask[0, -1] = 0.3, True
    both = Series.of(times, later, mask, dt=0.05)
    assert both.times.shape[1] > ou.series.times.shape[1]
    more = both.times.shape[1] - ou.series.times.shape[1]
    longer = Normals(normals.first, torch.cat([normals.steps, normals.steps[:more]]))
    known = encoded(model, both)
    for a, b in zip(bound_of(model, both, known, longer, 1.0, "stl"), alone, strict=True):
        torch.testing.assert_close(a[1], b[1], rtol=1e-12, atol=0.0)


def test_a_weight_of_the_kl(ou):
    whole, half = (pathwise(ou.by_drift, ou.series, seeded(), kl_weight=w, paths=2) for w in (1.0, 0.5))
    kl = whole.kl_path + whole.kl_initial
    torch.testing.assert_close(half.value - whole.value, 0.5 * kl, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(whole.value, whole.log_likelihood - kl, rtol=1e-12, atol=0.0)


def test_a_module_that_is_a_part_twice_keeps_its_parameters(ou):
    """The likelihood is one of the truth, too, which the gradient without the score replaces for a moment."""
    model = ou.by_drift
    noise = model.likelihood.log_noise
    slopes = [torch.autograd.grad(pathwise(model, ou.series, seeded()).value.sum(), noise)[0] for _ in range(2)]
    assert model.likelihood.log_noise is noise is model.truth.likelihood.log_noise
    assert torch.equal(*slopes)


def test_without_a_generator_it_draws_from_pytorchs_own(ou):
    torch.manual_seed(0)
    of_own = pathwise(ou.by_drift, ou.series).value
    assert torch.equal(of_own, pathwise(ou.by_drift, ou.series, torch.Generator().manual_seed(0)).value)


class Dropping(torch.nn.Dropout):
    def forward(self, z, t):  # type: ignore[override]
        return super().forward(z)


def wide(*shape):
    return torch.zeros(shape, dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"initial": lambda: (wide(1), wide(1))}, "prior's first law is tuple"),
        ({"initial": lambda: Gaussian(wide(2), wide(2) + 1)}, r"posterior's first law has .* \(2, 1\)"),
        (
            {"initial": lambda: Gaussian(torch.zeros(1), torch.ones(1))},
            "prior's first law gives numbers of torch.float32",
        ),
        ({"decoder": lambda z: wide(*z.shape[:-1], 3)}, r"\(1, 2, 3\) for values of width 1"),
        ({"decoder": lambda z: wide(1)}, "last axis alone"),
        ({"drift": lambda z, t: wide(3)}, r"The drift gives shape \(3,\)"),
        ({"drift": lambda z, t: wide(1)}, r"The drift gives shape \(1,\)"),
        ({"diffusion": lambda z, t: wide()}, r"The diffusion gives shape \(\)"),
        ({"diffusion": lambda z, t: 1 + z**2}, "noise='diagonal'"),
        ({"drift": lambda z, t: z * 1j}, "complex"),
        ({"likelihood": gaussian(width=2)}, "2 sizes"),
        ({"noise": "general"}, "'additive' or 'diagonal'"),
        ({"posterior": None}, "DriftPosterior"),
        ({"likelihood": torch.nn.Identity()}, "it is a Likelihood"),
        ({"decoder": lambda z: (z, z)}, "The decoder gives tuple"),
        ({"diffusion": lambda z, t: 0.5}, "The diffusion gives float"),
        ({"diffusion": lambda z, t: wide(3)}, r"The diffusion gives shape \(3,\)"),
        ({"drift": Dropping()}, "The drift has dropout .*: a path and its KL"),
        ({"decoder": torch.nn.BatchNorm1d(2).double()}, "not those of each series"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(ou, change, says):
    model = ou.by_drift
    for name, part in change.items():
        setattr(model, name, part)
    with pytest.raises(InputError, match=says):
        pathwise(model, ou.series)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"paths": 0}, "paths is 0"),
        ({"paths": True}, "whole number of one or more"),
        ({"kl_weight": torch.ones(2)}, r"kl_weight has shape \(2,\)"),
        ({"kl_weight": "half"}, "kl_weight is 'half'"),
        ({"estimator": "exact"}, "allowed are stl, full_mc, analytic"),
        ({"method": "milstein"}, "euler_maruyama"),
        ({"adjoint": "stochastic"}, "take matching"),
    ],
)
def test_choices_are_refused(ou, choice, says):
    with pytest.raises(InputError, match=says):
        pathwise(ou.by_drift, ou.series, seeded(), **choice)


def test_what_is_no_generator_no_series_and_no_model_is_refused(ou, unchecked):
    for call, says in (
        (lambda: pathwise(ou.by_drift, ou.series, 0), "torch.Generator"),  # type: ignore[arg-type]
        (lambda: pathwise(ou.by_drift, VALUES), r"Series\.of"),  # type: ignore[arg-type]
        (lambda: pathwise(ou.by_drift.drift, ou.series), "LatentSDE"),
        (lambda: pathwise(ou.by_drift, ou.series[0]), "keep its axis"),
        (lambda: pathwise(ou.by_drift, ou.series[np.int64(0)]), "keep its axis"),
        (lambda: pathwise(ou.by_drift, ou.series[2:]), "series has none"),
        (lambda: pathwise(ou.by_drift, ou.series[torch.tensor(0)]), r"they are \(batch, n\)"),
        (lambda: pathwise(ou.by_drift, Series.of(TIMES, VALUES, MASK, dtype=torch.float32)), "bring them together"),
    ):
        with pytest.raises(InputError, match=says):
            call()
