import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from sdebnn.brax.learning.likelihoods import LIKELIHOODS, initial_params
from sdebnn.errors import InputError

LAWS = {"gaussian": scipy.stats.norm, "laplace": scipy.stats.laplace, "cauchy": scipy.stats.cauchy}
LAWS["student_t"] = functools.partial(scipy.stats.t, 4.0)


@pytest.mark.parametrize("name", LAWS)
def test_a_likelihood_of_real_targets_is_its_density_of_the_residuals(name: str) -> None:
    likelihood = LIKELIHOODS[name](2)
    params = {key: value + jnp.asarray([0.0, 0.7]) for key, value in likelihood.init().items()}
    outputs, targets = np.asarray([[0.0, 1.0], [3.0, -1.0]]), np.asarray([[0.5, 0.0], [3.0, 8.0]])
    scale = 0.5 * np.exp([0.0, 0.7])
    expected = LAWS[name](outputs, scale).logpdf(targets).sum(axis=1)
    got = likelihood.log_prob(params, jnp.asarray(outputs, jnp.float32), jnp.asarray(targets, jnp.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name != "categorical"])
def test_targets_that_are_no_column_are_refused(name: str) -> None:
    likelihood = LIKELIHOODS[name](1)
    with pytest.raises(InputError, match=r"shape \(4,\) and outputs \(4, 1\).*y\[:, None\]"):
        likelihood.log_prob(likelihood.init(), jnp.zeros((4, likelihood.outputs)), jnp.zeros(4))


def test_a_categorical_likelihood_is_the_log_softmax_of_the_label() -> None:
    outputs = jnp.asarray([[0.0, 2.0, 1.0]])
    got = LIKELIHOODS["categorical"](3).log_prob({}, outputs, jnp.asarray([2]))
    np.testing.assert_allclose(got, [1 - np.log(np.exp([0.0, 2.0, 1.0]).sum())], rtol=1e-6)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_step_that_is_compiled_for_initial_parameters_is_for_those_that_follow(name: str) -> None:
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(initial_params(LIKELIHOODS[name](2))))
