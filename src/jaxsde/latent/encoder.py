"""What a posterior reads of a series: a GRU over its observations, at irregular times and with missing values.

It moves at the anchors alone, which are the first time and the times of observations, so that times without
observations change nothing. Backwards it has seen at an anchor what was observed there and after it; forwards, there
and before it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxsde import loops
from jaxsde.types import Key, Time


class Context(NamedTuple):
    """Of one series at each of its times:

    - `times`: (n,).
    - `hidden`: (n, size), of an anchor what the GRU has seen; of other times of no use.
    - `after`: (n,), the number of the first anchor from that time on, or the last.
    - `seen`: (n,), whether anything was observed.
    """

    times: Float[Array, " n"]
    hidden: Float[Array, "n size"]
    after: Int[Array, " n"]
    seen: Bool[Array, " n"]


def encoder_params(rng: Key, width: int, size: int, both_ways: bool) -> dict[str, Any]:
    """Parameters of `encode`, for values of that width and a context of that size.

    **Arguments:**

    - `both_ways`: whether it goes forwards too, as a posterior's marginals need; its drift needs what comes alone.
    """
    keys = jax.random.split(rng, 2)
    ways = ("backwards", "forwards") if both_ways else ("backwards",)
    return {way: _gru_params(key, 2 * width + 1, size) for way, key in zip(ways, keys, strict=False)}


def encode(
    params: PyTree, times: Float[Array, " n"], values: Float[Array, "n width"], mask: Bool[Array, "n width"]
) -> Context:
    """The context of one series. What the mask leaves out does not matter."""
    n = times.size
    number = jnp.arange(n, dtype=jnp.int32)
    seen = mask.any(1)
    anchor = seen | (number == 0)
    before = jax.lax.cummax(jnp.where(anchor, number, 0))
    after = jnp.minimum(jax.lax.cummin(jnp.where(anchor, number, n), reverse=True), before[-1])
    inputs = jnp.concatenate([jnp.where(mask, values, jnp.zeros_like(values)), mask.astype(values.dtype)], 1)
    neighbour = {
        "backwards": jnp.append(after[1:], before[-1]),
        "forwards": jnp.concatenate([jnp.zeros(1, jnp.int32), before[:-1]]),
    }
    hidden = [
        _sweep(of_way, jnp.column_stack([inputs, jnp.abs(times - times[neighbour[way]])]), anchor, way == "backwards")
        for way, of_way in params.items()
    ]
    return Context(times, jnp.concatenate(hidden, 1), after, seen)


def ahead(context: Context, t: Time) -> Float[Array, " features"]:
    """What is yet to be observed after t: what was seen at the next anchor, and how far it is, in two scales."""
    anchor = context.after[jnp.minimum(jnp.sum(context.times <= t), context.times.size - 1)]
    gap = context.times[anchor] - t
    return jnp.concatenate([context.hidden[anchor], gap[None], jnp.exp(-8 * gap)[None]])


def at_first(context: Context) -> Float[Array, " size"]:
    """What is observed at the first time and after it."""
    return context.hidden[0]


def around(log_rates: Float[Array, " size"], context: Context, t: Time) -> Float[Array, " features"]:
    """What was seen near t: sums over the observations, which fade with the distance to t at a rate of each entry.

    They are continuous in t, with kinks where something was observed, as a posterior's moments are.
    """
    distance = jnp.abs(t - context.times)
    fading = jnp.exp(-jnp.exp(log_rates)[None, :] * distance[:, None])
    weights = jnp.where(context.seen[:, None], fading, jnp.zeros_like(fading))
    return jnp.concatenate([jnp.sum(weights * context.hidden, 0), jnp.sum(weights, 0)])


def _sweep(params: PyTree, inputs: Float[Array, "n features"], anchor: Bool[Array, " n"], reverse: bool) -> Any:
    def step(hidden: Array, row: Any) -> Any:
        x, moves = row
        hidden = jnp.where(moves, _gru(params, hidden, x), hidden)
        return hidden, hidden

    start = jnp.zeros(params["recurrent"].shape[0], inputs.dtype)
    return loops.scan(step, start, (inputs, anchor), reverse=reverse)[1]


def _gru_params(rng: Key, inputs: int, size: int) -> dict[str, Any]:
    of_input, of_hidden = jax.random.split(rng)
    return {
        "input": jax.random.normal(of_input, (inputs, 3 * size)) / inputs**0.5,
        "recurrent": jax.random.normal(of_hidden, (size, 3 * size)) / size**0.5,
        "bias": jnp.zeros(3 * size),
    }


def _gru(params: PyTree, hidden: Float[Array, " size"], x: Float[Array, " features"]) -> Any:
    """Cho et al., 2014."""
    of_input = jnp.split(x @ params["input"] + params["bias"], 3)
    of_hidden = jnp.split(hidden @ params["recurrent"], 3)
    keep = jax.nn.sigmoid(of_input[0] + of_hidden[0])
    reset = jax.nn.sigmoid(of_input[1] + of_hidden[1])
    return keep * hidden + (1 - keep) * jnp.tanh(of_input[2] + reset * of_hidden[2])
