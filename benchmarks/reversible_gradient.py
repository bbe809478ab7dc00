"""What does a gradient in constant memory cost? Reversible gradients beside that of a plain scan of the same method.

    JAX_PLATFORMS=cpu python benchmarks/reversible_gradient.py [--width 512] [--rounds 15]

Value and gradient on the equation of `neural_sde.py`, whose noise is diagonal, with every explicit method that takes
it. The plain scan is a `jax.lax.scan` over the steps of the method itself that draws the same normals, differentiated
by JAX.
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from neural_sde import STEPS, neural_sde
from solvers import Equation, finished
from timing import medians, print_conditions, print_rows

from jaxsde import METHODS, CounterPath
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods import Method

EULER = "euler_maruyama"


def plain_scan(equation: Equation, method: Method) -> Callable[..., Any]:
    """The end of the solution, of `(y0, key, params)`."""
    y = equation.y0
    sde = FlatSDE(
        lambda y, t, params: equation.drift(y, params),
        lambda y, t, params: equation.diffusion(y, params),
        method.sde_types[0],
        "diagonal",
        y,
        (jax.ShapeDtypeStruct(y.shape, y.dtype),),
    )
    h = jnp.asarray(1 / STEPS, y.dtype)

    def end(y0: Any, key: Any, params: Any) -> Any:
        def step(carry: Any, k: Any) -> Any:
            t = k.astype(h.dtype) * h
            increment = CounterPath(key).increment(k, t, h, sde.noise_like, method.space_time)
            return method.step(sde, carry, t, h, increment, params), None

        start = method.init(sde, (y0,), jnp.zeros_like(h), params)
        return method.state(jax.lax.scan(step, start, jnp.arange(STEPS))[0])[0]

    return end


def value_and_gradient(equation: Equation, end: Callable[..., Any]) -> Callable[[], Any]:
    key = jax.random.key(1)
    compiled = jax.jit(jax.value_and_grad(lambda y0, params: jnp.sum(end(y0, key, params) ** 2), (0, 1)))
    return functools.partial(finished, compiled, equation.y0, equation.params)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each row")
    parser.add_argument("--width", type=int, default=64, help="hidden units a layer of the drift")
    options = parser.parse_args()
    equation = neural_sde(options.width)
    methods = [m for m in METHODS.values() if m.order("diagonal") and not m.implicit]
    calls: dict[str, Callable[[], Any]] = {}
    for method in methods:
        calls[f"{method.name} scan"] = value_and_gradient(equation, plain_scan(equation, method))
        calls[f"{method.name} reversible"] = value_and_gradient(equation, equation.jaxsde(method.name, "reversible"))
    print_conditions("jax")
    seconds = medians(calls, rounds=options.rounds)
    rows = {}
    for method in methods:
        taken, scan = (seconds[f"{method.name} {which}"] for which in ("reversible", "scan"))
        ratios = taken / scan, taken / seconds[f"{EULER} scan"]
        rows[method.name] = [f"{1000 * scan:.1f}", f"{1000 * taken:.1f}", *(f"{ratio:.2f}" for ratio in ratios)]
    print_rows("Value and gradient", ("scan, ms", "reversible, ms", "times its scan", "times the scan of Euler"), rows)


if __name__ == "__main__":
    main()
