"""The entry points of the reference: `solve` in other words, which return the solution alone."""

from jaxtyping import PyTree

from jaxsde.brownian import BrownianPath
from jaxsde.integrate import solve
from jaxsde.methods import Method
from jaxsde.sde import SDE
from jaxsde.solution import Solution
from jaxsde.steps import AdaptiveSteps, FixedSteps
from jaxsde.types import Args, Diffusion, Drift, Key, Noise, Running, Save, State, Times

ON_TS = FixedSteps(1)


def sdeint_ito_fixed_grid(
    f: Drift,
    g: Diffusion | None,
    y0: State,
    ts: Times,
    rng: Key | None,
    args: Args = None,
    method: str | Method = "euler_maruyama",
    *,
    noise: Noise = "diagonal",
    noise_shape: tuple[int, ...] | None = None,
    brownian: BrownianPath | None = None,
    adjoint: str = "backprop",
    save: Save | None = None,
    running: Running | None = None,
    check_finite: bool = False,
) -> PyTree:
    """Solves dy = f dt + g dB in the sense of Ito, with one step between each two of the times `ts`.

    **Arguments:** f, g, `noise` and `noise_shape` are those of `SDE`; the others are those of `solve`.

    **Returns:** the solution at all of `ts`: a pytree like y0 (or like `save(y0)`) with a leading axis of n, the first
    entry being y0. With `running`, `(ys, sums)`: the sums from `ts[0]` to every one of `ts`, the first being 0.

    **Raises:** as `solve` does.
    """
    solution = solve(
        SDE(f, g, "ito", noise, noise_shape), y0, ts, rng, args,
        steps=ON_TS, method=method, adjoint=adjoint, brownian=brownian, save=save, running=running,
        check_finite=check_finite,
    )  # fmt: skip
    return _outputs(solution)


def sdeint_strat_fixed_grid(
    f: Drift,
    g: Diffusion | None,
    y0: State,
    ts: Times,
    rng: Key | None,
    args: Args = None,
    method: str | Method = "midpoint",
    *,
    noise: Noise = "diagonal",
    noise_shape: tuple[int, ...] | None = None,
    brownian: BrownianPath | None = None,
    adjoint: str = "backprop",
    save: Save | None = None,
    running: Running | None = None,
    check_finite: bool = False,
) -> PyTree:
    """Solves dy = f dt + g o dB in the sense of Stratonovich; otherwise as `sdeint_ito_fixed_grid`."""
    solution = solve(
        SDE(f, g, "stratonovich", noise, noise_shape), y0, ts, rng, args,
        steps=ON_TS, method=method, adjoint=adjoint, brownian=brownian, save=save, running=running,
        check_finite=check_finite,
    )  # fmt: skip
    return _outputs(solution)


def sdeint_ito(
    f: Drift,
    g: Diffusion | None,
    y0: State,
    ts: Times,
    rng: Key | None,
    args: Args = None,
    method: str | Method | None = None,
    *,
    dt: float | None = None,
    steps: int | None = None,
    noise: Noise = "diagonal",
    noise_shape: tuple[int, ...] | None = None,
    brownian: BrownianPath | None = None,
    adjoint: str = "stochastic",
    save: Save | None = None,
    running: Running | None = None,
    check_finite: bool = False,
    adaptive: bool = False,
    rtol: float = 1e-3,
    atol: float = 1e-5,
    max_steps: int = 4096,
    stats: bool = False,
) -> PyTree:
    """Solves dy = f dt + g dB in the sense of Ito, by steps between the times; otherwise as `sdeint_ito_fixed_grid`.

    **Arguments:** those of `sdeint_ito_fixed_grid`, and

    - `dt`, `steps`: the longest step, or the number of steps: those of `FixedSteps`. With `adaptive`, `dt` is the first
      step.
    - `method`: that of `solve` unless given.
    - `adjoint`: the stochastic adjoint unless given: exact, in the memory of 13 states. It has no forward mode and no
      gradient of a gradient: for those take `"backprop"`; `jax.hessian` takes either.
    - `adaptive`: whether to choose steps by their error; `rtol`, `atol` and `max_steps` are those of `AdaptiveSteps`.
    - `stats`: whether to return `(ys, stats)`: `Stats` as a dictionary.
    """
    solution = solve(
        SDE(f, g, "ito", noise, noise_shape), y0, ts, rng, args,
        steps=_steps(dt, steps, adaptive, rtol, atol, max_steps), method=method, adjoint=adjoint, brownian=brownian,
        save=save, running=running, check_finite=check_finite,
    )  # fmt: skip
    return (_outputs(solution), solution.stats._asdict()) if stats else _outputs(solution)


def sdeint_strat(
    f: Drift,
    g: Diffusion | None,
    y0: State,
    ts: Times,
    rng: Key | None,
    args: Args = None,
    method: str | Method = "midpoint",
    *,
    dt: float | None = None,
    steps: int | None = None,
    noise: Noise = "diagonal",
    noise_shape: tuple[int, ...] | None = None,
    brownian: BrownianPath | None = None,
    adjoint: str = "stochastic",
    save: Save | None = None,
    running: Running | None = None,
    check_finite: bool = False,
    adaptive: bool = False,
    rtol: float = 1e-3,
    atol: float = 1e-5,
    max_steps: int = 4096,
    stats: bool = False,
) -> PyTree:
    """Solves dy = f dt + g o dB in the sense of Stratonovich, by steps between the times; otherwise as `sdeint_ito`."""
    solution = solve(
        SDE(f, g, "stratonovich", noise, noise_shape), y0, ts, rng, args,
        steps=_steps(dt, steps, adaptive, rtol, atol, max_steps), method=method, adjoint=adjoint, brownian=brownian,
        save=save, running=running, check_finite=check_finite,
    )  # fmt: skip
    return (_outputs(solution), solution.stats._asdict()) if stats else _outputs(solution)


def _steps(
    dt: float | None, steps: int | None, adaptive: bool, rtol: float, atol: float, max_steps: int
) -> FixedSteps | AdaptiveSteps:
    if not adaptive:
        return FixedSteps(steps, dt)
    if steps is not None:
        raise ValueError(
            f"adaptive=True finds the number of steps, and steps={steps} gives it; pass max_steps for the most of them."
        )
    return AdaptiveSteps(rtol, atol, dt, max_steps)


def _outputs(solution: Solution) -> PyTree:
    return solution.ys if solution.sums is None else (solution.ys, solution.sums)
