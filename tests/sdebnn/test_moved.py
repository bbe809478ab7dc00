"""Imports of version 0.1."""

import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("old", "floor"),
    [
        ("brax.model", "learning"),
        ("brax.likelihoods", "learning"),
        ("brax.convolution", "layers"),
        ("brax.weight_path", "weights"),
        ("torchbnn.solver", "solving"),
        ("torchbnn.path_kl", "weights"),
    ],
)
def test_a_module_is_found_where_it_was_as_the_same(old: str, floor: str) -> None:
    framework, _, name = old.partition(".")
    there = importlib.import_module(f"sdebnn.{framework}.{floor}.{name}")
    sys.modules.pop(f"sdebnn.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"sdebnn.{old} has moved to sdebnn.{framework}.{floor}.{name}"):
        found = importlib.import_module(f"sdebnn.{old}")
    assert found is there
    assert there.__spec__ is not None
    assert there.__spec__.name == there.__name__ == f"sdebnn.{framework}.{floor}.{name}"


@pytest.mark.parametrize("name", ["brax.drift_network", "brax.recomputing_serial", "torchbnn.independent_paths"])
def test_a_public_name_is_not_replaced_by_the_module_that_has_it(name: str) -> None:
    framework, _, public = name.partition(".")
    package = importlib.import_module(f"sdebnn.{framework}")
    before = getattr(package, public)
    sys.modules.pop(f"sdebnn.{name}", None)
    with pytest.warns(DeprecationWarning, match="public names are imported from"):
        module = importlib.import_module(f"sdebnn.{name}")
    assert getattr(module, public) is before is getattr(package, public)


def test_what_has_never_been_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"sdebnn\.brax\.nothing"):
        importlib.import_module("sdebnn.brax.nothing")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("sdebnn.brax.layers.nothing")


def test_nothing_is_imported_for_it() -> None:
    code = "import sys, sdebnn; assert not {'jax', 'torch', 'sdebnn.brax'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
