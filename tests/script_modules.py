"""Scripts of `scripts/` as modules, for the tests of their functions."""

import importlib
import pathlib
import sys

SCRIPTS = pathlib.Path(__file__).resolve().parents[1] / "scripts"


def script(name, folder=SCRIPTS):
    """A script as a module; it finds its neighbours, as it does when it is run."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(name)
