"""Answers as people have them, made labels or targets; where both could be meant, the choice is asked for."""

import numpy as np
from jaxtyping import Float32, Int, Int32

from sdebnn.data.inputs import check_finite, plain_numbers, to_float32
from sdebnn.errors import InputError

TASKS = ("auto", "classification", "regression")
# So few different whole numbers as floating-point numbers look like labels; so many whole numbers like counts, unless
# each comes often.
FEW = 10
OFTEN = 10
CHOOSE = "choose task='classification' or task='regression' (--task)"
NUMBER = "number them with numpy.unique(y, return_inverse=True)[1]"


def as_answers(y: np.ndarray, what: str, task: str) -> Int[np.ndarray, " n"] | Float32[np.ndarray, "n d_out"]:
    """Labels, int32 (n,), or targets, float32 (n, d_out).

    **Arguments:**

    - `what`: names them in errors.
    - `task`: `"regression"` takes numbers of any type; `"classification"` whole numbers of any type, booleans, a column
      (n, 1) and one-hot rows; `"auto"` takes whole numbers (n,) as labels and floating-point numbers as targets.

    **Raises:** `InputError`, with a remedy, for others, for NaN and infinity, and for labels below 0.
    """
    y = plain_numbers(y, what)
    if y.dtype.kind in "US":
        raise InputError(f"{what} holds words, but labels are whole numbers, 0 to K-1 for K classes; {NUMBER}.")
    if task == "regression" and y.dtype.kind in "buif" and y.ndim in (1, 2):
        return to_float32(y[:, None] if y.ndim == 1 else y, what)
    if task == "classification" and y.dtype.kind in "buif":
        y = _whole(y, what)
    if y.dtype.kind in "ui" and y.ndim == 1:
        return _labels(y, what)
    if y.dtype.kind == "f" and y.ndim in (1, 2):
        return to_float32(y[:, None] if y.ndim == 1 else y, what)
    remedy = ""
    if y.dtype.kind == "b" and y.ndim == 1:
        remedy = "; write y.astype(int), or choose task='classification' (--task)"
    elif y.dtype.kind in "buif" and y.ndim == 2:
        remedy = f"; for labels write {'y[:, 0]' if y.shape[1] == 1 else 'y.argmax(axis=1)'}, or {CHOOSE}"
    raise InputError(
        f"{what} is {y.dtype} of shape {y.shape}, but it must hold whole numbers of shape (n,), which are labels, or "
        f"floating-point numbers of shape (n,) or (n, d_out), which are targets{remedy}."
    )


def ask_for_the_task(y: np.ndarray, what: str) -> None:
    """**Raises:** `InputError` for floating-point numbers that look like labels."""
    if y.dtype.kind != "f" or not len(y):
        return
    if is_one_hot(y):
        raise InputError(
            f"{what} has one 1 in each row and 0 elsewhere: is it {y.shape[1]} classes, or targets of a regression? "
            f"For classes write y.argmax(axis=1), or {CHOOSE}."
        )
    if y.ndim == 1 or y.shape[1:] == (1,):
        different = np.unique(y)
        if 2 <= len(different) <= min(FEW, len(y) - 1) and (different == np.round(different)).all():
            listed = ", ".join(f"{number:g}" for number in different)
            raise InputError(
                f"{what} has {len(different)} different numbers, all of them whole ({listed}): are they "
                f"classes, or targets of a regression? {CHOOSE.capitalize()}."
            )


def count_classes(y: Int32[np.ndarray, " n"], y_test: Int32[np.ndarray, " m"], what: str, task: str) -> int:
    """How many classes there are. **Raises:** `InputError` when they are not numbered 0 to K-1, there is one alone, or
    the labels may be counts and `task` does not say that they are none.
    """
    seen = np.unique(np.concatenate([y, y_test]))
    count, examples = int(seen.max(initial=1)) + 1, len(y) + len(y_test)
    if count > max(examples, 2):
        raise InputError(
            f"{what} has {examples} labels for {count} classes; number the classes 0 to K-1, or give floating-point "
            "numbers, or choose task='regression' (--task), if they are targets of a regression."
        )
    if task == "auto" and count > FEW and (examples < OFTEN * count or len(seen) < count):
        raise InputError(
            f"{what} has {len(seen)} different whole numbers from {seen[0]} to {seen[-1]} for {examples} examples: "
            f"are they classes, or targets of a regression? {CHOOSE.capitalize()}."
        )
    if seen.size and (len(seen) < 2 or seen[0] != 0):
        remedy = "one class alone leaves nothing to tell apart: give examples of another too"
        if len(seen) > 1:
            remedy = "number them with classes, y = numpy.unique(y, return_inverse=True), and those of a test set with "
            remedy += "numpy.searchsorted(classes, y_test)"
        raise InputError(
            f"{what} has labels from {seen[0]} to {seen[-1]}, but labels are 0 to K-1 for 2 classes or more; {remedy}."
        )
    return count


def _labels(y: np.ndarray, what: str) -> Int32[np.ndarray, " n"]:
    if y.size and not 0 <= int(y.min()) <= int(y.max()) < np.iinfo(np.int32).max:
        raise InputError(
            f"{what} has labels from {y.min()} to {y.max()}, but labels are 0 to K-1 for K classes; {NUMBER}, or "
            "choose task='regression' (--task) if they are targets."
        )
    return y.astype(np.int32)


def _whole(y: np.ndarray, what: str) -> np.ndarray:
    """Labels as whole numbers (n,) where that is what they are in another form."""
    if y.dtype.kind == "f":
        check_finite(what, y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if is_one_hot(y):
        return y.argmax(axis=1)
    if y.dtype.kind == "b":
        return y.astype(np.int32)
    if y.dtype.kind == "f" and y.size and not (y == np.round(y)).all():
        raise InputError(
            f"{what} has numbers that are not whole, such as {y[y != np.round(y)][0]:g}; labels are whole."
        )
    return y.astype(np.int64) if y.dtype.kind == "f" and np.abs(y).max(initial=0) < 2**62 else y


def is_one_hot(y: np.ndarray) -> bool:
    return y.ndim == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())
