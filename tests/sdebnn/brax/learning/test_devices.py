import dataclasses
import os
import subprocess
import sys

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
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
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


def test_of_several_processes_each_step_is_waited_for() -> None:
    """Those that run ahead of a slower one stand still after some 32 steps."""
    config = dataclasses.replace(CONFIG, width=64, drift_widths=(64,), steps=30)
    learner = build_learner(config, TABLE, devices=2)
    learner.ranks = 2
    for step in range(3):
        values = learner.gradient_step(X[None], Y[None], step)
        assert all(value.is_ready() for value in values.values())


def test_the_gradient_is_sent_once_a_step() -> None:
    """However many solver steps use the weights, and however many slices: one message, as large as the parameters."""
    for config in (CONFIG, dataclasses.replace(CONFIG, steps=8, accumulate=2)):
        learner = build_learner(config, TABLE, devices=2)
        x, y = X.reshape(config.accumulate, -1, 2), Y.reshape(config.accumulate, -1)
        lowered = learner._step.lower(
            learner._state,
            learner._step_key,
            *devices.place(learner._mesh, (x, y), devices.EXAMPLES),
            *(np.uint32(0), 0.01, 1.0, 0.1),
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


def test_as_many_devices_share_by_default_as_can() -> None:
    shares = {
        (24, 1): [1, 2, 3, 4],
        (22, 1): [1, 2, 2, 2],
        (7, 1): [1, 1, 1, 1],
        (7, 2): [1, 2, 2, 2],
        (6, 4): [1, 2, 3, 4],
    }
    for (examples, samples), expected in shares.items():
        found = [devices.most_that_share(n, examples=examples, samples=samples) for n in (1, 2, 3, 4)]
        assert found == expected
        for number in found:
            devices.make_mesh(number, examples=examples, samples=samples)


def test_cores_are_those_that_the_environment_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(16)))
    names = ("OMP_NUM_THREADS", "NPROC", "XLA_FLAGS")
    for given, expected in (
        ({}, 16),
        ({"OMP_NUM_THREADS": "4"}, 4),
        ({"OMP_NUM_THREADS": "4", "NPROC": "3"}, 3),
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "64"}, 16),
        ({"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}, 1),
        ({"XLA_FLAGS": "--xla_dump_to=/tmp intra_op_parallelism_threads=1"}, 1),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, 16),
    ):
        for name in names:
            monkeypatch.delenv(name, raising=False)
            if name in given:
                monkeypatch.setenv(name, given[name])
        assert devices.cores() == expected, given


@pytest.mark.parametrize(
    ("version", "batch", "batch_paths", "cores", "of_a_step", "of_predictions"),
    [
        ((0, 10, 2), 8, 1, 4, 4, 4),
        ((0, 10, 2), 8, 1, 3, 2, 3),
        ((0, 10, 2), 8, 8, 4, 1, 4),
        ((0, 10, 2), 8, 1, 1, 1, 1),
        ((0, 11, 0), 8, 1, 4, 1, 1),
    ],
)
def test_images_are_shared_by_the_cores_where_convolutions_take_one(
    monkeypatch: pytest.MonkeyPatch,
    version: tuple,
    batch: int,
    batch_paths: int,
    cores: int,
    of_a_step: int,
    of_predictions: int,
) -> None:
    monkeypatch.setattr(devices, "cores", lambda: cores)
    monkeypatch.setattr(jax.version, "__version_info__", version)
    config = dataclasses.replace(CONFIG, batch_size=batch, batch_paths=batch_paths)
    assert build_learner(config, TABLE).devices == 1
    images = np.zeros((24, 4, 4, 1), np.uint8)
    learner = build_learner(config, Dataset("images", "classification", images, Y, images, Y, 2))
    assert learner.devices == of_a_step
    used = {shard.device for leaf in jax.tree.leaves(learner._state) for shard in leaf.addressable_shards}
    assert len(used) == of_a_step
    assert learner._scoring.size == of_predictions


def test_a_process_that_has_not_computed_takes_a_device_a_core() -> None:
    program = """
import os
os.sched_getaffinity = lambda process: {0, 1, 2}
import jax
from sdebnn.brax import devices
jax.version.__version_info__ = (0, 10, 2)
assert devices.by_default(convolutions=False) == 1
print(devices.by_default(convolutions=True), len(jax.devices()), devices.by_default(convolutions=True))
"""
    limits = ("OMP_NUM_THREADS", "NPROC", "XLA_FLAGS")
    env = {name: value for name, value in os.environ.items() if name not in limits}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "3", "3"]
