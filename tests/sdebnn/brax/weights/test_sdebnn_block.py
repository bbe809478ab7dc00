import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.example_libraries import stax

from sdebnn.brax import SDEBNN, HyperODEBlock, Layer, ODEBlock, WeightProcess, drift_network, independent_paths
from sdebnn.brax.diffeq_layers import dense
from sdebnn.brax.weights.weight_path import draw_path
from sdebnn.errors import InputError

KEY = jax.random.key(0)
# A bare pair of functions, as stax gives it.
FX = stax.serial(dense("ignore", 4), stax.Tanh, dense("ignore", 3))


def block(**choices):
    sigma = choices.pop("sigma", 0.2)
    return SDEBNN(FX, WeightProcess(drift_network((2, 8)), sigma=sigma), **{"steps": 4, **choices})


@pytest.mark.parametrize("method", ["euler_maruyama", "midpoint"])
def test_a_path_of_the_weights_alone_is_the_one_that_the_hidden_state_moves_along(method: str) -> None:
    layer, process = block(method=method), WeightProcess(drift_network((2, 8)), sigma=0.2)
    _, params = layer.init(KEY, (-1, 3))
    ts, rng = np.linspace(0.0, 1.0, 5), jax.random.key(1)
    path = layer.weight_path(params, ts, rng=rng, prior=True)
    np.testing.assert_array_equal(path, draw_path(process, params, rng, ts, steps=4, method=method, prior=True)[0])
    assert np.abs(path - layer.weight_path(params, ts, rng=jax.random.key(2), prior=True)).max() > 0.1
    with pytest.raises(InputError, match="depths"):
        layer.weight_path(params, ts[::-1], rng=rng)
    # Weights that are drawn first are those of a call.
    x = jnp.linspace(-1, 1, 6).reshape(2, 3)
    drawn = layer.run(params, layer.draw(params, rng), x)
    np.testing.assert_allclose(drawn, layer.apply(params, x, rng=rng)[0], rtol=1e-5, atol=1e-6)


def test_shape_kl_and_randomness() -> None:
    init, apply = block()
    output_shape, params = init(KEY, (-1, 3))
    x = jnp.linspace(-1, 1, 6).reshape(2, 3)
    a, kl = apply(params, x, rng=jax.random.key(1))
    b, _ = apply(params, x, rng=jax.random.key(2))
    assert output_shape == (-1, 3)
    assert a.shape == (2, 3)
    assert kl == 0
    assert not np.allclose(a, b)
    np.testing.assert_array_equal(a, apply(params, x, rng=jax.random.key(1))[0])


def test_the_whole_batch_shares_one_weight_path() -> None:
    init, apply = block()
    _, params = init(KEY, (-1, 3))
    x = jnp.linspace(-1, 1, 15).reshape(5, 3)
    together, _ = apply(params, x, rng=KEY)
    apart = jnp.concatenate([apply(params, row[None], rng=KEY)[0] for row in x])
    np.testing.assert_allclose(together, apart, rtol=1e-5, atol=1e-6)


def test_without_noise_it_is_the_ode_block() -> None:
    """With the prior centred at w_0 and next to no diffusion the weights stand still."""
    init, apply = block(sigma=1e-7)
    _, params = init(KEY, (-1, 3))
    x = jnp.linspace(-1, 1, 6).reshape(2, 3)
    np.testing.assert_allclose(
        apply(params, x, rng=KEY)[0], ODEBlock(FX, steps=4).apply(params["w0"], x), rtol=1e-5, atol=1e-6
    )


def test_the_ode_block_converges_to_the_matrix_exponential() -> None:
    linear = Layer(lambda rng, shape: (shape, jnp.asarray([[0.0, 1.0], [-1.0, 0.0]])), lambda a, x, t: x @ a)
    x = jnp.asarray([[1.0, 0.0]])
    exact = np.asarray([[np.cos(1.0), np.sin(1.0)]])
    errors = [
        float(np.abs(ODEBlock(linear, steps=n).apply(linear.init(KEY, (-1, 2))[1], x) - exact).max()) for n in (50, 100)
    ]
    assert errors[0] < 0.02
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_gradient_matches_finite_differences(x64) -> None:
    # Not stl: it stops a gradient on purpose. Away from the fresh network, where the KL and its gradient are zero.
    init, apply = block(kl_estimator="full_mc")
    flat, unravel = jax.flatten_util.ravel_pytree(
        jax.tree.map(lambda leaf: leaf.astype(jnp.float64), init(KEY, (-1, 3))[1])
    )
    flat += 0.1 * jax.random.normal(jax.random.key(3), flat.shape, jnp.float64)
    x = jnp.linspace(-1, 1, 6, dtype=jnp.float64).reshape(2, 3)

    @jax.jit
    def loss(flat):
        outputs, kl = apply(unravel(flat), x, rng=KEY)
        return jnp.sum(outputs**2) + 0.1 * kl

    direction, step = jax.random.normal(jax.random.key(4), flat.shape, jnp.float64), 1e-6
    difference = (loss(flat + step * direction) - loss(flat - step * direction)) / (2 * step)
    np.testing.assert_allclose(jax.grad(loss)(flat) @ direction, difference, rtol=1e-6)


def test_a_fresh_block_draws_from_its_prior_and_a_trained_one_does_not() -> None:
    init, apply = block()
    _, params = init(KEY, (-1, 3))
    x = jnp.linspace(-1, 1, 6).reshape(2, 3)
    prior, kl = apply(params, x, rng=KEY, prior=True)
    assert kl == 0
    np.testing.assert_allclose(prior, apply(params, x, rng=KEY)[0], rtol=1e-6)
    moved = params | {"drift": jax.tree.map(lambda leaf: leaf + 0.5, params["drift"])}
    posterior, kl = apply(moved, x, rng=KEY)
    assert kl != 0
    assert not np.allclose(prior, posterior)
    np.testing.assert_allclose(apply(moved, x, rng=KEY, prior=True)[0], prior, rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("adjoint", "method", "tolerance"),
    [
        ("checkpoint", "midpoint", 1e-12),
        ("reversible", "reversible_heun", 1e-10),
        ("reversible", "coupled_midpoint", 1e-10),
        ("stochastic", "euler_maruyama", 5e-3),
    ],
)
def test_every_adjoint_gives_the_gradient_of_backprop(adjoint: str, method: str, tolerance: float) -> None:
    x = jnp.linspace(-1, 1, 6, dtype=jnp.float64).reshape(2, 3)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64) + 0.1, block()[0](KEY, (-1, 3))[1])

    def gradient(adjoint: str) -> jax.Array:
        _, apply = block(steps=16, method=method, adjoint=adjoint)
        both = jax.jit(jax.grad(lambda p: sum(jnp.sum(part) for part in apply(p, x, rng=KEY))))(params)
        return jax.flatten_util.ravel_pytree(both)[0]

    exact = gradient("backprop")
    np.testing.assert_allclose(gradient(adjoint), exact, rtol=tolerance, atol=tolerance * float(jnp.abs(exact).max()))


@pytest.mark.parametrize("method", ["euler_maruyama", "midpoint"])
def test_the_hyper_ode_block_is_the_sdebnn_block_without_noise(method: str) -> None:
    drift = drift_network((2, 8))
    hyper = HyperODEBlock(FX, drift, steps=4, method=method)
    still = SDEBNN(FX, WeightProcess(drift, noisy_depth=(0, 0)), steps=4, method=method)
    _, params = still.init(KEY, (-1, 3))
    assert jax.tree.all(jax.tree.map(np.array_equal, params, hyper.init(KEY, (-1, 3))[1]))
    moved = params | {"drift": jax.tree.map(lambda leaf: leaf + 0.3, params["drift"])}
    x = jnp.linspace(-1, 1, 6).reshape(2, 3)
    outputs, kl = still.apply(moved, x, rng=KEY)
    assert kl == 0
    np.testing.assert_allclose(hyper.apply(moved, x), outputs, rtol=1e-6)
    assert not np.allclose(outputs, ODEBlock(FX, steps=4, method=method).apply(params["w0"], x), atol=1e-3)


def test_independent_paths_are_those_of_their_keys() -> None:
    layer = block(sigma=1.0)
    each, pairs = independent_paths(layer), independent_paths(layer, 2)
    _, params = each.init(KEY, (-1, 3))
    params = params | {"drift": jax.tree.map(lambda leaf: leaf + 0.5, params["drift"])}
    x = jnp.broadcast_to(jnp.asarray([0.3, -0.2, 0.1]), (4, 3))
    outputs, kl = each.apply(params, x, rng=KEY)
    keys = jax.random.split(KEY, 4)
    alone = [layer.apply(params, x[:1], rng=key) for key in keys]
    np.testing.assert_allclose(outputs, jnp.concatenate([out for out, _ in alone]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kl, np.mean([part for _, part in alone]), rtol=1e-5)
    assert len(np.unique(outputs, axis=0)) == 4
    assert len(np.unique(pairs.apply(params, x, rng=KEY)[0], axis=0)) == 2
    with pytest.raises(InputError, match="4 examples cannot be divided into 3"):
        independent_paths(layer, 3).apply(params, x, rng=KEY)
    with pytest.raises(InputError, match="groups=0"):
        independent_paths(layer, 0)


def test_f_x_that_changes_the_shape_is_refused() -> None:
    wide = dense("ignore", 5)
    process = WeightProcess(drift_network((2,)))
    for layer in (SDEBNN(wide, process), ODEBlock(wide), HyperODEBlock(wide, drift_network((2,)))):
        with pytest.raises(InputError, match=r"\(-1, 3\) to \(-1, 5\)"):
            layer.init(KEY, (-1, 3))


@pytest.mark.parametrize("steps", [0, -1])
def test_steps_must_be_positive(steps: int) -> None:
    with pytest.raises(InputError, match=f"steps={steps}"):
        block(steps=steps)
    with pytest.raises(InputError, match=f"steps={steps}"):
        ODEBlock(FX, steps=steps)


@pytest.mark.parametrize("method", ["euler_maruyama", "midpoint"])
def test_the_reversible_adjoint_of_a_method_that_cannot_be_reversed_is_refused(method: str) -> None:
    """Its gradient would be that of another solution than the one that predicts."""
    for make in (block, lambda **choices: ODEBlock(FX, **choices)):
        with pytest.raises(InputError, match=f"take method='coupled_{method}'"):
            make(method=method, adjoint="reversible")
        with pytest.raises(InputError, match=r"method='reversible_heun' or 'ees25', or adjoint='stochastic'\.$"):
            make(method="implicit_euler", adjoint="reversible")


def test_an_estimator_that_there_is_not_is_refused_before_it_is_asked() -> None:
    with pytest.raises(InputError, match=r"'mc' is not a kl_estimator.*stl, full_mc, analytic"):
        block(kl_estimator="mc")
