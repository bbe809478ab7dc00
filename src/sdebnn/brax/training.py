"""Stochastic variational inference: the objective, the gradient step and the loop over batches.

loss = mean negative log-likelihood + kl_coef / N_train * KL
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from sdebnn.brax.arrays import to_named_arrays
from sdebnn.brax.bayesian import Params
from sdebnn.brax.evaluation import report
from sdebnn.brax.likelihoods import Categorical
from sdebnn.brax.model import Model
from sdebnn.data import Dataset, batches, to_float
from sdebnn.runs import MetricsLog, Progress, RunFolder, TrainConfig, checkpoint

LOG_EVERY = 10
# Keys are folded from the run's seed under these numbers, so that no two uses of randomness meet.
INIT, STEP, EVALUATE, DRAW = range(4)


class TrainState(NamedTuple):
    """All that a gradient step changes: the parameters, their running average (what predictions use) and the
    optimiser's state.
    """

    params: Params
    average: Params
    opt_state: optax.OptState


class Trained(NamedTuple):
    """A finished run: the averaged parameters, the outputs of posterior samples for the test data and their scores, and
    the seconds that training took without them.
    """

    params: Params
    test_outputs: Float[np.ndarray, "samples n o"]
    scores: dict[str, float]
    seconds: float


def objective(
    model: Model, *, kl_coef: float, train_size: int, samples: int = 1
) -> Callable[..., tuple[Float[Array, ""], dict[str, Float[Array, ""]]]]:
    """The loss of a mini-batch, `(params, x, y, rng) -> (loss, {"nll", "kl", ...})`. With `kl_coef` 1 its mean is
    minus the evidence lower bound of the training data, divided by its size.

    **Arguments:**

    - `kl_coef`: weight of the KL. Below 1 the posterior is colder than Bayes' rule has it.
    - `train_size`: how many examples the whole training set has: the KL is paid once for all of them.
    - `samples`: weight paths drawn for the batch; the loss is their mean.
    """

    def loss(params: Params, x: Any, y: Any, rng: PRNGKeyArray) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        def of_one_path(key: PRNGKeyArray) -> dict[str, Float[Array, ""]]:
            outputs, kl = model.network.apply(params["network"], x, rng=key)
            parts = {"nll": -jnp.mean(model.likelihood.log_prob(params["likelihood"], outputs, y)), "kl": kl}
            if isinstance(model.likelihood, Categorical):
                parts["accuracy"] = jnp.mean(jnp.argmax(outputs, axis=1) == y, dtype=jnp.float32)
            return parts

        parts = jax.vmap(of_one_path)(jax.random.split(rng, samples))
        parts = jax.tree.map(lambda part: jnp.mean(part, axis=0), parts)
        return parts["nll"] + kl_coef / train_size * parts["kl"], parts

    return loss


def train(config: TrainConfig, dataset: Dataset, run: RunFolder, model: Model) -> Trained:
    """Trains `model` on the data set, and writes the log, the checkpoint and the scores to the run folder.

    **Arguments:**

    - `config`: the choices of the run; `run` already holds them.
    - `model`: of `build_model(config, dataset)`.

    **Raises:** `FloatingPointError`, saying at which step, when the loss is no longer finite.
    """
    train_size = len(dataset.x_train)
    batch_size = min(config.batch_size, train_size)
    steps_per_epoch = train_size // batch_size
    total = config.epochs * steps_per_epoch
    if config.max_steps:
        total = min(total, config.max_steps)
    rng = jax.random.key(config.seed)
    optimiser = optax.adam(
        optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, min(20, total // 2), total + 1)
    )
    loss = objective(model, kl_coef=config.kl_coef, train_size=train_size, samples=config.train_samples)
    sampler = model.sampler(config.test_samples)

    @jax.jit
    def gradient_step(state: TrainState, x: Any, y: Any, step: Any) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        key = jax.random.fold_in(jax.random.fold_in(rng, STEP), step)
        (value, parts), gradient = jax.value_and_grad(loss, has_aux=True)(state.params, x, y, key)
        updates, opt_state = optimiser.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        average = optax.incremental_update(params, state.average, 1 - config.ema)
        return TrainState(params, average, opt_state), {
            "loss": value,
            **parts,
            "gradient_norm": optax.tree.norm(gradient),
        }

    def score(step: int, average: Params) -> tuple[Float[np.ndarray, "samples n o"], dict[str, float]]:
        outputs = sampler(average, dataset.x_test, jax.random.fold_in(rng, EVALUATE))
        _check_finite("The network's outputs", outputs, step, config)
        return outputs, report(model, average, outputs, dataset.y_test)

    params = model.init(jax.random.fold_in(rng, INIT))
    state = TrainState(params, params, optimiser.init(params))
    step, seconds = 0, 0.0
    with MetricsLog(run) as log, Progress(total) as progress:
        for epoch in range(config.epochs):
            started = time.perf_counter()
            for indices in batches(train_size, batch_size, seed=config.seed, epoch=epoch):
                if step == total:
                    break
                x, y = to_float(dataset.x_train[indices]), dataset.y_train[indices]
                state, values = gradient_step(state, x, y, np.uint32(step))
                step += 1
                if step % LOG_EVERY == 0 or step == total:
                    _check_finite("The loss", values["loss"], step, config)
                    log.write(step, values, split="train")
                progress.update(step, values)
            seconds += time.perf_counter() - started
            if config.evaluate_every and (epoch + 1) % config.evaluate_every == 0 and step < total:
                log.write(step, score(step, state.average)[1], split="test")
        outputs, scores = score(step, state.average)
        log.write(step, scores, split="test")
    checkpoint.save(
        run.checkpoints,
        f"step-{step:08d}",
        to_named_arrays(state._asdict()),
        {"step": step, "config": config.to_json(), "scores": scores},
    )
    return Trained(state.average, outputs, scores, seconds)


def _check_finite(what: str, values: Any, step: int, config: TrainConfig) -> None:
    if not np.isfinite(values).all():
        raise FloatingPointError(
            f"{what} became NaN or infinite by step {step}; lower learning_rate (now {config.learning_rate}) or sigma "
            f"(now {config.sigma})."
        )
