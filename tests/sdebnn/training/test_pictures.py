import dataclasses

import numpy as np
import pytest

from sdebnn.training import pictures


@pytest.mark.parametrize(
    ("parameters", "epochs", "paths"), [(1000, 2, 8), (10**6, 2, 1), (10**6, 180, 3), (10**6, 10_000, 8)]
)
def test_weight_paths_cost_a_tenth_of_training_or_a_moment(build, quick, table, parameters, epochs, paths) -> None:
    learner = build(quick, table)
    learner.average = np.zeros(parameters)
    config = dataclasses.replace(quick, epochs=epochs)
    assert pictures._paths(config, table, learner) == paths
    # 100 steps of the solver a path; three gradient steps an epoch, of two steps that count three times.
    assert paths * 100 * parameters <= max(pictures.CHEAP, 3 * epochs * 2 * 3 * parameters / 10)
