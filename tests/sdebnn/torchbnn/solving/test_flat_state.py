import pytest
import torch

from sdebnn.torchbnn.solving.flat_state import FlatState


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 4, 4), (4, 3), (3,)])
def test_a_hidden_state_comes_back_from_its_vector_as_a_view_of_it(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    state = FlatState(x)
    vector = state.flat(x)
    back = state.shaped(vector)
    assert torch.equal(back, x)
    assert back.untyped_storage().data_ptr() == vector.untyped_storage().data_ptr()
    assert state.flat(back).data_ptr() == vector.data_ptr()


def test_an_image_lies_with_its_channels_last() -> None:
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert FlatState(x).flat(x)[:4].tolist() == [0, 12, 1, 13]
