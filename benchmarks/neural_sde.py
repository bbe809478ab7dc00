"""What does a neural SDE cost beyond a plain scan, and what do other libraries take for it?

An MLP drift of 64-64 (tanh) and constant-rate diagonal noise, state 32, batch 256, 100 fixed steps, float32: the
forward solve, and the value and gradient of a quadratic loss of the last state. Every row solves the same equation
with noise of its own drawing.

    python benchmarks/neural_sde.py
"""

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchsde
from timing import medians, print_table

from jaxsde import sdeint_ito, sdeint_strat

BATCH, STATE, WIDTH, STEPS = 256, 32, 64, 100
H = 1 / STEPS
TS = np.asarray([0.0, 1.0], np.float32)


def parameters() -> list[Any]:
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = [(STATE, WIDTH), (WIDTH, WIDTH), (WIDTH, STATE)]
    return [(jax.random.normal(k, s) / s[0] ** 0.5, jnp.zeros(s[1])) for k, s in zip(keys, sizes, strict=True)]


def drift(y: Any, t: Any, params: Any) -> Any:
    (w1, b1), (w2, b2), (w3, b3) = params
    return jnp.tanh(jnp.tanh(y @ w1 + b1) @ w2 + b2) @ w3 + b3


def diffusion(y: Any, t: Any, params: Any) -> Any:
    return 0.1 + 0.1 * jnp.tanh(y)


def plain_scan(y0: Any, key: Any, params: Any) -> Any:
    def step(y: Any, k: Any) -> tuple[Any, None]:
        noise = jax.random.normal(jax.random.fold_in(key, k), y.shape)
        return y + H * drift(y, 0.0, params) + H**0.5 * diffusion(y, 0.0, params) * noise, None

    return jax.lax.scan(step, y0, jnp.arange(STEPS))[0]


def ours(solve: Any, method: str, adjoint: str) -> Any:
    return lambda y0, key, params: solve(drift, diffusion, y0, TS, key, params, method, dt=H, adjoint=adjoint)[-1]


def with_diffrax(solver: Any, adjoint: Any) -> Any:
    def solve(y0: Any, key: Any, params: Any) -> Any:
        path = diffrax.VirtualBrownianTree(0.0, 1.0, tol=H / 2, shape=y0.shape, key=key)
        g = diffrax.WeaklyDiagonalControlTerm(lambda t, y, p: diffusion(y, t, p), path)
        terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, p: drift(y, t, p)), g)
        return diffrax.diffeqsolve(terms, solver, 0.0, 1.0, H, y0, params, adjoint=adjoint, max_steps=STEPS + 1).ys[-1]

    return solve


class TorchSDE(torch.nn.Module):
    noise_type = "diagonal"

    def __init__(self, sde_type: str) -> None:
        super().__init__()
        self.sde_type = sde_type
        linear, tanh = torch.nn.Linear, torch.nn.Tanh
        self.net = torch.nn.Sequential(linear(STATE, WIDTH), tanh(), linear(WIDTH, WIDTH), tanh(), linear(WIDTH, STATE))

    def f(self, t: Any, y: Any) -> Any:
        return self.net(y)

    def g(self, t: Any, y: Any) -> Any:
        return 0.1 + 0.1 * torch.tanh(y)


def with_torchsde(method: str, sde_type: str, adjoint: bool) -> Any:
    sde, y0, ts = TorchSDE(sde_type), torch.ones(BATCH, STATE), torch.tensor([0.0, 1.0])

    def path() -> Any:
        return torchsde.BrownianInterval(0.0, 1.0, size=(BATCH, STATE), dt=H)

    options = {"adjoint_method": "adjoint_reversible_heun"} if adjoint and method == "reversible_heun" else {}
    solve = torchsde.sdeint_adjoint if adjoint else torchsde.sdeint

    def forward() -> Any:
        with torch.no_grad():
            return torchsde.sdeint(sde, y0, ts, bm=path(), method=method, dt=H)[-1]

    def gradient() -> Any:
        sde.zero_grad()
        solve(sde, y0, ts, bm=path(), method=method, dt=H, **options)[-1].pow(2).sum().backward()

    return forward, gradient


def main() -> None:
    torch.set_num_threads(2)
    y0, key, params = jnp.ones((BATCH, STATE)), jax.random.key(1), parameters()
    rows = {
        "plain lax.scan, Euler-Maruyama": plain_scan,
        "jaxsde euler_maruyama, backprop": ours(sdeint_ito, "euler_maruyama", "backprop"),
        "jaxsde euler_maruyama, checkpoint": ours(sdeint_ito, "euler_maruyama", "checkpoint"),
        "jaxsde euler_maruyama, stochastic": ours(sdeint_ito, "euler_maruyama", "stochastic"),
        "jaxsde milstein, backprop": ours(sdeint_ito, "milstein", "backprop"),
        "jaxsde reversible_heun, reversible": ours(sdeint_strat, "reversible_heun", "reversible"),
        "diffrax Euler, recursive checkpoints": with_diffrax(diffrax.Euler(), diffrax.RecursiveCheckpointAdjoint()),
        "diffrax ReversibleHeun, recursive checkpoints": with_diffrax(
            diffrax.ReversibleHeun(), diffrax.RecursiveCheckpointAdjoint()
        ),
    }
    forward, gradient = {}, {}
    for name, solve in rows.items():
        compiled = jax.jit(solve)
        forward[name] = functools.partial(lambda f: jax.block_until_ready(f(y0, key, params)), compiled)
        loss = jax.jit(jax.value_and_grad(lambda y0, p, solve=solve: jnp.sum(solve(y0, key, p) ** 2), argnums=(0, 1)))
        gradient[name] = functools.partial(lambda f: jax.block_until_ready(f(y0, params)), loss)
    for name, choice in {
        "torchsde euler, backprop": ("euler", "ito", False),
        "torchsde reversible_heun, adjoint": ("reversible_heun", "stratonovich", True),
    }.items():
        forward[name], gradient[name] = with_torchsde(*choice)
    print_table("Forward", medians(forward))
    print_table("Value and gradient", medians(gradient))


if __name__ == "__main__":
    main()
