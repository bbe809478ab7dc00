"""Types are checked at run time, in functions within functions too, whose check is that of an earlier call."""

import importlib
import sys

import numpy as np
import pytest
from jaxtyping import TypeCheckError, install_import_hook

SOURCE = """
from jaxtyping import Float
import numpy as np

def sums(kind):
    def add(x: kind, y: Float[np.ndarray, "n"], offset: float = 0.0) -> Float[np.ndarray, "n"]:
        return (x + y + offset) if offset < 9 else np.zeros((1, 1))

    return add
"""


def test_each_call_is_checked_by_its_own_annotations(tmp_path, monkeypatch):
    (tmp_path / "made_anew.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    with install_import_hook("made_anew", "checker.checked"):
        sums = importlib.import_module("made_anew").sums
    monkeypatch.delitem(sys.modules, "made_anew")
    ones = np.ones(2)
    for _ in range(2):
        assert sums(int)(1, ones)[0] == 2.0
        assert sums(float)(1.0, ones, offset=1.0)[0] == 3.0
        with pytest.raises(TypeCheckError, match="parameters"):
            sums(int)(1.0, ones)
        with pytest.raises(TypeCheckError, match="parameters"):
            sums(float)(1, ones)
        with pytest.raises(TypeCheckError, match="parameters"):
            sums(int)(1, np.ones((2, 2)))
        with pytest.raises(TypeCheckError, match="return"):
            sums(int)(1, ones, 9.0)


def test_the_packages_are_checked():
    from sdebnn.spelling import nearest

    with pytest.raises(TypeCheckError, match="parameters"):
        nearest("adan", 1)  # type: ignore[arg-type]
