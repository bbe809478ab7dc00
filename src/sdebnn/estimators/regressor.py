"""The regressor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, no_type_check

import numpy as np
from jaxtyping import Float
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import column_or_1d

from sdebnn.data import TableEncoding
from sdebnn.data.frames import Table, refuse_twice
from sdebnn.data.targets import target_numbers
from sdebnn.errors import InputError
from sdebnn.estimators.estimator import MAX_ITER, SDEBNNEstimator, answers_of, refuse_others
from sdebnn.metrics.noise_laws import TargetLaw
from sdebnn.priors.by_name import PriorName
from sdebnn.runs import TrainConfig
from sdebnn.training import Posterior
from sdebnn.training.history import History
from sdebnn.training.predictions import OF_FOLDS, OF_OLDER_FOLDS


class SDEBNNRegressor(MultiOutputMixin, RegressorMixin, SDEBNNEstimator):
    """A regressor whose weights follow an SDE through depth, and that knows what it does not know: a mixture of
    `n_members` posteriors over weight paths (Xu et al., 2021).

    Inputs are tables, as for `SDEBNNClassifier`; targets of any magnitude are standardised inside, and predictions are
    in their units.

    **Arguments:** those of `SDEBNNClassifier` but for `class_weight`, and

    - `likelihood`: the noise of the targets, a name in `sdebnn.metrics.NOISE_LAWS`, or `"poisson"` for counts, which
      are not standardised; `"auto"` is `"student_t_input"`, whose size depends on the input.

    Fitted, it has the attributes of `SDEBNNClassifier` but for `classes_`; the log-likelihoods of held-out examples are
    those of each member at the temperature that fits it best, unless `calibrate` is `"none"` or targets are counts.
    """

    _task = "regression"
    _several: bool

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
        likelihood: Literal["auto", TargetLaw] = "auto",
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
        self.likelihood = likelihood

    @no_type_check
    def fit(self, X: Table, y: Any, sample_weight: Any = None) -> Any:
        """Trains.

        **Arguments:**

        - `X`: (n, columns), a DataFrame or an array.
        - `y`: (n,) or (n, k), real targets.
        - `sample_weight`: (n,), of the examples' likelihoods, 0 or more.

        **Raises:** `InputError` for tables, targets, weights and parameters that cannot be used; `FloatingPointError`
        when training breaks down.
        """
        if y is None:
            raise InputError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        refuse_others(X, y, sample_weight)
        refuse_twice(getattr(y, "columns", ()), "y")
        # What is missing or infinite is told with its row below.
        targets = check_array(y, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y")
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = column_or_1d(targets, warn=True)
        answers = answers_of(y, targets)
        target_numbers(answers)
        check_consistent_length(X, targets)
        return self._fit(X, answers, sample_weight)

    @no_type_check
    def predict(self, X: Table, return_std: bool = False) -> Any:
        """The mean of each target, (n,) or (n, k), in its unit.

        **Arguments:**

        - `return_std`: whether to return the pair of means and standard deviations, which have noise and ignorance in
          them; `predict_uncertainty` takes these apart.

        **Raises:** `NotFittedError`; `InputError` for other columns than those of training.
        """
        found = self._predicted(X)
        mean = self._of_targets(found.mean)
        return (mean, self._of_targets(found.std)) if return_std else mean

    @no_type_check
    def predict_interval(self, X: Table, confidence_level: float = 0.95) -> Float[np.ndarray, "n ... 2"]:
        """The ends of the central interval that holds each target with that probability, (n, 2) or (n, k, 2): quantiles
        of the mixture over members and posterior samples, and not mean and standard deviations.

        **Raises:** as `predict`; `InputError` for a level that is not between 0 and 1.
        """
        ends = self._predicted(X).interval(confidence_level)
        return np.stack([self._of_targets(end) for end in ends], axis=-1)

    @no_type_check
    def predict_quantiles(
        self, X: Table, quantiles: float | Sequence[float] = (0.025, 0.5, 0.975)
    ) -> Float[np.ndarray, "n ..."]:
        """The values below which each target lies with these probabilities, (n, quantiles) or (n, k, quantiles); of one
        number alone, (n,) or (n, k).

        **Raises:** as `predict`; `InputError` for quantiles that are not between 0 and 1.
        """
        found = self._predicted(X).quantile(quantiles)
        if not np.ndim(quantiles):
            return self._of_targets(found)
        return np.moveaxis(found if self._several else found[..., 0], 0, -1)

    @no_type_check
    def sample_y(self, X: Table, n_samples: int = 1, random_state: Any = 0) -> Float[np.ndarray, "n ... samples"]:
        """Targets that are drawn, (n, samples) or (n, k, samples): each draw is of one function for all rows, with the
        noise of the likelihood. **Raises:** as `predict`; `InputError` for fewer than one draw.
        """
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        drawn = self._predicted(X).sample(seed, n_samples)
        return np.moveaxis(drawn if self._several else drawn[..., 0], 0, -1)

    def _of_targets(self, values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n ..."]:
        return values if self._several else values[:, 0]

    @classmethod
    def _of_config(cls, config: TrainConfig) -> dict[str, Any]:
        return {
            "likelihood": OF_OLDER_FOLDS
            if (config.likelihood, config.tuning) == ("auto", "folds")
            else config.likelihood
        }

    def _of_task(self) -> dict[str, Any]:
        return {"likelihood": OF_FOLDS if self.likelihood == "auto" else self.likelihood}

    def _read(self, posterior: Posterior, encoding: TableEncoding, history: History | None) -> None:
        super()._read(posterior, encoding, history)
        self._several = len(encoding.target_names) > 1
