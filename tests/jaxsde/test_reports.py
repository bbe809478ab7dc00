"""What solves say at run time: once, whatever the batch, and without waiting for themselves."""

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import sdeint_ito_fixed_grid, sdeint_strat

KEY = jax.random.key(2)
TS = np.asarray([0.0, 0.25, 0.5, 0.75, 1.0])


def bursting(y0, since):
    """A solution that is NaN after the time `since`."""
    drift = lambda y, t, a: jnp.where(t >= since, jnp.nan, 0.0) * y  # noqa: E731
    return sdeint_ito_fixed_grid(drift, lambda y, t, a: 0.1 * y, y0, TS, KEY, check_finite=True)[-1]


BATCH = jnp.asarray([9.0, 0.5, 0.25, 9.0, 0.75, 9.0])
DEVICES = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))


@pytest.mark.parametrize(
    ("solve", "which"),
    [
        (lambda y0: bursting(y0, 0.25), ""),
        (lambda y0: jax.vmap(bursting, (None, 0))(y0, BATCH), "the first of 3 solutions of 6 in a batch"),
        (
            lambda y0: jax.vmap(jax.vmap(bursting, (None, 0)), (None, 0))(y0, BATCH.reshape(2, 3)),
            "the first of 3 solutions of 6 in a batch",
        ),
        (jax.grad(lambda y0: jax.vmap(bursting, (None, 0))(y0, BATCH).sum()), "the first of 3 solutions of 6"),
        (lambda y0: jax.vmap(jax.grad(bursting), (None, 0))(y0, BATCH), "the first of 3 solutions of 6"),
        (lambda y0: jax.lax.map(lambda s: bursting(y0, s), BATCH[2:4]), ""),
        (
            lambda y0: jax.shard_map(
                lambda s: jax.vmap(bursting, (None, 0))(y0, s),
                mesh=DEVICES,
                in_specs=jax.P("i"),
                out_specs=jax.P("i"),
            )(BATCH),
            "the first of 3 solutions of 6 in a batch",
        ),
        (jax.checkpoint(lambda y0: bursting(y0, 0.25)), ""),
    ],
)
def test_a_batch_is_one_call_and_says_how_many(solve, which):
    solve = jax.jit(solve)
    assert str(jax.make_jaxpr(solve)(jnp.ones(()))).count("debug_callback[") == 1
    with pytest.warns(RuntimeWarning, match="between t = 0.25 and t = 0.5.*" + which) as said:  # noqa: PT031
        jax.block_until_ready(solve(jnp.ones(())))
        jax.effects_barrier()
    assert len(said) == 1


def test_a_batch_without_fault_calls_nothing(monkeypatch):
    def called(*values):
        raise AssertionError

    monkeypatch.setattr("jaxsde.reports._warn_nonfinite", called)
    ends = jax.jit(jax.vmap(bursting, (None, 0)))(jnp.ones(()), jnp.full(5, 9.0))
    jax.effects_barrier()
    assert jnp.isfinite(ends).all()


def test_a_loop_over_batches_that_all_report_ends():
    """What Python computes with JAX arrays in a callback waits for the computations that wait for it."""
    program = """
        import warnings
        import jax, jax.numpy as jnp, numpy as np
        from jaxsde import sdeint_ito_fixed_grid
        warnings.simplefilter("ignore")
        f = lambda y, t, a: jnp.where(t >= 0.5, jnp.nan, 1.0) * y
        solve = lambda k: sdeint_ito_fixed_grid(f, f, jnp.ones(8), np.linspace(0, 1, 33), k, check_finite=True)[-1, 0]
        batch = jax.jit(jax.vmap(solve))
        ends = [batch(jax.random.split(jax.random.key(i), 500)) for i in range(60)]
        print(int(jnp.isnan(jnp.stack(ends)).sum()))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=240, check=True
    )
    assert int(done.stdout) == 60 * 500


@pytest.mark.parametrize(("adjoint", "max_steps"), [("backprop", 1), ("checkpoint", 4), ("stochastic", 4)])
def test_where_steps_ran_out_gradients_are_nan_like_the_solution(adjoint, max_steps):
    def end(y0, a, closed_over):
        return sdeint_strat(
            lambda y, t, a: -a * y, lambda y, t, a: closed_over * jnp.ones_like(y), y0, np.asarray([0.0, 1.0]), KEY, a,
            "heun", adaptive=True, rtol=1e-4, max_steps=max_steps, adjoint=adjoint,
        )[-1].sum()  # fmt: skip

    with pytest.warns(RuntimeWarning, match="no further than the output time 0.0"):  # noqa: PT031
        value, gradients = jax.jit(jax.value_and_grad(end, (0, 1, 2)))(jnp.ones(2), 1.0, 0.5)
        jax.effects_barrier()
    assert jnp.isnan(value)
    assert all(jnp.isnan(x).all() for x in gradients)
