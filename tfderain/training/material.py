"""Material of a run: the folders and files that training reads.

Needs neither Keras nor TensorFlow.
"""

import dataclasses
import os
from collections.abc import Sequence

from tfderain.data.pairs import Source


@dataclasses.dataclass(frozen=True)
class Material:
    """What a run reads; it belongs to the run as much as its `TrainConfig` does.

    Args:
        sources: `Source`s, the folders of pairs to train on together; becomes a tuple,
            and all paths become strings.
        streaks: folder with pictures of rain streaks on black, mixed into the rain
            layers; `None` for rendered rain only.
        layers: folder of pairs whose rain is a single added grey layer, as in
            RainTrainH; a mixture of kinds puts it on other pictures as well.
        photos: folder of real rainy photos, for JRGR.
        start: trained network whose weights a new run starts from, see
            `tfderain.models.load`; `None` for random weights.
        teacher: network trained on clean images, for a stage with the feature loss;
            strategies set it.
    """

    sources: Sequence[Source]
    streaks: str | os.PathLike | None = None
    layers: str | os.PathLike | None = None
    photos: str | os.PathLike | None = None
    start: str | os.PathLike | None = None
    teacher: str | os.PathLike | None = None

    def __post_init__(self):
        object.__setattr__(self, "sources", tuple(self.sources))
        for name in ("streaks", "layers", "photos"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, os.path.abspath(value))
        for name in ("start", "teacher"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, os.fspath(value))

    def as_dict(self) -> dict:
        """Plain values, as stored in `config.json`."""
        return dataclasses.asdict(self)


def modernised(about: dict) -> dict:
    """The content of a `config.json`, even of one that is older than `Material`.

    Older ones held `data`, `layout` and `pattern` of one folder, or lists of them with
    `weights`; and `real` for the photos.
    """
    if "sources" in about or "layout" not in about:
        return about
    about = dict(about)
    columns = [about.pop(name) for name in ("data", "layout", "pattern")]
    weights = about.pop("weights", None) or (None,)
    folders, layouts, patterns = (
        value if isinstance(value, list) else [value] for value in columns
    )
    sources = Source.each(folders, layouts, patterns, weights)
    about["sources"] = [dataclasses.asdict(source) for source in sources]
    about["photos"] = about.pop("real", None)
    return about
