"""Presets: the trained networks that ship, found and checked without TensorFlow.

```python
from tfderain import presets

presets.available()["resunet"]["scores"]  # the card of a preset
presets.find("resunet") / "model.tflite"  # its LiteRT file
presets.locate("runs/mine").runtime  # what a name or path means, here "tensorflow"
presets.verify("resunet")  # compares every file with the sha256 in the card
```

A preset is a folder `<name>/` with `card.json`, `model.keras`, `model.tflite` and the
SavedModel `1/`. Presets are searched for, in this order, in the folder named by the
environment variable `TFDERAIN_PRESETS`, in `savedmodels/` of the source checkout, and
in `tfderain/savedmodels/` of an installed wheel. Nothing is ever downloaded.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

# The preset used wherever no model is given.
DEFAULT = "resunet"
FILES = {".keras": "keras", ".tflite": "litert", ".onnx": "onnx"}  # suffix to kind


@dataclass(frozen=True)
class Form:
    """How a shipped network is built and trained.

    Args:
        model: its name in `tfderain.models.MODELS`.
        model_config: constructor arguments, shared by its recipe and its preset.
        training: the command that trains it.
    """

    model: str
    model_config: dict = field(default_factory=dict)
    training: str = ""


# The only home of these numbers: recipes and `tfderain.models.PRESETS` read them here.
FORMS = {
    # A quarter of the paper's work, for two cores.
    "erlnet": Form(
        "erlnet",
        {"stem": 16, "growth": 8, "entanglement": "mlgd"},
        "tfderain train erlnet --data PAIRS --out RUN",
    ),
    # For two cores; starts as the identity, so that sharp backgrounds need not be
    # learned first.
    "jrgr": Form(
        "jrgr",
        {
            "variant": "paper",
            "filters": 20,
            "num_levels": 4,
            "critic_filters": 24,
            "normalization": None,
            "residual": True,
        },
        "tfderain train jrgr --data PAIRS --photos PHOTOS --out RUN",
    ),
    # No normalisation, images in [0, 1], between MENET and MENET deep.
    "menet": Form(
        "menet",
        {
            "num_blocks": 13,
            "normalization": None,
            "value_range": 1.0,
            "clip_training": False,
        },
        "tfderain train menet --data PAIRS --out RUN",
    ),
    # Drops on the glass: the network of `resunet`, one level more and a mask.
    "drops": Form(
        "resunet_drops",
        {},
        "tfderain train resunet_drops --from resunet --data DROPS=1 --data PHOTOS=3 "
        "--layout auto --layout clean --out RUN",
    ),
    # For two cores: half the sizes inside, a quarter of the authors' channels, one
    # stage of experts; 662,864 weights.
    "rainmer": Form(
        "rainmer",
        {
            "dim": 12,
            "num_blocks": [1, 1, 1, 1],
            "num_heads": [1, 2, 4, 8],
            "expansion": 2.0,
            "num_stages": 1,
            "patch": 2,
            "filters": 48,
            "gate_ratio": 4,
            "encoder_size": 64,
            # The authors' 0.999 is for 300,000 steps. After a few thousand, the key
            # encoder would still be the untrained one, which does not see rain: the
            # degradation view did not learn at all (its loss stayed at 1.37 for 800
            # steps; with 0.9 it began to fall after 120).
            "momentum": 0.9,
        },
        "tfderain train rainmer --data PAIRS --out RUN",
    ),
    "resunet": Form("resunet", {}, "tfderain train resunet --data PAIRS --out RUN"),
    # For phones, browsers and films: half the channels and fewer blocks.
    "resunet_fast": Form(
        "resunet",
        {"filters": [24, 48, 96], "down": [1, 2, 4], "up": [1, 1]},
        "tfderain train resunet_fast --data PAIRS --out RUN",
    ),
}


def roots() -> tuple[Path, ...]:
    """Returns the existing folders that may hold presets; earlier ones win."""
    candidates = []
    if os.environ.get("TFDERAIN_PRESETS"):
        candidates.append(Path(os.environ["TFDERAIN_PRESETS"]))
    if (PACKAGE.parent / "pyproject.toml").is_file():  # else: someone's site-packages
        candidates.append(PACKAGE.parent / "savedmodels")
    candidates.append(PACKAGE / "savedmodels")
    return tuple(root for root in candidates if root.is_dir())


def available() -> dict[str, dict]:
    """Returns the card of every installed preset, sorted by name."""
    cards = {}
    for root in roots():
        for card in root.glob("*/card.json"):
            cards.setdefault(card.parent.name, card)
    return {name: read_card(cards[name].parent) for name in sorted(cards)}


def folder(name: str) -> Path:
    """Returns the folder of the preset called `name`.

    Raises:
        ValueError: no such preset is installed. The message lists the known names, or
            says how to train a preset that comes without weights.
    """
    here = [root / name for root in roots() if (root / name / "card.json").is_file()]
    if is_name(name) and here:
        return here[0]
    if name in FORMS:
        raise ValueError(
            f"The weights of the preset {name!r} are not installed; train it with "
            f"`{FORMS[name].training}` and give the run folder instead. Received: "
            f"name={name!r}."
        )
    known = ", ".join(sorted({*available(), *FORMS}))
    raise ValueError(f"The preset must be one of {known}. Received: name={name!r}.")


@dataclass(frozen=True)
class Located:
    """What a model's name or path means.

    Attributes:
        kind: `"preset"` (a folder with a card), `"run"` (a run folder), `"export"` (a
            folder with model files, without a card), `"saved_model"` (one, or a folder
            of numbered ones), `"keras"`, `"litert"`, `"onnx"` (a file), `"file"`
            (any other) or `"folder"` (any other, such as one of pictures).
        path: the folder or file.
        card: that of a preset, or `None`.
    """

    kind: str
    path: Path
    card: dict | None = None

    @property
    def keras(self) -> Path | None:
        """The file with the Keras model (for a run, the best weights), or `None`."""
        if self.kind == "keras":
            return self.path
        files = (self.path / name for name in ("best.keras", "model.keras"))
        return next((file for file in files if file.is_file()), None)

    @property
    def saved_model(self) -> Path | None:
        """The SavedModel, the newest of numbered ones, or `None`.

        It is `None` for folders that also hold the weights in Keras's own format.
        """
        return None if self.keras else _saved_model(self.path)

    @property
    def runtime(self) -> str:
        """The runtime to use: `"litert"` where possible."""
        if self.kind in ("litert", "onnx"):
            return self.kind
        if self.kind in ("preset", "export"):
            for runtime, file in (("litert", "model.tflite"), ("onnx", "model.onnx")):
                if (self.path / file).is_file():
                    return runtime
        return "tensorflow" if self.keras or self.saved_model else "litert"


def locate(reference: str | os.PathLike) -> Located:
    """Finds out what the name or path of a model means, for all that accept one.

    A bare word is a preset's name first; write `./menet` for a folder of that name.

    Raises:
        ValueError: it is neither an existing path nor an installed preset.
    """
    path = _path(os.fspath(reference))
    if not path.is_dir():
        return Located(FILES.get(path.suffix, "file"), path)
    if any((path / name).is_file() for name in ("best.keras", "config.json")):
        return Located("run", path)
    if (path / "card.json").is_file():
        return Located("preset", path, read_card(path))
    if any((path / f"model{suffix}").is_file() for suffix in FILES):
        return Located("export", path)
    return Located("saved_model" if _saved_model(path) else "folder", path)


def find(name_or_path: str | os.PathLike) -> Path:
    """Returns the path of a preset, given its name, or the given path itself.

    Raises:
        ValueError: see `locate`.
    """
    return _path(os.fspath(name_or_path))


def _path(text):
    """A preset's folder by its name, or the path itself."""
    if is_name(text):
        try:
            return folder(text)
        except ValueError:
            if not Path(text).exists():
                raise
    if not Path(text).exists():
        raise ValueError(
            "The model must be a preset's name or an existing file or folder. "
            f"Received: {text}."
        )
    return Path(text)


def _saved_model(folder):
    """The SavedModel in a folder, or in the newest of its numbered folders."""
    numbered = [path for path in folder.glob("*") if path.name.isdecimal()]
    newest_first = sorted(numbered, key=lambda path: int(path.name), reverse=True)
    for candidate in (folder, *newest_first):
        if (candidate / "saved_model.pb").is_file():
            return candidate
    return None


def is_name(text: str) -> bool:
    """Returns whether `text` may be a preset's name: one plain path component."""
    return text not in ("", ".", "..") and Path(text).name == text


def read_card(preset: str | os.PathLike) -> dict:
    """Returns the content of `<preset>/card.json`.

    Raises:
        ValueError: if the card is missing or is not a JSON object.
    """
    path = Path(preset) / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"A preset needs a readable card.json. Received: {path} ({error})."
        ) from error
    if not isinstance(card, dict):
        raise ValueError(f"A card must be one JSON object. Received: {path}.")
    return card


def file_record(path: str | os.PathLike) -> dict:
    """Returns `{"sha256": hex digest, "bytes": size}` of a file, as in a card."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": os.path.getsize(path)}


def verify(name_or_path: str | os.PathLike) -> tuple[str, ...]:
    """Compares every file of a preset with its card; returns the names checked.

    Raises:
        ValueError: naming each file that is missing, changed, or not in the card.
    """
    preset = find(name_or_path)
    files = read_card(preset).get("files", {})
    present = {
        path.relative_to(preset).as_posix()
        for path in preset.rglob("*")
        if path.is_file()
    }
    wrong = [f"{name}: not in the card" for name in present - {*files, "card.json"}]
    for name, record in files.items():
        if name not in present:
            wrong.append(f"{name}: missing")
        elif file_record(preset / name)["sha256"] != record["sha256"]:
            wrong.append(f"{name}: changed")
    if wrong or not files:
        raise ValueError(
            "Every file of a preset must match the sha256 in its card. Received: "
            f"{preset} ({'; '.join(sorted(wrong)) or 'no files listed'})."
        )
    return tuple(sorted(files))
