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
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.example_libraries import stax

from sdebnn import plots
from sdebnn.brax import SDEBNN, Augment, Gaussian, Layer, WeightProcess, bnn_serial, diffeq_layers, drift_network
from sdebnn.brax.model import Model
from sdebnn.brax.objective import objective
from sdebnn.cli.outcome import outcome
from sdebnn.data import Dataset, load
from sdebnn.data.toy import TOYS
from sdebnn.runs import Progress

# The posterior of the initial weights starts at e^-3 of the prior's spread: from the prior itself nothing is learned.
START_LOG_RATIO = -3.0


def build_model(options: argparse.Namespace, noise: float) -> Model:
    """A network of one SDEBNN block, for standardised targets. Its output is a channel that starts as zeros, so that
    all weights are random and the prior is not learned.
    """
    channels = 1 + options.aug
    layer, activation = diffeq_layers.dense, diffeq_layers.Activation(options.activation)
    fx = stax.serial(layer("ignore", options.fx_dim), activation, layer("ignore", channels))
    process = WeightProcess(
        drift_network((options.fw_dim,)),
        sigma=options.diff_const,
        rate=options.ou_rate,
        centre="zero",
        start="gaussian",
    )
    block = SDEBNN(fx, process, steps=options.nsteps, kl_estimator=options.kl_estimator)
    last_channel = Layer(lambda rng, shape: ((*shape[:-1], 1), ()), lambda params, x, **kwargs: x[..., -1:])
    network = bnn_serial(Augment(options.aug), block, last_channel)
    return Model(network=network, predictor=network, likelihood=Gaussian(1, noise), input_shape=(1,))


def fit(model: Model, x: Any, y: Any, options: argparse.Namespace) -> Any:
    """Parameters after training; the noise of the likelihood stays as it is."""
    init_key, step_key = jax.random.split(jax.random.key(options.seed))
    start = model.init(init_key)
    network, likelihood = start["network"], start["likelihood"]
    network[1]["w0_log_ratio"] += START_LOG_RATIO
    schedule = optax.warmup_cosine_decay_schedule(0.0, options.lr, min(20, options.iters // 2), options.iters + 1)
    # Before the posterior is narrow, single draws are far from the data, and their gradients are far too long.
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    loss = objective(model, kl_coef=options.kl_coef, train_size=len(x), samples=options.train_samples)

    @jax.jit
    def step(network: Any, state: Any, number: Any) -> Any:
        key = jax.random.fold_in(step_key, number)
        (value, parts), gradient = jax.value_and_grad(
            lambda network: loss({"network": network, "likelihood": likelihood}, x, y, key), has_aux=True
        )(network)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(network, updates), state, {"loss": value, **parts}

    state = optimiser.init(network)
    values: dict[str, Any] = {}
    with Progress(options.iters) as progress:
        for number in range(options.iters):
            network, state, values = step(network, state, np.uint32(number))
            progress.update(number + 1, values)
    if not np.isfinite(values["loss"]):
        raise FloatingPointError(f"The loss is {values['loss']}; lower --lr (now {options.lr}) or --diff_const.")
    print(", ".join(f"{name} {float(value):.3f}" for name, value in values.items()) + " at the last step")
    return {"network": network, "likelihood": likelihood}


def draw_functions(model: Model, params: Any, x: Any, options: argparse.Namespace, *, prior: bool) -> np.ndarray:
    """Functions (samples, n) of the prior or of the posterior."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), 1 + prior), options.num_samples)
    outputs = jax.vmap(lambda key: model.predictor.apply(params["network"], x, rng=key, prior=prior)[0])
    return np.asarray(jax.jit(outputs)(keys))[:, :, 0]


def fit_and_sample(dataset: Dataset, options: argparse.Namespace) -> tuple[Any, dict[str, np.ndarray]]:
    """The grid of inputs (n,), and functions of the prior and of the posterior on it, (samples, n) each."""
    toy = TOYS[dataset.name]
    x, y = dataset.x_train, dataset.y_train
    y_mean, y_std = y.mean(), y.std()
    # One function cannot follow two branches; the distance between them is noise to it.
    noise = options.noise or (toy.noise if len(toy.branches) == 1 else float(y_std))
    model = build_model(options, noise / float(y_std))
    params = fit(model, jnp.asarray(x), jnp.asarray((y - y_mean) / y_std), options)
    grid = dataset.x_test[: len(dataset.x_test) // len(toy.branches)]
    predictives = {
        f"Predictive {name}": y_mean
        + y_std * draw_functions(model, params, jnp.asarray(grid), options, prior=name == "prior")
        for name in ("prior", "posterior")
    }
    return grid[:, 0], predictives


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    def at_least(lowest: int) -> Any:
        def whole(text: str) -> int:
            if int(text) < lowest:
                raise argparse.ArgumentTypeError(f"{text} is not allowed: it takes {lowest} or more")
            return int(text)

        return whole

    parser = argparse.ArgumentParser(
        description="Fits a toy set and draws the predictive prior and posterior.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--ds", default="cos", choices=tuple(TOYS), help="toy set")
    add("--output", "--output_dir", type=Path, default=Path("runs/toy1d"), help="folder; <ds>.png is (over)written")
    add("--num_samples", type=at_least(1), default=100, help="functions that are drawn")
    add(
        "--stl",
        dest="kl_estimator",
        action="store_const",
        const="stl",
        default=argparse.SUPPRESS,
        help="the same as --kl_estimator stl",
    )
    add("--kl_estimator", default="stl", choices=("stl", "full_mc", "analytic"), help="of the path KL")
    add("--kl_coef", type=float, default=0.1, help="weight of the KL; 1 is the evidence lower bound")
    add("--diff_const", "--sigma", type=float, default=2.0, help="std of the weights' prior times sqrt(fan-in)")
    add("--ou_rate", type=float, default=0.02, help="rate of the prior: the path's noise is sqrt(2 rate) of its std")
    add("--noise", type=float, default=None, help="std of the targets' noise, in their units; that of the set if None")
    add("--nsteps", type=at_least(1), default=10, help="steps of the solver over depth")
    add("--aug", type=at_least(1), default=2, help="channels of zeros beside the input; the last is the output")
    add("--fx_dim", type=at_least(1), default=32, help="width of the network f_x")
    add("--fw_dim", type=at_least(1), default=32, help="width of the posterior's drift")
    add("--activation", default="swish", help="inside f_x: a name in sdebnn.brax.diffeq_layers")
    add("--train_samples", type=at_least(1), default=4, help="weight paths in a gradient step")
    add("--lr", type=float, default=2e-2, help="peak step size of Adam")
    add("--iters", type=at_least(1), default=2000, help="gradient steps")
    add("--seed", type=int, default=0, help="of all randomness")
    return parser.parse_args(arguments)


def draw(options: argparse.Namespace) -> None:
    """Fits, and draws the picture."""
    dataset = load(options.ds)
    x, predictives = fit_and_sample(dataset, options)
    picture = options.output / f"{options.ds}.png"
    plots.draw_predictive_percentiles(x, predictives, dataset.x_train[:, 0], dataset.y_train[:, 0], picture)
    print(f"The picture is {picture}")


def main(arguments: Sequence[str] | None = None) -> int:
    return outcome("sdebnn_toy1d", lambda: draw(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
