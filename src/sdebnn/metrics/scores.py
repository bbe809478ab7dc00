"""Accuracy and the proper scores of class probabilities."""

import numpy as np

from sdebnn.metrics.contract import Labels, Probabilities, check_predictions


def accuracy(probs: Probabilities, labels: Labels) -> float:
    """Share of examples whose most probable class is the label; among equals the first class counts.

    **Arguments:**

    - `probs`: probabilities (n, classes), averaged over posterior samples.
    - `labels`: (n,), from 0 to classes - 1.

    **Returns:** a fraction in [0, 1].
    """
    p, y = check_predictions(probs, labels)
    return float(np.mean(p.argmax(axis=1) == y))


def nll(probs: Probabilities, labels: Labels) -> float:
    """Mean negative log-likelihood of the labels, in nats. Arguments as for `accuracy`.

    Probabilities are clipped at the smallest normal double: an impossible label costs 708 nats and not infinity.
    """
    p, y = check_predictions(probs, labels)
    # Not -mean, which is -0.0 for perfect predictions.
    return float(0.0 - np.mean(np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(np.float64).tiny))))


def brier(probs: Probabilities, labels: Labels) -> float:
    """Brier score: squared distance of the probabilities to the one-hot label, summed over classes, mean over examples.

    Arguments as for `accuracy`. **Returns:** a number in [0, 2]; some authors divide it by the number of classes.

    Brier, Verification of forecasts expressed in terms of probability, 1950.
    """
    p, y = check_predictions(probs, labels)
    one_hot = np.arange(p.shape[1])[None, :] == y[:, None]
    return float(np.mean(np.sum((p - one_hot) ** 2, axis=1)))


def recall(probs: Probabilities, labels: Labels) -> dict[int, float]:
    """Of each class that has labels the share that is found: whose most probable class it is. Their mean is the
    balanced accuracy.

    Arguments as for `accuracy`.
    """
    p, y = check_predictions(probs, labels)
    found = p.argmax(axis=1) == y
    return {int(label): float(np.mean(found[y == label])) for label in np.unique(y)}


def macro_f1(probs: Probabilities, labels: Labels) -> float:
    """Mean over the classes that have labels or predictions of 2 tp / (2 tp + fp + fn), their F1 score.

    Arguments as for `accuracy`.
    """
    p, y = check_predictions(probs, labels)
    predicted = p.argmax(axis=1)
    classes = np.union1d(y, predicted)
    hits = [2 * np.sum((y == label) & (predicted == label)) for label in classes]
    sums = [np.sum(y == label) + np.sum(predicted == label) for label in classes]
    return float(np.mean(np.divide(hits, sums)))
