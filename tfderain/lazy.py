"""Lazy faces of packages: names that load their module when they are first used."""

import importlib
import sys
from collections.abc import Callable
from typing import Any


def face(
    package: str, modules: dict[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns a package's `__getattr__`, `__dir__` and `__all__` (PEP 562).

    Args:
        package: its name.
        modules: for each of its public modules the names of it that the package itself
            offers, beside the module.

    Example: `__getattr__, __dir__, __all__ = lazy.face(__name__, {"loop": ("train",)})`
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def load(name: str):
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name in homes:
            module = importlib.import_module(f"{package}.{homes[name]}")
            return getattr(module, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names():
        return sorted({*vars(sys.modules[package]), *public})

    public = sorted([*modules, *homes])
    return load, names, public
