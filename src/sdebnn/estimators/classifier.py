"""The classifier."""

import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, no_type_check

import numpy as np
from jaxtyping import Float
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sdebnn.data import TableEncoding
from sdebnn.data.frames import Table
from sdebnn.data.targets import settled_task
from sdebnn.errors import InputError
from sdebnn.estimators.estimator import MAX_ITER, SDEBNNEstimator, answers_of, refuse_others
from sdebnn.priors.by_name import PriorName
from sdebnn.spelling import nearest
from sdebnn.training import Posterior
from sdebnn.training.history import History


class SDEBNNClassifier(ClassifierMixin, SDEBNNEstimator):
    """A classifier whose weights follow an SDE through depth, and that knows what it does not know: a mixture of
    `n_members` posteriors over weight paths (Xu et al., 2021).

    Inputs are tables: DataFrames, of pandas or polars, with numbers, categories and missing values, or arrays of
    numbers; they are standardised inside. Every member holds a part of the examples out, by which sigma and the length
    of training are chosen.

    **Arguments:**

    - `framework`: `"jax"`, `"torch"`, or `"auto"`: the first of these that is installed.
    - `width`, `n_blocks`, `n_solver_steps`: hidden units of the network f_x, continuous-depth blocks, and steps of the
      solver over the depth of each.
    - `prior`: law of the weights over depth, a name in `sdebnn.priors.PRIORS`.
    - `sigma`: diffusion of the weights, in standard deviations of the usual initialisation; `"auto"` tries .1, .5, 2.
    - `kl_coef`: weight of the path KL; 1 is the evidence lower bound.
    - `max_iter`: gradient steps at most. `batch_size`: examples in each. `learning_rate_init`: step size of Adam.
    - `early_stopping`: whether members hold examples out and keep the parameters that predict those best; `"auto"`
      does from 10 examples on. `validation_fraction`: share that each holds out; `"auto"` is a fifth; of
      targets a tenth, but no fewer than 30 rows and never more than a fifth. `n_iter_no_change`: looks at held-out
      examples, one every 50 steps, without a better log-likelihood, after which training ends; `"auto"` is 6. Of
      targets it is 24, and training does not end then, or after three quarters of `max_iter`, but goes on from the
      best parameters with a quarter of the step size, and after 6 such looks, or `n_iter_no_change` if that is less,
      with a sixteenth, for as many.
    - `n_members`: networks in the mixture. `n_posterior_samples`: weight paths of each.
    - `beyond_range`: how uncertain an answer becomes beyond the range of the training examples: its standard deviation,
      in those of the targets, or on the logits of classes, where all columns are half their range beyond it. In a
      hole of a column, a tenth of its range wide or more, the distance to the nearer end counts. Where training
      examples are nothing changes. `"auto"` is 2, and 0 for counts and with `scale=False`.
    - `class_weight`: weight of an example's likelihood by its class: `"balanced"`, or a dict by the names of classes.
    - `scale`: whether columns are standardised inside.
    - `calibrate`: `"temperature"` fits one number on the held-out examples, by which logits are divided, or the scale
      of the noise of targets is multiplied; `"auto"` does so for targets.
    - `warm_start`: whether another `fit` goes on from the fitted parameters, in the units and with the seed of the
      first: by up to `max_iter` more gradient steps, with sigma as it was found where it is `"auto"`. Columns, classes
      and the parameters that shape the networks must be as they were, and the rows too where some are held out.
    - `run_dir`: folder to `save` to after `fit`.
    - `verbose`: whether progress goes to standard error.
    - `random_state`: seed of all randomness.

    Fitted, it has `classes_`, `n_features_in_`, `feature_names_in_`, `n_iter_` (gradient steps up to the parameters
    that were kept), `loss_curve_` and `validation_scores_` (one every 50 steps), `best_validation_score_` (the
    log-likelihood of held-out examples, in nats), `sigma_`, `temperature_`, and `posterior_`, the
    `sdebnn.training.Posterior` of all.
    """

    _task = "classification"
    class_weight: Any
    classes_: np.ndarray

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
        class_weight: dict | Literal["balanced"] | None = None,
        scale: bool = True,
        calibrate: Literal["auto", "none", "temperature"] = "auto",
        warm_start: bool = False,
        run_dir: str | Path | None = None,
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            framework=framework, width=width, n_blocks=n_blocks, n_solver_steps=n_solver_steps, prior=prior,
            sigma=sigma, kl_coef=kl_coef, max_iter=max_iter, batch_size=batch_size,
            learning_rate_init=learning_rate_init, early_stopping=early_stopping,
            validation_fraction=validation_fraction, n_iter_no_change=n_iter_no_change, n_members=n_members,
            n_posterior_samples=n_posterior_samples, beyond_range=beyond_range, scale=scale,
            calibrate=calibrate, warm_start=warm_start, run_dir=run_dir, verbose=verbose, random_state=random_state,
        )  # fmt: skip
        self.class_weight = class_weight

    @no_type_check
    def fit(self, X: Table, y: Any, sample_weight: Any = None) -> Any:
        """Trains.

        **Arguments:**

        - `X`: (n, columns), a DataFrame or an array.
        - `y`: (n,), labels of any type.
        - `sample_weight`: (n,), of the examples' likelihoods, 0 or more.

        **Raises:** `InputError` for tables, labels, weights and parameters that cannot be used; `FloatingPointError`
        when training breaks down.
        """
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        refuse_others(X, y, sample_weight)
        # Of the nullable types of pandas it makes floating-point numbers.
        labels = column_or_1d(y.to_numpy() if hasattr(y, "to_numpy") else y, warn=True)
        answers = answers_of(y, labels)
        settled_task(answers, self._task)
        texts = [label for label in labels.tolist() if isinstance(label, str)]
        if 0 < len(texts) < len(labels):
            other = next(label for label in labels.tolist() if not isinstance(label, str))
            raise InputError(
                f"y has labels that are text, such as {texts[0]!r:.40}, and others that are not, such as "
                f"{other!r:.40}; give all of one type."
            )
        # Numbers among objects are numbers.
        check_classification_targets(next(iter(answers.by_name.values())))
        check_consistent_length(X, labels)
        self._check_class_weight(labels)
        of_classes = None if self.class_weight is None else compute_sample_weight(self.class_weight, labels)
        self._fit(X, answers, sample_weight, of_classes)
        self.classes_ = self.classes_.astype(labels.dtype)
        return self

    def predict_proba(self, X: Table) -> Float[np.ndarray, "n classes"]:
        """The probability of each class, in the order of `classes_`, averaged over members and posterior samples.

        **Raises:** `NotFittedError`; `InputError` for other columns than those of training.
        """
        return self._predicted(X).probabilities

    def predict(self, X: Table) -> np.ndarray:
        """The most probable label of each row. **Raises:** as `predict_proba`."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    @no_type_check
    def _check_class_weight(self, labels: np.ndarray) -> None:
        weights = self.class_weight
        if weights is None or (isinstance(weights, str) and weights == "balanced"):
            return
        if not isinstance(weights, Mapping) or not all(isinstance(each, numbers.Real) for each in weights.values()):
            raise InputError(
                f"class_weight={weights!r} is not allowed: it takes 'balanced', None, or a dict with a number for each "
                "class."
            )
        classes = set(labels.tolist())
        strange, without = [name for name in weights if name not in classes], classes - set(weights)
        # Of a class that a fold lacks there may be a weight.
        if strange and without:
            raise InputError(
                f"class_weight has a class {strange[0]!r}{nearest(str(strange[0]), map(str, classes))}, which y has "
                f"not, and none of {', '.join(sorted(map(repr, without)))}; give the classes by their names in y."
            )

    def _of_task(self) -> dict[str, Any]:
        return {"likelihood": "categorical"}

    def _read(self, posterior: Posterior, encoding: TableEncoding, history: History | None) -> None:
        super()._read(posterior, encoding, history)
        self.classes_ = np.array(encoding.labels)
