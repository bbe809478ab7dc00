"""A neural SDE trained as a GAN (Kidger et al., "Neural SDEs as infinite-dimensional GANs", 2021): the example
`sde_gan` of torchsde, in JAX.

    pip install 'sdebnn[jax,plots]'
    python examples/jaxsde/sde_gan.py

The data are paths of an Ornstein-Uhlenbeck process that depends on time. The generator is a neural SDE with general
noise, in Stratonovich's sense, that starts from noise too. The discriminator is a neural CDE, dH = F(H, t) d(t, Y):
an equation along a path that is given, here the one whose score is asked for. Both are solved by the reversible Heun
method, whose gradients are exact in the memory of one step. It is a Wasserstein GAN: weights of the discriminator are
clipped, which with its activations keeps its Lipschitz constant small. What comes out is how far the generated values
are from new data, time by time, before and after training, and a picture of both.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.example_libraries import stax

from jaxsde import SDE, FixedSteps, ReplayedPath, solve
from sdebnn.plots.style import BLUE, RED, drawing, legend_below, panels

INITIAL_NOISE, NOISE = 5, 3
EXACT: dict[str, Any] = {"steps": FixedSteps(1), "method": "reversible_heun", "adjoint": "reversible"}
LIPSWISH = stax.elementwise(lambda x: 0.909 * jax.nn.silu(x))


class Found(NamedTuple):
    """Paths of new data and of the generator, (paths, n), in deviations of the data; the mean distance between both
    before training and after it; and the discriminator's weights.
    """

    data: np.ndarray
    generated: np.ndarray
    before: float
    after: float
    discriminator: Any


def ornstein_uhlenbeck(count: int, times: np.ndarray, seed: int) -> np.ndarray:
    """Paths of dy = (6 t - 3 y) dt + 1.2 t dB, (count, n), centred and scaled."""
    start, path = jax.random.split(jax.random.key(seed))
    sde = SDE(lambda y, t, args: 6 * t - 3 * y, lambda y, t, args: 1.2 * t + 0 * y, noise="additive")
    y0 = jax.random.uniform(start, (count,), minval=-1, maxval=1)
    ys = solve(sde, y0, times, path, steps=FixedSteps(dt=float(times[1]) / 8)).ys
    return (np.asarray(ys.T) - 0.7) / 0.6


class Networks:
    """The generator and the discriminator, of states of so many entries and fields with so many hidden units."""

    def __init__(self, times: np.ndarray, state: int, hidden: int) -> None:
        def network(outputs: int, *last: Any) -> Any:
            return stax.serial(stax.Dense(hidden), LIPSWISH, stax.Dense(outputs), *last)

        self.times, self.state = times, state
        # What moves a state is bounded by the last tanh.
        self.parts = {
            "generator": {
                "initial": (INITIAL_NOISE, network(state)),
                "drift": (1 + state, network(state, stax.Tanh)),
                "diffusion": (1 + state, network(state * NOISE, stax.Tanh)),
                "readout": (state, stax.Dense(1)),
            },
            "discriminator": {
                "initial": (2, network(state)),
                "field": (1 + state, network(state * 2, stax.Tanh)),
                "readout": (state, stax.Dense(1)),
            },
        }

    def init(self, which: str, rng: Any) -> dict[str, Any]:
        parts = self.parts[which]
        keys = jax.random.split(rng, len(parts))
        return {
            name: init(key, (inputs,))[1]
            for key, (name, (inputs, (init, _))) in zip(keys, parts.items(), strict=True)
        }  # fmt: skip

    def generate(self, params: Any, key: Any) -> jax.Array:
        """The values of one path, (n,)."""
        initial, drift, diffusion, readout = (part[1][1] for part in self.parts["generator"].values())
        start_key, path_key = jax.random.split(key)

        def f(x: jax.Array, t: jax.Array, params: Any) -> jax.Array:
            return drift(params["drift"], jnp.append(x, t))

        def g(x: jax.Array, t: jax.Array, params: Any) -> jax.Array:
            return diffusion(params["diffusion"], jnp.append(x, t)).reshape(self.state, NOISE)

        x0 = initial(params["initial"], jax.random.normal(start_key, (INITIAL_NOISE,)))
        xs = solve(SDE(f, g, "stratonovich", "general"), x0, self.times, path_key, params, **EXACT).ys
        return readout(params["readout"], xs)[:, 0]

    def score(self, params: Any, ys: jax.Array) -> jax.Array:
        """What the discriminator says of one path, (n,): higher of data."""
        initial, field, readout = (part[1][1] for part in self.parts["discriminator"].values())
        control = jnp.stack([jnp.asarray(self.times, ys.dtype), ys], axis=1)

        def along(h: jax.Array, t: jax.Array, params: Any) -> jax.Array:
            return field(params["field"], jnp.append(h, t)).reshape(self.state, 2)

        # A CDE is an equation along a path that is given: here in the place of the Brownian motion.
        cde = SDE(lambda h, t, params: 0 * h, along, "stratonovich", "general")
        h0, path = initial(params["initial"], control[0]), ReplayedPath(jnp.diff(control, axis=0))
        hs = solve(cde, h0, self.times, None, params, brownian=path, **EXACT).ys
        return readout(params["readout"], hs[-1])[0]


def clipped(params: Any) -> Any:
    """The weights within the reciprocal of a layer's outputs; biases as they are."""
    return jax.tree.map(lambda w: jnp.clip(w, -1 / w.shape[1], 1 / w.shape[1]) if w.ndim == 2 else w, params)


def train(networks: Networks, data: np.ndarray, options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """The generator's parameters before training, and averaged over its second half; and the discriminator's."""
    generator_key, discriminator_key, train_key = jax.random.split(jax.random.key(1), 3)
    first = networks.init("generator", generator_key)
    generator, discriminator = first, clipped(networks.init("discriminator", discriminator_key))
    optimisers = [optax.rmsprop(rate) for rate in (options.generator_rate, options.discriminator_rate)]

    def gap(generator: Any, discriminator: Any, real: jax.Array, keys: Any) -> jax.Array:
        """By how much the scores of data are higher. The discriminator raises it and the generator lowers it."""
        generated = jax.vmap(networks.generate, (None, 0))(generator, keys)
        score = jax.vmap(networks.score, (None, 0))
        return score(discriminator, real).mean() - score(discriminator, generated).mean()

    def step(carry: Any, number: jax.Array) -> tuple[Any, jax.Array]:
        generator, discriminator, moments, average = carry
        key, of_data = jax.random.split(jax.random.fold_in(train_key, number))
        real = jnp.asarray(data)[jax.random.choice(of_data, len(data), (options.batch,))]
        keys = jax.random.split(key, options.batch)
        value, (down, up) = jax.value_and_grad(gap, (0, 1))(generator, discriminator, real, keys)
        new, moved = [], (generator, discriminator)
        for optimiser, moment, slope, params in zip(
            optimisers, moments, (down, jax.tree.map(jnp.negative, up)), moved, strict=True
        ):
            updates, moment = optimiser.update(slope, moment, params)
            new.append((optax.apply_updates(params, updates), moment))
        (generator, of_generator), (discriminator, of_discriminator) = new
        # What GANs do in circles is averaged out, as torchsde's example does.
        weight = 1 / jnp.maximum(number - options.steps // 2, 1).astype(jnp.float32)
        average = optax.incremental_update(generator, average, weight)
        return (generator, clipped(discriminator), (of_generator, of_discriminator), average), value

    @jax.jit
    def run(generator: Any, discriminator: Any) -> Any:
        moments = tuple(o.init(p) for o, p in zip(optimisers, (generator, discriminator), strict=True))
        return jax.lax.scan(step, (generator, discriminator, moments, generator), jnp.arange(options.steps))

    (_, discriminator, _, average), _ = run(generator, discriminator)
    return first, average, discriminator


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Of two sets of as many paths, Wasserstein's distance of their values at a time, on average over the times."""
    return float(np.mean(np.abs(np.sort(a, axis=0) - np.sort(b, axis=0))))


def picture(found: Found, times: np.ndarray, path: Path) -> None:
    with drawing(None, path, "A neural SDE trained as a GAN", width=7.0, height=3.2) as ax:
        paths, laws = panels(ax, 1, 2, sharey=True)[0]
        for colour, name, ys in ((BLUE, "data", found.data), (RED, "generated", found.generated)):
            paths.plot(times, ys[:30].T, color=colour, linewidth=0.5)
            low, middle, high = np.quantile(ys, [0.05, 0.5, 0.95], axis=0)
            laws.fill_between(times, low, high, color=colour, alpha=0.25, linewidth=0, label=f"90 % of {name}")
            laws.plot(times, middle, color=colour, label=f"median, {name}")
        paths.set(title="Paths", xlabel="t")
        laws.set(title="Laws", xlabel="t")
        legend_below(4, laws)
    print(f"The picture is {path}.")


def main(arguments: Sequence[str] | None = None) -> Found:
    """Trains, draws the picture, and returns what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--steps", type=int, default=3000, help="of both optimisers")
    parser.add_argument("--batch", type=int, default=128, help="paths of each step")
    parser.add_argument("--times", type=int, default=17, help="at which a path is seen, on [0, 1]")
    parser.add_argument("--state", type=int, default=16, help="entries of the states of both equations")
    parser.add_argument("--hidden", type=int, default=16, help="units of each hidden layer")
    parser.add_argument("--generator-rate", type=float, default=3e-4)
    parser.add_argument("--discriminator-rate", type=float, default=3e-3)
    parser.add_argument("--output", type=Path, default=Path("runs/sde_gan.png"), help="PNG to write")
    options = parser.parse_args(arguments)

    times = np.linspace(0, 1, options.times)
    networks = Networks(times, options.state, options.hidden)
    first, last, discriminator = train(networks, ornstein_uhlenbeck(8192, times, 0), options)
    new = ornstein_uhlenbeck(2048, times, 1)
    keys = jax.random.split(jax.random.key(2), len(new))
    generate = jax.jit(jax.vmap(networks.generate, (None, 0)))
    before, after = (np.asarray(generate(params, keys)) for params in (first, last))
    found = Found(new, after, distance(new, before), distance(new, after), discriminator)
    print(f"Values are {found.before:.2f} from the data before training and {found.after:.2f} after it.")
    picture(found, times, options.output)
    return found


if __name__ == "__main__":
    main()
