"""From the outputs of posterior samples to one prediction and its scores."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import scipy
from jaxtyping import Bool, Float, Float32

from sdebnn import metrics
from sdebnn.data import Dataset, TableEncoding
from sdebnn.errors import InputError
from sdebnn.metrics.contract import ROW_SUM_TOLERANCE
from sdebnn.metrics.intervals import CENTRAL_95, bisect
from sdebnn.metrics.noise_laws import COUNT_LAWS, MOST_COUNT, TARGET_LAWS, TargetLaw
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import Predictive

# The noise of targets that folds learn, where nothing else is said; and the one of older runs, which do not name it.
OF_FOLDS: TargetLaw = "student_t_input"
OF_OLDER_FOLDS: TargetLaw = "gaussian_input"
# From all posterior samples together, for an interval or a variance that the likelihood cannot tell.
DRAWS = 1000
# Examples that are drawn for at a time.
CHUNK = 2000
# Of quantiles, beside the spread of a prediction: that of single precision.
PRECISION = 1e-7


def likelihood_of(config: TrainConfig, dataset: Dataset) -> Literal["categorical", TargetLaw]:
    """The name of the likelihood that `config` chooses for this data set.

    **Raises:** `InputError` for one that does not fit the data's answers; of counts, for others than whole numbers
    from 0.
    """
    fitting = ("categorical",) if dataset.task == "classification" else tuple(TARGET_LAWS)
    if config.likelihood not in ("auto", *fitting):
        answers = "labels" if dataset.task == "classification" else "real targets"
        raise InputError(
            f"likelihood={config.likelihood!r} does not fit {dataset.name}, whose answers are {answers}; they take "
            f"{' or '.join(fitting)}."
        )
    if config.likelihood in COUNT_LAWS:
        _refuse_no_counts(config.likelihood, dataset)
    if config.likelihood != "auto":
        return config.likelihood
    if dataset.task == "classification":
        return "categorical"
    # Held-out examples keep noise that the input may say from being learned by heart.
    return OF_OLDER_FOLDS if config.tuning == "folds" else "gaussian"


def _refuse_no_counts(likelihood: str, dataset: Dataset) -> None:
    for part, y in (("training", dataset.y_train), ("test", dataset.y_test)):
        strange = np.argwhere((y < 0) | (y != np.rint(y)) | (y > MOST_COUNT))
        if not len(strange):
            continue
        row, target = (int(place) for place in strange[0])
        encoding = dataset.encoding
        name = f"number {target}" if encoding is None else repr(encoding.target_names[target])
        if encoding is not None and encoding.target_scales is not None and encoding.target_scales[target] != (0, 1):
            raise InputError(
                f"likelihood={likelihood!r} takes counts, and the target {name} of {dataset.name} is standardised; "
                "standardise the inputs alone, by scale='inputs'."
            )
        raise InputError(
            f"likelihood={likelihood!r} takes counts, whole numbers from 0 to {MOST_COUNT}, and the target {name} of "
            f"{dataset.name} is {y[row, target]:g} in row {row} of the {part} examples, counted from 0, one of "
            f"{len(strange)} that are none; correct them, leave those rows out, or choose another likelihood."
        )


def class_weights(config: TrainConfig, dataset: Dataset) -> tuple[float, ...] | None:
    """The weight of each class in the loss that `config` chooses: with `"balanced"` each class counts alike, and the
    mean over the training examples is 1. `None` where every example counts alike.

    **Raises:** `InputError` where there are no classes.
    """
    if config.class_weight == "none":
        return None
    if dataset.task != "classification":
        raise InputError(
            f"class_weight={config.class_weight!r} does not fit {dataset.name}, whose answers are real targets; choose "
            "class_weight='none'."
        )
    counts = np.bincount(dataset.y_train, minlength=int(dataset.num_classes or 0))
    weights = len(dataset.y_train) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return tuple(np.where(counts > 0, weights, 0.0).tolist())


def check_class_weights(config: TrainConfig, weights: tuple[float, ...] | None) -> None:
    """**Raises:** `InputError` for weights of a learner whose `config` chooses none, or the other way round."""
    if (weights is None) != (config.class_weight == "none"):
        raise InputError(
            f"class_weight={config.class_weight!r} goes with class_weights of the learner, as "
            "sdebnn.training.predictions.class_weights makes them."
        )


def class_probabilities(outputs: Float[np.ndarray, "samples n c"]) -> Float[np.ndarray, "n c"]:
    """The probabilities that a `Categorical` likelihood predicts: the mean of those that the posterior samples give,
    never that of their logarithms. Those of any likelihood are `sample_probabilities(learner, outputs).mean(axis=0)`.
    """
    # In double precision: in single precision those below e^-103 are zero.
    return scipy.special.softmax(outputs.astype(np.float64), axis=-1).mean(axis=0)


def sample_probabilities(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"]
) -> Float[np.ndarray, "samples n classes"]:
    """The probabilities that the likelihood gives to the classes, for the outputs of each posterior sample."""
    probabilities = doubles(learner.of_likelihood("mean", outputs))
    sums = probabilities.sum(axis=-1, keepdims=True)
    # What single precision rounded off; sums that are no such thing are refused where probabilities are used.
    return probabilities / np.where(np.abs(sums - 1) <= ROW_SUM_TOLERANCE, sums, 1.0)


def target_moments(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"]
) -> tuple[Float[np.ndarray, "samples n d"], Float[np.ndarray, "samples n d"]]:
    """Mean and variance of the targets for the outputs of each posterior sample. The variance is that of draws where
    the likelihood has no `variance`.
    """
    means = doubles(learner.of_likelihood("mean", outputs))
    variances = learner.of_likelihood("variance", outputs)
    if variances is None:
        variances = np.mean((likelihood_draws(learner, outputs) - means[:, None]) ** 2, axis=1)
    return means, doubles(variances)


def report(
    learner: Predictive,
    outputs: Float[np.ndarray, "samples n o"],
    y: Any,
    encoding: TableEncoding | None = None,
    *,
    intervals: bool = True,
) -> dict[str, float]:
    """Scores of the averaged prediction of several posterior samples, under the learner's likelihood.

    **Arguments:**

    - `outputs`: of `Learner.outputs`.
    - `y`: the true labels (n,), or targets (n, d).
    - `encoding`: of a table, in whose units the scores of its targets are.
    - `intervals`: whether those of `metrics.interval_report` are among them, which take longer than all others.

    **Returns:** for labels those of `metrics.classification_report`; for real targets those of
    `metrics.predictive_report` and `interval_report`, of which `log_likelihood` alone where the likelihood's mean is no
    (n, d) as the targets are.
    """
    log_probs = metrics.mixture_log_probs(doubles(learner.of_likelihood("log_prob", outputs, y)))
    if y.ndim == 1:
        scores = metrics.classification_report(y, sample_probabilities(learner, outputs).mean(axis=0))
        # From logarithms: in single precision probabilities below e^-103 are zero.
        return scores | {"nll": float(0.0 - np.mean(np.maximum(log_probs, np.log(np.finfo(np.float64).tiny))))}
    means = doubles(learner.of_likelihood("mean", outputs))
    if encoding is not None and (std := encoding.target_std) is not None:
        # The density of a number in other units.
        log_probs = log_probs - np.log(std).sum()
    if means.shape[1:] != y.shape:
        return {"log_likelihood": float(np.mean(log_probs))}
    inside = _inside(learner, outputs, y)
    ends = [*central_interval(learner, outputs)] if intervals else []
    if encoding is not None:
        y, means, *ends = (encoding.in_user_units(values) for values in (y, means, *ends))
    scores = metrics.predictive_report(y, log_probs, means, inside)
    return scores | metrics.interval_report(y, *ends) if intervals else scores


def _inside(learner: Predictive, outputs: Float[np.ndarray, "samples n o"], y: Any) -> Bool[np.ndarray, "n d"]:
    """Whether each target lies in the central 95 % interval of its prediction."""
    cdf = learner.of_likelihood("cdf", outputs, y)
    if cdf is not None:
        # Of counts a target at an end lies in its interval, as the probability of those below it says.
        below = doubles(learner.of_likelihood("cdf", outputs, _just_below(y))).mean(axis=0)
        return (doubles(cdf).mean(axis=0) >= CENTRAL_95[0]) & (below <= CENTRAL_95[1])
    lower, upper = central_interval(learner, outputs)
    return (lower <= y) & (y <= upper)


def central_interval(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"]
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    """The ends of the central 95 % intervals of the targets, under the mean of what the posterior samples predict.
    Where that has steps, as of counts, a target at an end lies in its interval.
    """
    below, above = target_quantiles(learner, outputs, CENTRAL_95, precision=1e-6)
    return below[0], above[1]


def target_quantiles(
    learner: Predictive,
    outputs: Float[np.ndarray, "samples n o"],
    shares: Sequence[float],
    *,
    precision: float = PRECISION,
) -> tuple[Float[np.ndarray, "shares n d"], Float[np.ndarray, "shares n d"]]:
    """The smallest values up to which the targets lie with each of the probabilities `shares`, under the mean of what
    the posterior samples predict: by bisection on the likelihood's `cdf`, or those of draws where it has none.

    **Returns:** numbers just below them and, the best that is known of them, just above; both where draws tell them.
    """
    parts = []
    for start in range(0, outputs.shape[1], CHUNK):
        part = outputs[:, start : start + CHUNK]
        found = _quantiles_by_cdf(learner, part, shares, precision)
        if found is None:
            draws = likelihood_draws(learner, part)
            exact = np.quantile(draws.reshape(-1, *draws.shape[2:]), shares, axis=0, method="inverted_cdf")
            found = exact, exact
        parts.append(found)
    below, above = (np.concatenate(of_parts, axis=1) for of_parts in zip(*parts, strict=True))
    return below, above


def target_pit(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"], y: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "n d"]:
    """The probability integral transform of the targets: by the likelihood's `cdf`, or of draws where it has none; see
    `sdebnn.metrics.pit`.
    """
    cdf = learner.of_likelihood("cdf", outputs, y)
    if cdf is not None:
        # Counts that are equal to the target count half.
        below = doubles(learner.of_likelihood("cdf", outputs, _just_below(y)))
        return (doubles(cdf) / 2 + below / 2).mean(axis=0)
    parts = [slice(start, start + CHUNK) for start in range(0, len(y), CHUNK)]
    return np.concatenate(
        [
            metrics.pit(y[part], likelihood_draws(learner, outputs[:, part]).reshape(-1, *y[part].shape))
            for part in parts
        ]
    )


def _just_below(y: Float[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """The numbers before, in the precision in which a likelihood is asked."""
    before = np.nextafter(y.astype(np.float32), np.float32(-np.inf))
    # Nearer to 0 are numbers that are 0 to a machine that computes fast.
    return np.where(y == 0, -np.finfo(np.float32).tiny, before)


def _quantiles_by_cdf(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"], shares: Sequence[float], precision: float
) -> tuple[Float[np.ndarray, "shares n d"], Float[np.ndarray, "shares n d"]] | None:
    """`None` where the likelihood has no `cdf`."""
    # All at once: what a likelihood takes for a call hardly depends on how many examples there are.
    repeated, times = np.tile(outputs, (1, len(shares), 1)), (len(shares), 1, 1)

    def cdf(y: Float[np.ndarray, "shares n d"]) -> Any:
        said = learner.of_likelihood("cdf", repeated, y.reshape(-1, y.shape[2]).astype(np.float32))
        return None if said is None else doubles(said).mean(axis=0).reshape(y.shape)

    means = doubles(learner.of_likelihood("mean", outputs))
    centre = np.tile(np.nan_to_num(means.mean(axis=0), posinf=0.0, neginf=0.0), times)
    if cdf(centre) is None:
        return None
    variances = target_moments(learner, outputs)[1]
    spread = np.hypot(means.std(axis=0), np.sqrt(variances.mean(axis=0)))
    spread = np.tile(np.where(np.isfinite(spread) & (spread > 0), spread, 1.0), times)
    wanted = np.reshape(shares, times)
    # Near to where a Gaussian of these moments has them, which most mixtures nearly are.
    start = centre + scipy.special.ndtri(wanted) * spread
    below, above = bisect(cdf, wanted, start, spread / 4, precision=4 * precision)
    # Where all of the probability comes at a whole number, as of counts, that is it.
    whole = np.rint(above)
    above = np.where((cdf(_just_below(whole)) < wanted) & (wanted <= cdf(whole)), whole, above)
    # The numbers that the likelihood was asked of.
    return doubles(below.astype(np.float32)), doubles(above.astype(np.float32))


def likelihood_draws(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"]
) -> Float[np.ndarray, "samples draws n d"]:
    """Targets that the likelihood draws for the outputs of each posterior sample: `DRAWS` or a few more for each
    example from all samples together, the same ones at each call.
    """
    samples, examples, _ = outputs.shape
    draws = math.ceil(DRAWS / samples)
    drawn = doubles(learner.of_likelihood("sample", np.tile(outputs, (1, draws, 1))))
    return drawn.reshape(samples, draws, examples, -1)


def doubles(values: np.ndarray | None) -> Float[np.ndarray, "..."]:
    """What a likelihood said, in double precision. **Raises:** `InputError` where it has no such method."""
    if values is None:
        raise InputError(
            "The likelihood lacks a method that predictions need; see sdebnn.training.likelihood_protocol."
        )
    return values.astype(np.float64)
