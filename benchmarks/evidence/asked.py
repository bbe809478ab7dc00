"""What is asked of a table, looked at before data are read."""

from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks.evidence.models import MODELS
from benchmarks.evidence.page import RESULTS_PAGES
from benchmarks.results_file import RESULTS

from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown

TRIAL = "digits"
"""The set to try a table with, which no page of the documentation shows."""


def refuse_what_cannot_be(
    names: Sequence[str], sets: Collection[str], models: Sequence[str], seeds: Sequence[int], results: Path, page: Path
) -> None:
    """**Raises:** `InputError` for an unknown set or model, a seed out of range, and `TRIAL` on a shown page."""
    for name in names:
        refuse_unknown(name, sets, "a set of images")
    for model in models:
        refuse_unknown(model, MODELS, "a model of this table")
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise InputError(f"--seeds {seed} is not allowed; take whole numbers from 0 to 2**32 - 1.")
    shown = ((results, RESULTS), (page, RESULTS_PAGES))
    if TRIAL in names and any(path.resolve().is_relative_to(folder) for path, folder in shown):
        raise InputError(
            f"{TRIAL} is for trials, and no page shows it; give --results and --page outside the checkout."
        )
