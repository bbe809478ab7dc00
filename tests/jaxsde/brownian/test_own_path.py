"""A Brownian path of a user's own class."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    SDE,
    AdaptiveSteps,
    BrownianPath,
    CounterPath,
    FixedSteps,
    Increment,
    ReplayedPath,
    VirtualTree,
    brownian_increments,
    solve,
)

KEY, TS = jax.random.key(4), np.linspace(0.0, 1.0, 5)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Mirrored(BrownianPath):
    """A path and its mirror image, (1, -1) by the sign."""

    path: CounterPath
    sign: jax.Array

    def increment(self, k, t, h, like, space_time=False):
        whole = self.path.increment(k, t, h, like, space_time)
        return jax.tree.map(lambda x: self.sign * x, whole)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Ramp:
    """No noise but a slope: dB = slope dt, structurally a path."""

    slope: jax.Array
    has_space_time = True

    def increment(self, k, t, h, like, space_time=False):
        dW = tuple(None if x is None else jnp.full(x.shape, self.slope * h, x.dtype) for x in like)
        return Increment(dW, jax.tree.map(jnp.zeros_like, dW) if space_time else None)


def f(y, t, args):
    return jax.tree.map(lambda x: -args * x, y)


def g(y, t, args):
    return {"noisy": 0.5 * jnp.ones_like(y["noisy"]), "still": None}


def solved(path, y0, **choices):
    return solve(
        SDE(f, g, noise="additive"), y0, TS, None, jnp.asarray(1.0), brownian=path, steps=FixedSteps(40), **choices
    ).ys


Y0 = {"noisy": jnp.ones(3), "still": jnp.ones(2)}


def test_a_mirrored_path_takes_the_noise_out_of_a_linear_equation():
    one, other = (solved(Mirrored(CounterPath(KEY), jnp.asarray(sign)), Y0) for sign in (1.0, -1.0))
    np.testing.assert_array_equal(one["noisy"], solved(CounterPath(KEY), Y0)["noisy"])
    without = solve(SDE(f), Y0, TS, args=jnp.asarray(1.0), steps=FixedSteps(40)).ys
    np.testing.assert_allclose((one["noisy"] + other["noisy"]) / 2, without["noisy"], rtol=1e-5)
    assert abs(one["noisy"] - other["noisy"])[1:].min() > 1e-3


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "stochastic"])
def test_gradients_reach_the_arrays_of_a_path(x64, adjoint):
    """By Euler-Maruyama the end is q^n y0 + sigma slope (1 - q^n), q = 1 - h, at rate 1."""

    def end(slope):
        return solved(Ramp(slope), {"noisy": jnp.ones(3), "still": jnp.ones(2)}, adjoint=adjoint)["noisy"][-1, 0]

    value, gradient = jax.jit(jax.value_and_grad(end))(2.0)
    decay = (1 - 1 / 40) ** 40
    np.testing.assert_allclose(value, decay + 0.5 * 2.0 * (1 - decay), rtol=1e-12)
    np.testing.assert_allclose(gradient, 0.5 * (1 - decay), rtol=1e-12)


def test_space_time_areas_of_a_path():
    ys = solved(Ramp(jnp.asarray(2.0)), Y0, method="sra1")
    np.testing.assert_allclose(ys["noisy"][-1], np.exp(-1) + 0.5 * 2 * (1 - np.exp(-1)), rtol=1e-4)
    with pytest.raises(ValueError, match="needs the space-time areas"):
        solved(Mirrored(CounterPath(KEY), jnp.asarray(1.0)), Y0, method="sra1")


class Unregistered(BrownianPath):
    def increment(self, k, t, h, like, space_time=False):
        return Increment(like)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Bare(Ramp):
    def increment(self, k, t, h, like, space_time=False):
        return jnp.ones(3)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Whole(Ramp):
    def increment(self, k, t, h, like, space_time=False):
        return Increment((jnp.ones(3), jnp.ones(2)))


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        (Unregistered(), TypeError, "Unregistered, which is not a pytree of arrays: register the class"),
        (Ramp("steep"), TypeError, "Ramp, which is not a pytree of arrays"),  # type: ignore[arg-type]
        (Bare(jnp.ones(())), ValueError, "Bare.increment gives .* an Increment of dW like"),
        (Whole(jnp.ones(())), ValueError, "Whole.increment gives Increment.* an Increment of dW like"),
    ],
)
def test_what_is_no_path_is_refused(path, error, says):
    with pytest.raises(error, match=says):
        solved(path, Y0)


def test_a_subclass_is_asked_for_its_increments():
    """Of each path of ours: twice its increments are twice the noise."""

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Counted(CounterPath):
        def increment(self, k, t, h, like, space_time=False):  # type: ignore[override]
            return jax.tree.map(lambda x: 2 * x, CounterPath.increment(self, k, t, h, like, space_time))

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Tree(VirtualTree):
        def increment(self, k, t, h, like, space_time=False):
            return jax.tree.map(lambda x: 2 * x, VirtualTree.increment(self, k, t, h, like, space_time))

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Replayed(ReplayedPath):
        def increment(self, k, t, h, like, space_time=False):  # type: ignore[override]
            return Increment((2 * self.increments[k],))

    def end(path):
        noise = SDE(lambda y, t, a: jnp.zeros_like(y), lambda y, t, a: jnp.ones_like(y), noise="additive")
        return solve(noise, jnp.zeros(2), TS, brownian=path, steps=FixedSteps(1)).ys

    tree = KEY, 0.0, 1.0, 2.0**-10
    np.testing.assert_allclose(end(Counted(KEY)), 2 * end(CounterPath(KEY)), rtol=1e-6)
    np.testing.assert_allclose(end(Tree(*tree)), 2 * end(VirtualTree(*tree)), rtol=1e-5, atol=1e-6)
    increments = brownian_increments(KEY, TS, jnp.zeros(2))
    np.testing.assert_allclose(end(Replayed(increments)), 2 * end(ReplayedPath(increments)), rtol=1e-6)
    with pytest.raises(TypeError, match="takes a VirtualTree for brownian, not a Tree"):
        solve(
            SDE(lambda y, t, a: -y, lambda y, t, a: y), jnp.ones(2), TS, method="milstein", brownian=Tree(*tree),
            steps=AdaptiveSteps(1e-1, 1e-1),
        )  # fmt: skip


slope = 1.0


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Reading:
    """A path that reads a number of its module at every increment."""

    scale: jax.Array
    has_space_time = False

    def increment(self, k, t, h, like, space_time=False):
        return Increment(tuple(None if x is None else jnp.full(x.shape, self.scale * slope * h) for x in like))


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "stochastic"])
def test_what_an_increment_reads_may_change(monkeypatch, adjoint):
    """Outside of `jit` too, also where a derivative is taken for it; by Euler-Maruyama as above."""
    gain = 0.5 * (1 - (1 - 1 / 40) ** 40)

    def end(scale, value):
        monkeypatch.setitem(globals(), "slope", value)
        path = Reading(jnp.asarray(scale))
        return solved(path, Y0, adjoint=adjoint)["noisy"][-1, 0]

    decay = float(end(1.0, 0.0))
    for value in (1.0, -1.0, 3.0):
        np.testing.assert_allclose(end(1.0, value) - decay, value * gain, rtol=1e-5)
        by_scale, by_value = jax.grad(end, (0, 1))(2.0, value)
        np.testing.assert_allclose(by_scale, value * gain, rtol=1e-5)
        np.testing.assert_allclose(by_value, 2.0 * gain, rtol=1e-5)
