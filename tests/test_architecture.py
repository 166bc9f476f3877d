"""Architecture: which room of the package may import which, read from the source.

A room is a folder or a module directly in `tfderain/`. Imports inside functions count
like those at the top: an arrow is an arrow, whenever it is followed.
"""

import ast
import functools
import graphlib
import pathlib
import tomllib

import pytest

import tfderain

PACKAGE = pathlib.Path(tfderain.__file__).parent
# From the ground up; a room imports from the lines above its own only.
ORDER = (
    ("errors",),
    ("extras", "files"),
    ("lazy",),
    ("images", "presets", "reports"),
    ("losses", "metrics", "optimizers", "weighting"),
    ("data",),
    ("models",),
    ("training", "evaluation", "runtime"),
    ("video",),
    ("analysis", "batch", "benchmarks", "convert", "export", "serving"),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_of(path):
    """`tfderain/data/rain.py` is `data.rain`, `tfderain/data/__init__.py` is `data`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_of(path) for path in SOURCES}


def imports(source):
    """Modules of tfderain that a source imports anywhere, without `tfderain.`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "Imports are absolute."
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            root, _, rest = name.partition(".")
            while rest and rest not in MODULES:  # a function or class of a module
                rest = rest.rpartition(".")[0]
            if root == "tfderain" and rest:
                found.add(rest)
    return found


@functools.cache
def graph():
    """For each module those it imports; a face offers its own modules lazily."""
    return {module_of(path): imports(path.read_text()) for path in SOURCES}


def room(module):
    return module.partition(".")[0]


def test_imports_are_found_at_the_top_and_inside_functions():
    source = """
import tfderain
import tfderain.data.rain
from tfderain import __version__, images
def late():
    from tfderain.models import MENET, layers
"""
    assert imports(source) == {"data.rain", "images", "models", "models.layers"}


def test_every_room_has_its_floor():
    assert {room(module) for module in MODULES if module} == set(FLOOR)


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_no_arrow_points_upwards(name):
    upwards = [
        f"{module} -> {target}"
        for module, targets in graph().items()
        for target in targets
        if room(module) == name != room(target) and FLOOR[room(target)] >= FLOOR[name]
    ]
    assert not upwards


def test_modules_do_not_import_each_other_in_a_circle():
    """Nor do those of one room. A face, which imports its modules, stands for them."""
    arrows = {
        module: {target for target in targets if not is_face(target, module)}
        for module, targets in graph().items()
    }
    list(graphlib.TopologicalSorter(arrows).static_order())  # raises CycleError


def is_face(target, module):
    """Whether `target` is the package that `module` lies in."""
    return target in ("", room(module)) and module != target


def test_the_package_itself_imports_its_lazy_face_only():
    assert graph()[""] == {"lazy"}


def test_every_folder_of_the_package_is_installed():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    installed = project["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in SOURCES}
    names = {".".join(path.relative_to(PACKAGE.parent).parts) for path in folders}
    assert names | {"tfderain.savedmodels"} == set(installed)


def test_every_data_file_of_the_package_is_installed():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    listed = project["tool"]["setuptools"]["package-data"]
    unknown = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and not any(
            path.match(pattern) for pattern in listed.get(package_of(path.parent), ())
        )
    ]
    assert not unknown


def package_of(folder):
    return ".".join(folder.relative_to(PACKAGE.parent).parts)
