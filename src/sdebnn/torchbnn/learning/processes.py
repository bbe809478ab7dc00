"""Several processes, each with a device of its own, that take each gradient step together: those that torchrun starts.

Every process draws the same weight paths, from the same seeds, and takes its share of the batch's examples; the mean of
the gradients is then that of the whole batch, with the KL in it once.
"""

import atexit
import contextlib
import importlib
import os
import weakref
from collections.abc import Iterator

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from sdebnn.errors import InputError, PeerError

_averaged: weakref.WeakSet[DistributedDataParallel] = weakref.WeakSet()


def join() -> tuple[int, int]:
    """The number of this process, from 0, and how many there are. Where torchrun started it, waits for the others;
    they talk over NCCL on GPUs, over Gloo on CPUs.

    **Raises:** `InputError` when the variables that torchrun sets do not fit together.
    """
    if not distributed.is_initialized():
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return 0, 1
        # Its functions take the group of the moment of their import as a default argument, and hold it for ever. The
        # group has to end with the last that holds it: its threads let go of tensors, and where Python has ended by
        # then, the process is aborted.
        importlib.import_module("torch.distributed.nn.functional")
        try:
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", device_id=_gpu())
        except (ValueError, RuntimeError) as error:
            raise InputError(f"The processes could not be joined: {error}") from error
        atexit.register(_leave)
    return distributed.get_rank(), distributed.get_world_size()


def device() -> torch.device:
    """The device of this process: a GPU where there is one."""
    return _gpu() or torch.device("cpu")


def share(examples: int) -> slice:
    """This process's part of so many examples. **Raises:** `InputError` when they cannot be shared equally."""
    rank, ranks = join()
    if examples % ranks:
        raise InputError(
            f"{examples} examples at a time cannot be shared equally by {ranks} processes; take a batch_size that they "
            "divide, or fewer processes."
        )
    part = examples // ranks
    return slice(rank * part, (rank + 1) * part)


def averaged(objective: nn.Module) -> nn.Module:
    """The objective; where there are several processes, with gradients that are the mean of theirs."""
    if join()[1] == 1:
        return objective
    module = DistributedDataParallel(objective)
    _averaged.add(module)
    return module


def total(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over the processes; all of them call it. **Raises:** `PeerError` when one of them has ended."""
    if join()[1] > 1:
        with _all_answering():
            distributed.all_reduce(tensor)
    return tensor


def largest(value: int) -> int:
    """The largest of the processes' values; all of them call it. **Raises:** as `total`."""
    found = torch.tensor(value, device=device())
    if join()[1] > 1:
        with _all_answering():
            distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return int(found)


def follow_first(*tensors: torch.Tensor) -> None:
    """Gives every process the first one's values, in place; all of them call it. **Raises:** as `total`."""
    if join()[1] > 1:
        for tensor in tensors:
            # Optimisers keep some of their numbers on the CPU, which NCCL does not send.
            sent = tensor.detach().to(device())
            with _all_answering():
                distributed.broadcast(sent, src=0)
            tensor.detach().copy_(sent)


def _leave() -> None:
    for module in _averaged:
        for name in ("process_group", "reducer", "logger"):
            # They are DDP's own, and another version may have others.
            vars(module).pop(name, None)
    distributed.destroy_process_group()


@contextlib.contextmanager
def _all_answering() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerError from error


def _gpu() -> torch.device | None:
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else None
