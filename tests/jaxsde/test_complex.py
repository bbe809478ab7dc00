"""Complex numbers: a complex state is its real and imaginary part as two leaves, with real noise; and a sentence
wherever a real part would be taken in silence.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    ADJOINTS,
    METHODS,
    SDE,
    AdaptiveSteps,
    CounterPath,
    FirstExit,
    FixedSteps,
    Jumps,
    Langevin,
    ReplayedPath,
    VirtualTree,
    brownian_increments,
    expectation,
    ito_to_stratonovich,
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


def as_complex(x):
    return jax.lax.complex(x, jnp.zeros_like(x))


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
        ({"f": turned}, "f gives an array of dtype complex64"),
        ({"g": turned}, "g gives an array of dtype complex64"),
        ({"ts": TS + 0j}, "ts is of dtype complex128; times are real"),
    ],
    ids=["drift", "diffusion", "times"],
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
        (Langevin(f, 1.0, 1.0), (imaginary(Y0), Y0), {}, TypeError, "positions and momenta .* are real"),
        (SDE(f, f), imaginary(Y0), {"first_exit": FirstExit(lambda y, t, a: 1 - jnp.abs(y[0]))}, TypeError,
         "y0 has complex numbers, and first_exit"),
        (SDE(lambda y, t, a: (y[0], imaginary(y[1])), lambda y, t, a: y), (imaginary(Y0), Y0), {}, TypeError,
         "f gives an array of dtype complex64 for a leaf of y0 of dtype float32"),
        (SDE(f, lambda y, t, a: imaginary, noise="general", noise_shape=(2,)), Y0, {}, TypeError,
         "the function that g returns gives an array"),
    ],
    ids=["jump", "rate", "first exit", "running", "force", "momentum", "complex exit", "real leaf", "matrix-free"],
)  # fmt: skip
def test_what_goes_with_an_equation(unchecked, sde, y0, choices, error, says):
    with pytest.raises(error, match=says):
        solve(sde, y0, TS, KEY, **choices)


@pytest.mark.parametrize("number", [1j, np.complex64(1), jnp.asarray(1j)])
def test_numbers_of_an_equation(unchecked, number):
    with pytest.raises(TypeError, match=r"friction is .*; it is one real number"):
        Langevin(f, number, 1.0)
    with pytest.raises(TypeError, match=r"rate is .*; it is one real number"):
        Jumps(lambda y, t, key, args: y, number)


def test_times_and_noise(unchecked):
    with pytest.raises(TypeError, match=r"dt is 0.1j; steps are of real numbers"):
        FixedSteps(dt=0.1j)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"rtol is \(1\+0j\); steps are of real"):
        AdaptiveSteps(rtol=np.complex64(1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"t1=\(1\+0j\), tol=0.1; times are real"):
        VirtualTree(KEY, 0.0, np.complex64(1), 0.1)
    with pytest.raises(TypeError, match=r"like has complex numbers; Brownian motions are real"):
        brownian_increments(KEY, TS, imaginary(Y0))
    with pytest.raises(TypeError, match="rng is"):
        solve(SDE(f, f), Y0, TS, imaginary(Y0))


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


# A state of one complex number: f and g are not holomorphic, and g has one column for each noise or two.
COEFFICIENTS = (0.4 + 0.3j, -0.7 + 1.3j)
START = 0.6 - 0.4j
COLUMNS = np.array([0.3 + 0.2j, -0.1 + 0.25j])


def drift(z, t, a):
    return a[1] * z + 0.2 * jnp.conj(z) ** 2 * z * as_complex(jnp.sin(t))


def diffusion(noise):
    def g(z, t, a):
        if noise == "additive":
            return a[0]
        if noise == "commutative":
            return a[0] * z * jnp.asarray(COLUMNS)
        if noise == "general":
            return a[0] * z * jnp.asarray(COLUMNS) + jnp.conj(z) * jnp.asarray(COLUMNS[::-1])
        return a[0] * as_complex(jnp.cos(z.real)) + 0.1j * jnp.conj(z)

    return g


def as_parts(f, g, sde_type, noise):
    """The same equation of the real and the imaginary part, which share their noise."""

    def real(function):
        def parts(y, t, a):
            value = function(jax.lax.complex(*y), t, [jax.lax.complex(*x) for x in a])
            return value.real, value.imag

        return parts

    return SDE(real(f), real(g), sde_type, noise if noise in ("commutative", "general") else "scalar")


def pair(z):
    return jnp.real(z), jnp.imag(z)


def both(noise, method, sde_type, **choices):
    """The end of either equation, as a function of y0 and args."""
    choices = {"steps": FixedSteps(4), "method": method} | choices
    whole = SDE(drift, diffusion(noise), sde_type, noise)
    parts = as_parts(drift, diffusion(noise), sde_type, noise)

    def end(sde):
        return lambda y0, args: solve(sde, y0, [0.0, 0.5], KEY, args, **choices).end

    return end(whole), end(parts)


def cases():
    for method in METHODS.values():
        noises = [noise for noise in ("general", "commutative", "diagonal") if method.order(noise)]
        # With general noise nothing but the columns is another.
        for noise in noises if method.name == "milstein" else noises[:1]:
            for sde_type in method.sde_types if method.name in ("milstein", "davie") else method.sde_types[:1]:
                yield pytest.param(noise, method.name, sde_type, id=f"{method.name}-{noise}-{sde_type}")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("noise", "method", "sde_type"), [*cases()])
def test_a_complex_state_is_its_two_parts(noise, method, sde_type):
    whole, parts = both(noise, method, sde_type)
    y0, args = jnp.asarray(START), [jnp.asarray(a) for a in COEFFICIENTS]
    found, expected = whole(y0, args), parts(pair(y0), list(map(pair, args)))
    assert found.dtype == jnp.complex128
    np.testing.assert_allclose(pair(found), expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", [m.name for m in METHODS.values() if m.order("additive") and not m.langevin])
def test_additive_complex_noise_is_real_noise_turned(method):
    """z = c w, where w has noise in its real part alone."""
    c, (_, a) = COEFFICIENTS[0], COEFFICIENTS
    turned = SDE(lambda w, t, _: drift(c * w, t, (c, a)) / c, lambda w, t, _: 1.0 + 0 * t, noise="additive")

    def real_drift(w, t, _):
        value = turned.drift(jax.lax.complex(*w), t, None)
        return value.real, value.imag

    of_parts = SDE(real_drift, lambda w, t, _: (1.0 + 0 * t, None), noise="additive")
    whole = SDE(lambda z, t, _: drift(z, t, (c, a)), lambda z, t, _: jnp.asarray(c), noise="additive")
    ends = [
        solve(sde, y0, [0.0, 0.5], KEY, steps=FixedSteps(4), method=method).end
        for sde, y0 in ((whole, jnp.asarray(START)), (of_parts, pair(jnp.asarray(START / c))))
    ]
    np.testing.assert_allclose(ends[0], c * complex(*ends[1]), rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("method", "noise", "sde_type"),
    [("sriw1", "diagonal", "ito"), ("midpoint", "diagonal", "stratonovich")],
)
def test_adaptive_steps_see_the_size_of_errors(method, noise, sde_type):
    """The norm is of the absolute value, so grids differ from those of two parts; the solution is one on either."""
    tree = VirtualTree(KEY, 0.0, 0.5, 2.0**-14, space_time=method == "sriw1")
    whole, parts = both(noise, method, sde_type, steps=AdaptiveSteps(1e-3, 1e-3), brownian=tree)
    y0, args = jnp.asarray(START), [jnp.asarray(a) for a in COEFFICIENTS]
    found, expected = whole(y0, args), parts(pair(y0), list(map(pair, args)))
    np.testing.assert_allclose(pair(found), expected, atol=5e-3)


GRADIENTS = [("midpoint", adjoint) for adjoint in ("backprop", "checkpoint", "reversible", "stochastic")] + [
    ("ees25", "reversible"), ("reversible_heun", "reversible"), ("milstein", "stochastic"), ("milstein", "reversible"),
    ("sriw1", "stochastic"), ("implicit_euler", "stochastic"),
]  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("method", "adjoint"), GRADIENTS)
def test_gradients_are_those_of_the_two_parts(method, adjoint):
    """By JAX's convention: the derivative by the real part, less i times that by the imaginary one."""
    whole, parts = both("diagonal", method, METHODS[method].sde_types[0], adjoint=adjoint)

    def loss(z):
        return z.real**2 + 3 * z.real * z.imag - jnp.sin(z.imag)

    y0, args = jnp.asarray(START), [jnp.asarray(a) for a in COEFFICIENTS]
    found = jax.grad(lambda *at: loss(whole(*at)), (0, 1))(y0, args)
    expected = jax.grad(lambda *at: loss(jax.lax.complex(*parts(*at))), (0, 1))(pair(y0), list(map(pair, args)))
    of_parts = [complex(x, -y) for x, y in (expected[0], *expected[1])]
    np.testing.assert_allclose([found[0], *found[1]], of_parts, rtol=1e-9)
    if (method, adjoint) == ("midpoint", "backprop"):
        for direction in (1.0, 1j):
            tangents = jnp.asarray(direction + 0j), [jnp.zeros_like(a) for a in args]
            forward = jax.jvp(lambda *at: loss(whole(*at)), (y0, args), tangents)[1]
            ends = [loss(whole(y0 + step * direction, args)) for step in (1e-5, -1e-5)]
            np.testing.assert_allclose(forward, (ends[0] - ends[1]) / 2e-5, rtol=1e-7)
            np.testing.assert_allclose(forward, (found[0] * direction).real, rtol=1e-12)


def kubo(sde_type, omega=2.0, sigma=0.8):
    """Kubo's oscillator: dz = i omega z dt + i sigma z o dW, whose size stays 1: z = exp(i (omega t + sigma W))."""
    shift = sigma**2 / 2 if sde_type == "ito" else 0.0
    return SDE(lambda z, t, a: (1j * omega - shift) * z, lambda z, t, a: 1j * sigma * z, sde_type)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", ["milstein", "midpoint", "heun"])
def test_the_oscillator_of_kubo(method):
    """Path by path at strong order 1."""
    sde = kubo(METHODS[method].sde_types[0])
    fine = jax.random.normal(KEY, (300, 256)) / 16
    exact = np.exp(1j * (2.0 + 0.8 * np.asarray(fine.sum(1))))

    def error(steps):
        def end(dW):
            start, path = jnp.asarray(1 + 0j), ReplayedPath(dW)
            return solve(sde, start, [0, 1], steps=FixedSteps(steps), method=method, brownian=path).end

        found = jax.jit(jax.vmap(end))(fine.reshape(300, steps, -1).sum(2))
        return np.sqrt(np.mean(np.abs(np.asarray(found) - exact) ** 2))

    steps = np.array([16, 64, 256])
    slope, _ = np.polyfit(np.log(steps), np.log([error(int(n)) for n in steps]), 1)
    np.testing.assert_allclose(-slope, 1, atol=0.15)


def test_the_mean_of_the_oscillator_of_kubo():
    """E z = exp(i omega t - sigma^2 t / 2): both parts, of which the imaginary one is 0 at the start."""
    found = expectation(
        kubo("ito"), jnp.asarray(1 + 0j), [0.0, 1.0], KEY, of=lambda ys: jnp.stack(pair(ys[-1])), tolerance=0.05,
        method="milstein",
    )  # fmt: skip
    exact = np.exp(2j - 0.32)
    assert (np.abs(found.mean - np.array(pair(exact))) < 0.05).all()
    assert (found.standard_error > 0).all()


def test_complex_jumps():
    """Quarter turns at random times: z = i^N."""
    turns = Jumps(lambda z, t, key, a: 1j * z, 3.0)
    still = SDE(lambda z, t, a: 0 * z)
    counted = Jumps(lambda y, t, key, a: y + 1, 3.0)
    end, number = (
        solve(still, y0, [0.0, 2.0], KEY, steps=FixedSteps(1), jumps=jumps).end
        for y0, jumps in ((jnp.asarray(1 + 0j), turns), (jnp.asarray(0.0), counted))
    )
    assert number > 0
    np.testing.assert_allclose(end, 1j ** int(number), atol=1e-6)


@pytest.mark.parametrize(
    ("noise", "g", "method", "says"),
    [
        ("additive", lambda z, t, a: imaginary(z.imag), "euler_maruyama", "noise is 'additive' and g"),
        ("diagonal", lambda z, t, a: imaginary(z.imag[::-1]), "milstein", "noise is 'diagonal' and an entry"),
        ("commutative", lambda z, t, a: jnp.stack([1j * z, jnp.conj(z)], -1), "milstein", "do not commute"),
    ],
    ids=["additive", "diagonal", "commutative"],
)
def test_noise_that_is_not_what_it_is_said_to_be(noise, g, method, says):
    with pytest.raises(ValueError, match=says):
        solve(SDE(f, g, noise=noise), imaginary(Y0), TS, KEY, method=method)


@pytest.mark.parametrize(
    ("noise", "g"),
    [
        ("additive", lambda z, t, a: jnp.full_like(z, 0.3 + 0.1j)),
        ("diagonal", lambda z, t, a: jnp.flip(jnp.flip(jnp.conj(z) * as_complex(jnp.abs(z))))),
        ("commutative", lambda z, t, a: jnp.stack([z, 1j * z], -1)),
    ],
    ids=["additive", "diagonal", "commutative"],
)
def test_noise_that_is_what_it_is_said_to_be(noise, g):
    end = solve(SDE(f, g, noise=noise), imaginary(Y0), TS, KEY, method="milstein").end
    assert jnp.isfinite(end).all()


@pytest.mark.usefixtures("x64")
def test_from_one_calculus_to_the_other():
    """1/2 g . dg along a direction of the plane: of g = conj(z), conj(conj(z)) = z."""
    shifted = ito_to_stratonovich(lambda z, t, a: 0 * z, lambda z, t, a: jnp.conj(z))
    np.testing.assert_allclose(shifted(jnp.asarray(START), 0.0, None), -START / 2, rtol=1e-14)
    columns = ito_to_stratonovich(lambda z, t, a: 0 * z, lambda z, t, a: jnp.stack([z, 1j * z], -1), "general")
    np.testing.assert_allclose(columns(jnp.asarray(START), 0.0, None), 0, atol=1e-14)
