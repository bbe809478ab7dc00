"""Data sets by name."""

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

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10", *TOYS)


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
            f"take one of {', '.join(NAMES)}."
        )
    refuse_unknown(name, (*NAMES, "a path that ends in .npz"), "a data set")
    if name == "digits":
        return load_digits()
    if name in TOYS:
        return load_toy(name)
    home = data_home(data_dir)
    return load_cifar10(home) if name == "cifar10" else load_mnist(name, home)
