"""Accuracy and the proper scores of class probabilities."""

import numpy as np

from sdebnn.metrics.contract import Labels, Probabilities, check_predictions


def accuracy(labels: Labels, probs: Probabilities) -> float:
    """Share of examples whose most probable class is the label; among equals the first class counts.

    **Arguments:**

    - `labels`: (n,), from 0 to classes - 1.
    - `probs`: probabilities (n, classes), averaged over posterior samples; where there are two classes also (n,), those
      of class 1.

    **Returns:** a fraction in [0, 1].
    """
    y, p = check_predictions(labels, probs)
    return float(np.mean(p.argmax(axis=1) == y))


def nll(labels: Labels, probs: Probabilities) -> float:
    """Mean negative log-likelihood of the labels, in nats. Arguments as for `accuracy`.

    Probabilities are clipped at the smallest normal double: an impossible label costs 708 nats and not infinity.
    """
    y, p = check_predictions(labels, probs)
    # Not -mean, which is -0.0 for perfect predictions.
    return float(0.0 - np.mean(np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(np.float64).tiny))))


def brier(labels: Labels, probs: Probabilities) -> float:
    """Brier score: squared distance of the probabilities to the one-hot label, summed over classes, mean over examples.

    Arguments as for `accuracy`. **Returns:** a number in [0, 2]; some authors divide it by the number of classes.

    Brier, Verification of forecasts expressed in terms of probability, 1950.
    """
    y, p = check_predictions(labels, probs)
    one_hot = np.arange(p.shape[1])[None, :] == y[:, None]
    return float(np.mean(np.sum((p - one_hot) ** 2, axis=1)))


def recall(labels: Labels, probs: Probabilities) -> dict[int, float]:
    """Of each class that has labels the share that is found: whose most probable class it is. Their mean is the
    balanced accuracy.

    Arguments as for `accuracy`.
    """
    y, p = check_predictions(labels, probs)
    found = p.argmax(axis=1) == y
    return {int(label): float(np.mean(found[y == label])) for label in np.unique(y)}


def macro_f1(labels: Labels, probs: Probabilities) -> float:
    """Mean over the classes that have labels or predictions of 2 tp / (2 tp + fp + fn), their F1 score.

    Arguments as for `accuracy`.
    """
    y, p = check_predictions(labels, probs)
    predicted = p.argmax(axis=1)
    classes = np.union1d(y, predicted)
    hits = [2 * np.sum((y == label) & (predicted == label)) for label in classes]
    sums = [np.sum(y == label) + np.sum(predicted == label) for label in classes]
    return float(np.mean(np.divide(hits, sums)))
