"""What estimators say of tables and parameters, in the user's own names. In PyTorch, which compiles for no shape."""

import functools
import math
import pathlib
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

from sdebnn.errors import InputError
from sdebnn.estimators import SDEBNNClassifier, SDEBNNRegressor
from sdebnn.training.committee import STEPS

QUICK: dict[str, Any] = {
    "framework": "torch", "width": 8, "n_members": 2, "n_posterior_samples": 4, "n_solver_steps": 2, "max_iter": 5,
    "sigma": 0.2, "random_state": 0,
}  # fmt: skip
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
Y = X[:, 0] + 0.1 * RNG.normal(size=60)
LABELS = np.where(Y > 0, "up", "down")


def said(fit: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    return [str(warning.message) for warning in caught]


def test_columns_that_are_left_out_or_filled_are_said() -> None:
    frame = pd.DataFrame({"a": np.where(np.arange(60) % 20, X[:, 0], np.nan), "b": X[:, 1], "unit": 1.0})
    frame["key"] = [f"k{row}" for row in range(60)]
    (sentence,) = said(lambda: SDEBNNRegressor(**QUICK).fit(frame, Y))
    assert "column 'a': 3 missing values are filled with the median" in sentence
    assert "column 'unit' is left out: it has one value alone" in sentence
    assert "column 'key' is left out: its text is another in every row" in sentence
    assert said(lambda: SDEBNNClassifier(**QUICK).fit(X, LABELS)) == []


def test_units_that_are_no_networks_are_said() -> None:
    frame, price = pd.DataFrame({"a": X[:, 0], "far": 1e4 * X[:, 1]}), pd.Series(3e5 + 1e5 * Y, name="price")
    assert said(lambda: SDEBNNRegressor(**QUICK).fit(frame, price)) == []
    inputs, targets = said(lambda: SDEBNNRegressor(**QUICK, scale=False).fit(frame, price))
    assert "1 of 2 inputs are not standardised" in inputs
    assert "'far'" in inputs
    assert "1 of 1 targets are not standardised" in targets
    assert "'price'" in targets
    (only,) = said(lambda: SDEBNNClassifier(**QUICK, scale=False).fit(frame, LABELS))
    assert "'far'" in only


def test_targets_that_are_all_the_same_are_said() -> None:
    (sentence,) = said(lambda: SDEBNNRegressor(**QUICK).fit(X, np.full(60, 7.5)))
    assert "same target ('y', 7.5): nothing says what it depends on, nor of what size its noise is" in sentence


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_doubt_is_in_units_of_any_size(unit: float) -> None:
    one, other = (SDEBNNRegressor(**QUICK).fit(X, size * Y).predict_uncertainty(X) for size in (1.0, unit))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_allclose(second / unit, first, rtol=1e-5)


def test_one_network_is_told_that_it_knows_no_ignorance() -> None:
    alone = {"n_members": 1, "n_posterior_samples": 1}
    (sentence,) = said(lambda: SDEBNNRegressor(**QUICK | alone).fit(X, Y))
    assert "n_members=1 with n_posterior_samples=1 is one network" in sentence


@pytest.mark.parametrize("targets", [np.minimum(Y, np.median(Y)), np.where(np.arange(60) % 20, 0, Y)])
def test_targets_of_which_many_are_one_value_are_said(targets: np.ndarray) -> None:
    (sentence,) = said(lambda: SDEBNNRegressor(**QUICK).fit(X, targets))
    value = 0 if (targets == 0).any() else targets.max()
    assert re.search(rf"(30|31|57) of 60 training examples have one value of the target 'y', {value:.4g}, ", sentence)
    assert said(lambda: SDEBNNRegressor(**QUICK).fit(X, np.round(Y))) == []


def test_rows_without_weight_are_counted() -> None:
    """A refused row is that of the table."""
    weights, far = np.r_[np.zeros(10), np.ones(50)], X.copy()
    far[:10] = np.nan
    far[40, 1] = np.inf
    with pytest.raises(InputError, match="'x1' has 1 infinite values, the first in row 40, counted from 0"):
        SDEBNNRegressor(**QUICK).fit(pd.DataFrame(far, columns=["x0", "x1"]), Y, weights)
    counts = np.where(np.arange(60) == 40, -1, RNG.poisson(2.0, 60))
    with pytest.raises(InputError, match="the target 'y' of SDEBNNRegressor is -1 in row 40, counted from 0"):
        SDEBNNRegressor(**QUICK, likelihood="poisson").fit(X, counts, weights)


def test_counts_are_told_of_their_law() -> None:
    counts = RNG.poisson(2.0, 60)
    (sentence,) = said(lambda: SDEBNNRegressor(**QUICK).fit(X, counts))
    assert "likelihood='poisson'" in sentence
    for likelihood in ("poisson", "gaussian"):
        assert said(functools.partial(SDEBNNRegressor(**QUICK, likelihood=likelihood).fit, X, counts)) == []


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"max_iter": 2**40}, "^max_iter=1099511627776 is not allowed"),
        ({"learning_rate_init": -1.0}, "^learning_rate_init=-1.0 is not allowed"),
        ({"learning_rate_init": "adaptive"}, "^learning_rate_init='adaptive' is not allowed"),
        ({"n_solver_steps": 0}, "^n_solver_steps=0 is not allowed"),
        ({"n_blocks": 0}, "^n_blocks=0 is not allowed"),
        ({"n_posterior_samples": 2**31}, "^n_posterior_samples=2147483648 would make outputs of"),
        ({"batch_size": "auto"}, "^batch_size='auto' is not allowed: it takes a whole number"),
    ],
)
def test_what_is_refused_has_the_names_of_parameters(parameters: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SDEBNNClassifier(**QUICK | parameters).fit(X, LABELS).predict(X)


@pytest.mark.parametrize("stopping", [True, False])
def test_training_that_breaks_down_names_the_parameter(stopping: bool) -> None:
    parameters = QUICK | {"learning_rate_init": 1e30, "early_stopping": stopping}
    with pytest.raises(FloatingPointError, match=r"take a smaller learning_rate_init \(now 1e\+30\)"):
        SDEBNNRegressor(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([None, *LABELS[1:]], "'y' has no value in 1 of 60 rows, the first is row 0"),
        ([*LABELS[1:], np.nan], "'y' has no value in 1 of 60 rows, the first is row 59"),
        (pd.Series(["a", None, *["b"] * 58], name="kind"), "'kind' has no value in 1 of 60 rows"),
        (np.where(np.arange(60) < 3, np.nan, 1.0), "'y' has no value in 3 of 60 rows"),
        (pd.Series([pd.NA, *range(59)], dtype="Int64"), "'y' has no value in 1 of 60 rows"),
        (["a", 1] * 30, "labels that are text, such as 'a', and others that are not, such as 1; give all of one type"),
    ],
)
def test_labels_that_are_missing_are_refused(answers: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SDEBNNClassifier(**QUICK).fit(X, np.array(answers, object) if isinstance(answers, list) else answers)


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (LABELS, "'y' holds text, such as '(up|down)'; give numbers"),
        (np.where(np.arange(60) == 4, np.nan, Y), "'y' has no value in 1 of 60 rows, the first is row 4"),
        (np.where(np.arange(60) == 4, np.inf, Y), "'y' has 1 infinite values, the first in row 4"),
        (pd.DataFrame({"a": Y, "b": [None, *Y[1:]]}), "'b' has no value"),
        (pd.DataFrame(np.stack([Y, Y], axis=1), columns=["a", "a"]), "two columns 'a'"),
    ],
)
def test_targets_that_are_none_are_refused(answers: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SDEBNNRegressor(**QUICK).fit(X, answers)


TWICE = pd.DataFrame(X, columns=["a", "a"])


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (TWICE, "^X has two columns 'a'; rename"),
        (np.ma.masked_array(X, X > 2), r"^X has \d masked values; leave those examples out, or write x.filled"),
        ({"a": Y}, "^X is a dict; give a DataFrame"),
        (pl.DataFrame(X).lazy(), r"^X is a lazy table, a LazyFrame; give what its collect\(\) returns"),
        (scipy.sparse.csr_array(X), "^X is a sparse csr_array; give what .* sparse_output=False"),
        ([{"a": y} for y in Y], "^X has rows whose values have names; give the DataFrame"),
        (np.array([(y,) for y in Y], [("a", float)]), "^X has rows whose values have names"),
        (np.stack([Y, LABELS], axis=1), "^X is an array with text in it .* give a DataFrame"),
    ],
)
def test_tables_that_are_none_are_refused(table: Any, sentence: str) -> None:
    for estimator, answers in ((SDEBNNRegressor(**QUICK), Y), (SDEBNNClassifier(**QUICK), LABELS)):
        with pytest.raises(InputError, match=sentence):
            estimator.fit(table, answers)
    fitted = SDEBNNRegressor(**QUICK).fit(X, Y)
    with pytest.raises(InputError, match=sentence):
        fitted.predict(table)


def test_a_table_of_pyarrow_may_have_columns_that_are_alike() -> None:
    table = pl.DataFrame({"a": Y, "b": Y}).to_arrow()
    assert SDEBNNRegressor(**QUICK).fit(table, Y).predict(table).shape == (60,)


def test_what_a_mask_hides_is_not_learned() -> None:
    with pytest.raises(InputError, match="y has 1 masked values"):
        SDEBNNRegressor(**QUICK).fit(X, np.ma.masked_array(Y, np.arange(60) == 3))
    with pytest.raises(InputError, match="y has 1 masked values"):
        SDEBNNClassifier(**QUICK).fit(X, np.ma.masked_array(np.arange(60) % 2, np.arange(60) == 3))
    with pytest.raises(InputError, match="sample_weight has 1 masked values"):
        SDEBNNRegressor(**QUICK).fit(X, Y, np.ma.masked_array(np.ones(60), np.arange(60) == 3))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("balance", "^class_weight='balance' is not allowed: it takes 'balanced', None, or a dict"),
        ([1.0, 2.0], "is not allowed"),
        ({"up": "heavy", "down": 1.0}, "a dict with a number for each class"),
        ({"upp": 2.0, "down": 1.0}, r"a class 'upp' \(did you mean 'up'\?\), which y has not, and none of 'up'"),
    ],
)
def test_weights_that_are_of_no_class_are_refused(weights: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SDEBNNClassifier(**QUICK, class_weight=weights).fit(X, LABELS)


def test_weights_of_any_size_are_shares() -> None:
    weights = np.where(np.arange(60) % 2, 1.0, 0.5)
    first, second = (SDEBNNRegressor(**QUICK).fit(X, Y, size * weights).predict(X) for size in (1.0, 1e308))
    np.testing.assert_allclose(first, second, rtol=1e-4)


@pytest.mark.parametrize("library", [pd, pl])
def test_targets_keep_the_names_of_their_columns(library: Any) -> None:
    targets = library.DataFrame({"price": Y, "rent": 2 * Y})
    fitted = SDEBNNRegressor(**QUICK).fit(X, targets)
    columns = fitted.posterior_.predict(X).columns()
    assert [name for name in columns if name.startswith("mean")] == ["mean_price", "mean_rent"]
    fitted = SDEBNNRegressor(**QUICK).fit(X, targets["price"])
    assert fitted.posterior_.task.encoding.target_names == ("price",)


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(60, dtype=np.int8) % 3, np.arange(60, dtype=np.uint16) % 2 + 7, np.arange(60) % 2 == 0,
        (np.arange(60) % 3).astype(np.float32), LABELS, LABELS.astype(object), (np.arange(60) % 2).astype(object),
    ],
    ids=lambda labels: str(labels.dtype),
)  # fmt: skip
def test_classes_are_of_the_type_of_the_labels(labels: np.ndarray) -> None:
    fitted = SDEBNNClassifier(**QUICK).fit(X, labels)
    assert fitted.classes_.dtype == labels.dtype == fitted.predict(X).dtype
    np.testing.assert_array_equal(fitted.classes_, np.unique(labels))


@pytest.mark.parametrize(("kind", "plain"), [("boolean", np.bool_), ("Int64", np.int64), ("UInt8", np.uint8)])
def test_classes_of_nullable_labels_are_of_the_plain_type(kind: str, plain: type) -> None:
    fitted = SDEBNNClassifier(**QUICK).fit(X, pd.Series(np.arange(60) % 2, dtype=kind))
    assert fitted.classes_.dtype == fitted.predict(X).dtype == plain


def test_answers_without_a_name_are_y() -> None:
    for answers in (Y, pd.Series(Y), pl.Series(Y)):
        assert SDEBNNRegressor(**QUICK).fit(X, answers).posterior_.task.encoding.target_names == ("y",)


def test_one_quantile_has_no_axis_of_its_own() -> None:
    one = SDEBNNRegressor(**QUICK).fit(X, Y)
    np.testing.assert_array_equal(one.predict_quantiles(X, 0.3), one.predict_quantiles(X, [0.3])[:, 0])
    two = SDEBNNRegressor(**QUICK).fit(X, np.stack([Y, -Y], axis=1))
    assert two.predict_quantiles(X, 0.3).shape == (60, 2)


def test_a_folder_keeps_how_training_went(tmp_path: pathlib.Path) -> None:
    fitted = SDEBNNRegressor(**QUICK | {"max_iter": 110, "sigma": "auto"}).fit(X, 1e6 * Y)
    fitted.save(tmp_path / "run")
    loaded = SDEBNNRegressor.load(tmp_path / "run")
    loaded.save(tmp_path / "again")
    for kept in (loaded, SDEBNNRegressor.load(tmp_path / "again")):
        assert (kept.sigma_, kept.n_iter_) == (fitted.sigma_, fitted.n_iter_)
        assert len(kept.loss_curve_) == math.ceil(110 / STEPS)
        np.testing.assert_allclose(kept.loss_curve_, fitted.loss_curve_)
        np.testing.assert_allclose(kept.validation_scores_, fitted.validation_scores_)
        assert kept.candidates_ == pytest.approx(fitted.candidates_)
        assert len(kept.candidates_) == 3
        assert kept.best_validation_score_ == pytest.approx(fitted.best_validation_score_)


def test_a_folder_without_a_log_is_loaded_all_the_same(tmp_path: pathlib.Path) -> None:
    fitted = SDEBNNClassifier(**QUICK).fit(X, LABELS)
    fitted.posterior_.save(tmp_path / "run")
    loaded = SDEBNNClassifier.load(tmp_path / "run")
    np.testing.assert_allclose(loaded.predict_proba(X), fitted.predict_proba(X), rtol=1e-5)
    assert loaded.sigma_ == 0.2
    assert not hasattr(loaded, "n_iter_")
    loaded.save(tmp_path / "again")
    assert SDEBNNClassifier.load(tmp_path / "again").sigma_ == 0.2
