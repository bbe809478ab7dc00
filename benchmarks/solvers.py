"""One Ito or Stratonovich equation with diagonal noise, solved from 0 to 1 by jaxsde, a plain scan, and two peers."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchsde
from timing import CORES, medians, print_conditions, print_table

from jaxsde import METHODS, sdeint_ito, sdeint_strat, to_diffrax
from jaxsde.brownian.keys import derive_key


@dataclasses.dataclass(frozen=True)
class Equation:
    """`drift` and `diffusion` are functions of `(y, params)`; `torch_*` are the same on tensors."""

    drift: Callable[[Any, Any], Any]
    diffusion: Callable[[Any, Any], Any]
    torch_drift: Callable[[Any, Any], Any]
    torch_diffusion: Callable[[Any, Any], Any]
    params: Any
    y0: Any
    steps: int

    def plain_scan(self, y0: Any, key: Any, params: Any) -> Any:
        # Once, where a path derives it for each step: the floor is without that.
        h, path_key = 1 / self.steps, derive_key(key, "jaxsde.CounterPath")

        def step(y: Any, k: Any) -> tuple[Any, None]:
            noise = jax.random.normal(jax.random.fold_in(path_key, k), y.shape)
            return y + h * self.drift(y, params) + h**0.5 * self.diffusion(y, params) * noise, None

        return jax.lax.scan(step, y0, jnp.arange(self.steps))[0]

    def jaxsde(self, method: str, adjoint: str) -> Callable[..., Any]:
        ito = "ito" in METHODS[method.removeprefix("coupled_")].sde_types
        solve = sdeint_ito if ito else sdeint_strat
        f, g = (lambda y, t, params: self.drift(y, params)), (lambda y, t, params: self.diffusion(y, params))
        ts, dt = np.asarray([0.0, 1.0], np.float32), 1 / self.steps
        return lambda y0, key, params: solve(f, g, y0, ts, key, params, method, dt=dt, adjoint=adjoint)[-1]

    def diffrax(self, solver: Any) -> Callable[..., Any]:
        grid = diffrax.StepTo(ts=jnp.asarray(np.linspace(0, 1, self.steps + 1, dtype=np.float32)))

        def solve(y0: Any, key: Any, params: Any) -> Any:
            # The coarsest tree that tells the steps apart: the cheapest.
            path = diffrax.VirtualBrownianTree(0.0, 1.0, tol=0.5 / self.steps, shape=y0.shape, key=key)
            terms = to_diffrax(lambda y, t, p: self.drift(y, p), lambda y, t, p: self.diffusion(y, p), path)
            solution = diffrax.diffeqsolve(
                terms, solver, 0.0, 1.0, None, y0, params,
                stepsize_controller=grid, adjoint=diffrax.RecursiveCheckpointAdjoint(), max_steps=self.steps,
            )  # fmt: skip
            return solution.ys[-1]

        return solve

    def torchsde(self, method: str, adjoint: bool) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """The forward solve, and the gradient with respect to y0 and the parameters."""
        leaves = [torch.tensor(np.asarray(x)).requires_grad_() for x in jax.tree.leaves(self.params)]
        params = jax.tree.unflatten(jax.tree.structure(self.params), leaves)
        y0 = torch.tensor(np.asarray(self.y0)).reshape(-1, self.y0.shape[-1]).requires_grad_()
        dt, ts = 1 / self.steps, torch.tensor([0.0, 1.0])
        stratonovich = method in ("reversible_heun", "midpoint")
        sde = torchsde.BaseSDE("diagonal", "stratonovich" if stratonovich else "ito")
        sde.f = lambda t, y: self.torch_drift(y, params)
        sde.g = lambda t, y: self.torch_diffusion(y, params)
        reversible = {"adjoint_method": "adjoint_reversible_heun"} if method == "reversible_heun" else {}
        choice = {"adjoint_params": tuple(leaves), **reversible} if adjoint else {}
        solve = torchsde.sdeint_adjoint if adjoint else torchsde.sdeint

        def run(solve: Any, **choice: Any) -> Any:
            path = torchsde.BrownianInterval(0.0, 1.0, size=tuple(y0.shape), dt=dt)
            return solve(sde, y0, ts, bm=path, method=method, dt=dt, **choice)[-1]

        def forward() -> None:
            with torch.no_grad():
                run(torchsde.sdeint)

        def gradient() -> None:
            torch.autograd.grad(run(solve, **choice).pow(2).sum(), [y0, *leaves])

        return forward, gradient


def finished(function: Callable[..., Any], *arguments: Any) -> Any:
    return jax.block_until_ready(function(*arguments))


def compare(equation: Equation, rounds: int) -> None:
    """Prints the forward solve, and value and gradient of the squared norm of the last state, in every library."""
    torch.set_num_threads(CORES)
    scan, key = equation.plain_scan, jax.random.key(1)
    rows = {
        "plain lax.scan, Euler-Maruyama": scan,
        "jaxsde euler_maruyama, backprop": equation.jaxsde("euler_maruyama", "backprop"),
        "jaxsde euler_maruyama, checkpoint": equation.jaxsde("euler_maruyama", "checkpoint"),
        "jaxsde euler_maruyama, stochastic": equation.jaxsde("euler_maruyama", "stochastic"),
        "jaxsde milstein, backprop": equation.jaxsde("milstein", "backprop"),
        "jaxsde midpoint, backprop": equation.jaxsde("midpoint", "backprop"),
        "jaxsde coupled_midpoint, reversible": equation.jaxsde("coupled_midpoint", "reversible"),
        "jaxsde coupled_euler_maruyama, reversible": equation.jaxsde("coupled_euler_maruyama", "reversible"),
        "jaxsde ees25, reversible": equation.jaxsde("ees25", "reversible"),
        "jaxsde reversible_heun, reversible": equation.jaxsde("reversible_heun", "reversible"),
        "diffrax Euler, recursive checkpoints": equation.diffrax(diffrax.Euler()),
        "diffrax ReversibleHeun, recursive checkpoints": equation.diffrax(diffrax.ReversibleHeun()),
    }
    compiled = {name: jax.jit(solve) for name, solve in rows.items()}
    np.testing.assert_allclose(
        compiled["plain lax.scan, Euler-Maruyama"](equation.y0, key, equation.params),
        compiled["jaxsde euler_maruyama, backprop"](equation.y0, key, equation.params),
        rtol=1e-3, atol=1e-4, err_msg="jaxsde and the plain scan solve different equations",
    )  # fmt: skip

    def gradient(solve: Any) -> Any:
        return jax.jit(jax.value_and_grad(lambda y0, params: jnp.sum(solve(y0, key, params) ** 2), argnums=(0, 1)))

    differentiated = {name: gradient(solve) for name, solve in rows.items()}
    forwards: dict[str, Callable[[], Any]] = {
        name: functools.partial(finished, f, equation.y0, key, equation.params) for name, f in compiled.items()
    }
    gradients: dict[str, Callable[[], Any]] = {
        name: functools.partial(finished, f, equation.y0, equation.params) for name, f in differentiated.items()
    }
    for name, choice in {
        "torchsde euler, backprop": ("euler", False),
        "torchsde euler, adjoint": ("euler", True),
        "torchsde reversible_heun, adjoint": ("reversible_heun", True),
    }.items():
        forwards[name], gradients[name] = equation.torchsde(*choice)
    # The forward solve of an adjoint is that of backprop.
    del forwards["torchsde euler, adjoint"]
    print_conditions("jax", "diffrax", "torch", "torchsde")
    print_table("Forward", medians(forwards, rounds=rounds))
    print_table("Value and gradient", medians(gradients, rounds=rounds))
