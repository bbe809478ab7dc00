"""Complex numbers: a sentence wherever a real part would be taken in silence, and right where only args have them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    ADJOINTS,
    SDE,
    AdaptiveSteps,
    CounterPath,
    FirstExit,
    FixedSteps,
    Jumps,
    Langevin,
    ReplayedPath,
    expectation,
    path_kl,
    sdeint_ito,
    sdeint_ito_fixed_grid,
    sdeint_strat,
    sdeint_strat_fixed_grid,
    solve,
)
from jaxsde.latent import Gaussian, Series, matching, neural, pathwise

KEY = jax.random.key(0)
TS = np.linspace(0.0, 1.0, 4)
Y0 = jnp.ones(2)


def f(y, t, args):
    return -y


def imaginary(x):
    return jax.lax.complex(jnp.zeros_like(x), x)


def turned(y, t, args):
    return imaginary(y)


ENTRY_POINTS = {
    "solve": lambda f, g, y0, ts, rng, **how: solve(SDE(f, g), y0, ts, rng, **how),
    "adaptive": lambda f, g, y0, ts, rng, **how: solve(SDE(f, g), y0, ts, rng, steps=AdaptiveSteps(), **how),
    "sdeint_ito": sdeint_ito,
    "sdeint_ito_fixed_grid": sdeint_ito_fixed_grid,
    "sdeint_strat": sdeint_strat,
    "sdeint_strat_fixed_grid": sdeint_strat_fixed_grid,
    "expectation": lambda *sde, **how: expectation(SDE(*sde[:2]), *sde[2:], of=lambda ys: ys[-1], tolerance=0.1, **how),
}


@pytest.mark.parametrize("entry", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y0": imaginary(Y0)}, "y0 has a leaf of dtype complex64; .* real and imaginary parts as two leaves"),
        ({"f": turned}, "f gives an array of dtype complex64"),
        ({"g": turned}, "g gives an array of dtype complex64"),
        ({"ts": TS + 0j}, "ts is of dtype complex128; times are real"),
    ],
    ids=["state", "drift", "diffusion", "times"],
)
def test_equations(unchecked, entry, change, says):
    equation = {"f": f, "g": f, "y0": Y0, "ts": TS, "rng": KEY} | change
    with pytest.raises(TypeError, match=says):
        entry(*equation.values())


@pytest.mark.parametrize(
    ("noise", "path", "says"),
    [
        ("diagonal", ReplayedPath(np.ones((3, 2)) * 1j), "ReplayedPath has an array of dtype complex"),
        ("diagonal", ReplayedPath(np.ones((3, 2)), np.ones((3, 2)) * 1j), "ReplayedPath has an array"),
        ("diagonal", CounterPath(KEY, np.eye(2) * 1j), "cholesky is an array of dtype complex"),
        ("general", ReplayedPath(np.ones((3, 2)), area=np.zeros((3, 2, 2)) * 1j), "area of ReplayedPath is"),
    ],
    ids=["increments", "space-time", "cholesky", "area"],
)
def test_paths(unchecked, noise, path, says):
    method = "davie" if noise == "general" else "euler_maruyama"
    g = f if noise == "diagonal" else lambda y, t, args: jnp.eye(2)
    with pytest.raises(TypeError, match=says):
        solve(SDE(f, g, noise=noise), Y0, TS, args=None, steps=FixedSteps(1), method=method, brownian=path)


@pytest.mark.parametrize(
    ("sde", "y0", "choices", "error", "says"),
    [
        (SDE(f, f), Y0, {"jumps": Jumps(lambda y, t, key, a: imaginary(y), 1.0)}, TypeError, "jumps.change gives"),
        (SDE(f, f), Y0, {"jumps": Jumps(lambda y, t, key, a: y, lambda y, t, a: 1j, 2.0)}, ValueError,
         "jumps.rate gives complex64"),
        (SDE(f, f), Y0, {"first_exit": FirstExit(lambda y, t, a: imaginary(y[0]))}, ValueError, "inside gives comp"),
        (SDE(f, f), Y0, {"running": lambda y, t, h, dW, a: imaginary(h)}, TypeError, "running gives an array of dtype"),
        (Langevin(turned, 1.0, 1.0), (Y0, Y0), {}, TypeError, "the force gives an array"),
        (SDE(f, lambda y, t, a: imaginary, noise="general", noise_shape=(2,)), Y0, {}, TypeError,
         "the function that g returns gives an array"),
    ],
    ids=["jump", "rate", "first exit", "running", "force", "matrix-free"],
)  # fmt: skip
def test_what_goes_with_an_equation(unchecked, sde, y0, choices, error, says):
    with pytest.raises(error, match=says):
        solve(sde, y0, TS, KEY, **choices)


@pytest.mark.parametrize("number", [1j, np.complex64(1), jnp.asarray(1j)])
def test_numbers_of_an_equation(unchecked, number):
    with pytest.raises(TypeError, match=r"friction is .*; it is one real number"):
        Langevin(f, number, 1.0)
    with pytest.raises(TypeError, match=r"rate is .*; it is one real number"):
        Jumps(f, number)  # type: ignore[arg-type]


def test_expectation_of_a_complex_value(unchecked):
    with pytest.raises(TypeError, match=r"of gives .*complex64.* of floating point"):
        expectation(SDE(f, f), Y0, TS, KEY, of=lambda ys: imaginary(ys[-1]), tolerance=0.1)


def test_path_kl(unchecked):
    with pytest.raises(TypeError, match="u gives complex numbers"):
        path_kl(turned, np.ones((4, 2), np.float32), TS)


def test_latent_sdes(unchecked):
    values = np.ones((1, 4, 1))
    with pytest.raises(TypeError, match="values is of dtype complex128; values are real"):
        Series.of(TS, values * 1j)
    with pytest.raises(TypeError, match="ts is of dtype complex128; times are real"):
        Series.of(TS + 0j, values)
    series = Series.of(TS, values)
    parts = {
        "drift": (turned, "The drift gives numbers of dtype complex64"),
        "diffusion": (turned, "The diffusion gives numbers of dtype complex64"),
        "decoder": (lambda z, params: imaginary(z), "The likelihood gives numbers of dtype complex64"),
        "initial": (
            lambda params: Gaussian(imaginary(jnp.ones(1)), jnp.ones(1)),
            "The prior's first law gives numbers",
        ),
    }
    for part, (function, says) in parts.items():
        for objective, family in ((pathwise, "drift"), (matching, "marginals")):
            given: dict[str, Any] = {part: function}
            model, params = neural(KEY, width=1, latent=1, hidden=2, context=2, posterior=family, **given)
            # This suite's strict promotion would be the first to refuse.
            with jax.numpy_dtype_promotion("standard"), pytest.raises(TypeError, match=says):
                objective(model, params, series, KEY)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_args_may_be_complex(adjoint):
    """Of a drift that reads them as real numbers: the gradients are those of the real and the imaginary part."""

    def end(args):
        drift = lambda y, t, a: -jnp.abs(a * (1 + 2j)) * y  # noqa: E731
        return solve(SDE(drift, f, "stratonovich"), Y0, TS, KEY, args, steps=FixedSteps(1), method="reversible_heun",
                     adjoint=adjoint).ys[-1].sum()  # fmt: skip

    a = jnp.asarray(0.3 + 0.4j)
    of_parts = jax.grad(lambda parts: end(jax.lax.complex(*parts)))((a.real, a.imag))
    of_whole = jax.grad(end)(a)
    # JAX's convention for a real function of a complex number.
    np.testing.assert_allclose(of_whole, complex(of_parts[0], -of_parts[1]), rtol=1e-4)
    rate = lambda x: end(jnp.asarray(x + 0.4j))  # noqa: E731
    difference = (rate(0.31) - rate(0.29)) / 0.02
    np.testing.assert_allclose(of_whole.real, difference, rtol=1e-2)
