"""Standard normals for the leaves of the noise."""

import jax

from jaxsde.types import Key, Leaves, Shapes


def normals(key: Key, like: Shapes) -> Leaves:
    """One array for each leaf of `like`, and `None` for a `None`. Several leaves split the key, one key a leaf."""
    noisy = [x for x in like if x is not None]
    keys = iter([key] if len(noisy) == 1 else jax.random.split(key, max(len(noisy), 1)))
    return tuple(None if x is None else jax.random.normal(next(keys), x.shape, x.dtype) for x in like)
