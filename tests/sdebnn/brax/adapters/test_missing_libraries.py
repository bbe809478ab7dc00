import subprocess
import sys

import pytest

import sdebnn.brax.adapters


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_brax_needs_neither_library():
    modules = run("import sdebnn.brax.adapters, sys; print(*sys.modules)").split()
    assert not {"flax", "equinox"} & set(modules)


@pytest.mark.parametrize(
    ("name", "library"), [("from_equinox", "equinox"), ("from_linen", "flax"), ("from_nnx", "flax")]
)
def test_a_missing_library_is_named_with_its_extra(name, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    for module in ("equinox_module", "linen_module", "nnx_module"):
        monkeypatch.delitem(sys.modules, f"sdebnn.brax.adapters.{module}", raising=False)
    with pytest.raises(ImportError, match=rf"{name} needs {library}.*pip install 'sdebnn\[{library}\]'"):
        getattr(sdebnn.brax.adapters, name)


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match="from_haiku"):
        _ = sdebnn.brax.adapters.from_haiku
