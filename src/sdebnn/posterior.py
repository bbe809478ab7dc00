"""A run folder, loaded to predict."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.training import Posterior, load_posterior
from sdebnn.training.building import Build


def load(
    folder: str | Path,
    *,
    framework: str | None = None,
    build: Build | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Posterior:
    """What the run in a folder has learned, ready to predict. It needs no data.

    **Arguments:**

    - `folder`: that `sdebnn train`, `start_run` or `Posterior.save` wrote.
    - `framework`: `"jax"` or `"torch"`; that of the run unless given. The other draws other posterior samples, of the
      same law.
    - `build`: that of `start_run`, for a run with a network or a likelihood of a user's own.
    - `changes`: choices to change: those that leave the parameters as they are, such as `test_samples`.

    **Raises:** `InputError` when the folder is no path, or not a run's, its checkpoint does not fit its choices, or the
    framework is not installed.
    """
    if not isinstance(folder, str | PathLike):
        raise InputError(f"The folder of a run is a path, but it is {folder!r:.40}; give its name as text.")
    chosen = {} if framework is None else {"framework": framework}
    return load_posterior(build or build_learner, folder, changes={**(changes or {}), **chosen})
