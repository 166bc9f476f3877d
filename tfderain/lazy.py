"""Lazy faces of packages and registries: names that load their module when used."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tfderain import extras


def face(
    package: str, modules: dict[str, tuple[str, ...]], own: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns a package's `__getattr__`, `__dir__` and `__all__` (PEP 562).

    Args:
        package: its name.
        modules: for each of its public modules, those of the module's names that the
            package itself offers as well.
        own: public names that the package's file defines itself.

    Example: `__getattr__, __dir__, __all__ = lazy.face(__name__, {"loop": ("train",)})`
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def load(name: str):
        if name in modules:
            return _module(package, name)
        if name in homes:
            return getattr(_module(package, homes[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names():
        return sorted({*vars(sys.modules[package]), *public})

    public = sorted([*modules, *homes, *own])
    return load, names, public


class Registry(Mapping):
    """A mapping from names to objects whose modules are loaded on access.

    Its names and its length can be read without loading anything.

    Args:
        package: the package that holds the modules.
        homes: `{name: "module:object"}`.

    Example: `lazy.Registry("tfderain.models", {"menet": "menet:MENET"})["menet"]`
    """

    def __init__(self, package: str, homes: dict[str, str]):
        self.package = package
        self.homes = {name: tuple(home.split(":")) for name, home in homes.items()}

    def __getitem__(self, name):
        module, attribute = self.homes[name]
        return getattr(_module(self.package, module), attribute)

    def __contains__(self, name):  # Mapping's own would load the module
        return name in self.homes

    def __iter__(self):
        return iter(self.homes)

    def __len__(self):
        return len(self.homes)

    def __repr__(self):
        return f"Registry({self.package!r}, {', '.join(self)})"


def _module(package, name):
    with extras.with_tensorflow():
        return importlib.import_module(f"{package}.{name}")
