"""What a block's `state_dict` knows beside its parameters."""

import io
import warnings

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from sdebnn.priors import Bridge, BrownianMotion
from sdebnn.torchbnn import SDEBNN, HyperODEBlock, Solver, WeightProcess, bnn_serial, drift_network


def network(steps: int = 4, **choices) -> bnn_serial:
    return bnn_serial(
        nn.Linear(2, 3), SDEBNN(nn.Linear(3, 3), WeightProcess(drift_network((2,)), **choices), Solver(steps))
    )


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"sigma": 0.2}, "sigma=0.1, and this block has 0.2"),
        ({"rate": 3.0}, "rate=1, and this block has 3"),
        ({"steps": 8}, "steps=4, and this block has 8"),
        ({"prior": BrownianMotion()}, "rate=1, and this block has 0"),
        ({"prior": Bridge()}, r"another prior than Bridge\(sigma=0.1, .*\), which this block has"),
        ({"centre": "zero"}, r"another prior than OrnsteinUhlenbeck\(.*centre='zero'"),
    ],
)
def test_parameters_that_go_into_a_block_with_other_choices_say_so(other, says: str) -> None:
    saved, into = network(), network(**other)
    with pytest.warns(UserWarning, match=says):
        into.load_state_dict(saved.state_dict())
    assert all(torch.equal(one, two) for one, two in zip(saved.parameters(), into.parameters(), strict=True))


def test_parameters_go_into_a_block_with_the_same_choices_by_any_file_without_a_word() -> None:
    saved, file = network(sigma=0.3), io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    for state in (torch.load(file, weights_only=True), load(save(saved.state_dict()))):
        into = network(sigma=0.3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            into.load_state_dict(state)
        assert all(torch.equal(one, two) for one, two in zip(saved.parameters(), into.parameters(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.filterwarnings("error")
def test_parameters_that_were_rounded_to_half_precision_are_those_of_the_same_block(dtype: torch.dtype) -> None:
    state = network(sigma=0.3).state_dict()
    network(sigma=0.3).load_state_dict({name: tensor.to(dtype) for name, tensor in state.items()})
    with pytest.warns(UserWarning, match="steps"):
        network(steps=3).load_state_dict({name: tensor.to(dtype) for name, tensor in network().state_dict().items()})


def test_what_version_0_1_saved_is_loaded_and_what_is_missing_is_still_said() -> None:
    state = dict(network().state_dict())
    old = {name: tensor for name, tensor in state.items() if "_extra_state" not in name}
    assert set(state) - set(old) == {"1._extra_state"}
    network(sigma=0.2).load_state_dict(old)
    del old["1.w0.bias"]
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"1.w0.bias\"\. $"):
        network().load_state_dict(old)


def test_a_block_without_noise_takes_the_state_of_one_with() -> None:
    block = SDEBNN(nn.Linear(3, 3), WeightProcess(drift_network((2,))), Solver(2))
    HyperODEBlock(nn.Linear(3, 3), drift_network((2,)), Solver(2)).load_state_dict(block.state_dict())
