"""How far are constant-memory gradients from that of backpropagation, at how many steps?

Relative error in double precision of the gradient with respect to y0 and the parameters, for a random linear loss of
the last state. Drift and diffusion are small networks of (t, y), batch 4, d = 3: the sizes on which torchsde tests its
adjoint, beside which each row is put. Both libraries have the same weights; each is compared to itself without adjoint.

    JAX_PLATFORMS=cpu python benchmarks/gradient_error.py
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchsde
from jax.flatten_util import ravel_pytree
from timing import print_conditions, print_rows

from jaxsde import sdeint_ito, sdeint_strat

BATCH, STATE, WIDTH = 4, 3, 8
STEPS = (16, 64, 256, 1024)
MOTIONS = {"diagonal": STATE, "scalar": 1, "additive": STATE, "general": 2}


@dataclasses.dataclass(frozen=True)
class Case:
    sde_type: str
    noise: str
    method: str
    adjoint: str
    torch_method: str

    @property
    def name(self) -> str:
        return f"{self.noise}, {self.sde_type}, {self.method}"


CASES = [
    Case("ito", "diagonal", "euler_maruyama", "stochastic", "euler"),
    Case("ito", "diagonal", "milstein", "stochastic", "milstein"),
    Case("ito", "scalar", "milstein", "stochastic", "milstein"),
    Case("ito", "additive", "euler_maruyama", "stochastic", "euler"),
    Case("stratonovich", "diagonal", "midpoint", "stochastic", "midpoint"),
    Case("stratonovich", "general", "midpoint", "stochastic", "midpoint"),
    Case("stratonovich", "diagonal", "reversible_heun", "reversible", "reversible_heun"),
    Case("stratonovich", "general", "reversible_heun", "reversible", "reversible_heun"),
]


def weights(case: Case) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    # Diagonal noise: entry i depends on t and on entry i alone, through a network that all entries share.
    inputs = {"f": STATE + 1, "g": {"additive": 1, "diagonal": 2}.get(case.noise, STATE + 1)}
    outputs = {"f": STATE, "g": {"general": STATE * MOTIONS["general"], "diagonal": 1}.get(case.noise, STATE)}

    def layer(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.uniform(-1, 1, (rows, columns)) / rows**0.5, rng.uniform(-1, 1, columns) / rows**0.5

    return {name: (*layer(inputs[name], WIDTH), *layer(WIDTH, outputs[name])) for name in ("f", "g")}


def network(softplus: Any, inputs: Any, params: Any) -> Any:
    w1, b1, w2, b2 = params
    return softplus(inputs @ w1 + b1) @ w2 + b2


def jax_gradient(case: Case, adjoint: str, steps: int, params: Any, cotangent: Any) -> Any:
    def inputs(y: Any, t: Any) -> Any:
        return jnp.concatenate([jnp.full((BATCH, 1), t), y], 1)

    def f(y: Any, t: Any, params: Any) -> Any:
        return network(jax.nn.softplus, inputs(y, t), params["f"])

    def g(y: Any, t: Any, params: Any) -> Any:
        if case.noise == "diagonal":
            seen = jnp.stack([jnp.full_like(y, t), y], -1)
        else:
            seen = inputs(y, t)[:, :1] if case.noise == "additive" else inputs(y, t)
        return jax.nn.sigmoid(network(jax.nn.softplus, seen, params["g"])).reshape(BATCH, -1)

    def matrix(y: Any, t: Any, params: Any) -> Any:
        # Each of the batch has its own Brownian motions, so the product is given without a matrix.
        blocks = g(y, t, params).reshape(BATCH, STATE, MOTIONS["general"])
        return lambda v: jnp.einsum("bdm,bm->bd", blocks, v)

    solve = sdeint_ito if case.sde_type == "ito" else sdeint_strat
    general = {"noise_shape": (BATCH, MOTIONS["general"])} if case.noise == "general" else {}

    def loss(y0: Any, params: Any) -> Any:
        diffusion = matrix if case.noise == "general" else g
        ends = (np.array([0.0, 1.0]), jax.random.key(0), params, case.method)
        choice: dict[str, Any] = {"dt": 1 / steps, "noise": case.noise, "adjoint": adjoint, **general}
        return jnp.sum(cotangent * solve(f, diffusion, y0, *ends, **choice)[-1])

    return ravel_pytree(jax.jit(jax.grad(loss, (0, 1)))(jnp.full((BATCH, STATE), 0.1), params))[0]


class TorchSDE(torch.nn.Module):
    def __init__(self, case: Case, params: Any) -> None:
        super().__init__()
        self.sde_type, self.noise_type, self.weights = case.sde_type, case.noise, params

    def inputs(self, t: Any, y: Any) -> Any:
        return torch.cat([t.expand(BATCH, 1), y], 1)

    def f(self, t: Any, y: Any) -> Any:
        return network(torch.nn.functional.softplus, self.inputs(t, y), self.weights["f"])

    def g(self, t: Any, y: Any) -> Any:
        if self.noise_type == "diagonal":
            seen = torch.stack([t.expand(y.shape), y], -1)
        else:
            seen = self.inputs(t, y)[:, :1] if self.noise_type == "additive" else self.inputs(t, y)
        value = torch.sigmoid(network(torch.nn.functional.softplus, seen, self.weights["g"])).reshape(BATCH, -1)
        if self.noise_type == "diagonal":
            return value
        return torch.diag_embed(value) if self.noise_type == "additive" else value.reshape(BATCH, STATE, -1)


def torch_gradient(case: Case, adjoint: bool, steps: int, params: Any, cotangent: Any) -> Any:
    leaves = [torch.tensor(x).requires_grad_() for x in jax.tree.leaves(params)]
    sde = TorchSDE(case, jax.tree.unflatten(jax.tree.structure(params), leaves))
    y0 = torch.full((BATCH, STATE), 0.1, dtype=torch.float64, requires_grad=True)
    size = (BATCH, MOTIONS[case.noise])
    path = torchsde.BrownianInterval(0.0, 1.0, size=size, dtype=torch.float64, dt=1 / steps, entropy=0)
    choice: dict[str, Any] = {"adjoint_params": tuple(leaves)} if adjoint else {}
    if adjoint and case.method == "reversible_heun":
        choice["adjoint_method"] = "adjoint_reversible_heun"
    solve = torchsde.sdeint_adjoint if adjoint else torchsde.sdeint
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    ys = solve(sde, y0, times, bm=path, method=case.torch_method, dt=1 / steps, **choice)
    found = torch.autograd.grad((torch.tensor(cotangent) * ys[-1]).sum(), [y0, *leaves])
    return np.concatenate([x.numpy().ravel() for x in found])


def error(found: Any, exact: Any) -> str:
    return f"{np.linalg.norm(found - exact) / np.linalg.norm(exact):.1e}"


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    torch.set_num_threads(1)
    print_conditions("jax", "torch", "torchsde")
    rows = {}
    cotangent = np.random.default_rng(1).normal(size=(BATCH, STATE))
    for case in CASES:
        params = weights(case)

        def ours(steps: int, adjoint: str, case: Case = case, params: Any = params) -> Any:
            return jax_gradient(case, adjoint, steps, params, cotangent)

        def theirs(steps: int, adjoint: bool, case: Case = case, params: Any = params) -> Any:
            return torch_gradient(case, adjoint, steps, params, cotangent)

        rows[f"{case.name}: jaxsde, {case.adjoint}"] = [
            error(ours(n, case.adjoint), ours(n, "backprop")) for n in STEPS
        ]
        rows[f"{case.name}: torchsde, adjoint"] = [error(theirs(n, True), theirs(n, False)) for n in STEPS]
    print_rows("Relative error of the gradient", [f"{n} steps" for n in STEPS], rows)


if __name__ == "__main__":
    main()
