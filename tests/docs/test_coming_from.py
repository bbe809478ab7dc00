"""The pages for who comes from another library have every public name of it, and every parameter of its solvers."""

import inspect
import pathlib
import re
from collections.abc import Iterable
from types import ModuleType

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "jaxsde"


def public(library: ModuleType) -> list[str]:
    named = {name: thing for name, thing in vars(library).items() if not name.startswith("_")}
    return [name for name, thing in named.items() if not isinstance(thing, ModuleType)]


def parameters(*solvers: object) -> list[str]:
    found = [p for solver in solvers for p in inspect.signature(solver).parameters.values()]  # type: ignore[arg-type]
    return [p.name for p in found if p.kind is not p.VAR_KEYWORD]


def missing(page: str, names: Iterable[str]) -> list[str]:
    """The names that no code in the first column of the table of a page has."""
    table = [line for line in (DOCS / page).read_text().splitlines() if line.startswith("| ")]
    code = [code for line in table for code in re.findall("`(.*?)`", line.split(" | ")[0])]
    there = {word for part in code for word in re.findall(r"\w+", part)}
    return sorted(set(names) - there)


def test_torchsde() -> None:
    torchsde = pytest.importorskip("torchsde", reason="torchsde is not installed", exc_type=ImportError)
    names = public(torchsde)
    assert len(names) >= 9
    assert missing("from-torchsde.md", [*names, *parameters(torchsde.sdeint, torchsde.sdeint_adjoint)]) == []


def test_diffrax() -> None:
    diffrax = pytest.importorskip("diffrax", reason="diffrax is not installed", exc_type=ImportError)
    names = public(diffrax)
    assert len(names) >= 90
    assert missing("from-diffrax.md", [*names, *parameters(diffrax.diffeqsolve, diffrax.SaveAt)]) == []


def test_a_name_elsewhere_on_the_page_does_not_count() -> None:
    assert missing("from-torchsde.md", ["sdeint", "sdeint_ito", "ReplayedPath"]) == ["ReplayedPath", "sdeint_ito"]
