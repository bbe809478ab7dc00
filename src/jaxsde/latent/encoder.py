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


class Faded(NamedTuple):
    """Of one series in each interval between its times, of which the first is before all and the last after them:

    - `begin` and `end`: (n + 1,), of the interval; that of the first is its end, and that of the last its begin.
    - `rates`: (rates,), at which sums fade, in turns.
    - `before`: (n + 1, features), sums of what was seen before the interval, as it begins.
    - `after`: (n + 1, features), sums of what was seen after the interval, as it ends.
    """

    begin: Float[Array, " intervals"]
    end: Float[Array, " intervals"]
    rates: Float[Array, " rates"]
    before: Float[Array, "intervals features"]
    after: Float[Array, "intervals features"]


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


def faded(log_rates: Float[Array, " rates"], context: Context) -> Faded:
    """What was seen by each of the times and from each of them on, faded at a few rates. Entries take turns at them."""
    rates, times, seen = jnp.exp(log_rates), context.times, context.seen[:, None]
    padded = jnp.pad(context.hidden, ((0, 0), (0, -context.hidden.shape[1] % rates.size)))
    entries = jnp.concatenate([padded, jnp.ones((times.size, rates.size), padded.dtype)], 1)
    entries = jnp.where(seen, entries, jnp.zeros_like(entries))
    fading = _fading(jnp.diff(times), rates, entries.shape[1])

    def step(sums: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        fading, entry = row
        sums = fading * sums + entry
        return sums, sums

    first, none = jnp.ones_like(entries[:1]), jnp.zeros_like(entries[:1])
    before = loops.scan(step, none[0], (jnp.concatenate([first, fading]), entries))[1]
    after = loops.scan(step, none[0], (jnp.concatenate([fading, first]), entries), reverse=True)[1]
    begin, end = jnp.append(times[:1], times), jnp.append(times, times[-1:])
    return Faded(begin, end, rates, jnp.concatenate([none, before]), jnp.concatenate([after, none]))


def around(sums: Faded, t: Time) -> Float[Array, " features"]:
    """What was seen near t: sums over the observations, which fade with the distance to t.

    They are continuous in t, with kinks where something was observed, as a posterior's moments are. At a kink the slope
    is that of the step which begins there.
    """
    interval = jnp.sum(sums.begin[1:] <= t)
    since = jnp.where(interval > 0, t - sums.begin[interval], jnp.zeros_like(t))
    until = jnp.where(interval < sums.begin.size - 1, sums.end[interval] - t, jnp.zeros_like(t))
    before, after = sums.before[interval], sums.after[interval]
    of_before, of_after = _fading(jnp.stack([since, until]), sums.rates, before.size)
    return before * of_before + after * of_after


def _fading(distance: Float[Array, " n"], rates: Float[Array, " rates"], features: int) -> Float[Array, "n features"]:
    """How far the features have faded, which take turns at the rates.

    By products of matrices: gradients of rates are sums along an axis so short that XLA takes ten times as long.
    """
    turns = jnp.tile(jnp.eye(rates.size, dtype=rates.dtype), (1, features // rates.size))
    return jnp.exp(-(distance[:, None] @ rates[None, :])) @ turns


def _sweep(params: PyTree, inputs: Float[Array, "n features"], anchor: Bool[Array, " n"], reverse: bool) -> Any:
    def step(hidden: Array, row: Any) -> Any:
        of_input, moves = row
        hidden = jnp.where(moves, _gru(params, hidden, of_input), hidden)
        return hidden, hidden

    start = jnp.zeros(params["recurrent"].shape[0], inputs.dtype)
    of_inputs = inputs @ params["input"] + params["bias"][None, :]
    return loops.scan(step, start, (of_inputs, anchor), reverse=reverse)[1]


def _gru_params(rng: Key, inputs: int, size: int) -> dict[str, Any]:
    of_input, of_hidden = jax.random.split(rng)
    return {
        "input": jax.random.normal(of_input, (inputs, 3 * size)) / inputs**0.5,
        "recurrent": jax.random.normal(of_hidden, (size, 3 * size)) / size**0.5,
        "bias": jnp.zeros(3 * size),
    }


def _gru(params: PyTree, hidden: Float[Array, " size"], of_input: Float[Array, " features"]) -> Any:
    """Cho et al., 2014, of a mapped input."""
    keep_in, reset_in, new_in = jnp.split(of_input, 3)
    keep_by, reset_by, new_by = jnp.split(hidden @ params["recurrent"], 3)
    keep, reset = jax.nn.sigmoid(keep_in + keep_by), jax.nn.sigmoid(reset_in + reset_by)
    return keep * hidden + (1 - keep) * jnp.tanh(new_in + reset * new_by)
