"""A temperature for a committee: one number, fitted on the examples that its members held out, by which logits are
divided, or the scale of the noise of targets is multiplied (Guo, Pleiss, Sun and Weinberger, On calibration of modern
neural networks, 2017).

It is fitted to what the mixture of those members that held an example out says of it: one member where labels are or
members are fewer than three, else most often two. So what two differ by counts as doubt already and is not counted
again as noise; a mixture of more is a little wider than that.

Of targets it is most often below 1: noise is learned by networks while their weights move, and their averaged
parameters err less.

It becomes part of the parameters: of the last layer, which is linear, or of the likelihood. So whatever reads a run
predicts with it.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy

from sdebnn import metrics
from sdebnn.errors import InputError
from sdebnn.metrics.noise_laws import COUNT_LAWS
from sdebnn.runs import TrainConfig
from sdebnn.runs.choices import AUTO
from sdebnn.training.committee import MOST_HELD, Examples, Trained, folds_of
from sdebnn.training.learner import Learner
from sdebnn.training.members import of_members
from sdebnn.training.predictions import doubles

# A temperature, or its inverse, is at most that.
MOST = 20.0
# Those of noise at which members are judged as they learn. Half way between two a Gaussian law loses less than .014
# nats: log r + (1 / r^2 - 1) / 2, where r^2, or 1 / r^2, is 1.25.
TRIED = tuple(1.25**power for power in range(-3, 6))
# That the scale of noise is right counts as much as that many numbers with Gaussian noise that say so.
NUMBERS_FOR_ONE = 10.0
SMALLEST_LOG = math.log(np.finfo(np.float64).tiny)
NETWORK, LIKELIHOOD = "average/network/", "average/likelihood/"


def calibrates(config: TrainConfig, num_classes: int | None, held_out: float) -> bool:
    """Whether a temperature is fitted: where the choices say so, and with `"auto"` of targets wherever it can be.

    **Raises:** `InputError` where it is asked for, and there is nothing to fit it on, or to multiply.
    """
    if config.calibrate == AUTO:
        return num_classes is None and bool(held_out) and config.likelihood not in COUNT_LAWS
    if config.calibrate == "none":
        return False
    if not held_out:
        raise InputError(
            "calibrate='temperature' is fitted on held-out examples, and none are held out; take calibrate='none'."
        )
    if config.likelihood in COUNT_LAWS:
        raise InputError(
            f"calibrate='temperature' multiplies the scale of noise, and likelihood={config.likelihood!r} has none; "
            "take calibrate='none'."
        )
    return True


def tried_temperatures(config: TrainConfig, num_classes: int | None, held_out: float) -> tuple[float, ...]:
    """Those at which members are judged as they learn: of targets of which one is fitted at the end, several. A network
    goes on getting better by its mean after its noise has become too small for what it was not shown, which is mended.
    """
    return TRIED if num_classes is None and calibrates(config, num_classes, held_out) else (1.0,)


def calibrate(
    learner: Learner, trained: Trained, examples: Examples, num_classes: int | None, held_out: float
) -> float:
    """Fits the temperature and gives the learner the parameters at it.

    **Arguments:**

    - `learner`: of `trained.config`.
    - `trained`: what came of the committee.
    - `examples`, `num_classes`, `held_out`: those of `train_committee`.

    **Returns:** the temperature; 1 where no other is better.
    """
    labels = examples.y if num_classes else None
    folds = folds_of(len(examples.x), len(trained.averages), held_out, trained.config.seed, labels)
    learner.load_average(of_members(trained.averages))
    members: Sequence[Learner] = getattr(learner, "members", [learner])
    held = [fold.held[:MOST_HELD] for fold in folds]
    rows, places, holders = np.unique(np.concatenate(held), return_inverse=True, return_counts=True)
    weights = examples.weights[rows].astype(np.float64)
    # As many of one weight say as much.
    size = weights.sum() ** 2 / (weights**2).sum()
    outputs = [member.outputs(examples.x[own]) for member, own in zip(members, held, strict=True)]

    def nll(log_temperature: float) -> float:
        log_probs = []
        for member, average, own, of_rows in zip(members, trained.averages, held, outputs, strict=True):
            if num_classes:
                of_rows = of_rows / np.float32(math.exp(log_temperature))
            else:
                member.load_average(at_temperature(average, log_temperature, num_classes))
            said = doubles(member.of_likelihood("log_prob", of_rows, examples.y[own]))
            log_probs.append(np.maximum(metrics.mixture_log_probs(said), SMALLEST_LOG))
        of_mixtures = np.full(len(rows), -np.inf)
        np.logaddexp.at(of_mixtures, places, np.concatenate(log_probs))
        mean = float(np.average(of_mixtures - np.log(holders), weights=weights))
        return -mean if num_classes else -mean + NUMBERS_FOR_ONE / size * log_temperature**2

    bounds = (-math.log(MOST), math.log(MOST))
    found = scipy.optimize.minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    log_temperature = float(found.x) if found.fun < nll(0.0) else 0.0
    averages = [at_temperature(average, log_temperature, num_classes) for average in trained.averages]
    learner.load_average(of_members(averages))
    return math.exp(log_temperature)


def at_temperature(
    average: Mapping[str, np.ndarray], log_temperature: float, num_classes: int | None
) -> dict[str, np.ndarray]:
    """The averaged parameters of a network at a temperature, given as its logarithm."""
    if num_classes is None:
        # Each law has one parameter, the logarithm of a scale.
        return {
            name: array + array.dtype.type(log_temperature * name.startswith(LIKELIHOOD))
            for name, array in average.items()
        }
    last = max(int(name.removeprefix(NETWORK).partition("/")[0]) for name in average if name.startswith(NETWORK))
    divisor = np.float32(math.exp(log_temperature))
    return {name: array / divisor if name.startswith(f"{NETWORK}{last}/") else array for name, array in average.items()}
