"""A meter hears how far a solve has come: about once a percent, once a batch, forwards alone, and changes no number."""

import dataclasses
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import ADJOINTS, SDE, AdaptiveSteps, FirstExit, FixedSteps, Jumps, ProgressBar, solve
from jaxsde.progress import CALLS

KEY = jax.random.key(0)
TS = np.array([0.0, 0.3, 1.0])
Y0 = jnp.array([1.0, 0.5])
STEPS = FixedSteps(250)
F = SDE(lambda y, t, a: -a * jnp.sin(y), lambda y, t, a: 0.3 * y)


class Heard:
    """A meter that writes down what it hears."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def __call__(self, share: float) -> None:
        self.shares.append(share)

    def of(self, call):
        self.shares.clear()
        found = jax.block_until_ready(call())
        jax.effects_barrier()
        return found, list(self.shares)


def whole(shares, calls=None):
    """Whether they are those of one solve, from nothing to all."""
    up = np.all(np.diff(shares) > 0) and shares[0] == 0 and shares[-1] == 1
    return up and (len(shares) == calls if calls else len(shares) <= 2 * CALLS + 2)


def call(progress, y0=Y0, key=KEY, a=0.7, ts=TS, steps=STEPS, **choices):
    return solve(F, y0, ts, key, a, progress=progress, steps=steps, **choices)


def test_a_solve_of_one_step_is_heard_each_time():
    heard = Heard()
    for _ in range(2):
        assert heard.of(lambda: call(heard, ts=TS[::2], steps=FixedSteps(1)))[1] == [0.0, 1.0]


@pytest.mark.parametrize("compiled", [False, True], ids=["alone", "in jit"])
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"ts": np.linspace(0, 1, 38), "steps": FixedSteps(1)},
        {"steps": FixedSteps(dt=0.009)},
        {"steps": AdaptiveSteps(1e-2, 1e-3)},
        {"jumps": Jumps(lambda y, t, key, a: 0.9 * y, 3.0)},
        {"first_exit": FirstExit(lambda y, t, a: 0.8 - y[1])},
    ],
    ids=["number", "on ts", "dt", "adaptive", "jumps", "first exit"],
)
def test_no_number_changes(choices, compiled):
    heard = Heard()
    wrap = jax.jit if compiled else lambda f: f
    found, shares = heard.of(lambda: wrap(lambda y0: call(heard, y0, **choices))(Y0))
    assert whole(shares)
    silent = wrap(lambda y0: call(None, y0, **choices))(Y0)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(silent), strict=True):
        np.testing.assert_array_equal(a, b)


def test_about_once_a_percent():
    heard = Heard()
    _, shares = heard.of(lambda: call(heard, ts=TS[::2], steps=FixedSteps(1000)))
    np.testing.assert_allclose(shares, np.arange(101) / 100, atol=1e-6)


@pytest.mark.parametrize("adjoint", sorted(set(ADJOINTS) - {"checkpoint"}))
def test_a_gradient_is_one_solve_forwards_and_is_the_same(adjoint):
    heard = Heard()

    def slope(progress):
        end = lambda y0, a: call(progress, y0, a=a, steps=FixedSteps(60), adjoint=adjoint).ys[-1].sum()  # noqa: E731
        return jax.jit(jax.grad(end, (0, 1)))(Y0, 0.7)

    found, shares = heard.of(lambda: slope(heard))
    assert whole(shares)
    for a, b in zip(found, slope(None), strict=True):
        np.testing.assert_array_equal(a, b)


def test_forward_mode():
    heard = Heard()
    derivative = jax.jit(lambda a: jax.jvp(lambda a: call(heard, a=a).ys[-1], (a,), (1.0,)))
    assert whole(heard.of(lambda: derivative(0.7))[1])


@pytest.mark.parametrize("steps", [FixedSteps(250), AdaptiveSteps(1e-2, 1e-3)], ids=["fixed", "adaptive"])
def test_a_batch_is_one_solve(steps):
    heard = Heard()
    keys = jax.random.split(KEY, 6).reshape(2, 3)
    batch = jax.jit(jax.vmap(jax.vmap(lambda key: call(heard, key=key, steps=steps).ys)))
    _, shares = heard.of(lambda: batch(keys))
    assert whole(shares)


def test_a_loop_over_solves_is_one_after_the_other():
    heard = Heard()
    ends = jax.jit(lambda a: jax.lax.map(lambda a: call(heard, a=a).ys[-1], a))
    _, shares = heard.of(lambda: ends(jnp.array([0.5, 0.7, 0.9])))
    parts = np.split(shares, np.flatnonzero(np.array(shares) == 0)[1:])
    assert len(parts) == 3
    assert all(whole(part) for part in parts)


def test_of_several_devices_the_first_one_speaks():
    heard = Heard()
    mesh = jax.make_mesh((2,), ("paths",), devices=jax.devices()[:2], axis_types=(jax.sharding.AxisType.Auto,))
    paths = jax.vmap(lambda key: call(heard, key=key).ys)
    shared = jax.jit(jax.shard_map(paths, mesh=mesh, in_specs=jax.P("paths"), out_specs=jax.P("paths")))
    _, shares = heard.of(lambda: shared(jax.random.split(KEY, 4)))
    assert whole(shares)


def test_equal_meters_compile_once():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
    )
    counts = []
    for label in ("one", "one", "two"):
        compiled.clear()
        call(ProgressBar(label))
        jax.effects_barrier()
        counts.append(len(compiled))
    assert counts[0] > 0
    assert counts[1] == 0
    assert counts[2] > 0


def test_the_bar_is_of_tqdm(capsys):
    for _ in range(2):
        call(ProgressBar("paths"))
        jax.effects_barrier()
    said = capsys.readouterr().err
    assert said.count("paths: 100%") >= 2
    assert ProgressBar("a") == ProgressBar("a") != ProgressBar("b")


@dataclasses.dataclass
class Hashless:
    heard: list[float]

    def __call__(self, share: float) -> None:
        self.heard.append(share)


@pytest.mark.parametrize("progress", [True, "tqdm", Hashless([])])
def test_what_is_no_meter_is_refused(unchecked, progress):
    with pytest.raises(TypeError, match=r"progress is .*; it is a function of the share .*ProgressBar\(\)"):
        call(progress)


def test_a_gradient_that_runs_the_loop_again_is_refused():
    with pytest.raises(ValueError, match=r"adjoint='checkpoint' runs the loop over steps again .* take 'stochastic'"):
        call(Heard(), adjoint="checkpoint")


def test_a_loop_over_batches_with_large_outputs_ends():
    """A callback that waited for JAX would wait for ever."""
    program = """
        import jax, jax.numpy as jnp, numpy as np
        from jaxsde import SDE, FixedSteps, ProgressBar, solve
        sde = SDE(lambda y, t, a: -y, lambda y, t, a: y)
        run = lambda k: solve(sde, jnp.ones(4096), [0.0, 1.0], k, steps=FixedSteps(200), progress=ProgressBar()).ys
        batch = jax.jit(jax.vmap(run))
        for i in range(10):
            ys = batch(jax.random.split(jax.random.key(i), 8))
        print(np.asarray(ys).shape)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "(8, 2, 4096)\n"
