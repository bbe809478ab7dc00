import jax.numpy as jnp
import numpy as np
import pytest
import torch

from sdebnn.brax.likelihoods import LIKELIHOODS as THEIRS
from sdebnn.errors import InputError
from sdebnn.torchbnn.arrays import to_named_arrays
from sdebnn.torchbnn.likelihoods import LIKELIHOODS

OUTPUTS = np.asarray([[0.0, 2.0], [1.5, -1.0], [0.2, 0.1]])
TARGETS = {"categorical": np.asarray([1, 0, 1], np.int32)}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_likelihoods_and_parameters_are_those_of_jax(x64, name: str) -> None:
    targets = TARGETS.get(name, np.asarray([[0.5, 0.0], [3.0, 8.0], [-20.0, 0.1]]))
    module, likelihood = LIKELIHOODS[name](2).double(), THEIRS[name](2)
    params = {key: jnp.asarray(value, jnp.float64) for key, value in likelihood.init().items()}
    assert module.outputs == likelihood.outputs()
    assert to_named_arrays(module).keys() == params.keys()
    for key, array in to_named_arrays(module).items():
        np.testing.assert_allclose(array, params[key], rtol=1e-6)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.tensor([-0.7, 0.4]))
    params = {key: jnp.asarray([-0.7, 0.4]) for key in params}
    expected = likelihood.log_prob(params, jnp.asarray(OUTPUTS), jnp.asarray(targets))
    got = module(torch.from_numpy(OUTPUTS), torch.from_numpy(targets))
    np.testing.assert_allclose(got.detach(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name != "categorical"])
def test_targets_that_are_no_column_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"shape \(4,\) and outputs \(4, 1\).*y\[:, None\]"):
        LIKELIHOODS[name](1)(torch.zeros(4, 1), torch.zeros(4))


def test_the_likelihoods_are_those_of_jax() -> None:
    assert list(LIKELIHOODS) == list(THEIRS)
