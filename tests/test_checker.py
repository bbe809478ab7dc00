"""Types are checked at run time, in functions within functions too, whose check is that of an earlier call."""

import gc
import importlib
import sys
import weakref

import numpy as np
import pytest
from checker import CHECKS
from jaxtyping import TypeCheckError, install_import_hook

SOURCE = """
from jaxtyping import Float
import numpy as np

def sums(kind):
    def add(x: kind, y: Float[np.ndarray, "n"], offset: float = 0.0) -> Float[np.ndarray, "n"]:
        return (x + y + offset) if offset < 9 else np.zeros((1, 1))

    return add

def power_of(base):
    def power(n: int, below: list) -> int:
        return base * below[n - 1](n - 1, below) if n else 1

    return power
"""


@pytest.fixture
def made_anew(tmp_path, monkeypatch):
    (tmp_path / "made_anew.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    with install_import_hook("made_anew", "beartype.beartype"):
        module = importlib.import_module("made_anew")
    monkeypatch.delitem(sys.modules, "made_anew")
    return module


def test_each_call_is_checked_by_its_own_annotations(made_anew):
    sums, ones = made_anew.sums, np.ones(2)
    for _ in range(2):
        assert sums(int)(1, ones)[0] == 2.0
        assert sums(float)(1.0, ones, offset=1.0)[0] == 3.0
        with pytest.raises(TypeCheckError, match="parameter"):
            sums(int)(1.0, ones)
        with pytest.raises(TypeCheckError, match="parameter"):
            sums(float)(1, ones)
        with pytest.raises(TypeCheckError, match="parameter"):
            sums(int)(1, np.ones((2, 2)))
        with pytest.raises(TypeCheckError, match="return"):
            sums(int)(1, ones, 9.0)


def test_each_call_is_of_its_own_function_of_which_nothing_is_kept(made_anew):
    before, powers = len(CHECKS), [made_anew.power_of(base) for base in (2, 3, 5)]
    assert powers[2](2, powers) == 15
    with pytest.raises(TypeCheckError, match="parameter"):
        powers[1]("1", powers)
    with pytest.raises(TypeError, match="missing"):
        powers[1](1)
    assert powers[1](2, powers) == 9
    assert len(CHECKS) == before + 1
    inside = weakref.ref(powers[0].__wrapped__)
    del powers
    gc.collect()
    assert inside() is None


def test_the_packages_are_checked():
    from sdebnn.spelling import nearest

    with pytest.raises(TypeCheckError, match="parameter"):
        nearest("adan", 1)  # type: ignore[arg-type]
