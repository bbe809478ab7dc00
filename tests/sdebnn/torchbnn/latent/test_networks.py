"""The encoder and the networks: what does not matter to them, what is continuous, and that they learn."""

import copy
import functools

import numpy as np
import pytest
import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent import Series, fit, matching, neural, pathwise
from sdebnn.torchbnn.latent.encoder import ahead, around

TIMES = np.array([0.0, 0.4, 0.5, 1.2, 2.0])
MASK = np.array([[False, True, False, True, True], [True, True, True, True, False]])
VALUES = np.where(MASK, np.random.default_rng(0).normal(size=(2, 5)), np.nan)[..., None]


def seeded():
    return torch.Generator().manual_seed(0)


def small(family):
    return neural(seeded(), width=1, latent=2, hidden=4, context=3, posterior=family).double()


@torch.no_grad()
def features(model, series, ts):
    """At each of ts, both what is ahead and what is around."""
    context = model.posterior.encode(series.times, series.values, series.mask)
    t = torch.tensor(ts, dtype=torch.float64)[:, None, None].expand(-1, 2, 1)
    return torch.cat([ahead(context, t), around(model.posterior.marginal.log_rates, context, t)], -1)


def test_times_without_observations_change_nothing():
    """Not those of the grid, nor those of the series, but for the first."""
    model, kept, ts = small("marginals"), [0, 1, 3, 4], [0.0, 0.3, 0.45, 0.5, 1.1]
    plain = features(model, Series.of(TIMES[kept], VALUES[:, kept], MASK[:, kept], dt=np.inf), ts)
    torch.testing.assert_close(features(model, Series.of(TIMES, VALUES, MASK, dt=0.11), ts)[:, 0], plain[:, 0])


def test_every_observation_matters_and_where_it_is():
    model = small("marginals")
    plain = features(model, Series.of(TIMES, VALUES, MASK, dt=0.11), [0.7])[:, 0]
    changed = (VALUES + np.eye(5)[3][:, None], VALUES + np.eye(5)[4][:, None])
    others = [Series.of(TIMES, values, MASK, dt=0.11) for values in changed]
    for other in (*others, Series.of(TIMES * 1.05, VALUES, MASK, dt=0.11)):
        assert (features(model, other, [0.7])[:, 0] - plain).abs().max() > 1e-3


def test_marginals_are_continuous():
    model, series = small("marginals"), Series.of(TIMES, VALUES, MASK, dt=0.11)
    context = model.posterior.encode(series.times, series.values, series.mask)
    t = torch.linspace(0.0, 2.0, 2001, dtype=torch.float64)[:, None, None].expand(-1, 2, 1)
    with torch.no_grad():
        laws = model.posterior.marginal(t, context)
    for of_law in laws:
        of_first = of_law[:, 0]
        assert of_first.std() > 1e-4
        assert of_first.diff(dim=0).abs().max() < 0.02 * (of_first.max() - of_first.min())


@pytest.mark.parametrize(("objective", "family"), [(pathwise, "drift"), (matching, "marginals")])
def test_every_part_has_the_gradient_of_finite_differences(objective, family):
    choices = {"estimator": "full_mc"} if objective is pathwise else {}
    model, series = small(family), Series.of(TIMES, VALUES, MASK, dt=0.5)
    parameters = list(model.parameters())

    def value():
        return objective(model, series, seeded(), **choices).value.sum()

    slopes = torch.autograd.grad(value(), parameters)
    assert all(slope.isfinite().all() and slope.abs().max() > 0 for slope in slopes)
    flat, slope = (torch.nn.utils.parameters_to_vector(x).detach() for x in (parameters, slopes))
    for _ in range(3):
        step = 1e-5 * torch.randn(flat.shape, generator=seeded().manual_seed(_), dtype=torch.float64)
        ends = []
        for at in (flat + step, flat - step):
            torch.nn.utils.vector_to_parameters(at, parameters)
            ends.append(value())
        torch.testing.assert_close(ends[0] - ends[1], 2 * step @ slope, rtol=1e-6, atol=0.0)


def test_each_part_is_there_once_and_a_copy_is_a_copy():
    """The posterior's drift has the prior's within it, and does not have its parameters again."""
    model, series = small("drift"), Series.of(TIMES, VALUES, MASK, dt=0.5)
    assert len(model.state_dict()) == len(list(model.parameters()))
    other = copy.deepcopy(model)
    for parameter in other.drift.parameters():
        parameter.data += 0.5
    bounds = [pathwise(x, series, seeded()) for x in (model, other, small("drift"))]
    assert torch.equal(bounds[0].value, bounds[2].value)
    assert (bounds[0].log_likelihood != bounds[1].log_likelihood).all()
    other.load_state_dict(model.state_dict())
    assert torch.equal(pathwise(other, series, seeded()).value, bounds[0].value)


def test_it_learns():
    rng = np.random.default_rng(1)
    times = np.linspace(0.0, 2.0, 8)
    values = np.cumsum(rng.normal(size=(16, 8)), 1)[..., None] * 0.4
    series = Series.of(times, values, dt=np.inf, dtype=torch.float32)
    model = neural(seeded(), width=1, latent=1, hidden=8, context=4, posterior="marginals")
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    objective = functools.partial(matching, draws=8)
    bounds = fit(model, series, optimiser, seeded(), steps=60, objective=objective, batch=8).bounds
    assert bounds[-10:].mean() > bounds[:10].mean() + 2


def test_refusals():
    with pytest.raises(InputError, match="the series have width 3"):
        pathwise(small("drift"), Series.of(TIMES, np.zeros((2, 5, 3)), MASK))
    with pytest.raises(InputError, match="allowed are"):
        neural(width=1, latent=1, posterior="flow")
    with pytest.raises(InputError, match="latent is 0"):
        neural(width=1, latent=0)
