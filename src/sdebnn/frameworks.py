"""The one place that knows both frameworks. Each is imported only when a run asks for it."""

import importlib
import os

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.extras import require
from sdebnn.runs import TrainConfig
from sdebnn.runs.frameworks import FRAMEWORKS
from sdebnn.training import Learner
from sdebnn.training.committee import Gather


def build_learner(
    config: TrainConfig,
    dataset: Dataset,
    *,
    devices: int | None = None,
    coordinator: str | None = None,
    processes: int = 1,
    process: int = 0,
) -> Learner:
    """The learner of the framework that `config` names.

    **Arguments:**

    - `devices`: of this process that take each gradient step together, in JAX; 0 is all. Unless given see
      `sdebnn.brax.build_learner`; one each where several processes are joined.
    - `coordinator`, `processes`, `process`: of `sdebnn.brax.devices.join`, for several processes in JAX.

    **Raises:** `InputError` when the framework is not installed, and when the configuration does not fit the data or
    the devices.
    """
    require(f"framework={config.framework!r}", config.framework)
    package = importlib.import_module(FRAMEWORKS[config.framework].package)
    if config.framework == "torch":
        if devices is not None or coordinator is not None:
            raise InputError(
                "--devices and --coordinator are for JAX; in PyTorch several processes, each with a device, are "
                "started by torchrun: torchrun --nproc-per-node 2 -m sdebnn train --framework torch ..."
            )
        return package.build_learner(config, dataset)
    if coordinator is not None:
        package.devices.join(coordinator, processes, process)
    elif os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(
            "torchrun starts processes for framework='torch'; in JAX one process takes several devices with --devices, "
            "and several processes are joined by --coordinator, --processes and --process."
        )
    return package.build_learner(config, dataset, devices=devices)


def gather(config: TrainConfig) -> Gather:
    """What makes the committees of the framework that `config` names.

    **Raises:** `InputError` when the framework is not installed.
    """
    require(f"framework={config.framework!r}", config.framework)
    package = FRAMEWORKS[config.framework].package
    return importlib.import_module(f"{package}.learning.committee").gather
