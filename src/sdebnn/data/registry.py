"""Data sets by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from sdebnn.data.cifar import load_cifar10
from sdebnn.data.dataset import Dataset
from sdebnn.data.digits import load_digits
from sdebnn.data.files import data_home, expand_user
from sdebnn.data.mnist import load_mnist
from sdebnn.data.npz import load_npz
from sdebnn.data.toy import TOYS, load_toy
from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown


def _load_toy(name: str, data_dir: str | Path | None) -> Dataset:
    return load_toy(name)


LOADERS: dict[str, Callable[[str | Path | None], Dataset]] = {
    "digits": lambda data_dir: load_digits(),
    "mnist": lambda data_dir: load_mnist("mnist", data_home(data_dir)),
    "fashion_mnist": lambda data_dir: load_mnist("fashion_mnist", data_home(data_dir)),
    "cifar10": lambda data_dir: load_cifar10(data_home(data_dir)),
    **{name: partial(_load_toy, name) for name in TOYS},
}
"""What loads a data set, by its name, from the folder of data sets that `load` was given."""

NAMES = tuple(LOADERS)


def load(
    name: str | Path,
    data_dir: str | Path | None = None,
    *,
    task: str = "auto",
    layout: str = "auto",
    like: str | None = None,
    in_order: bool = False,
) -> Dataset:
    """A data set by its name.

    **Arguments:**

    - `name`: one of `NAMES`, or the path of a .npz file (see `load_npz`).
    - `data_dir`: the folder of data sets (see `data_home`) for those that are published files.
    - `task`, `layout`, `like`: what a .npz file's numbers are, where that is open (see `load_npz`).
    - `in_order`: whether what is held out of a .npz file stays in its order, as version 0.1 had it.

    **Raises:** `InputError` for an unknown name, a task or layout that does not fit, and for files that are missing,
    truncated, altered or wrong.
    """
    name, path = str(name), Path(name)
    if path.suffix == ".npz":
        return load_npz(expand_user(path), task=task, layout=layout, like=like, in_order=in_order)
    if path.suffix:
        raise InputError(
            f"{name} is not a .npz file; save arrays x and y with numpy.savez and give a path that ends in .npz, or "
            f"take one of {', '.join(LOADERS)}."
        )
    refuse_unknown(name, (*LOADERS, "a path that ends in .npz"), "a data set")
    return LOADERS[name](data_dir)
