"""Training: it goes up the bound to what is known, and refuses what cannot be."""

import numpy as np
import pytest
import torch
from ornstein_uhlenbeck import TIMES, VALUES
from torch.optim import lr_scheduler

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent import Bound, fit, matching, pathwise, poisson


@pytest.mark.parametrize(("objective", "family"), [(pathwise, "by_drift"), (matching, "by_marginals")])
def test_at_the_exact_posterior_it_finds_the_noise_of_the_most_evidence(ou, objective, family):
    """The posterior is exact whatever the noise is, so the bound is the evidence as a function of the noise."""
    noises = np.linspace(-2, 0.5, 251)
    best = noises[np.argmax([ou.law(np.exp(x)).evidence(TIMES, VALUES[..., 0]).sum() for x in noises])]
    model = getattr(ou, family)
    log_noise = model.likelihood.log_noise
    log_noise.data.fill_(best + 0.8)
    optimiser = torch.optim.Adam([log_noise], 0.06)
    rng = torch.Generator().manual_seed(5)
    fitted = fit(model, ou.series, optimiser, rng, steps=50, objective=objective)
    assert fitted.model is model
    assert fitted.bounds.shape == (50,)
    assert abs(log_noise.item() - best) < 0.3


def test_choices_of_a_step(ou):
    """A weight that depends on the step, steps of one series each, and a schedule of the learning rate."""
    seen, model = [], ou.by_drift

    def objective(model, series, rng, *, kl_weight):
        seen.append(len(series.times))
        value = model.truth.a * 0 + torch.full((1,), kl_weight).double()
        return Bound(value, value, value, value)

    optimiser = torch.optim.SGD(model.parameters(), 1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5)
    fitted = fit(
        model, ou.series, optimiser, steps=3, objective=objective, batch=1, kl_weight=lambda step: (step + 1) / 4,
        scheduler=scheduler,
    )  # fmt: skip
    np.testing.assert_allclose(fitted.bounds, [0.25, 0.5, 0.75])
    assert seen == [1, 1, 1]
    assert optimiser.param_groups[0]["lr"] == 0.125


def test_refusals(ou):
    model = ou.by_drift

    def steep(model, series, rng, *, kl_weight):
        value = -model.truth.a.cosh().expand(1)
        return Bound(value, value, value, value)

    def halving(optimiser):
        return lr_scheduler.ExponentialLR(optimiser, 0.5)

    def sgd(rate):
        return torch.optim.SGD(model.parameters(), rate)

    for optimiser, choices, error, says in (
        ("adam", {}, InputError, "torch.optim.Adam"),
        (torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1), {}, InputError, "none of the model's parameters"),
        (sgd(0.1), {"steps": 0}, InputError, "steps is 0"),
        (sgd(0.1), {"batch": 3}, InputError, "from one to 2"),
        (torch.optim.LBFGS(model.parameters()), {}, InputError, "LBFGS"),
        (sgd(0.1), {"scheduler": "cosine"}, InputError, "scheduler is str"),
        (sgd(0.1), {"scheduler": halving(sgd(0.1))}, InputError, "another optimiser"),
        (plain := sgd(0.1), {"scheduler": lr_scheduler.ReduceLROnPlateau(plain)}, InputError, "number of the step"),
        (sgd(1e30), {"steps": 4, "objective": steep}, FloatingPointError, "at step 1 of 4"),
    ):
        with pytest.raises(error, match=says):
            fit(model, ou.series, optimiser, **({"steps": 1} | choices))


def test_what_would_never_be_trained_is_refused(ou):
    """A function that calls a module hides its parameters from the model; whoever has them in the optimiser trains
    them.
    """
    model, hidden = ou.by_drift, torch.nn.Linear(1, 1).double()
    model.drift = lambda z, t: hidden(z)
    with pytest.raises(InputError, match="neither the model's nor the optimiser's"):
        fit(model, ou.series, torch.optim.SGD(model.parameters(), 0.1), steps=1)
    before = hidden.weight.item()
    fit(model, ou.series, torch.optim.SGD([*model.parameters(), *hidden.parameters()], 0.01), steps=1)
    assert hidden.weight.item() != before


def test_without_gradients_nothing_is_trained(ou):
    model = ou.by_drift
    with torch.no_grad(), pytest.raises(InputError, match="no gradient"):
        fit(model, ou.series, torch.optim.SGD(model.parameters(), 0.1), steps=1)


def test_a_value_that_is_no_count_is_said(ou):
    model = ou.by_drift
    model.likelihood = poisson()
    with pytest.raises(FloatingPointError, match=r"at step 0 of 1.*negative count"):
        fit(model, ou.series, torch.optim.SGD(model.parameters(), 0.1), steps=1)
