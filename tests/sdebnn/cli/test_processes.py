"""Several processes on the loopback address train as one does."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from forked import QUICKLY, Forked, Interpreter

from sdebnn.cli import main
from sdebnn.runs import MetricsLog, RunFolder, checkpoint

CHOICES = (
    "--epochs 50 --batch-size 24 --width 4 --steps 2 --drift-widths 2 --augment 1 --test-samples 2 "
    "--learning-rate 0.01 --validation 0.2 --members 2"
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """30 points of the plane, of which a validation split leaves 24."""
    x = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    path = tmp_path_factory.mktemp("data") / "mine.npz"
    np.savez(path, x=x, y=(x[:, 0] > 0).astype(int))
    return str(path)


def named() -> bool:
    try:
        return bool(socket.gethostbyname(socket.gethostname()))
    except OSError:
        return False


NEEDS = {
    "jax": pytest.mark.skipif(not named(), reason="JAX's collectives on CPUs need an address for this machine's name"),
    "torch": pytest.mark.skipif(importlib.util.find_spec("torchsde") is None, reason="torchsde is needed"),
}
FRAMEWORKS = [pytest.param(name, marks=mark) for name, mark in NEEDS.items()]


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def environment(devices: int = 1) -> dict[str, str]:
    """As a user runs it, but quickly compiled: optax needs the promotion of dtypes that these tests forbid."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("JAX_NUMPY_")}
    own = [flag for flag in env.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    return env | {"XLA_FLAGS": " ".join([QUICKLY, f"--xla_force_host_platform_device_count={devices}", *own])}


def start(interpreter: Interpreter, framework: str, *arguments: Sequence[str], devices: int = 1) -> list[Forked]:
    """A process for each of these command lines, which train together, each on so many devices."""
    port, number = free_port(), str(len(arguments))
    processes = []
    for process, own in enumerate(arguments):
        command, env = ["-m", "sdebnn", "train", *own], environment(devices)
        if len(arguments) > 1 and framework == "jax":
            command += ["--coordinator", f"127.0.0.1:{port}", "--processes", number, "--process", str(process)]
        elif len(arguments) > 1:
            # As torchrun does.
            env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": number, "RANK": str(process)}
        processes.append(interpreter.start(*command, env=env, drawn=False))
    return processes


def start_two(interpreter: Interpreter, framework: str, *arguments: str) -> list[Forked]:
    """The processes of one run of two; in PyTorch the one of torchrun, which starts them."""
    if framework == "jax":
        return start(interpreter, framework, arguments, arguments)
    launcher = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(), "-m"]
    return [interpreter.start("-m", *launcher, "sdebnn", "train", *arguments, env=environment())]


def ended(processes: list[Forked], code: int = 0) -> list[str]:
    """What each printed, once they have ended well."""
    printed = [process.communicate(timeout=300) for process in processes]
    for process, (_, error) in zip(processes, printed, strict=True):
        assert process.returncode == code, error
    return [out for out, _ in printed]


def losses(run: Path, split: str = "train") -> np.ndarray:
    name = "loss" if split == "train" else "nll"
    return np.array([line[name] for line in MetricsLog.read(RunFolder(run)) if line["split"] == split])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_several_processes_train_as_one_does(
    framework: str, table: str, tmp_path: Path, interpreter: Interpreter
) -> None:
    choices = ["--data", table, "--framework", framework, *CHOICES.split()]
    ended(start(interpreter, framework, ["--output", str(tmp_path / "alone"), *choices]))
    expected = losses(tmp_path / "alone")
    assert len(expected) == 5
    run = tmp_path / "of-four"
    # On four devices: a process of JAX takes seconds to begin, but may have two; one of PyTorch has one.
    number, devices, own = {"jax": (2, 2, ["--devices", "2"]), "torch": (4, 1, [])}[framework]
    each = ["--output", str(run), *choices, *own]
    printed = ended(start(interpreter, framework, *number * [each], devices=devices))
    assert "".join(printed).count("The run is in") == 1
    np.testing.assert_allclose(losses(run), expected, atol=1e-5, rtol=0)
    for split in ("validation", "test"):
        np.testing.assert_allclose(losses(run, split), losses(tmp_path / "alone", split), atol=1e-5, rtol=0)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_run_of_two_processes_is_stopped_and_goes_on_with_one(
    framework: str, table: str, tmp_path: Path, with_choices, interpreter: Interpreter
) -> None:
    choices = ["--data", table, "--framework", framework, *CHOICES.split(), "--checkpoint-steps", "5"]
    run = RunFolder(tmp_path / "moved")
    # Long enough that it is stopped on the way.
    long = ("--epochs", "100000", "--schedule", "constant")
    processes = start_two(interpreter, framework, "--output", str(run.path), *choices, *long)
    deadline = time.monotonic() + 120
    while not checkpoint.find(run.checkpoints) and time.monotonic() < deadline:
        time.sleep(0.01)
    processes[0].send_signal(signal.SIGTERM)
    if framework == "torch":
        # torchrun has an exit code of its own.
        assert "the run is saved" in processes[0].communicate(timeout=120)[1]
    else:
        ended(processes, code=143)
    step = checkpoint.load(checkpoint.latest(run.checkpoints))[1]["step"]
    assert step > 0
    assert step % 10 == 0
    # A shorter rest of it, for the test's sake.
    with_choices(run, epochs=step + 10)
    ended(start(interpreter, framework, ["--resume", str(run.path)]))
    assert checkpoint.load(checkpoint.latest(run.checkpoints))[1]["step"] == step + 10
    assert np.isfinite(losses(run.path)).all()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_where_the_first_process_refuses_the_others_end_in_a_sentence(
    framework: str, table: str, tmp_path: Path, interpreter: Interpreter
) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    choices = ("--output", str(tmp_path), "--data", table, "--framework", framework)
    processes = start_two(interpreter, framework, *choices)
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert "is not empty (it holds thesis.tex)" in errors[0]
    # torchrun prints a traceback of its own.
    assert "sdebnn/training" not in "".join(errors)
    if framework == "jax":
        assert [process.returncode for process in processes] == [2, 1]
        assert "Another process of this run has ended" in errors[1]
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_processes_with_different_choices_or_data_are_all_refused(
    framework: str, table: str, tmp_path: Path, interpreter: Interpreter
) -> None:
    """Of another width no gradients could be exchanged; of another data set, they would be, in silence."""
    np.savez(tmp_path / "other.npz", **{name: array[::-1] for name, array in np.load(table).items()})
    own = {"jax": ("--data", str(tmp_path / "other.npz")), "torch": ("--data", table, "--width", "5")}[framework]
    choices = ("--output", str(tmp_path / "run"), "--width", "4", "--batch-size", "4", "--framework", framework)
    processes = start(interpreter, framework, (*choices, "--data", table), (*choices, *own))
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2], errors
    says = {"jax": "started with different data;", "torch": "started with different choices;"}[framework]
    assert all(says in error for error in errors)
    assert not (tmp_path / "run").exists()


def test_processes_that_do_not_fit_are_refused(table: str, tmp_path: Path, monkeypatch, capsys) -> None:
    def refusal(*arguments: str) -> str:
        assert main(["train", "--output", str(tmp_path / "run"), "--data", table, *arguments]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert not (tmp_path / "run").exists()
        return said

    assert "take a --coordinator" in refusal("--processes", "2")
    assert "takes --processes and --process" in refusal("--coordinator", "localhost:1234")
    assert "torchrun --nproc-per-node" in refusal("--framework", "torch", "--devices", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "torchrun starts processes for framework='torch'" in refusal()


def test_a_machine_whose_name_has_no_address_is_refused_in_a_sentence(table: str, tmp_path: Path) -> None:
    """In a network of its own, on a machine of another name."""
    apart = ["unshare", "--net", "--uts", "sh", "-c", 'ip link set lo up; hostname nowhere; exec "$@"', "-"]
    if shutil.which("ip") is None or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("networks of its own need the superuser and iproute2")
    join = ["--coordinator", "127.0.0.1:4567", "--processes", "1", "--process", "0"]
    command = [sys.executable, "-m", "sdebnn", "train", "--data", table, "--output", str(tmp_path / "run"), *join]
    result = subprocess.run([*apart, *command], capture_output=True, text=True, timeout=120)
    assert result.returncode == 2, result.stderr
    assert "nowhere, has to have an address" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
