"""The extras of the package: which libraries each brings, and a sentence that names all that are missing at once."""

import importlib.util

from sdebnn.errors import InputError

LIBRARIES = {
    "jax": ("jax", "optax"),
    "torch": ("torch", "torchsde"),
    "plots": ("matplotlib",),
    "tables": ("polars",),
    "tensorboard": ("tensorboardX",),
    "evidence": ("blackjax",),
}
OPTIONAL = ("plots", "tensorboard")
"""Extras that a run goes on without, but that most people want."""


def require(what: str, *needed: str) -> None:
    """Refuses to begin what would end for want of a library.

    **Arguments:**

    - `what`: needs them, for the sentence, such as `Pictures`.
    - `needed`: names of extras.

    **Raises:** `InputError` naming those of `needed` that are missing, and the optional ones that are missing too.
    """
    absent = [extra for extra in needed if not _installed(extra)]
    if not absent:
        return
    libraries = [name for extra in absent for name in LIBRARIES[extra] if not _found(name)]
    others = [extra for extra in OPTIONAL if extra not in absent and not _installed(extra)]
    also = f" (of these {' and '.join(others)} could be left out)" if others else ""
    raise InputError(
        f"{what} needs {' and '.join(libraries)}, which {'are' if len(libraries) > 1 else 'is'} not installed: "
        f"pip install 'sdebnn[{','.join([*absent, *others])}]' brings all that is missing{also}."
    )


def _installed(extra: str) -> bool:
    return all(map(_found, LIBRARIES[extra]))


def _found(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
