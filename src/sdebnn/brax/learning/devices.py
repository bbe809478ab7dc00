"""Several devices, of one process or of many, that take each gradient step together.

They form a mesh of two axes: the posterior samples of a step are divided along one, its examples along the other. Every
device draws the weight paths of its samples itself, from the same keys as one device alone would, so nothing but the
gradient has to travel: once a step, as large as the parameters.
"""

import contextlib
import math
import os
import socket
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree

from sdebnn.errors import InputError, PeerError

BATCH, SAMPLE = AXES = ("batch", "sample")
EXAMPLES = P(None, BATCH)

# The first JAX whose convolutions take several cores of a CPU.
THREADED_CONVOLUTIONS = (0, 11)


def join(coordinator: str, processes: int, process: int) -> None:
    """Makes this process one of several that train together, on one host or on many. To be called before JAX computes
    anything; returns when all have joined, and at once where this one has already.

    **Arguments:**

    - `coordinator`: `host:port` at which the first process is reached by all; `auto` where JAX finds all three itself:
      Slurm, Open MPI, Kubernetes, Cloud TPU.
    - `processes`: how many there are.
    - `process`: which of them this one is, from 0.

    **Raises:** `InputError` when these do not fit together, when the others do not answer within five minutes, and when
    JAX cannot send between them: on CPUs it looks up the name of the machine, which has to have an address.
    """
    known: dict[str, Any] = {}
    if coordinator != "auto":
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal():
            raise InputError(f"The coordinator {coordinator!r} is not an address; give host:port, or auto.")
        if not 0 <= process < processes:
            raise InputError(f"Process {process} of {processes} does not exist; they are numbered from 0.")
        known = {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
    if jax.distributed.is_initialized():
        return
    try:
        jax.distributed.initialize(**known)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"The processes could not be joined through {coordinator}: {error}") from error
    try:
        jax.devices()
    except RuntimeError as error:
        raise InputError(
            f"JAX cannot send between the processes: {error}. On CPUs the name of each machine, here "
            f"{socket.gethostname()}, has to have an address; a line of /etc/hosts gives it one."
        ) from error


def cores() -> int:
    """CPU cores that this process may compute on: those of its affinity, fewer where `OMP_NUM_THREADS`, `NPROC` or
    `XLA_FLAGS` ask for fewer threads.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen=false" in flags or "intra_op_parallelism_threads=1" in flags.split():
        return 1
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = [os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "NPROC")]
    return min([there, *(max(int(number), 1) for number in asked if number.isdecimal())])


def by_default(*, convolutions: bool) -> int:
    """How many devices of this process compute together where nobody says: one; but of a CPU one for each core, where
    the convolutions of the installed JAX keep to one core each.

    **Arguments:**

    - `convolutions`: whether the network has any: other layers take all cores by themselves.
    """
    if not convolutions or jax.version.__version_info__ >= THREADED_CONVOLUTIONS or cores() == 1:
        return 1
    offer(cores())
    # Several processes may be of one machine.
    if jax.default_backend() != "cpu" or jax.process_count() > 1:
        return 1
    return min(cores(), len(jax.local_devices()))


def offer(number: int) -> None:
    """Makes JAX see the CPU as so many devices, unless it has begun to compute, or somebody has told it a number."""
    flag = "xla_force_host_platform_device_count"
    if getattr(jax.config, "jax_num_cpu_devices", -1) < 0 and flag not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", number)


def make_mesh(devices: int = 1, *, examples: int = 0, samples: int = 1) -> Mesh:
    """The mesh of the first `devices` devices of every process.

    **Arguments:**

    - `devices`: of each process; 0 is all that it has.
    - `examples`: that go through the network at once, to be divided among the devices; 0 when there are none to divide.
    - `samples`: posterior samples of a gradient step. As many devices as possible share these, the rest the examples.

    **Raises:** `InputError` when there are not so many devices, or they cannot share the examples equally.
    """
    there = len(jax.local_devices())
    if not 0 <= devices <= there:
        raise InputError(f"devices={devices} is not allowed: this process has {there}; 0 takes all of them.")
    of_process = [[d for d in jax.devices() if d.process_index == p] for p in range(jax.process_count())]
    chosen = np.array([own[: devices or there] for own in of_process]).reshape(-1)
    on_samples = math.gcd(len(chosen), samples)
    on_examples = len(chosen) // on_samples
    if examples % on_examples:
        raise InputError(
            f"{examples} examples at a time cannot be shared equally by {on_examples} devices; take a batch_size that "
            "they divide, or fewer devices."
        )
    return Mesh(chosen.reshape(on_examples, on_samples), AXES)


def most_that_share(devices: int, *, examples: int, samples: int) -> int:
    """The largest number of devices, up to `devices`, that can share the examples and posterior samples of a gradient
    step equally; see `make_mesh`.
    """
    return next(n for n in range(devices, 0, -1) if examples % (n // math.gcd(n, samples)) == 0)


def place(mesh: Mesh, tree: PyTree, spec: P | None = None) -> Any:
    """Lays arrays out over the mesh: a copy on each device unless `spec` divides them. Every process has them whole."""
    sharding = NamedSharding(mesh, spec or P())

    def of_leaf(leaf: Any) -> Any:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(of_leaf, tree)


def largest(value: int) -> int:
    """The largest of the processes' values; all of them call it. **Raises:** `PeerError` when one of them has ended."""
    with _all_answering():
        return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def of_first(tree: PyTree) -> Any:
    """The first process's arrays; all of them call it, with arrays of the same shapes. **Raises:** as `largest`."""
    if jax.process_count() == 1:
        return tree
    with _all_answering():
        return multihost_utils.broadcast_one_to_all(tree)


@contextlib.contextmanager
def _all_answering() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        raise PeerError from error
