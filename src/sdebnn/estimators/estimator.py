"""What the classifier and the regressor share: parameters, training by a committee, and the posterior that predicts."""

import dataclasses
import importlib.util
import numbers
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, no_type_check

import numpy as np
from jaxtyping import Float64, Int
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sdebnn.data import Dataset, TableEncoding
from sdebnn.data.description import doubts_of_scale, hint_of_counts
from sdebnn.data.frames import Columns, Table, read_columns, refuse_no_table
from sdebnn.data.inputs import refuse_masked
from sdebnn.errors import InputError
from sdebnn.estimators.warm_start import (
    averages_of,
    fingerprint,
    refuse_changes,
    refuse_other_classes,
    refuse_other_models,
    refuse_other_rows,
)
from sdebnn.frameworks import build_learner, gather
from sdebnn.posterior import load
from sdebnn.priors.by_name import PriorName
from sdebnn.runs import MetricsLog, Progress, RunFolder, TrainConfig
from sdebnn.runs.choices import AUTO, PriorChoices
from sdebnn.runs.config import TABLE
from sdebnn.runs.frameworks import FRAMEWORKS
from sdebnn.training import Posterior
from sdebnn.training.building import built
from sdebnn.training.calibration import at_temperature, calibrate, calibrates, tried_temperatures
from sdebnn.training.committee import Examples, Start, Trained, falls_for, held_share, patience_for, train_committee
from sdebnn.training.history import History
from sdebnn.training.members import of_members
from sdebnn.training.memory import refuse_more_than_memory
from sdebnn.training.predictions import CHUNK, likelihood_of
from sdebnn.training.task import Task

MAX_ITER: int = TABLE["max_steps"]
# Of fewer examples none can be spared to be held out, and long training learns them by heart.
FEWEST_TO_HOLD_OUT = 10
STEPS_WITHOUT = 300

# Of a table of many columns so many sentences are said.
SAID = 20

OF_ONE_NETWORK = (
    "n_members=1 with n_posterior_samples=1 is one network, which says nothing of ignorance: what tells of it is NaN; "
    "take n_posterior_samples=2 or more."
)

# Parameters that are choices of a run, each with the name that these have.
CHOICES = {
    "width": "width", "n_blocks": "blocks", "n_solver_steps": "steps", "prior": "prior", "sigma": "sigma",
    "kl_coef": "kl_coef",
    "max_iter": "max_steps", "batch_size": "batch_size", "learning_rate_init": "learning_rate",
    "n_members": "members", "n_posterior_samples": "test_samples", "scale": "scale",
    "beyond_range": "beyond_range", "calibrate": "calibrate",
}  # fmt: skip
# Of these are the parameters of the networks.
OF_PARAMETERS = ("width", "n_blocks", "prior", "n_members", "scale")
_PARAMETERS = {choice: parameter for parameter, choice in CHOICES.items()}
_ROW = re.compile(r"\brow (\d+)(?: of the training examples)?(?=, counted from 0)")
# Where a sentence says what a choice is, and not where it uses the word.
_NAMED = re.compile(rf"\b({'|'.join(_PARAMETERS)})(?==| \(now)")


@contextmanager
def by_parameters() -> Iterator[None]:
    """What its block refuses is called by the names of parameters, and not by those of a run's choices."""
    try:
        yield
    except (InputError, FloatingPointError) as error:
        text = _NAMED.sub(lambda name: _PARAMETERS[name[1]], str(error))
        if text == str(error):
            raise
        raise type(error)(text) from error


@contextmanager
def rows_of_the_table(counted: Int[np.ndarray, " m"]) -> Iterator[None]:
    """What its block refuses in a row of those that count is told with the row of the table.

    **Arguments:**

    - `counted`: the rows that count.
    """
    try:
        yield
    except InputError as error:
        text = _ROW.sub(lambda row: f"row {counted[int(row[1])]}", str(error))
        if text == str(error):
            raise
        raise InputError(text) from error


class SDEBNNEstimator(BaseEstimator):
    """See `SDEBNNClassifier` and `SDEBNNRegressor`, whose parameters these are."""

    _task: Literal["classification", "regression"]
    # A parameter of the regressor.
    likelihood: Any = "auto"
    posterior_: Posterior

    # Of parameters, which scientists search over, `fit` checks the values.
    framework: Any
    width: Any
    n_blocks: Any
    n_solver_steps: Any
    prior: Any
    sigma: Any
    kl_coef: Any
    max_iter: Any
    batch_size: Any
    learning_rate_init: Any
    early_stopping: Any
    validation_fraction: Any
    n_iter_no_change: Any
    n_members: Any
    n_posterior_samples: Any
    # Objects that were pickled before it was there have none.
    beyond_range: Any = "auto"
    scale: Any
    calibrate: Any
    warm_start: Any
    run_dir: Any
    verbose: Any
    random_state: Any

    # Parameters come from a user's own code, and scikit-learn has them checked in fit.
    @no_type_check
    def __init__(
        self,
        *,
        framework: Literal["auto", "jax", "torch"] = "auto",
        width: int = 32,
        n_blocks: int = 1,
        n_solver_steps: int = 3,
        prior: PriorName = "ou",
        sigma: float | Literal["auto"] = "auto",
        kl_coef: float = 1.0,
        max_iter: int = MAX_ITER,
        batch_size: int = 64,
        learning_rate_init: float = 1e-2,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float | Literal["auto"] = "auto",
        n_iter_no_change: int | Literal["auto"] = "auto",
        n_members: int = 5,
        n_posterior_samples: int = 8,
        beyond_range: float | Literal["auto"] = "auto",
        scale: bool = True,
        calibrate: Literal["auto", "none", "temperature"] = "auto",
        warm_start: bool = False,
        run_dir: str | Path | None = None,
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.framework = framework
        self.width = width
        self.n_blocks = n_blocks
        self.n_solver_steps = n_solver_steps
        self.prior = prior
        self.sigma = sigma
        self.kl_coef = kl_coef
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_members = n_members
        self.n_posterior_samples = n_posterior_samples
        self.beyond_range = beyond_range
        self.scale = scale
        self.calibrate = calibrate
        self.warm_start = warm_start
        self.run_dir = run_dir
        self.verbose = verbose
        self.random_state = random_state

    def save(self, path: str | Path) -> None:
        """Writes a run folder, which `load`, `sdebnn.load` and `sdebnn predict` read. Nothing in it is a pickle.

        **Arguments:**

        - `path`: of the folder; it must be new or empty.

        **Raises:** `NotFittedError`; `InputError` for a folder that holds files; `StorageError`.
        """
        check_is_fitted(self)
        self.posterior_.save(path)
        if self._history is not None:
            with MetricsLog(RunFolder.open(path)) as log:
                self._history.write(log)

    @classmethod
    def load(cls, path: str | Path, *, framework: str | None = None) -> Any:
        """The fitted estimator of a run folder, that `save` or `sdebnn train` on a table wrote.

        **Arguments:**

        - `path`: of the folder.
        - `framework`: `"jax"` or `"torch"`; that of the run unless given.

        **Raises:** `InputError` for a folder of another task, or one that is no table's.
        """
        posterior = load(path, framework=framework)
        config, task = posterior.config, posterior.task
        kind = "classification" if task.num_classes else "regression"
        if kind != cls._task or task.encoding is None:
            what = kind if task.encoding is not None else "inputs that are no table of columns"
            raise InputError(f"The run {path} is of {what}, and {cls.__name__} is of {cls._task} of tables.")
        estimator = cls(framework=config.framework, **parameters_of(config), **cls._of_config(config))
        encoding = task.encoding
        estimator.n_features_in_ = len(encoding.columns)
        if encoding.named:
            estimator.feature_names_in_ = np.array([column.name for column in encoding.columns], object)
        estimator._read(posterior, encoding, History.read(RunFolder.open(path)))
        return estimator

    def predict_uncertainty(self, X: Table) -> Any:
        """Where the doubt comes from, a named tuple of `epistemic` (what more data could resolve), `aleatoric` (noise)
        and `total`: entropies in nats (n,) for classes, standard deviations in the target's unit (n, k) for targets.

        **Raises:** `NotFittedError`; `InputError` for other columns than those of training.
        """
        return self._predicted(X).uncertainty()

    @classmethod
    def _of_config(cls, config: TrainConfig) -> dict[str, Any]:
        """The parameters that one of the two alone has."""
        return {}

    def _read(self, posterior: Posterior, encoding: TableEncoding, history: History | None) -> None:
        """Has what is known after `fit`, or of a run folder."""
        self.posterior_, self._history = posterior, history
        self.sigma_, self.temperature_ = posterior.config.sigma, 1.0
        if history is None:
            return
        unit = 0.0 if encoding.target_std is None else float(np.log(encoding.target_std).sum())
        self.n_iter_ = history.steps
        self.loss_curve_ = [loss for _, loss in history.losses]
        self.validation_scores_ = [value - unit for _, value in history.held_out]
        self.candidates_ = {name: value - unit for name, value in history.candidates.items()}
        self.temperature_ = history.temperature
        self.best_validation_score_ = history.log_likelihood - unit

    def _of_task(self) -> dict[str, Any]:
        """The choices of a run that one of the two alone has."""
        return {}

    @by_parameters()
    @no_type_check
    def _fit(self, X: Table, answers: Columns, sample_weight: Any, weights_of_classes: Any = None) -> Any:
        """Trains on checked answers."""
        self._check()
        fitted = self.posterior_ if self.warm_start and hasattr(self, "posterior_") else None
        table = self._table(X, reset=True) if fitted is None else self._table_again(X)
        rows = table.shape[0]
        if rows < 2:
            raise InputError(f"{type(self).__name__} got n_samples={rows}, one sample; it takes 2 or more.")
        weights = self._weights(sample_weight, table, weights_of_classes)
        counted = np.flatnonzero(weights > 0)
        if len(counted) < rows:
            # What has no weight says nothing: not of the columns' units, and not of how many examples there are.
            table, answers, weights = _safe_indexing(table, counted), answers.take(counted), weights[counted]
        weights = (weights / weights.mean()).astype(np.float32)
        config = self._config(fitted)
        with rows_of_the_table(counted):
            if fitted is None:
                encoding = TableEncoding.fit(table, y=answers, task=self._task, scale=config.scaling)
            else:
                encoding = fitted.task.encoding
                refuse_other_classes(encoding, answers)
            x, y = encoding.inputs(table), encoding.answers(answers)
            classes = None if encoding.labels is None else len(encoding.labels)
            dataset = Dataset(type(self).__name__, self._task, x, y, x[:1], y[:1], classes, encoding)
            likelihood = likelihood_of(config, dataset)
        if fitted is not None:
            refuse_changes({"likelihood": likelihood_of(fitted.config, dataset)}, {"likelihood": likelihood})
        refuse_more_than_memory(
            config, classes or y.shape[1], trained=min(config.batch_size, len(x)), scored=min(len(x), CHUNK)
        )
        examples, held_out = Examples(x, y, weights), self._held_out(len(x), classes)
        rows_held_out = fingerprint(examples, held_out)
        if fitted is not None and held_out:
            refuse_other_rows(getattr(self, "_rows_held_out", None), rows_held_out)
        if not held_out and config.sigma == AUTO:
            config = dataclasses.replace(config, sigma=PriorChoices().sigma)
        calibrates(config, classes, held_out)
        alone = self.n_members * self.n_posterior_samples == 1
        _warn([] if fitted else encoding.remarks, dataset, self.likelihood, *[OF_ONE_NETWORK] * alone)
        before = self._history if fitted else None
        start = None
        if fitted is not None:
            # Held-out examples judge parameters by what they are without a temperature, which is fitted anew.
            undone = -np.log(self.temperature_) if held_out else 0.0
            averages = [at_temperature(average, undone, classes) for average in averages_of(fitted.learner)]
            start = Start(averages, before.taken if before else 0)
        trained = self._train(config, examples, classes, held_out, start)
        learner = built(build_learner, trained.config, dataset)
        learner.load_average(of_members(trained.averages))
        temperature = 1.0
        if calibrates(trained.config, classes, held_out):
            temperature = calibrate(learner, trained, examples, classes, held_out)
        posterior = Posterior(trained.config, Task.of(dataset), learner, build=build_learner)
        self._read(posterior, encoding, History.of(trained, self.max_iter, temperature, before))
        self._rows_held_out = rows_held_out
        if self.run_dir is not None:
            self.save(self.run_dir)
        return self

    def _held_out(self, examples: int, classes: int | None) -> float:
        """The share of so many examples that each member holds out."""
        automatic = self.early_stopping == AUTO
        if not (examples >= FEWEST_TO_HOLD_OUT if automatic else self.early_stopping):
            return 0.0
        return held_share(examples, classes) if self.validation_fraction == AUTO else self.validation_fraction

    def _train(
        self, config: TrainConfig, examples: Examples, classes: int | None, held_out: float, start: Start | None
    ) -> Trained:
        briefly = self.early_stopping == "auto" and not held_out
        steps = min(self.max_iter, STEPS_WITHOUT) if briefly else self.max_iter
        patience = patience_for(classes) if self.n_iter_no_change == AUTO else self.n_iter_no_change

        def train(look: Any) -> Trained:
            return train_committee(
                gather(config), config.candidates(), examples, classes, members=self.n_members, steps=steps,
                patience=patience, held_out=held_out,
                temperatures=tried_temperatures(config, classes, held_out), falls=falls_for(config, classes), look=look,
                start=start,
            )  # fmt: skip

        if not self.verbose:
            return train(lambda step, loss, held_out: None)
        with Progress(steps) as bar:
            return train(lambda step, loss, held_out: bar.update(step, {"loss": loss, "held_out": held_out}))

    @no_type_check
    def _check(self) -> None:
        """**Raises:** `InputError` for parameters that the choices of a run do not check by the same names."""
        if self.framework != "auto" and self.framework not in FRAMEWORKS:
            raise InputError(f"framework={self.framework!r} is not allowed: it takes auto, {', '.join(FRAMEWORKS)}.")
        if not isinstance(self.warm_start, bool | np.bool_):
            raise InputError(f"warm_start={self.warm_start!r} is not allowed: it takes True or False.")
        if self.beyond_range != "auto" and isinstance(self.beyond_range, str):
            raise InputError(f"beyond_range={self.beyond_range!r} is not allowed: it takes a number from 0, or 'auto'.")
        if not isinstance(self.early_stopping, bool | np.bool_) and self.early_stopping != "auto":
            raise InputError(f"early_stopping={self.early_stopping!r} is not allowed: it takes True, False or 'auto'.")
        fraction = self.validation_fraction
        named = isinstance(fraction, str) and fraction == AUTO
        if not named and (not isinstance(fraction, numbers.Real) or not 0 < fraction <= 0.5):
            raise InputError(
                f"validation_fraction={fraction!r} is not allowed: it takes a share above 0, up to 0.5, or 'auto'."
            )
        for name in ("n_blocks", "max_iter", "n_iter_no_change", "n_members", "n_posterior_samples"):
            value, automatic = getattr(self, name), name == "n_iter_no_change"
            named = automatic and isinstance(value, str) and value == AUTO
            if not named and (not isinstance(value, numbers.Integral) or value < 1):
                or_auto = ", or 'auto'" if automatic else ""
                raise InputError(f"{name}={value!r} is not allowed: it takes a whole number, 1 or more{or_auto}.")
        if self.run_dir is not None:
            RunFolder.check_new(self.run_dir)

    @no_type_check
    def _config(self, fitted: Posterior | None) -> TrainConfig:
        choices = {choice: getattr(self, parameter) for parameter, choice in CHOICES.items()}
        if self.beyond_range == "auto":
            del choices["beyond_range"]
        if fitted is not None and self.sigma == "auto":
            del choices["sigma"]
        choices |= {"framework": _framework(self.framework), "blocks": (self.n_blocks,)} | self._of_task()
        if fitted is None:
            seed = check_random_state(self.random_state).randint(2**31 - 1)
            return TrainConfig.for_table(**choices, seed=int(seed))
        refuse_other_models(fitted.config.model)
        then = parameters_of(fitted.config)
        refuse_changes({name: then[name] for name in OF_PARAMETERS}, {n: getattr(self, n) for n in OF_PARAMETERS})
        return TrainConfig.from_json(fitted.config.to_json() | choices)

    @no_type_check
    def _weights(self, sample_weight: Any, table: Table, weights_of_classes: Any) -> Float64[np.ndarray, " n"]:
        weights = np.asarray(_check_sample_weight(sample_weight, table, ensure_non_negative=True), np.float64)
        if weights_of_classes is not None:
            if not (np.isfinite(weights_of_classes) & (np.asarray(weights_of_classes) >= 0)).all():
                raise InputError(f"class_weight={self.class_weight!r} has weights below 0 or none; give 0 or more.")
            weights = weights * weights_of_classes
        largest = weights.max()
        if not 0 < largest < np.inf:
            what = "All sample weights are zero" if largest == 0 else "Sample weights and class_weight are infinite"
            raise InputError(f"{what}; give at least one example a weight above 0, and none that is infinite.")
        # Sums of large ones would be infinite.
        return weights / largest

    @no_type_check
    def _table(self, X: Table, *, reset: bool) -> Any:
        """A table as it is, or numbers, with its columns' number and names checked, or remembered."""
        refuse_no_table(X, "X")
        if _is_frame(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        refuse_masked(X, "X")
        try:
            return validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        except ValueError as error:
            if "could not convert string to float" not in str(error):
                raise
            raise InputError(
                f"X is an array with text in it ({error}), and arrays hold numbers; give a DataFrame of pandas or "
                "polars, whose columns may be text."
            ) from None

    @no_type_check
    def _table_again(self, X: Table) -> Any:
        """That of another fit, with the columns of the last one."""
        try:
            return self._table(X, reset=False)
        except ValueError as error:
            if "feature" not in str(error):
                raise
            raise InputError(
                f"{str(error).splitlines()[0]} With warm_start=True fit goes on with the columns of the last fit: give "
                "those, or take warm_start=False."
            ) from error

    def _predicted(self, X: Table) -> Any:
        check_is_fitted(self)
        return self.posterior_.predict(self._table(X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.non_deterministic = False
        return tags


def parameters_of(config: TrainConfig) -> dict[str, Any]:
    """The choices of a run by the names of parameters."""
    parameters = {parameter: getattr(config, choice) for parameter, choice in CHOICES.items()}
    return parameters | {"n_blocks": config.blocks[0], "max_iter": config.max_steps or 1}


def refuse_others(X: Table, y: Any, sample_weight: Any) -> None:
    """**Raises:** `InputError` for arguments of `fit` that scikit-learn has no sentence for, or takes for what they are
    not.
    """
    refuse_no_table(X, "X")
    for what, values in (("y", y), ("sample_weight", sample_weight)):
        refuse_masked(values, what)


def answers_of(y: Any, values: np.ndarray) -> Columns:
    """Answers as columns, by the names that a DataFrame or a Series has for them.

    **Arguments:**

    - `y`: the answers as they were given.
    - `values`: the same as an array, (n,) or (n, k).

    **Raises:** `InputError` for dates, and what is neither numbers nor text.
    """
    answers = read_columns(values, "y", name="y")
    names = list(y.columns) if _is_frame(y) else [getattr(y, "name", None)]
    # A Series of polars without a name has an empty one.
    if names in ([None], [""]):
        return answers
    return Columns(dict(zip(map(str, names), answers.by_name.values(), strict=True)), answers.rows, True)


def _warn(remarks: list[str], dataset: Dataset, likelihood: str, *others: str) -> None:
    """Of what became of columns, of units that are no network's, and of what else there is to say."""
    more = [f"and {len(remarks) - SAID} more, all in posterior_.task.encoding.remarks"] if len(remarks) > SAID else []
    of_columns = [f"What became of the table's columns: {'; '.join(remarks[:SAID] + more)}."] if remarks else []
    hint = hint_of_counts(dataset) if likelihood == "auto" else None
    for sentence in filter(None, (*of_columns, *doubts_of_scale(dataset, likelihood), hint, *others)):
        # Of the call of `fit`.
        warnings.warn(sentence, stacklevel=5)


def _framework(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "jax" if importlib.util.find_spec("jax") is not None else "torch"


def _is_frame(X: Table) -> bool:
    """Whether it is a DataFrame, whose columns may be more than numbers."""
    return hasattr(X, "columns") and hasattr(X, "shape")
