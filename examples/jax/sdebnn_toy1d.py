"""Fits an SDE-BNN to a one-dimensional toy set and draws its predictive prior and posterior, as in figure 3 of Xu et
al. (2021).

    python examples/jax/sdebnn_toy1d.py
    python examples/jax/sdebnn_toy1d.py --ds b40gap --output runs/toy1d

The prior of the weights is the stationary Ornstein-Uhlenbeck process around zero: at every depth they have the usual
Gaussian prior of a Bayesian neural network. Their posterior starts from a Gaussian of its own; its drift is learned.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.example_libraries import stax
from jax.flatten_util import ravel_pytree

from sdebnn.brax import SDEBNN, Augment, Gaussian, Layer, WeightProcess, bnn_serial, diffeq_layers, drift_network
from sdebnn.brax.learning.model import Model
from sdebnn.brax.learning.objective import objective
from sdebnn.cli.outcome import outcome
from sdebnn.cli.toy import Log, draw_toy, parse_toy_flags, prior_of_weights
from sdebnn.runs import Progress
from sdebnn.training.toy_problem import START_LOG_RATIO, ToyProblem


def weight_process(options: argparse.Namespace) -> WeightProcess:
    return WeightProcess(drift_network((options.fw_dim,)), prior_of_weights(options))


def build_model(options: argparse.Namespace, noise: float) -> Model:
    """A network of one SDEBNN block, for standardised targets. The input stays what it is, and f_x moves channels that
    start as zeros, the last of which is the output: so all weights are random and the prior is not learned.
    """
    layer, activation = diffeq_layers.dense, diffeq_layers.Activation(options.activation)
    fx = stax.serial(layer("ignore", options.fx_dim), activation, layer("ignore", options.aug), INPUT_STAYS)
    block = SDEBNN(fx, weight_process(options), steps=options.nsteps, kl_estimator=options.kl_estimator)
    network = bnn_serial(Augment(options.aug), block, LAST_CHANNEL)
    return Model(network=network, predictor=network, likelihood=Gaussian(1, noise), input_shape=(1,))


INPUT_STAYS = Layer(
    lambda rng, shape: ((*shape[:-1], shape[-1] + 1), ()),
    lambda params, x, **kwargs: jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 0)]),
)
"""Ends f_x: the first channel does not move."""

LAST_CHANNEL = Layer(lambda rng, shape: ((*shape[:-1], 1), ()), lambda params, x, **kwargs: x[..., -1:])


def start_of_posterior(params: Any, rng: Any, options: argparse.Namespace) -> Any:
    """Starts it at units that the prior draws, so in all places, where usual initial weights put them around 0; and at
    the function 0, since nothing moves what a unit adds where there are no data. It is narrow: see `START_LOG_RATIO`.
    """
    drawn, _ = weight_process(options).draw_start(rng, params, prior=True)
    hidden, activation, output, *rest = ravel_pytree(params["w0"])[1](drawn)
    w0 = [hidden, activation, jax.tree.map(jnp.zeros_like, output), *rest]
    return params | {"w0": w0, "w0_log_ratio": params["w0_log_ratio"] + START_LOG_RATIO}


def fit(model: Model, x: Any, y: Any, options: argparse.Namespace, log: Log) -> Any:
    """Parameters after training; the noise of the likelihood stays as it is."""
    init_key, start_key, step_key = jax.random.split(jax.random.key(options.seed), 3)
    start = model.init(init_key)
    network, likelihood = start["network"], start["likelihood"]
    if options.prior_dw == "ou":
        network[1] = start_of_posterior(network[1], start_key, options)
    schedule = optax.warmup_cosine_decay_schedule(0.0, options.lr, min(20, options.iters // 2), options.iters + 1)
    # Before the posterior is narrow, single draws are far from the data, and their gradients are far too long.
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    loss = objective(model, kl_coef=options.kl_coef, train_size=len(x))

    @jax.jit
    def step(network: Any, state: Any, number: Any) -> Any:
        keys = jax.random.split(jax.random.fold_in(step_key, number), options.train_samples)
        (value, parts), gradient = jax.value_and_grad(
            lambda network: loss({"network": network, "likelihood": likelihood}, x, y, keys), has_aux=True
        )(network)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(network, updates), state, {"loss": value, **parts}

    state = optimiser.init(network)
    values: dict[str, Any] = {}
    with Progress(options.iters) as progress:
        for number in range(options.iters):
            network, state, values = step(network, state, np.uint32(number))
            progress.update(number + 1, values)
            log(number + 1, values)
    if not np.isfinite(values["loss"]):
        raise FloatingPointError(f"The loss is {values['loss']}; lower --lr (now {options.lr}) or --diff_const.")
    print(", ".join(f"{name} {float(value):.3f}" for name, value in values.items()) + " at the last step")
    return {"network": network, "likelihood": likelihood}


def draw_functions(model: Model, params: Any, x: Any, options: argparse.Namespace, *, prior: bool) -> np.ndarray:
    """Functions (samples, n) of the prior or of the posterior."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), 1 + prior), options.num_samples)
    outputs = jax.vmap(lambda key: model.predictor.apply(params["network"], x, rng=key, prior=prior)[0])
    return np.asarray(jax.jit(outputs)(keys))[:, :, 0]


def functions(problem: ToyProblem, options: argparse.Namespace, log: Log) -> dict[str, np.ndarray]:
    """Functions of the prior and of the posterior on the grid, (samples, n) each."""
    model = build_model(options, problem.noise)
    params = fit(model, jnp.asarray(problem.x), jnp.asarray(problem.y), options, log)
    return {
        name: draw_functions(model, params, jnp.asarray(problem.grid), options, prior=name == "prior")
        for name in ("prior", "posterior")
    }


def main(arguments: Sequence[str] | None = None) -> int:
    return outcome("sdebnn_toy1d", lambda: draw_toy(functions, parse_toy_flags(arguments)))


if __name__ == "__main__":
    sys.exit(main())
