"""What tests of several parts of the package use."""

from collections.abc import Callable

import pytest

from sdebnn.runs import MetricsLog, RunFolder


@pytest.fixture
def untimed() -> Callable[[RunFolder], list[dict]]:
    """What a run logged, without times and pace, which are never the same."""

    def records(run: RunFolder) -> list[dict]:
        own = [record for record in MetricsLog.read(run) if record["split"] != "system"]
        return [{name: value for name, value in record.items() if name != "time"} for record in own]

    return records
