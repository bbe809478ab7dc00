import numpy as np
import pytest
import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn import ODEBlock
from sdebnn.torchbnn.learning.arrays import load_named_arrays, to_named_arrays


class Twice(nn.Module):
    """Names with underscores of their own, and more than ten layers, whose numbers are no words."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self._first = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.many = nn.ParameterList(torch.full((1,), float(n)) for n in range(11))


def test_parameters_survive_as_named_arrays_in_the_order_of_jax() -> None:
    module = ODEBlock(Twice())
    named = to_named_arrays(module)
    assert list(named) == ["_first/weight", "first/weight", *(f"many/{n}" for n in range(11))]
    assert [named[f"many/{n}"].item() for n in range(11)] == list(range(11))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert named["many/3"].item() == 3
    load_named_arrays(module, named)
    for name, array in to_named_arrays(module).items():
        np.testing.assert_array_equal(array, named[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": None}, "no array 'weight'"),
        ({"weight": np.ones((3, 2), np.float32)}, r"float32\[3, 2\].*float32\[2, 3\]"),
        ({"weight": np.ones((2, 3), np.float64)}, r"float64\[2, 3\], but this model needs float32"),
        ({"more": np.ones(1, np.float32)}, "'more'"),
    ],
)
def test_arrays_of_another_model_are_refused_by_name_and_change_nothing(change: dict, message: str) -> None:
    module = nn.Linear(3, 2)
    before = to_named_arrays(module)
    other = {name: array + 1 for name, array in before.items()} | change
    with pytest.raises(InputError, match=message):
        load_named_arrays(module, {name: array for name, array in other.items() if array is not None})
    for name, array in to_named_arrays(module).items():
        np.testing.assert_array_equal(array, before[name])
