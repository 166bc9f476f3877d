"""Work of `reproduce.py`: scores and exports, measured once and kept in a file.

`Work` says what is selected and measures it with the functions that the commands call;
`Cache` keeps what came out. A key has the bytes of model and data, the protocol, and
the code and the libraries that made the number, without comments and docstrings.
"""

import ast
import functools
import hashlib
import importlib.metadata
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import tfderain
from tfderain import evaluation, presets, reports
from tfderain.cli import evaluate as command
from tfderain.cli import export as export_command
from tfderain.cli import options

CLEAN = "Rain100L-clean"  # Rain100L's clean images as input
# Y as PReNet's MATLAB scripts have it; RGB for real rain, as GT-RAIN's authors.
SETS = {
    "Rain100L": "matlab_y_float",
    "Rain100H": "matlab_y_float",
    "SIRR20": "matlab_y_float",
    "GT-Rain": "rgb_gaussian",
    CLEAN: "matlab_y_float",
}
PACKAGE = Path(tfderain.__file__).parent
# What a score depends on beside the model, and what an export does.
SCORING = ("images", "metrics", "runtime", "evaluation/scores.py", "data/pipeline.py")
EXPORTING = ("export", "models")
LIBRARIES = ("numpy", "pillow", "ai-edge-litert", "tensorflow", "keras", "onnxruntime")


class Cache:
    """Values by their keys in a JSON file, written after each new one.

    Args:
        path: the file; made if it is missing.
        fresh: measure everything again, once.
    """

    def __init__(self, path: Path, fresh: bool = False):
        self.path = path
        self.content = json.loads(path.read_text()) if path.is_file() else {}
        self.valid = set() if fresh else set(self.content)

    def get(self, key: tuple, measure):
        """Returns the value of a key, from `measure` if it is not known."""
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
        if digest not in self.valid:
            self.content[digest] = measure()
            self.valid.add(digest)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            reports.json_text(self.content, self.path)
        return self.content[digest]


@dataclass(frozen=True)
class Form:
    """One form of a preset: a file that ships or one that `export` makes.

    Args:
        preset: its name.
        target: one of `export.TARGETS`.
        file: path of the shipped file or folder, or `None`.
        bytes: size.
        difference: largest one from Keras of a pixel in [0, 1].
    """

    preset: str
    target: str
    file: Path | None
    bytes: int
    difference: float


@dataclass
class Work:
    """What to measure, on which data.

    Args:
        data: folder of the test sets.
        cache: where scores are kept.
        scratch: folder for exported files.
        presets, sets: names of those wanted, or `None` for all.
        times: whether times are wanted.
        weights: folder with PReNet's `prenet_Rain100L.pth` and so on, or `None`.
        peers: interpreter with PyTorch, or `None`.
    """

    data: Path
    cache: Cache
    scratch: Path
    presets: list[str] | None = None
    sets: list[str] | None = None
    times: bool = False
    weights: Path | None = None
    peers: str | None = None
    _opened: dict = field(default_factory=dict)

    def wants(self, preset: str, data: str | None = None) -> bool:
        """Whether a preset (on a set) was asked for and is here."""
        return (
            preset in presets.available()
            and (not self.presets or preset in self.presets)
            and (data is None or not self.sets or data in self.sets)
        )

    def folder(self, preset: str, data: str) -> Path | None:
        """The folder of a set, or `None` where it is not wanted or not here."""
        if not self.wants(preset, data):
            return None
        found = self.data / data.removesuffix("-clean")
        if not found.is_dir():
            print(f"note: no {found}, its numbers stay as they are", file=sys.stderr)
            return None
        return found

    def restorer(self, model, runtime: str | None = None, **settings):
        """A restorer; the last one is kept, for the sets that follow."""
        key = (str(model), runtime, *settings.items())
        if key not in self._opened:
            self._opened = {key: options.restorer(model, runtime, **settings)}
        return self._opened[key]

    def key(self, model: Path, data: Path, *settings) -> tuple:
        """The key of a score."""
        return (fingerprint(model), fingerprint(data), code(*SCORING), *settings)

    def score(self, preset: str, data: str, best: bool = False, file=None):
        """The `evaluation.Result` of a preset on a set, or `None` if not wanted."""
        folder = self.folder(preset, data)
        if folder is None:
            return None
        file = file or presets.find(preset) / "model.tflite"
        settings = {"best": True} if best else {}
        return self._result(
            self.key(file, folder, SETS[data], data == CLEAN, best),
            lambda: self.restorer(file, "litert", **settings),
            f"{preset}, {file.name}{' --best' * best}",
            data,
        )

    def _result(self, key, restorer, name, data):
        """The result of a key; `restorer()` is asked only if it is not known."""

        def measure():
            print(f"  {name}: {data}", file=sys.stderr)
            folder = self.data / data.removesuffix("-clean")
            pairs = options.pairs(folder, "auto", None, None)
            return command.score_one(
                {name: restorer()},
                {data: pairs},
                SETS[data],
                None,  # type: ignore[arg-type]
                identity=data == CLEAN,
            ).as_dict()

        return evaluation.Result.from_dict(self.cache.get(key, measure))

    # Forms

    def form(self, preset: str, target: str, file: str | None) -> Form | None:
        """A form of a preset with its size and difference, or `None`."""
        if not self.wants(preset):
            return None
        folder = presets.find(preset)
        if file:
            path = folder / file
            records = presets.read_card(folder)["files"]
            parts = [r for name, r in records.items() if name.startswith(file)]
            record = next(r for r in parts if "largest_difference" in r)
            size = sum(record["bytes"] for record in parts)
            return Form(preset, target, path, size, record["largest_difference"])
        key = (*self._exported(preset), target)
        try:
            record = self.cache.get(key, lambda: self._export(preset, target))
        except ImportError as error:
            print(f"note: {error}", file=sys.stderr)
            return None
        return Form(preset, target, None, record["bytes"], record["largest_difference"])

    def _exported(self, preset):
        file = presets.find(preset) / "model.keras"
        return (fingerprint(file), code(*EXPORTING))

    def _export(self, preset, target):
        """Makes the file in the scratch folder; returns what was measured of it."""
        from tfderain import export, models

        print(f"  {preset}: export --to {target}", file=sys.stderr)
        made = export.export_all(
            models.load(preset),
            self.scratch / preset,
            [target],
            overwrite=True,
            metadata=export_command.metadata(preset),
        )
        return made.as_dict()[target]

    def form_file(self, form: Form) -> Path:
        """The file of a form, made if it neither ships nor is there."""
        from tfderain import export

        if form.file:
            return form.file
        path = self.scratch / form.preset / export.TARGETS[form.target][0]
        if not path.exists():
            self._export(form.preset, form.target)
        return path

    def form_restorer(self, form: Form):
        """A restorer of a form, run by what it is made for."""
        from tfderain import export

        runtime = export.TARGETS[form.target][1]
        return self.restorer(self.form_file(form), runtime)

    def form_score(self, form: Form | None, data: str):
        """The result of a form on a set, or `None`."""
        folder = form and self.folder(form.preset, data)
        if form is None or folder is None:
            return None
        model = form.file or presets.find(form.preset) / "model.keras"
        key = self.key(model, folder, SETS[data], False, False)
        if not form.file:
            key += (form.target, code(*EXPORTING))
        name = f"{form.preset}, {form.target}"
        return self._result(key, lambda: self.form_restorer(form), name, data)

    # Others

    def tiling(self, preset: str) -> str | None:
        """Grey levels by which tiles differ from the whole image."""
        if not self.wants(preset):
            return None
        file = presets.find(preset) / "model.tflite"

        def measure():
            import benchmark

            return benchmark.tiling_differences(presets.find(preset))

        found = self.cache.get((fingerprint(file), code("runtime"), "tiling"), measure)
        (largest, mean), (larger, more) = found
        return (
            f"{largest:.2f} grey levels of 255, {mean:.3f} on average "
            f"(`--tile 512`: {larger:.2f} and {more:.3f}"
        )

    def prenet(self, data: str):
        """Results of PReNet's own weights on a set, rounded and truncated to 8 bits."""
        file = self.weights and self.weights / f"prenet_{data}.pth"
        folder = self.data / data
        wanted = not self.sets or data in self.sets
        if self.presets or not wanted or not file or not file.is_file():
            return None
        made = self.scratch / f"prenet_{data}.keras"

        @functools.cache
        def network():
            from tfderain import convert

            convert.convert("prenet", file, made)
            return Remembering(options.restorer(made, "tensorflow"))

        key = (*self.key(file, folder, SETS[data]), code("convert", "models"))
        return [
            self._result((*key, how), lambda f=f: f(network()), f"PReNet, {how}", data)
            for how, f in (("rounded", Rounded), ("truncated", Truncated))
        ]


class Remembering:
    """Derains each image once, to floats in [0, 1]."""

    def __init__(self, restorer):
        self.restorer = restorer
        self.known = {}

    def __call__(self, image):
        key = hashlib.sha256(image.tobytes()).digest()
        if key not in self.known:
            self.known[key] = self.restorer.derain(image.astype(np.float32) / 255)
        return self.known[key]


@dataclass
class Rounded:
    """A model whose output is rounded to 8 bits, as everywhere in tfderain."""

    network: Remembering

    def derain(self, image):
        return self.network(image)


@dataclass
class Truncated:
    """A model whose output is truncated to 8 bits, as PReNet's script does."""

    network: Remembering

    def derain(self, image):
        return np.clip(255 * self.network(image), 0, 255).astype(np.uint8)


@functools.cache
def fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of the names and bytes of all files of a folder."""
    if path.is_file():
        return presets.file_record(path)["sha256"]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{f.relative_to(path).as_posix()} {fingerprint(f)}" for f in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@functools.cache
def code(*parts: str) -> str:
    """SHA-256 of what rooms and modules of tfderain do, and the libraries' versions."""
    files = []
    for part in parts:
        path = PACKAGE / part
        files += [path] if path.suffix else sorted(path.rglob("*.py"))
    trees = [ast.dump(undocumented(file.read_text("utf-8"))) for file in files]
    installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in LIBRARIES
        if name in installed
    ]
    return hashlib.sha256("\n".join(trees + versions).encode()).hexdigest()


def undocumented(source: str) -> ast.Module:
    """The tree of a source without docstrings, which change no number."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return tree
