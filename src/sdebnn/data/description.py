"""What was made of a data set, in a sentence, and what about it is doubtful."""

from typing import Any

import numpy as np

from sdebnn.data.answers import FEW
from sdebnn.data.columns import spread_of_skewed
from sdebnn.data.dataset import Dataset
from sdebnn.data.inputs import looks_channels_first

# Numbers of unit scale have a mean and a standard deviation well below this, and the latter well above its inverse.
FAR = 10.0
LITTLE = 1e-3
# The largest class has so many times the examples of the smallest.
IMBALANCED = 10
# The mean of counts of which Gaussian noise is no good law.
RARE = 30
# Of standardised whole numbers, in single precision.
ROUNDED = 1e-3
# Of real targets one value has so large a share, and so many times that of any other.
HEAPED, OFTENER = 0.1, 10
# Pixels of eight bits reach higher.
DARK = 64


def describe(dataset: Dataset, held_out: int = 0) -> str:
    """The task and what the examples are taken for, such as
    `"regression: 200 rows of 3 inputs, 1 target (mean 0.1, std 1); 160 for training, 40 for testing"`.

    **Arguments:**

    - `held_out`: how many validation examples were taken away from the training examples.
    """
    x, y = dataset.x_train, dataset.y_train
    train, test = dataset.train_size, len(dataset.x_test)
    if x.ndim == 2:
        examples = f"rows of {_count(x.shape[1], 'input')}"
        if dataset.encoding and len(dataset.encoding.columns) != x.shape[1]:
            examples += f" from {_count(len(dataset.encoding.columns), 'column')}"
    else:
        height, width, channels = x.shape[1:]
        kind = "grey images" if channels == 1 else f"images of {channels} channels"
        pixels = ", pixels divided by 255" if x.dtype == np.uint8 else ""
        examples = f"{kind} of {height} x {width}{pixels}"
    if dataset.task == "classification":
        answers = f"{dataset.num_classes} classes"
        if dataset.label_names and len(dataset.label_names) <= FEW:
            answers += f" ({', '.join(map(str, dataset.label_names))})"
    else:
        # Squares in the user's units may be too large.
        unit = 1.0 if dataset.encoding is None else dataset.encoding.target_std
        mean, std = _in_user_units(dataset).mean(dtype=np.float64), (unit * y.std(axis=0, dtype=np.float64)).mean()
        answers = f"{_count(y.shape[1], 'target')} (mean {mean:.3g}, std {std:.3g})"
    validation = f"{held_out} for validation, " if held_out else ""
    total = train + held_out + test
    return f"{dataset.task}: {total} {examples}, {answers}; {train} for training, {validation}{test} for testing"


def doubts(dataset: Dataset, likelihood: str = "auto") -> list[str]:
    """What of a data set may not be as it was meant, or will not be learned well: sentences, each with a remedy.

    **Arguments:**

    - `likelihood`: that the run chooses: counts are not standardised for their law.
    """
    found = [_of_pixels(dataset.x_train), _of_channels(dataset.x_train), *doubts_of_scale(dataset, likelihood)]
    if dataset.task == "classification":
        found += _of_classes(dataset)
    return [sentence for sentence in found if sentence]


def doubts_of_scale(dataset: Dataset, likelihood: str = "auto") -> list[str]:
    """Those of inputs and targets that are not standardised, or have nothing to be standardised by; see `doubts`."""
    found = []
    if dataset.x_train.dtype == np.float32:
        remedy = (
            "standardise them with the mean and the standard deviation of the training examples, as scale=True "
            "(--scale 1) does for a table"
        )
        names = dataset.encoding.input_names if dataset.encoding else None
        found.append(_of_scale("inputs", dataset.x_train, remedy, names))
    if dataset.task == "regression":
        remedy = (
            "train on (y - mean) / std, and take predictions back with mean + std * prediction, as scale=True (--scale "
            "1) does for a table"
        )
        names = dataset.encoding.target_names if dataset.encoding else None
        if likelihood not in _count_laws():
            found.append(_of_scale("targets", dataset.y_train, remedy, names))
            found.append(_of_far_targets(dataset))
            found.append(_of_heaped_targets(dataset))
        found.append(_of_constants(dataset))
    return [sentence for sentence in found if sentence]


def _count_laws() -> dict[str, str]:
    # With the scores comes scipy, for which data sets do not wait.
    from sdebnn.metrics.noise_laws import COUNT_LAWS

    return COUNT_LAWS


def _of_pixels(x: np.ndarray) -> str | None:
    if x.dtype != np.uint8 or not 0 < x.max() < DARK:
        return None
    high = int(x.max())
    return (
        f"The pixels of the training images are whole numbers of at most {high}, and are divided by 255; where {high} "
        f"is white write x.astype(numpy.float32) / {high}."
    )


def _of_channels(x: np.ndarray) -> str | None:
    if not looks_channels_first(x.shape):
        return None
    return (
        f"The images have shape {x.shape}, which is taken as {x.shape[3]} channels of {x.shape[1]} x {x.shape[2]}; if "
        "the channels are in front write x.transpose(0, 2, 3, 1), or choose layout='channels_first' for a file."
    )


def _of_scale(what: str, values: np.ndarray, remedy: str, names: tuple[str, ...] | None) -> str | None:
    columns = values.reshape(len(values), -1) if values.ndim == 2 else values.reshape(-1, 1)
    mean, std = columns.mean(axis=0, dtype=np.float64), columns.std(axis=0, dtype=np.float64)
    far = (np.abs(mean) > FAR) | (std > FAR) | ((std < LITTLE) & (std > 0))
    if not far.any():
        return None
    worst = int(np.argmax(np.where(far, np.maximum(np.abs(mean), std), -1)))
    which = f"{int(far.sum())} of {len(far)} {what}" if values.ndim == 2 else "The numbers in the images"
    place = f"column {worst}" if values.ndim == 2 else "all"
    if names is not None:
        others = [repr(names[column]) for column in np.flatnonzero(far) if column != worst]
        place = repr(names[worst]) + (f" beside {_listed(others)}" if others else "")
    return (
        f"{which} are not standardised, which the network is made for ({place}: mean {mean[worst]:.3g}, standard "
        f"deviation {std[worst]:.3g}); {remedy}."
    )


def _in_user_units(dataset: Dataset) -> np.ndarray:
    return dataset.y_train if dataset.encoding is None else dataset.encoding.in_user_units(dataset.y_train)


def hint_of_counts(dataset: Dataset) -> str | None:
    """A sentence that names the law of counts, where targets look like such and no likelihood was chosen."""
    if dataset.task != "regression":
        return None
    y = _in_user_units(dataset)
    whole = np.abs(y - np.rint(y)).max(initial=0) < ROUNDED
    # Of more, and of two values alone, another law is as good.
    if not whole or np.rint(y).min() != 0 or y.mean() > RARE or len(np.unique(np.rint(y))) < 3:
        return None
    return (
        f"The targets are whole numbers from 0 to {y.max():.0f}; if they are counts choose "
        f"{' or '.join(f'likelihood={name!r}' for name in _count_laws())} (--likelihood), the law of such."
    )


def _of_far_targets(dataset: Dataset) -> str | None:
    y = _in_user_units(dataset).astype(np.float64)
    far = np.flatnonzero([spread_of_skewed(column) > 0 for column in y.T])
    if not far.size:
        return None
    names = dataset.encoding.target_names if dataset.encoding else None
    of = _listed([f"column {place}" if names is None else repr(names[place]) for place in far])
    low, high = np.quantile(y[:, far[0]], (0.25, 0.75))
    return (
        f"Some targets are so far from the others ({of}: half of them are from {low:.3g} to {high:.3g}, the largest is "
        f"{np.abs(y[:, far[0]]).max():.3g}) that they alone decide what is learned; train on their logarithm if they "
        "are above 0, as scikit-learn's TransformedTargetRegressor does, or leave out what is a mistake."
    )


def _of_heaped_targets(dataset: Dataset) -> str | None:
    # What is no table may have a likelihood of its own, for which that is right.
    if dataset.task != "regression" or dataset.encoding is None or hint_of_counts(dataset) is not None:
        return None
    names = dataset.encoding.target_names
    for place, column in enumerate(_in_user_units(dataset).T):
        values, counts = np.unique(column, return_counts=True)
        often = np.sort(counts)[::-1]
        if len(values) < 2 or often[0] < max(HEAPED * len(column), OFTENER * often[1]):
            continue
        value = values[counts.argmax()]
        # In the user's units 0 is what single precision leaves of it.
        value = value if abs(value) > ROUNDED * column.std() else 0.0
        return (
            f"{often[0]} of {len(column)} training examples have one value of the target {names[place]!r}, "
            f"{value:.4g}, as where it is cut off there, or mostly nothing: the law of the noise is continuous and "
            "spreads them. Learn if it is that value, as a class, and of the other rows how much."
        )
    return None


def _of_constants(dataset: Dataset) -> str | None:
    y = _in_user_units(dataset)
    constant = np.flatnonzero(np.ptp(dataset.y_train, axis=0) == 0)
    if len(y) < 2 or not constant.size:
        return None
    names = dataset.encoding.target_names if dataset.encoding else None
    which = [
        f"{constant.size} of {y.shape[1]} targets" if names is None else _listed([repr(names[i]) for i in constant])
    ]
    return (
        f"All training examples have the same target ({which[0]}, {y[0, constant[0]]:g}): nothing says what it depends "
        "on, nor of what size its noise is, so intervals mean nothing; give examples with other values too."
    )


def _of_classes(dataset: Dataset) -> list[str | None]:
    classes = int(dataset.num_classes or 0)
    counts = np.bincount(dataset.y_train, minlength=classes)
    found: list[str | None] = []
    if (missing := np.flatnonzero(counts == 0)).size:
        found.append(
            f"Of {classes} classes {len(missing)} have no training examples "
            f"({_listed([_name(dataset, label) for label in missing.tolist()])}), and cannot be learned; give "
            "examples, or number the classes without gaps."
        )
    there = counts[counts > 0]
    if there.max() >= IMBALANCED * there.min():
        rarest = int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
        found.append(
            f"The classes are imbalanced: class {_name(dataset, rarest)} has {counts[rarest]} of {counts.sum()} "
            f"training examples, class {_name(dataset, int(counts.argmax()))} has {counts.max()}. Read the recall of "
            "each class and the balanced accuracy, not the accuracy alone; class_weight='balanced' (--class-weight) "
            "gives all classes equal weight."
        )
    if dataset.x_train.ndim == 2 and classes > 3 * FEW and dataset.encoding is None:
        found.append(
            f"Whole numbers up to {classes - 1} are taken as {classes} classes; if they are targets of a regression "
            "choose task='regression' (--task)."
        )
    return found


def _name(dataset: Dataset, label: int) -> Any:
    """What the user calls a class."""
    return label if dataset.label_names is None else dataset.label_names[label]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _listed(numbers: Any) -> str:
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
