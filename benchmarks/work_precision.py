"""What does an accurate path cost? Strong error at the end against evaluations and time, beside diffrax and torchsde.

    python benchmarks/work_precision.py [--noise diagonal additive general] [--paths 50 1000] [--page MD]

Equations with closed forms of the driving path (Kloeden and Platen, 1992), many paths at once, single precision. Every
library draws its own noise by its usual path; the exact solution is computed of that path's W. Where a library has a
method of a higher order for the noise, it is here. Evaluations are those of the drift and the diffusion, counted as
they happen; products with a derivative of the diffusion are one more each.

Of general noise that does not commute, of which W alone says nothing, all libraries are given the same fine paths, with
their areas; times are those of solves without drawing. There both calculi have the same solution.

Methods take turns at each number of steps. Each row is kept in `--rows`, from which a run that was broken off goes on;
delete the file to measure anew. A picture for each type of noise is written into `--pictures`, of the most paths.
"""

import argparse
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
import numpy as np
import torch
import torchsde
from results_file import RESULTS, ResultsFile, write_tables
from timing import conditions, medians, table

from jaxsde import SDE, FixedSteps, ReplayedPath, solve
from jaxsde.types import Noise
from sdebnn.plots.style import COLOURS, drawing, legend, panels

DIMENSIONS = 10
STEPS = (8, 32, 128, 512, 2048)
# Of the paths that are given, and of general noise the Brownian motions and their size.
FINE, MOTIONS, LOUD = 8192, 2, 0.6
# Solves that take longer than this are not refined any further, in seconds.
LONGEST = 1.0
GOAL = 1e-3


class Equation(NamedTuple):
    """`drift(xp, t, y)` and `diffusion(xp, t, y)` by the functions of `xp`, on any arrays; `exact(W)` at t = 1."""

    noise: Noise
    start: float
    drift: Callable[..., Any]
    diffusion: Callable[..., Any]
    exact: Callable[[np.ndarray], np.ndarray]


class Paths(NamedTuple):
    """Increments, space-time areas (paths, steps, m) and Levy areas (paths, steps, m, m)."""

    dW: np.ndarray
    H: np.ndarray
    A: np.ndarray


@functools.cache
def fine_increments(paths: int) -> np.ndarray:
    """Of paths that are straight lines between `FINE` times, (paths, fine, m)."""
    return np.random.default_rng(0).normal(size=(paths, FINE, MOTIONS)) / FINE**0.5


@functools.cache
def given_paths(paths: int, steps: int) -> Paths:
    """The same in fewer steps."""
    dW = fine_increments(paths).reshape(paths, steps, FINE // steps, MOTIONS)
    middle = np.cumsum(dW, 2) - dW / 2
    whole, twice = dW.sum(2), np.einsum("psfj,psfk->psjk", middle, dW)
    found = whole, middle.mean(2) - whole / 2, (twice - np.swapaxes(twice, 2, 3)) / 2
    return Paths(*(x.astype(np.float32) for x in found))


@functools.cache
def products_of_exponentials(paths: int) -> np.ndarray:
    """Of w1 ((0, s), (0, 0)) + w2 ((0, 0), (s, 0)), whose square is s^2 w1 w2 times the identity, and of the drift."""
    y = np.ones((paths, 2))
    for w in np.moveaxis(fine_increments(paths), 1, 0):
        r = LOUD * np.sqrt(w.prod(1, keepdims=True).astype(complex))
        even, odd = np.cosh(r).real, np.where(r == 0, 1, np.sinh(r) / np.where(r == 0, 1, r)).real
        y = np.exp(0.3 / FINE) * (even * y + LOUD * odd * w * y[:, ::-1])
    return y


EQUATIONS = {
    "linear, diagonal noise": Equation(
        "diagonal",
        0.5,
        lambda xp, t, y: 1.01 * y,
        lambda xp, t, y: 0.87 * y,
        lambda W: 0.5 * np.exp(1.01 - 0.87**2 / 2 + 0.87 * W),
    ),
    "cubic, diagonal noise": Equation(
        "diagonal",
        0.5,
        lambda xp, t, y: -0.25 * y * (1 - y**2),
        lambda xp, t, y: 0.5 * (1 - y**2),
        lambda W: (1.5 * np.exp(W) - 0.5) / (1.5 * np.exp(W) + 0.5),
    ),
    "additive noise": Equation(
        "additive",
        1.0,
        lambda xp, t, y: 1 / (1 + t) ** 0.5 - y / (2 * (1 + t)),
        lambda xp, t, y: 1 / (1 + t) ** 0.5 + 0 * y,
        lambda W: (2 + W) / 2**0.5,
    ),
    "two Brownian motions that do not commute": Equation(
        "general",
        1.0,
        lambda xp, t, y: 0.3 * y,
        lambda xp, t, y: LOUD * y[..., [1, 0]][..., None] * xp.eye(MOTIONS),
        lambda W: products_of_exponentials(len(W)),
    ),
}

OURS: dict[str, Any] = {
    "diagonal": ("euler_maruyama", "milstein", "sriw1", "sosri"),
    "additive": ("euler_maruyama", "sra1", "sosra"),
    "general": ("heun", "davie", "log_ode"),
}
DIFFRAX: dict[str, dict[str, Any]] = {
    "diagonal": {"Euler": diffrax.Euler, "ItoMilstein": diffrax.ItoMilstein},
    "additive": {"Euler": diffrax.Euler, "SRA1": diffrax.SRA1, "ShARK": diffrax.ShARK, "SEA": diffrax.SEA},
    "general": {"Heun": diffrax.Heun, "SPaRK": diffrax.SPaRK, "GeneralShARK": diffrax.GeneralShARK},
}
AREAS = {"SRA1", "ShARK", "SEA", "SPaRK", "GeneralShARK"}
TORCHSDE: dict[str, Any] = {
    "diagonal": ("euler", "milstein", "srk"),
    "additive": ("euler", "srk"),
    "general": ("heun", "log_ode"),
}


class Run(NamedTuple):
    """`call()` solves and waits; `found()` gives what came of it, and W at the end, of the same noise."""

    call: Callable[[], Any]
    found: Callable[[], tuple[np.ndarray, np.ndarray]]


def noise_in_jax(equation: Equation, t: Any, y: Any) -> Any:
    """That of additive noise of numbers in place of y, since it does not depend on it."""
    return equation.diffusion(jnp, t, jnp.zeros(DIMENSIONS) if equation.noise == "additive" else y)


def of_jaxsde(equation: Equation, paths: int, method: str, steps: int) -> Run:
    general = equation.noise == "general"
    sde = SDE(
        lambda y, t, args: equation.drift(jnp, t, y),
        lambda y, t, args: noise_in_jax(equation, t, y),
        "stratonovich" if general else "ito",
        equation.noise,
    )
    if general:
        return on_given_paths(sde, paths, method, steps)
    y0, keys = jnp.full(DIMENSIONS, equation.start), jax.random.split(jax.random.key(0), paths)

    def one(key: Any, **more: Any) -> Any:
        return solve(sde, y0, np.array([0.0, 1.0]), key, method=method, steps=FixedSteps(steps), **more)

    end = jax.jit(jax.vmap(lambda key: one(key).ys[-1]))
    with_noise = jax.jit(jax.vmap(lambda key: one(key, running=lambda y, t, h, dW, args: dW)))

    def found() -> tuple[np.ndarray, np.ndarray]:
        solution = with_noise(keys)
        return np.asarray(end(keys)), np.asarray(solution.sums[:, -1])

    return Run(lambda: jax.block_until_ready(end(keys)), found)


def on_given_paths(sde: SDE, paths: int, method: str, steps: int) -> Run:
    dW, _, A = map(jnp.asarray, given_paths(paths, steps))

    def one(dW: Any, A: Any) -> Any:
        path = ReplayedPath(dW, area=A)
        return solve(sde, jnp.ones(2), np.array([0.0, 1.0]), method=method, steps=FixedSteps(steps), brownian=path).ys[
            -1
        ]

    end = jax.jit(jax.vmap(one))
    return Run(lambda: jax.block_until_ready(end(dW, A)), lambda: (np.asarray(end(dW, A)), np.zeros(paths)))


class GivenToDiffrax(diffrax.AbstractBrownianPath):
    """A path by its steps."""

    dW: Any
    H: Any
    levy_area: Any = eqx.field(static=True)
    t0 = 0.0
    t1 = 1.0

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
        k = jnp.rint(t0 * len(self.dW)).astype(jnp.int32)
        if not use_levy:
            return self.dW[k]
        if self.levy_area is diffrax.BrownianIncrement:
            return diffrax.BrownianIncrement(dt=t1 - t0, W=self.dW[k])
        return diffrax.SpaceTimeLevyArea(dt=t1 - t0, W=self.dW[k], H=self.H[k])


class GivenToTorchsde(torchsde.BaseBrownian):
    """Paths by their steps."""

    dtype, device, levy_area_approximation = torch.float32, torch.device("cpu"), "davie"

    def __init__(self, paths: int, steps: int) -> None:
        dW, _, A = given_paths(paths, steps)
        self.dW, self.A = torch.from_numpy(dW), torch.from_numpy(A)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self.dW), MOTIONS))

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
        k = round(float(ta) * self.dW.shape[1])
        return (self.dW[:, k], self.A[:, k]) if return_A else self.dW[:, k]

    def __repr__(self) -> str:
        return "GivenToTorchsde()"


def of_diffrax(equation: Equation, paths: int, method: str, steps: int) -> Run:
    general = equation.noise == "general"
    y0 = jnp.full(2 if general else DIMENSIONS, equation.start)
    keys = given_paths(paths, steps)[:2] if general else jax.random.split(jax.random.key(0), paths)
    grid = diffrax.StepTo(ts=jnp.asarray(np.linspace(0, 1, steps + 1, dtype=np.float32)))
    area = diffrax.SpaceTimeLevyArea if method in AREAS else diffrax.BrownianIncrement

    def path(key: Any) -> Any:
        if general:
            dW, H = key
            return GivenToDiffrax(dW, H, area)
        return diffrax.VirtualBrownianTree(0.0, 1.0, 0.5 / steps, (DIMENSIONS,), key, levy_area=area)

    def one(key: Any) -> Any:
        def diffusion(t: Any, y: Any, args: Any) -> Any:
            g = noise_in_jax(equation, t, y)
            return g if general else lineax.DiagonalLinearOperator(g)

        terms: Any = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, args: equation.drift(jnp, t, y)), diffrax.ControlTerm(diffusion, path(key))
        )
        solver = DIFFRAX[equation.noise][method]()
        return diffrax.diffeqsolve(terms, solver, 0.0, 1.0, None, y0, stepsize_controller=grid, max_steps=steps).ys[-1]

    end = jax.jit(jax.vmap(one))
    noise = jax.jit(jax.vmap(lambda key: path(key).evaluate(0.0, 1.0)))
    return Run(lambda: jax.block_until_ready(end(keys)), lambda: (np.asarray(end(keys)), np.asarray(noise(keys))))


def of_torchsde(equation: Equation, paths: int, method: str, steps: int) -> Run:
    general = equation.noise == "general"
    sde = torchsde.BaseSDE(equation.noise, "stratonovich" if general else "ito")
    if equation.noise == "additive":
        # It takes a matrix, of which ours is a diagonal.
        sde.g = lambda t, y: torch.diag_embed(equation.diffusion(torch, t, torch.zeros_like(y)))
    else:
        sde.g = lambda t, y: equation.diffusion(torch, t, y)
    sde.f = lambda t, y: equation.drift(torch, t, y)
    y0 = torch.full((paths, 2 if general else DIMENSIONS), equation.start)
    ts, given = torch.tensor([0.0, 1.0]), GivenToTorchsde(paths, steps) if general else None
    levy = "space-time" if method == "srk" else "none"

    def solved() -> tuple[Any, Any]:
        path = given or torchsde.BrownianInterval(
            0.0, 1.0, size=(paths, DIMENSIONS), dt=1 / steps, levy_area_approximation=levy, entropy=0
        )
        with torch.no_grad():
            return torchsde.sdeint(sde, y0, ts, bm=path, method=method, dt=1 / steps)[-1], path

    def found() -> tuple[np.ndarray, np.ndarray]:
        end, path = solved()
        return end.numpy(), path(0.0, 1.0).numpy()

    return Run(solved, found)


MAKERS: dict[str, tuple[dict[str, Any], Callable[..., Run]]] = {
    "jaxsde": (OURS, of_jaxsde),
    "diffrax": (DIFFRAX, of_diffrax),
    "torchsde": (TORCHSDE, of_torchsde),
}


class Point(NamedTuple):
    """What one method does with so many steps: evaluations of a path, mean error, seconds of all paths."""

    steps: int
    evaluations: float
    error: float
    seconds: float


def maker(label: str) -> Callable[..., Run]:
    """`(equation, paths, steps)` to a run of a library's method."""
    library, method = label.split()
    return lambda equation, paths, steps: MAKERS[library][1](equation, paths, method, steps)


@functools.cache
def evaluations_of_a_step(equation: Equation, label: str) -> float:
    """Of the drift and the diffusion, as they happen: what eight steps more take."""
    count = [0]

    def tick(*where: Any) -> None:
        count[0] += 1

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(xp: Any, *where: Any) -> Any:
            # With what it is evaluated at: of several places at once each counts.
            jax.debug.callback(tick, *where) if xp is jnp else tick()
            return function(xp, *where)

        return call

    counting = equation._replace(drift=counted(equation.drift), diffusion=counted(equation.diffusion))
    found = []
    for steps in (8, 16):
        run = maker(label)(counting, 1, steps)
        # Where it is compiled, functions are traced and looked at.
        run.call()
        jax.effects_barrier()
        count[0] = 0
        run.call()
        jax.effects_barrier()
        found.append(count[0])
    return (found[1] - found[0]) / 8


def measure(file: ResultsFile, name: str, paths: int, rounds: int) -> None:
    """The rows of an equation, from coarse to fine, of all methods in turns."""
    equation = EQUATIONS[name]
    labels = [f"{library} {method}" for library, (methods, _) in MAKERS.items() for method in methods[equation.noise]]
    for steps in STEPS:
        due = [x for x in labels if not file.has(equation=name, method=x, paths=paths, steps=steps)]
        runs = {label: maker(label)(equation, paths, steps) for label in due}
        seconds = medians({label: run.call for label, run in runs.items()}, rounds=rounds)
        for label, run in runs.items():
            end, W = run.found()
            error = float(np.abs(end.astype(np.float64) - equation.exact(W.astype(np.float64))).mean())
            file.add({
                "equation": name, "method": label, "paths": paths, "steps": steps,
                "evaluations": steps * evaluations_of_a_step(equation, label), "error": error,
                "seconds": seconds[label],
            })  # fmt: skip
        points = curves(file, name, paths)
        labels = [x for x in labels if points[x][-1].seconds <= LONGEST and points[x][-1].error >= GOAL / 30]


def curves(file: ResultsFile, name: str, paths: int) -> dict[str, list[Point]]:
    """The points of each method, from coarse to fine."""
    found: dict[str, list[Point]] = {}
    for row in sorted(file.rows, key=lambda row: row["steps"]):
        if (row["equation"], row["paths"]) == (name, paths):
            found.setdefault(row["method"], []).append(Point(*(row[field] for field in Point._fields)))
    return dict(sorted(found.items(), key=lambda pair: list(MAKERS).index(pair[0].split()[0])))


def cost_for(points: list[tuple[float, float]], goal: float) -> float:
    """Of pairs of errors and costs what an error costs, by interpolation of logarithms between two points, or beyond
    the last two; infinite where the error does not fall to it within a thousand times the last cost.
    """
    errors, costs = np.log(points).T
    below = np.flatnonzero(errors <= np.log(goal))
    if below.size and below[0] == 0:
        return float(np.exp(costs[0]))
    last = below[0] if below.size else len(errors) - 1
    slope = (costs[last] - costs[last - 1]) / (errors[last] - errors[last - 1])
    found = costs[last] + slope * (np.log(goal) - errors[last])
    return float(np.exp(found)) if slope < 0 and (below.size or found < costs[-1] + np.log(1000)) else np.inf


def order_seen(points: list[Point]) -> float:
    """By which the error falls with the number of steps, by regression of logarithms."""
    steps, errors = np.log([(point.steps, point.error) for point in points]).T
    return -float(np.polyfit(steps, errors, 1)[0])


def table_of(name: str, paths: int, found: dict[str, list[Point]]) -> str:
    times, evaluations = (
        {label: cost_for([(p.error, getattr(p, of)) for p in points], GOAL) for label, points in found.items()}
        for of in ("seconds", "evaluations")
    )
    best = min(time for label, time in times.items() if label.startswith("jaxsde"))
    rows = {
        label: [
            f"{1000 * time:.3g}" if np.isfinite(time) else "more than tried",
            f"{time / best:.2g}" if np.isfinite(time) else "",
            f"{evaluations[label]:.3g}" if np.isfinite(evaluations[label]) else "",
            f"{order_seen(found[label]):.2f}",
        ]
        for label, time in times.items()
    }
    return table(
        f"{name}, {paths:,} paths: an error of {GOAL:g}", ("ms", "times our best", "evaluations", "order seen"), rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", nargs="+", choices=list(OURS), default=list(OURS), help="that of the equations")
    parser.add_argument("--paths", nargs="+", type=int, default=[50, 1000], help="at once, in turn (default 50 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each row")
    parser.add_argument("--rows", type=Path, default=RESULTS / "work_precision.jsonl", metavar="JSONL")
    parser.add_argument("--pictures", type=Path, default=Path("runs"), metavar="FOLDER")
    parser.add_argument("--page", type=Path, help="write tables and pictures into it", metavar="MD")
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = ResultsFile(options.rows, ("equation", "method", "paths", "steps"))
    texts = [conditions("jax", "diffrax", "torch", "torchsde")]
    folder = options.page.parent / "pictures" if options.page else options.pictures
    for noise in OURS:
        names = [name for name, equation in EQUATIONS.items() if equation.noise == noise]
        for name, paths in itertools.product(names if noise in options.noise else [], options.paths):
            measure(file, name, paths, options.rounds)
        found = {paths: {name: curves(file, name, paths) for name in names} for paths in sorted(options.paths)}
        # Of what was measured before too.
        if not all(all(each.values()) for each in found.values()):
            continue
        picture = folder / f"work_precision_{noise}.png"
        most = max(found)
        draw(found[most], noise, most, picture)
        texts += [table_of(name, paths, found[paths][name]) for name in names for paths in found]
        texts.append(f"![Error against evaluations and time, {noise} noise](pictures/{picture.name})")
    text = "\n\n".join(texts)
    if options.page is None:
        print(text)
        return
    write_tables(options.page, "work_precision.py", text)


def draw(curves: dict[str, dict[str, list[Point]]], noise: str, paths: int, picture: Path) -> None:
    title = f"Strong error at the end, {noise} noise, {paths:,} paths"
    markers = {"jaxsde": "o", "diffrax": "s", "torchsde": "^"}
    costs = {"evaluations": "Evaluations of drift and diffusion, a path", "seconds": "Seconds, all paths"}
    with drawing(None, picture, title, width=10.4, height=4.8 * len(curves)) as ax:
        for axes, (name, found) in zip(panels(ax, len(curves), 2), curves.items(), strict=True):
            for axis, (of, label_of_cost) in zip(axes, costs.items(), strict=True):
                for number, (label, points) in enumerate(found.items()):
                    library = label.split()[0]
                    style = {"marker": markers[library], "linestyle": "-" if library == "jaxsde" else "--"}
                    at = [getattr(point, of) for point in points]
                    errors = [point.error for point in points]
                    axis.plot(at, errors, label=label, color=COLOURS[number % len(COLOURS)], **style)
                axis.set(xscale="log", yscale="log", title=name, xlabel=label_of_cost, ylabel="Mean error")
                legend(axis, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


if __name__ == "__main__":
    main()
