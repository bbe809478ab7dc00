"""What does a gradient in constant memory cost? Reversible gradients beside that of a plain scan of the same method.

    JAX_PLATFORMS=cpu python benchmarks/reversible_gradient.py [--width 64 512] [--rounds 15]

Value and gradient on the equation of `neural_sde.py`, with every explicit method: with diagonal noise those that take
it, and with additive noise, general noise of three Brownian motions, and as the force of a Langevin equation those that
are made for that. The plain scan is a `jax.lax.scan` over the steps of the method itself that draws the same normals,
differentiated by JAX.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from neural_sde import STEPS, neural_sde
from solvers import Equation, finished
from timing import medians, print_conditions, print_rows

from jaxsde import METHODS, SDE, CounterPath, FixedSteps, Langevin, solve
from jaxsde.methods import Method
from jaxsde.problem import check_equation, check_langevin
from jaxsde.types import Noise

EULER = "euler_maruyama"
TS = np.asarray([0.0, 1.0], np.float32)
NOISES: tuple[Noise, ...] = ("diagonal", "additive", "general")
DIFFUSIONS: dict[str, Callable[..., Any]] = {
    "additive": lambda y, t, params: 0.1 * jnp.ones_like(y),
    "general": lambda y, t, params: 0.1 + 0.1 * jnp.tanh(y[..., None] + jnp.arange(3.0)),
}


def posed(equation: Equation, method: Method) -> tuple[SDE | Langevin, Any]:
    """The equation, with the first of diagonal, additive and general noise that the method takes, and its start."""

    def drift(y: Any, t: Any, params: Any) -> Any:
        return equation.drift(y, params)

    if method.langevin:
        return Langevin(drift, 0.5, 0.1), (equation.y0, jnp.zeros_like(equation.y0))
    noise = next(noise for noise in NOISES if method.order(noise))
    diffusion = DIFFUSIONS.get(noise, lambda y, t, params: equation.diffusion(y, params))
    return SDE(drift, diffusion, method.sde_types[0], noise), equation.y0


def plain_scan(sde: SDE | Langevin, method: Method, y0: Any, params: Any) -> Callable[..., Any]:
    """The end of the solution, of `(y0, key, params)`."""
    check: Callable[..., Any] = check_langevin if isinstance(sde, Langevin) else check_equation
    flat = check(sde, y0, jnp.asarray(TS), params)
    h = jnp.asarray(1 / STEPS, jnp.float32)
    areas = {"area": True} if method.area else {}

    def end(y0: Any, key: Any, params: Any) -> Any:
        def step(carry: Any, k: Any) -> Any:
            t = k.astype(h.dtype) * h
            increment = CounterPath(key).increment(k, t, h, flat.noise_like, method.space_time, **areas)
            return method.step(flat, carry, t, h, increment, params), None

        start = method.init(flat, tuple(jax.tree.leaves(y0)), jnp.zeros_like(h), params)
        return method.state(jax.lax.scan(step, start, jnp.arange(STEPS))[0])

    return end


def reversible(sde: SDE | Langevin, method: Method) -> Callable[..., Any]:
    """The same, by `solve`."""
    choices: dict[str, Any] = {"steps": FixedSteps(STEPS), "method": method.name, "adjoint": "reversible"}
    return lambda y0, key, params: solve(sde, y0, TS, key, params, **choices).end


def value_and_gradient(end: Callable[..., Any], y0: Any, params: Any) -> Callable[[], Any]:
    key = jax.random.key(1)

    def loss(y0: Any, params: Any) -> Any:
        return sum(jnp.sum(y**2) for y in jax.tree.leaves(end(y0, key, params)))

    return functools.partial(finished, jax.jit(jax.value_and_grad(loss, (0, 1))), y0, params)


def print_costs(width: int, rounds: int) -> None:
    equation = neural_sde(width)
    methods = [method for method in METHODS.values() if not method.implicit]
    calls: dict[str, Callable[[], Any]] = {}
    for method in methods:
        sde, y0 = posed(equation, method)
        for which, end in {
            "scan": plain_scan(sde, method, y0, equation.params),
            "reversible": reversible(sde, method),
        }.items():
            calls[f"{method.name} {which}"] = value_and_gradient(end, y0, equation.params)
    seconds = medians(calls, rounds=rounds)
    rows = {}
    for method in methods:
        taken, scan = (seconds[f"{method.name} {which}"] for which in ("reversible", "scan"))
        ratios = taken / scan, taken / seconds[f"{EULER} scan"]
        sde, _ = posed(equation, method)
        noise = "Langevin" if isinstance(sde, Langevin) else sde.noise
        times = (f"{1000 * scan:.1f}", f"{1000 * taken:.1f}", *(f"{ratio:.2f}" for ratio in ratios))
        rows[f"{method.name}, {noise}"] = times
    columns = "scan, ms", "reversible, ms", "times its scan", "times the scan of Euler"
    print_rows(f"Value and gradient, width {width}", columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each row")
    parser.add_argument(
        "--width", type=int, nargs="+", default=[64, 512], help="hidden units a layer of the drift: a table each"
    )
    options = parser.parse_args()
    print_conditions("jax")
    for width in options.width:
        print_costs(width, options.rounds)


if __name__ == "__main__":
    main()
