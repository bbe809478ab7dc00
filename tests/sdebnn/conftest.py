"""What tests of several parts of the package use."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from sdebnn.runs import MetricsLog, RunFolder, strict_json


@pytest.fixture(autouse=True, scope="module")
def undrawn(request: pytest.FixtureRequest) -> Iterator[None]:
    """No run is drawn into its folder, which takes longer than training here; but in files that say `DRAWN = True`."""
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "DRAWN", False):
            patch.setattr("sdebnn.training.pictures.draw_run", lambda *_: None)
        yield


@pytest.fixture
def untimed() -> Callable[[RunFolder], list[dict]]:
    """What a run logged, without times and pace, which are never the same."""

    def records(run: RunFolder) -> list[dict]:
        own = [record for record in MetricsLog.read(run) if record["split"] != "system"]
        return [{name: value for name, value in record.items() if name != "time"} for record in own]

    return records


@pytest.fixture
def check_average() -> Callable[[Sequence[dict[str, np.ndarray]]], None]:
    """That the average in the last of five states, four gradient steps with `ema=0.25`, is what the decays make of the
    parameters of all.
    """

    def check(states: Sequence[dict[str, np.ndarray]]) -> None:
        # The decays are 1/10, 2/11, 3/12 and, at the limit, 1/4: what each state has in the average is their product.
        shares = np.array([0.1 * 2 / 11 / 16, 0.9 * 2 / 11 / 16, 9 / 11 / 16, 3 / 16, 3 / 4])
        names = [name.removeprefix("average/") for name in states[0] if name.startswith("average/")]
        assert any((states[1][f"params/{name}"] != states[0][f"params/{name}"]).any() for name in names)
        for name in names:
            expected = np.tensordot(shares, np.stack([state[f"params/{name}"] for state in states]), axes=1)
            np.testing.assert_allclose(states[-1][f"average/{name}"], expected, rtol=1e-5, atol=1e-7)

    return check


@pytest.fixture
def with_choices() -> Callable[..., None]:
    """Makes of a run one that was trained with other choices: its checkpoints say of which they come."""

    def change(run: RunFolder, **choices: Any) -> None:
        config = run.read_config() | choices
        strict_json.write(run.config_file, config)
        for sidecar in run.checkpoints.glob("*.json"):
            record = strict_json.read(sidecar)
            strict_json.write(sidecar, record | {"meta": record["meta"] | {"config": config}})

    return change
