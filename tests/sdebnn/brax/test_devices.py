import dataclasses

import jax
import numpy as np
import pytest

from sdebnn.brax import build_learner, devices
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig

X = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
TABLE = Dataset("table", "classification", X, Y, X, Y, 2)
CONFIG = TrainConfig(
    batch_size=24, epochs=50, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=3, learning_rate=0.01
)

if len(jax.devices()) < 4:
    pytest.skip("four devices are needed: XLA_FLAGS=--xla_force_host_platform_device_count=4", allow_module_level=True)


@pytest.fixture(autouse=True)
def standard_promotion():
    """The schedules of optax multiply floats by whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def trained(config: TrainConfig, number: int, steps: range, state: dict | None = None):
    learner = build_learner(config, TABLE, devices=number)
    if state is not None:
        learner.load_state(state)
    x, y = X.reshape(config.accumulate, -1, 2), Y.reshape(config.accumulate, -1)
    return [float(learner.gradient_step(x, y, step)["loss"]) for step in steps], learner


@pytest.mark.parametrize(
    ("samples", "slices", "shapes"), [(1, 1, ((2, 1), (4, 1))), (2, 3, ((1, 2), (2, 2)))], ids=["examples", "samples"]
)
def test_losses_are_those_of_one_device(samples: int, slices: int, shapes: tuple) -> None:
    config = dataclasses.replace(CONFIG, train_samples=samples, accumulate=slices)
    expected, alone = trained(config, 1, range(50))
    assert expected[-1] < 0.8 * expected[0]
    for number, shape in zip((2, 4), shapes, strict=True):
        mesh = devices.make_mesh(number, examples=24 // slices, samples=samples)
        assert tuple(mesh.shape.values()) == shape
        losses, learner = trained(config, number, range(50))
        np.testing.assert_allclose(losses, expected, atol=1e-5, rtol=0)
        np.testing.assert_allclose(learner.outputs(X[:7]), alone.outputs(X[:7]), atol=1e-4)


def test_a_state_goes_on_with_another_number_of_devices() -> None:
    expected, _ = trained(CONFIG, 1, range(20))
    state = trained(CONFIG, 4, range(10))[1].state()
    for number in (1, 2):
        losses, learner = trained(CONFIG, number, range(10, 20), state)
        np.testing.assert_allclose(losses, expected[10:], atol=1e-5, rtol=0)
        assert learner.state().keys() == state.keys()


def test_the_gradient_is_sent_once_a_step() -> None:
    """However many solver steps use the weights, and however many slices: one message, as large as the parameters."""
    for config in (CONFIG, dataclasses.replace(CONFIG, steps=8, accumulate=2)):
        learner = build_learner(config, TABLE, devices=2)
        x, y = X.reshape(config.accumulate, -1, 2), Y.reshape(config.accumulate, -1)
        lowered = learner._step.lower(
            learner._state, *devices.place(learner._mesh, (x, y), devices.EXAMPLES), np.uint32(0), 0.1
        )
        program = lowered.as_text()
        parameters = len(jax.tree.leaves(learner.params))
        # Besides the gradient of every parameter: the loss, its NLL and KL, and the accuracy.
        assert program.count("stablehlo.all_reduce") == parameters + 4
        loops = [
            part for part in program.split("stablehlo.while")[1:] if "all_reduce" in part.split("stablehlo.return")[0]
        ]
        assert not loops


def test_devices_that_do_not_fit_are_refused() -> None:
    there = len(jax.devices())
    with pytest.raises(InputError, match=f"devices={there + 1} is not allowed: this process has {there}"):
        build_learner(CONFIG, TABLE, devices=there + 1)
    with pytest.raises(InputError, match="devices=-1"):
        devices.make_mesh(-1)
    with pytest.raises(InputError, match="22 examples at a time cannot be shared equally by 4 devices"):
        build_learner(dataclasses.replace(CONFIG, batch_size=22), TABLE, devices=4)
    with pytest.raises(InputError, match=r"batch_paths=4 .*take batch_paths=1"):
        build_learner(dataclasses.replace(CONFIG, batch_paths=4), TABLE, devices=2)
    with pytest.raises(InputError, match="'here' is not an address"):
        devices.join("here", 2, 0)
    with pytest.raises(InputError, match="Process 2 of 2 does not exist"):
        devices.join("localhost:1234", 2, 2)
