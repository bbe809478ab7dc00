"""Modules of version 0.1 that have moved to a floor of their framework: the imports of others go on working."""

import importlib
import importlib.abc
import importlib.util
import re
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

FLOORS = ("layers", "weights", "solving", "learning")


class _Package(ModuleType):
    """A package whose public name, such as the function `drift_network`, an import of the module that has it does not
    replace by the module.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in vars(self) and not isinstance(vars(self)[name], ModuleType)):
            super().__setattr__(name, value)


class Moved(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `sdebnn.brax.model` as `sdebnn.brax.learning.model`, and says so."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        found = re.fullmatch(r"(sdebnn\.(?:brax|torchbnn))\.(\w+)", fullname)
        if found is None or found[2] in FLOORS:
            return None
        for floor in FLOORS:
            there = f"{found[1]}.{floor}"
            if importlib.util.find_spec(there) and importlib.util.find_spec(f"{there}.{found[2]}"):
                return ModuleSpec(fullname, self, origin=f"{there}.{found[2]}")
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        package, _, name = spec.name.rpartition(".")
        # A module may be a public name itself.
        if name not in ("devices", "processes"):
            message = f"{spec.name} has moved to {spec.origin}; public names are imported from {package}."
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        sys.modules[package].__class__ = _Package
        module = importlib.import_module(str(spec.origin))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """The module has run where it is. What the import has told it of itself meanwhile goes."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


sys.meta_path.append(Moved())
