"""What a posterior says of some examples."""

import dataclasses
import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Shaped

from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown
from sdebnn.training.mixture import Mixture

FRAMES = ("pandas", "polars")
"""The libraries of data frames."""


class Uncertainty(NamedTuple):
    """How unsure a prediction is: in nats for labels, (n,); as standard deviations in the targets' units, (n, d).

    - `epistemic`: for want of data: how far the posterior samples disagree.
    - `aleatoric`: by the noise of the answers themselves, however many data there were.
    - `total`: both. In nats they add up; of standard deviations the squares do.
    """

    epistemic: Float[np.ndarray, "n ..."]
    aleatoric: Float[np.ndarray, "n ..."]
    total: Float[np.ndarray, "n ..."]


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a posterior says of n examples, one row an example; see `LabelPrediction` and `TargetPrediction`."""

    def __len__(self) -> int:
        return len(next(iter(self.arrays().values())))

    def arrays(self) -> dict[str, Shaped[np.ndarray, "n ..."]]:
        """What is said, by name, in the order in which a file has it."""
        raise NotImplementedError

    def uncertainty(self) -> Uncertainty:
        """How unsure it is, and why."""
        raise NotImplementedError

    def columns(self) -> dict[str, Shaped[np.ndarray, " n"]]:
        """The same as columns by name: `probabilities` of the labels no and yes are `probabilities_no` and
        `probabilities_yes`, the `mean` of several targets is one `mean_...` each.
        """
        return columns_of(self.arrays())

    def to_frame(self, library: str | None = None) -> Any:
        """The columns as a data frame.

        **Arguments:**

        - `library`: `"pandas"` or `"polars"`; unless given the first of them that is installed.

        **Raises:** `InputError` for another library, and for one that is not installed.
        """
        if library is not None:
            refuse_unknown(library, FRAMES, "a library of data frames")
        installed = [name for name in (FRAMES if library is None else (library,)) if importlib.util.find_spec(name)]
        if not installed:
            raise InputError(
                f"A data frame needs {library or ' or '.join(FRAMES)}, which is not installed: "
                f"pip install {library or FRAMES[0]}, or take columns(), a dictionary of arrays."
            )
        return importlib.import_module(installed[0]).DataFrame(self.columns())


@dataclasses.dataclass(frozen=True, eq=False)
class LabelPrediction(Prediction):
    """What is said of examples that have one of several labels.

    - `label`: the most probable one, by the user's name.
    - `probabilities`: in the order of `labels`, averaged over the posterior samples.
    - `entropy`: of the probabilities, in nats: how unsure the prediction is.
    - `mutual_information`: of label and weights, in nats: what more data could resolve of that. NaN from one posterior
      sample, which says nothing of ignorance.
    - `labels`: the names of all labels.
    """

    label: Shaped[np.ndarray, " n"]
    probabilities: Float[np.ndarray, "n classes"]
    entropy: Float[np.ndarray, " n"]
    mutual_information: Float[np.ndarray, " n"]
    labels: Shaped[np.ndarray, " classes"]

    def arrays(self) -> dict[str, Shaped[np.ndarray, "n ..."]]:
        names = ("label", "probabilities", "entropy", "mutual_information")
        return {name: getattr(self, name) for name in names}

    def uncertainty(self) -> Uncertainty:
        return Uncertainty(self.mutual_information, self.entropy - self.mutual_information, self.entropy)

    def columns(self) -> dict[str, Shaped[np.ndarray, " n"]]:
        return columns_of(self.arrays(), self.labels.tolist())


@dataclasses.dataclass(frozen=True, eq=False)
class TargetPrediction(Prediction):
    """What is said of examples that have d real targets, in the user's units.

    - `mean`: the expected targets.
    - `std`: the standard deviation of the whole prediction, noise and ignorance; infinite for a law that has none.
    - `epistemic_std`: that of the means of the posterior samples: what more data could resolve. It and `std` are NaN
      from one posterior sample, which says nothing of ignorance.
    - `targets`: their names; `None` where they have none.
    """

    mean: Float[np.ndarray, "n d"]
    std: Float[np.ndarray, "n d"]
    epistemic_std: Float[np.ndarray, "n d"]
    targets: tuple[str, ...] | None
    _mixture: Mixture = dataclasses.field(repr=False)

    def arrays(self) -> dict[str, Shaped[np.ndarray, "n ..."]]:
        return {name: getattr(self, name) for name in ("mean", "std", "epistemic_std")}

    def columns(self) -> dict[str, Shaped[np.ndarray, " n"]]:
        return columns_of(self.arrays(), self.targets)

    def uncertainty(self) -> Uncertainty:
        with np.errstate(invalid="ignore"):
            # Squares may be too large, or too small.
            less, more = np.maximum(self.std - self.epistemic_std, 0.0), self.std + self.epistemic_std
            aleatoric = np.sqrt(less) * np.sqrt(more)
        return Uncertainty(self.epistemic_std, aleatoric, self.std)

    @no_type_check
    def quantile(self, q: float | Sequence[float]) -> Float[np.ndarray, "... n d"]:
        """The values below which the targets lie with probability `q`: of the mixture over the posterior samples of the
        likelihood's law, and not of a Gaussian with its moments. Of a likelihood without a `cdf`, those of draws.

        **Arguments:**

        - `q`: between 0 and 1; or several, which come along a first axis.

        **Raises:** `InputError` for others.
        """
        wanted = _between_0_and_1(q)
        if wanted is None or wanted.ndim > 1 or not wanted.size:
            raise InputError(f"quantile got q={q!r}; it takes numbers between 0 and 1, such as 0.5 for the median.")
        found = [self._mixture.quantile(float(one)) for one in wanted.ravel()]
        return np.stack(found) if wanted.ndim else found[0]

    @no_type_check
    def interval(self, level: float = 0.95) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
        """The ends of the central interval that holds each target with probability `level`: as much lies below the
        first as above the second.

        **Raises:** `InputError` for a level that is not between 0 and 1.
        """
        if np.ndim(level) or _between_0_and_1(level) is None:
            raise InputError(f"interval got level={level!r}; it takes a number between 0 and 1, such as 0.95.")
        return self._mixture.quantile(0.5 - level / 2), self._mixture.quantile(0.5 + level / 2)

    @no_type_check
    def sample(self, rng: np.random.Generator | int, n: int = 1) -> Float[np.ndarray, "draws n d"]:
        """Targets that are drawn: each draw is of one posterior sample, the same for all examples, with the noise of
        its likelihood.

        **Arguments:**

        - `rng`: a generator of NumPy, or the seed of one.
        - `n`: how many draws.

        **Raises:** `InputError` for fewer than one draw.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"sample got n={n!r}; it takes how many draws, 1 or more.")
        return self._mixture.sample(np.random.default_rng(rng), int(n))


def _between_0_and_1(values: object) -> np.ndarray | None:
    """Numbers, `None` where they are none or not between."""
    found = np.asarray(values)
    return found.astype(np.float64) if found.dtype.kind in "buif" and ((found > 0) & (found < 1)).all() else None


def columns_of(
    arrays: Mapping[str, Shaped[np.ndarray, "n ..."]], suffixes: Sequence[Any] | None = None
) -> dict[str, Shaped[np.ndarray, " n"]]:
    """Arrays as columns by name. Those of an array of several have a suffix behind its name: one of `suffixes`, unless
    given a number from 0.
    """
    columns = {}
    for name, array in arrays.items():
        rows = array.reshape(len(array), -1)
        width = rows.shape[1]
        for number, suffix in enumerate(suffixes if suffixes is not None and width > 1 else range(width)):
            columns[name if width == 1 else f"{name}_{suffix}"] = rows[:, number]
    return columns
