"""Data sets by name."""

import difflib
from pathlib import Path

from sdebnn.data.dataset import Dataset
from sdebnn.data.digits import load_digits
from sdebnn.data.files import data_home
from sdebnn.data.mnist import load_mnist
from sdebnn.errors import InputError

NAMES = ("digits", "mnist", "fashion_mnist")


def load(name: str, data_dir: str | Path | None = None) -> Dataset:
    """A data set by its name.

    **Arguments:**

    - `name`: one of `NAMES`.
    - `data_dir`: the folder of data sets; see `data_home`.

    **Raises:** `InputError` for an unknown name, and for files that are missing, truncated, altered or wrong.
    """
    if name == "digits":
        return load_digits()
    if name in ("mnist", "fashion_mnist"):
        return load_mnist(name, data_home(data_dir))
    raise InputError(f"{name!r} is not a data set{nearest(name, NAMES)}; allowed are {', '.join(NAMES)}.")


def nearest(name: str, allowed: tuple[str, ...]) -> str:
    """A hint for an error: the allowed name that was likely meant, if any is near."""
    near = difflib.get_close_matches(name, allowed, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
