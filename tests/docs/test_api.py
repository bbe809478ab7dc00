"""The public API is what each package's `__all__` lists, and the pages of the API have it by name."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {page.read_text().split(maxsplit=2)[1]: page for page in (ROOT / "docs" / "api").glob("*.md")}
# What is public of it is the command.
COMMAND = "sdebnn.cli"


def packages() -> list[str]:
    tops = [ROOT / "src" / top for top in ("jaxsde", "jaxsde/latent", "sdebnn", "sdebnn/torchbnn/latent")]
    folders = [*tops, *(folder for folder in (ROOT / "src" / "sdebnn").iterdir() if folder.is_dir())]
    of_names = [folder for folder in folders if "__all__ = " in _text(folder / "__init__.py")]
    return [".".join(folder.relative_to(ROOT / "src").parts) for folder in of_names]


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def of(name: str) -> ModuleType:
    return pytest.importorskip(name, exc_type=ImportError)


def documented(name: str) -> list[str]:
    return re.findall(r"^::: (\S+)$", PAGES[name].read_text(), re.MULTILINE)


def found(path: str) -> Any:
    """What is at a dotted path: a public name of a package, or a module, or what a module has."""
    module, _, name = path.rpartition(".")
    if module in PAGES and hasattr(package := importlib.import_module(module), name):
        return getattr(package, name)
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(module), name)


def test_every_package_with_public_names_has_a_page() -> None:
    assert sorted(PAGES) == sorted(set(packages()) - {COMMAND})
    assert len(PAGES) >= 9


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_every_public_name_and_no_other_of_the_package(name: str) -> None:
    package, paths = of(name), documented(name)
    assert len(paths) == len(set(paths))
    shown = {path.rpartition(".")[2]: found(path) for path in paths}
    for public in package.__all__:
        assert shown.get(public) is getattr(package, public), f"docs/api has no '::: {name}.{public}'"
    of_its_own = {path.rpartition(".")[2] for path in paths if path.rpartition(".")[0] == name}
    private = {n for n in of_its_own - set(package.__all__) if not isinstance(shown[n], ModuleType)}
    assert not private, "these are documented as public names of the package, and __all__ does not have them"


@pytest.mark.parametrize("name", PAGES)
def test_every_public_name_says_what_it_is(name: str) -> None:
    package = of(name)
    assert len(package.__all__) == len(set(package.__all__))
    for public in package.__all__:
        thing = getattr(package, public)
        if isinstance(thing, ModuleType | type) or inspect.isroutine(thing):
            own = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
            # What a dataclass or a named tuple has for a docstring where nobody wrote one.
            assert own, public
            assert not own.startswith(f"{public}("), public
