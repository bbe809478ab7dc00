"""Modules of other libraries as f_x, the network that moves the hidden state: their weights then follow the weight SDE.

Each adapter needs its own library, which is imported when the adapter is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdebnn.brax.adapters.equinox_module import from_equinox
    from sdebnn.brax.adapters.linen_module import from_linen
    from sdebnn.brax.adapters.nnx_module import from_nnx

__all__ = ["from_equinox", "from_linen", "from_nnx"]

_LIBRARIES = {"from_equinox": "equinox", "from_linen": "flax", "from_nnx": "flax"}


def __getattr__(name: str) -> Any:
    if name not in _LIBRARIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    library = _LIBRARIES[name]
    try:
        module = importlib.import_module(f"{__name__}.{name.removeprefix('from_')}_module")
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ImportError(
            f"{name} needs {library}, which is not installed: pip install 'sdebnn[{library}]'."
        ) from error
    return getattr(module, name)
