"""A network whose weights are drawn, as a file that is read without this package."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from sdebnn import storage
from sdebnn.errors import InputError

PLATFORMS = ("cpu", "cuda", "tpu")
SUFFIX = ".jax"


def export(
    function: Callable[[Float[Array, "n ..."]], Float[Array, "n d"]],
    path: Path,
    example: Float32[np.ndarray, "1 ..."],
    shift: Float[np.ndarray, " d"],
    scale: Float[np.ndarray, " d"],
) -> None:
    """Writes shift + scale * function(x), weights and all, for any number of inputs. `jax.export.deserialize` reads it.

    **Arguments:**

    - `function`: a traceable function of the inputs alone.
    - `path`: of the file.
    - `example`: of the inputs, whose numbers do not matter.
    - `shift`, `scale`: of the user's units.

    **Raises:** `InputError` for another suffix than `.jax`, and where the package that writes it is missing;
    `StorageError` when it cannot be written.
    """
    if path.suffix != SUFFIX:
        raise InputError(
            f"A network in JAX is exported to a file that ends in {SUFFIX}, and {path} ends in "
            f"{path.suffix or 'nothing'!r}; load the posterior with framework='torch' for .pt2 and .onnx."
        )
    if importlib.util.find_spec("flatbuffers") is None:
        raise InputError(f"A file {SUFFIX} needs flatbuffers, which is not installed: pip install 'sdebnn[export]'.")
    added, factor = (jnp.asarray(part[None], jnp.float32) for part in (shift, scale))
    shape: Any = (*jax.export.symbolic_shape("n"), *example.shape[1:])
    scaled = jax.jit(lambda x: added + factor * function(x))
    exported = jax.export.export(scaled, platforms=PLATFORMS)(jax.ShapeDtypeStruct(shape, np.float32))
    storage.write(path.parent.resolve() / path.name, bytes(exported.serialize()))
