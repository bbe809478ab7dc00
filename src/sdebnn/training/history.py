"""How a training by a committee went, kept in the run's log."""

from typing import NamedTuple

from sdebnn.runs import MetricsLog, RunFolder
from sdebnn.training.committee import STEPS, Trained

# Of this part of the data is a line of the log that has a number for each candidate.
CANDIDATES = "candidates"
TEMPERATURE = "temperature"
_COLUMNS = ("step", "time", "split")


class History(NamedTuple):
    """How it went, in the units of the network.

    - `steps`: gradient steps up to the parameters that were kept, of the member that took most.
    - `losses`, `held_out`: mean loss, and mean log-likelihood of held-out examples, each after so many gradient steps.
    - `candidates`: the log-likelihood of every candidate; empty where the log is of another training, or of an older
      version.
    - `temperature`: of `sdebnn.training.calibration`; 1 where none was fitted.
    """

    steps: int
    losses: list[tuple[int, float]]
    held_out: list[tuple[int, float]]
    candidates: dict[str, float]
    temperature: float = 1.0

    @classmethod
    def of(cls, trained: Trained, most: int, temperature: float = 1.0, before: "History | None" = None) -> "History":
        """That of a training which has just ended, of at most so many gradient steps; where it went on, after what was
        `before`.
        """
        taken = before.taken if before else 0
        losses, held_out = (
            [(taken + min(number * STEPS, most), value) for number, value in enumerate(curve, 1)]
            for curve in (trained.losses, trained.held_out)
        )
        if before:
            losses, held_out = before.losses + losses, before.held_out + held_out
        steps = max(trained.steps) or (before.steps if before else 0)
        return cls(steps, losses, held_out, trained.candidates, temperature)

    @property
    def taken(self) -> int:
        """All gradient steps that were taken."""
        return self.losses[-1][0]

    @property
    def log_likelihood(self) -> float:
        """Of held-out examples, of the best candidate; NaN where none were held out."""
        return max(self.candidates.values(), default=float("nan"))

    def write(self, log: MetricsLog) -> None:
        """Writes it to a log. **Raises:** `StorageError`."""
        lines = [(step, "train", {"loss": loss}) for step, loss in self.losses]
        lines += [(step, "validation", {"nll": -value}) for step, value in self.held_out]
        for step, split, values in sorted(lines, key=lambda line: line[:2]):
            log.write(step, values, split=split)
        log.write(self.steps, self.candidates, split=CANDIDATES)
        if self.temperature != 1:
            log.write(self.steps, {TEMPERATURE: self.temperature}, split=CANDIDATES)

    @classmethod
    def read(cls, run: RunFolder) -> "History | None":
        """That of a run; `None` where its folder keeps no log of a training.

        **Raises:** `InputError` when the log was altered.
        """
        records = MetricsLog.read(run)
        train = [record for record in records if record["split"] == "train" and "loss" in record]
        validation = [record for record in records if record["split"] == "validation" and "nll" in record]
        if not train:
            return None
        kept = next((record for record in records if record["split"] == CANDIDATES), {"step": train[-1]["step"]})
        return cls(
            kept["step"],
            [(record["step"], record["loss"]) for record in train],
            [(record["step"], -record["nll"]) for record in validation],
            {name: value for name, value in kept.items() if name not in _COLUMNS},
            next((record[TEMPERATURE] for record in records if TEMPERATURE in record), 1.0),
        )
