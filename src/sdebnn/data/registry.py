"""Data sets by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sdebnn.data import mnist
from sdebnn.data.cifar import load_cifar10, load_cifar100
from sdebnn.data.columns import Scaling
from sdebnn.data.dataset import Dataset
from sdebnn.data.digits import load_digits
from sdebnn.data.files import data_home, expand_user
from sdebnn.data.images import IMAGE_SETS
from sdebnn.data.npz import input_axes, load_npz, read_array
from sdebnn.data.svhn import load_svhn
from sdebnn.data.table_encoding import TableEncoding
from sdebnn.data.tables import SUFFIXES, is_table_file, read_table, without_empty_end
from sdebnn.data.toy import TOYS, load_toy
from sdebnn.data.uci import load_by_name
from sdebnn.errors import InputError, naming_file
from sdebnn.spelling import refuse_unknown


def _load_toy(name: str, data_dir: str | Path | None) -> Dataset:
    return load_toy(name)


LOADERS: dict[str, Callable[[str | Path | None], Dataset]] = {
    "digits": lambda data_dir: load_digits(),
    "mnist": lambda data_dir: mnist.load_mnist("mnist", data_home(data_dir)),
    "fashion_mnist": lambda data_dir: mnist.load_mnist("fashion_mnist", data_home(data_dir)),
    "cifar10": lambda data_dir: load_cifar10(data_home(data_dir)),
    "cifar100": lambda data_dir: load_cifar100(data_home(data_dir)),
    "svhn": lambda data_dir: load_svhn(data_home(data_dir)),
    **{name: partial(_load_toy, name) for name in TOYS},
}
"""What loads a data set, by its name, from the folder of data sets that `load` was given."""

TABLES: dict[str, Callable[[str, str | Path | None, Scaling], Dataset]] = {"uci": load_by_name}
"""What loads a published table, by what is before the first slash of its name: `uci/yacht:3`."""

FILES = (".npz", *SUFFIXES)
"""How the names of files end that `load` reads."""

NAMES = tuple(LOADERS)


def load(
    name: str | Path,
    data_dir: str | Path | None = None,
    *,
    task: str = "auto",
    layout: str = "auto",
    target: str = "",
    scale: Scaling = False,
    like: str | None = None,
    in_order: bool = False,
    encoding: TableEncoding | None = None,
) -> Dataset:
    """A data set by its name.

    **Arguments:**

    - `name`: one of `NAMES`; or `uci/yacht:3`, a published table and its split, `uci/yacht:gap2` or `uci/yacht:tail2`
      (see `load_uci`); or the path of a .npz file (see `load_npz`), or of a table, .csv, .tsv or .parquet.
    - `data_dir`: the folder of data sets (see `data_home`) for those that are published files.
    - `task`: what a file's answers are, where that is open (see `load_npz`).
    - `layout`, `like`: what a .npz file's inputs are, where that is open (see `load_npz`).
    - `target`: the column of a table that is to be predicted; several are joined by commas.
    - `scale`: whether a table of one's own is standardised, by its training examples, or `"inputs"` alone; see
      `TableEncoding`.
    - `in_order`: whether what is held out of a .npz file stays in its order, as version 0.1 had it.
    - `encoding`: of a table of one's own, as for `Dataset.from_frame`.

    **Raises:** `InputError` for an unknown name, a task or layout that does not fit, and for files that are missing,
    truncated, altered or wrong.
    """
    name, path = str(name), Path(name)
    if is_table_file(path):
        return _load_table(expand_user(path), target, task=task, layout=layout, scale=scale, encoding=encoding)
    if target:
        raise InputError(
            f"target={target!r} does not fit {name}: it names a column of a table, a file that ends in "
            f"{', '.join(SUFFIXES)}; save a table as one of these, or choose target='' for arrays and named data sets."
        )
    if (table := _published_table(name)) is not None:
        if task not in ("auto", "regression") or layout not in ("auto", "table"):
            raise InputError(
                f"task={task!r} and layout={layout!r} do not fit {name}, a table with real targets; choose auto for "
                "both."
            )
        return table[0](table[1], data_dir, scale)
    if path.suffix == ".npz":
        return load_npz(
            expand_user(path), task=task, layout=layout, scale=scale, like=like, in_order=in_order, encoding=encoding
        )
    if path.suffix:
        raise InputError(
            f"{name} is not a file of data: give a path that ends in {', '.join(FILES)}, such as arrays x and y that "
            f"numpy.savez saved, or take one of {', '.join(LOADERS)}."
        )
    if name in IMAGE_SETS and name not in LOADERS:
        raise InputError(
            f"{name} has test images alone, to be told from those of another set: sdebnn evaluate RUN --ood {name} "
            f"asks that of a run on {', '.join(of for of in mnist.SETS if of in LOADERS)}, whose images have its shape."
        )
    refuse_unknown(name, (*LOADERS, "uci/NAME:SPLIT", "a path that ends in .npz or .csv"), "a data set")
    return LOADERS[name](data_dir)


def read_inputs(path: Path) -> Any:
    """Inputs for predictions, as they are in a file: the array `x` of a .npz file, or the DataFrame of a table.

    **Raises:** `InputError` when it is no such file.
    """
    return read_table(path) if is_table_file(path) else read_array(path)


def _load_table(
    path: Path, target: str, *, task: str, layout: str, scale: Scaling, encoding: TableEncoding | None
) -> Dataset:
    if layout not in ("auto", "table"):
        raise InputError(f"layout={layout!r} does not fit {path}, which is a table; choose layout='auto'.")
    table = without_empty_end(read_table(path))
    if not target:
        raise InputError(
            f"{path} has the columns "
            f"{', '.join(map(repr, table.columns[:20]))}{', ...' if len(table.columns) > 20 else ''}; say which of "
            "them is to be predicted with target='...' (--target)."
        )
    targets = target if target in table.columns else [name.strip() for name in target.split(",")]
    with naming_file(path):
        return Dataset.from_frame(table, targets, task=task, name=path.stem, scale=scale, encoding=encoding)


def is_published(name: str) -> bool:
    """Whether it is the name of a data set, which is read again by that alone, and not of a file of one's own."""
    return name in LOADERS or _published_table(name) is not None


def is_table(name: str, layout: str = "auto") -> bool:
    """Whether data of this name are a table to be standardised: a published one, or one's own, a file of columns, or
    arrays whose x has two axes.
    """
    path = expand_user(Path(name))
    if _published_table(name) is not None or is_table_file(path):
        return True
    return path.suffix == ".npz" and (layout == "table" or (layout == "auto" and input_axes(path) == 2))


def _published_table(name: str) -> tuple[Callable[..., Dataset], str] | None:
    """What loads it, and what it is called there."""
    family, slash, rest = name.partition("/")
    return (TABLES[family], rest) if slash and family in TABLES and Path(rest).suffix not in FILES else None
