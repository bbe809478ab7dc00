"""Targets of a regression, whose shape both frameworks ask for before they broadcast."""

from collections.abc import Sequence

from sdebnn.errors import InputError


def check_target_shape(outputs: Sequence[int], targets: Sequence[int]) -> None:
    """**Raises:** `InputError` unless targets have the shape (n, d) of the outputs. Those of shape (n,) would be
    compared with every output.
    """
    if tuple(outputs) != tuple(targets):
        raise InputError(
            f"Targets have shape {tuple(targets)} and outputs {tuple(outputs)}; both must be (examples, dimensions): "
            "one target an example is a column, y[:, None]."
        )
