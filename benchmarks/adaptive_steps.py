"""Which method is best at choosing its own steps? Strong error at the end against the time and the work of a solve.

    JAX_PLATFORMS=cpu python benchmarks/adaptive_steps.py

Ito equations of ten entries, 64 paths in one batch, each with steps of its own, single precision. All methods walk on
the same paths; the truth is a closed form of W, or of equations that decay fast a walk of 8,192 equal steps.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from timing import medians, print_conditions, print_rows
from work_precision import DIMENSIONS, EQUATIONS, GOAL, cost_for

from jaxsde import SDE, AdaptiveSteps, FixedSteps, VirtualTree, solve
from jaxsde.types import Noise

PATHS, FINE = 64, 8192
TOLERANCES = tuple(10.0**-power for power in (1, 1.5, 2, 2.5, 3, 3.5, 4))
RATES = jnp.geomspace(0.1, 100, DIMENSIONS)
METHODS = {"diagonal": ("sriw1", "sosri", "milstein"), "additive": ("sra1", "sosra")}


class Problem(NamedTuple):
    """An equation from 0 to 1; `exact(W)` of its end, or `None` where no form of W is known."""

    drift: Callable[..., Any]
    diffusion: Callable[..., Any]
    noise: Noise
    start: float
    exact: Callable[[np.ndarray], np.ndarray] | None

    def ends(self, method: str, steps: Any) -> Callable[[Any], Any]:
        """The solution at the end for each key, W there, and the evaluations of the drift."""
        sde = SDE(self.drift, self.diffusion, "ito", self.noise)

        def one(key: Any) -> Any:
            path = VirtualTree(key, 0.0, 1.0, 2.0**-18, space_time=True)
            solution = solve(
                sde, jnp.full(DIMENSIONS, self.start), np.array([0.0, 1.0]), key, method=method, steps=steps,
                brownian=path, running=lambda y, t, h, dW, args: dW,
            )  # fmt: skip
            moved: Any = solution.sums
            return solution.ys[-1], moved[-1], solution.stats.evaluations

        return jax.jit(jax.vmap(one))

    def truth(self, keys: Any) -> np.ndarray:
        steps = FixedSteps(1 if self.exact else FINE)
        end, W, _ = self.ends(METHODS[self.noise][0], steps)(keys)
        return self.exact(np.asarray(W, np.float64)) if self.exact else np.asarray(end, np.float64)


def problems() -> dict[str, Problem]:
    found = {}
    for name, equation in EQUATIONS.items():
        if equation.noise in METHODS:
            # Additive noise does not depend on y, so it gets another in its place.
            size = (lambda y: jnp.zeros(DIMENSIONS)) if equation.noise == "additive" else (lambda y: y)
            found[name] = Problem(
                lambda y, t, args, equation=equation: equation.drift(jnp, t, y),
                lambda y, t, args, equation=equation, size=size: equation.diffusion(jnp, t, size(y)),
                equation.noise, equation.start, equation.exact,
            )  # fmt: skip
    decay = lambda y, t, args: RATES * (1 - y)  # noqa: E731
    found["rates from 0.1 to 100, diagonal noise"] = Problem(decay, lambda y, t, args: 0.3 * y, "diagonal", 0.5, None)
    found["rates from 0.1 to 100, additive noise"] = Problem(
        decay, lambda y, t, args: jnp.full(DIMENSIONS, 0.3), "additive", 0.5, None
    )
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print_conditions("jax")
    keys = jax.random.split(jax.random.key(0), PATHS)
    for name, problem in problems().items():
        truth, rows = problem.truth(keys), {}
        for method in METHODS[problem.noise]:
            points = []
            for tolerance in TOLERANCES:
                call = problem.ends(method, AdaptiveSteps(tolerance, tolerance, max_steps=20_000))
                end, _, evaluations = call(keys)
                error = float(np.abs(np.asarray(end, np.float64) - truth).mean())
                seconds = medians({"": lambda call=call: jax.block_until_ready(call(keys))}, rounds=3)[""]
                points.append((float(np.mean(evaluations)), error, seconds))
                if error < GOAL / 3:
                    break
            time = cost_for([(error, seconds) for _, error, seconds in points], GOAL)
            drifts = cost_for([(error, evaluations) for evaluations, error, _ in points], GOAL)
            rows[method] = [f"{1000 * time:.3g}", f"{drifts:.3g}", f"{points[-1][1]:.1e}"]
        print_rows(f"{name}: an error of {GOAL:g}", ("ms", "evaluations of the drift", "smallest error seen"), rows)


if __name__ == "__main__":
    main()
