"""The loop over steps that every solve shares."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsde.methods.method import Method
from jaxsde.sde import SDE


class Interval(NamedTuple):
    """One interval of the output grid: where it starts, its step, its number, and what the path is sliced to."""

    index: Any
    t: Any
    h: Any
    path: Any


class Scheme(NamedTuple):
    """A method on an equation, stepping `substeps` times an output interval; `save` says what is kept of y."""

    sde: SDE
    method: Method
    substeps: int
    save: Callable[[Any], Any]

    def output(self, carry: Any) -> Any:
        return self.save(self.sde.unflatten(self.method.state(carry)))

    def step(self, carry: Any, args: Any, path: Any, interval: Interval, j: Any) -> Any:
        """Step j of an interval. `path` is `None` where the interval has the path's slice."""
        return self.method.step(self.sde, carry, *self.at(path, interval, j), args)

    def inverse(self, carry: Any, args: Any, path: Any, interval: Interval, j: Any) -> Any:
        assert self.method.inverse is not None
        return self.method.inverse(self.sde, carry, *self.at(path, interval, j), args)

    def at(self, path: Any, interval: Interval, j: Any) -> tuple[Any, Any, Any]:
        """Time, length and Brownian increment of step j of an interval."""
        index, t, h, sliced = interval
        increment = (sliced if path is None else path).increment(
            index * self.substeps + j, h, self.sde.noise_like, self.method.space_time
        )
        return t + jnp.asarray(j, t.dtype) * h, h, increment


def intervals(ts: Any, substeps: int, path: Any) -> tuple[Interval, Any]:
    """The intervals of the output grid `ts`, stacked, and the path as far as it is not sliced into them."""
    n = ts.shape[0] - 1
    sliced, rest = (path, None) if path.sliced else (None, path)
    if substeps > 1:
        sliced = jax.tree.map(lambda x: x.reshape(n, substeps, *x.shape[1:]), sliced)
    return Interval(jnp.arange(n), ts[:-1], jnp.diff(ts) / substeps, sliced), rest


def solve(scheme: Scheme, carry: Any, args: Any, path: Any, xs: Interval) -> tuple[Any, Any]:
    """Steps through all intervals. Returns the last carry and the outputs, stacked, y0's first."""
    step = scheme.step

    def interval(carry: Any, x: Interval) -> tuple[Any, Any]:
        if scheme.substeps == 1:
            carry = step(carry, args, path, x, 0)
        else:
            (_, carry), _ = jax.lax.scan(
                lambda jc, p: ((jc[0] + 1, step(jc[1], args, path, x._replace(path=p), jc[0])), None),
                (jnp.zeros((), jnp.int32), carry), x.path, scheme.substeps,
            )  # fmt: skip
        return carry, scheme.output(carry)

    first = scheme.output(carry)
    carry, outputs = jax.lax.scan(interval, carry, xs)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([jnp.asarray(a)[None], b]), first, outputs)
