"""What does the root of an implicit step cost, by jaxsde's own Newton's method and by optimistix?

    JAX_PLATFORMS=cpu python benchmarks/implicit_root.py [--rounds N] [--page MD]

Implicit Euler in the same loop over the same noise; only what finds the end of a step differs. Its derivative is that
of the implicit function theorem for either. Double precision, 100 steps. `apart` is how far the solutions at the end
are from jaxsde's at most, relative to the largest entry, and `gradient apart` the same of the derivative by the rates.
optimistix ends at a correction below its tolerance. With 1e-8 the next one of Newton's method is rounding; its chord
method, which keeps the first derivative of a step, has a row with 1e-13 too, to end as near. jaxsde ends where what is
left of the equation is rounding, and keeps a derivative where corrections fall fast by it.

Each row is kept in `--rows`; delete the file to measure anew.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from results_file import RESULTS, ResultsFile, write_tables
from timing import conditions, medians, table

from jaxsde import METHODS, SDE, FixedSteps, solve
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods import Method

EULER = METHODS["implicit_euler"]
STEPS = 100


class Problem(NamedTuple):
    """dy = f(y, k) dt + sigma(y) dB from y0, up to time `end`."""

    drift: Callable[[Any, Any], Any]
    sigma: Callable[[Any], Any]
    y0: Any
    k: float
    end: float


def cubic(y: Any, k: Any) -> Any:
    """A slow entry, one that follows its cube root fast, and one that follows both."""
    a, b, c = y
    return jnp.stack([c - a, -1e4 * k * (b**3 + b - a), -1e3 * k * (c - a * jnp.cos(b))])


def allen_cahn(y: Any, k: Any) -> Any:
    """y - y^3 and diffusion on 100 points of a rod, with rates up to 4e4 k."""
    return k * 1e4 * (jnp.roll(y, 1) - 2 * y + jnp.roll(y, -1)) + y - y**3


def wave(points: int) -> Any:
    return np.sin(2 * np.pi * np.arange(points) / points)


PROBLEMS = {
    "One slow and two fast entries": Problem(cubic, lambda y: 0.1 * y, np.ones(3), 1.0, 1.0),
    "Allen and Cahn's equation, 100 entries": Problem(allen_cahn, lambda y: 0.1 + 0 * y, wave(100), 0.1, 1.0),
}


def by_optimistix(method: Any, tolerance: float) -> Method:
    """Implicit Euler, whose root optimistix finds."""
    solver = method(tolerance, tolerance)

    def step(sde: FlatSDE, y: Any, t: Any, h: Any, increment: Increment, args: Any) -> Any:
        moved = add(y, sde.noise_term(y, t, args, increment.dW))

        def residual(z: Any, _: None) -> Any:
            return add(z, scale(-1, moved), scale(-h, sde.drift(z, t + h, args)))

        return optx.root_find(residual, solver, moved, None, max_steps=30, throw=False).value

    return dataclasses.replace(EULER, name=f"optimistix {method.__name__} {tolerance}", step=step)


FINDERS = {
    "jaxsde": EULER,
    "optimistix Newton": by_optimistix(optx.Newton, 1e-8),
    "optimistix Chord": by_optimistix(optx.Chord, 1e-8),
    "optimistix Chord, 1e-13": by_optimistix(optx.Chord, 1e-13),
}


def ends(problem: Problem, method: Method, steps: int = STEPS) -> Callable[..., Any]:
    """The last states of paths with these keys, as a function of k."""
    sde = SDE(lambda y, t, k: problem.drift(y, k), lambda y, t, k: problem.sigma(y))

    def end(k: Any, key: Any) -> Any:
        ts, y0 = [0.0, problem.end], jnp.asarray(problem.y0)
        return solve(sde, y0, ts, key, k, steps=FixedSteps(steps), method=method).ys[-1]

    return jax.vmap(end, (None, 0))


def measure(name: str, paths: int, rounds: int, rows: ResultsFile) -> None:
    problem, keys = PROBLEMS[name], jax.random.split(jax.random.key(0), paths)
    found = {finder: jax.jit(ends(problem, method)) for finder, method in FINDERS.items()}
    slopes = {
        finder: jax.jit(jax.value_and_grad(lambda k, keys, f=end: f(k, keys).sum())) for finder, end in found.items()
    }
    exact = np.asarray(found["jaxsde"](problem.k, keys))
    slope = float(slopes["jaxsde"](problem.k, keys)[1])
    times = {
        what: medians(
            {n: lambda f=f: jax.block_until_ready(f(problem.k, keys)) for n, f in calls.items()}, rounds=rounds
        )
        for what, calls in {"value": found, "gradient": slopes}.items()
    }
    for finder in FINDERS:
        apart = float(np.abs(np.asarray(found[finder](problem.k, keys)) - exact).max() / np.abs(exact).max())
        rows.add({
            "problem": name, "paths": paths, "finder": finder, "value": times["value"][finder],
            "gradient": times["gradient"][finder], "apart": apart,
            "slope_apart": abs(float(slopes[finder](problem.k, keys)[1]) / slope - 1),
            "conditions": conditions("jax", "optimistix", "lineax"),
        })  # fmt: skip


def tables(rows: ResultsFile) -> str:
    text = [rows.rows[0]["conditions"]]
    for name, paths in dict.fromkeys((row["problem"], row["paths"]) for row in rows.rows):
        of = [row for row in rows.rows if (row["problem"], row["paths"]) == (name, paths)]
        cells = {
            row["finder"]: (
                f"{1000 * row['value']:.2f}", f"{row['value'] / of[0]['value']:.2f}",
                f"{1000 * row['gradient']:.2f}", f"{row['gradient'] / of[0]['gradient']:.2f}",
                f"{row['apart']:.0e}", f"{row['slope_apart']:.0e}",
            )
            for row in of
        }  # fmt: skip
        columns = ("ms", "ratio", "ms with gradient", "ratio", "apart", "gradient apart")
        text.append(table(f"{name}, {paths} path{'s' * (paths > 1)}", columns, cells))
    return "\n\n".join(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31, help="measurements of each row")
    parser.add_argument("--rows", type=Path, default=RESULTS / "implicit_root.jsonl", help="where rows are kept")
    parser.add_argument("--page", type=Path, help="the page whose tables to write, such as docs/results/jaxsde.md")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    kept = ResultsFile(options.rows, ("problem", "paths", "finder"))
    for name in PROBLEMS:
        for paths in (1, 8):
            if not kept.has(problem=name, paths=paths, finder=list(FINDERS)[-1]):
                measure(name, paths, options.rounds, kept)
    print(tables(kept))
    if options.page:
        write_tables(options.page, "implicit_root.py", tables(kept))
