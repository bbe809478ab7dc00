import re
from pathlib import Path

import pytest

import sdebnn
from jaxsde.path_kl import ESTIMATORS
from sdebnn.errors import InputError
from sdebnn.kl_estimators import KL_ESTIMATORS, check_estimator


def test_sdebnn_and_the_solvers_name_the_same_estimators_each_in_one_place() -> None:
    assert set(KL_ESTIMATORS) == set(ESTIMATORS)
    source = Path(sdebnn.__file__).parents[1]
    lists = {
        str(file.relative_to(source)) for file in source.rglob("*.py")
        if all(re.search(f'"{name}"', file.read_text()) for name in KL_ESTIMATORS)
    }  # fmt: skip
    assert lists == {"sdebnn/kl_estimators.py", "jaxsde/path_kl.py"}


def test_another_name_is_refused() -> None:
    assert all(check_estimator(name) == name for name in KL_ESTIMATORS)
    with pytest.raises(
        InputError, match=r"'stil' is not a kl_estimator \(did you mean 'stl'\?\); .* stl, full_mc, analytic"
    ):
        check_estimator("stil")
