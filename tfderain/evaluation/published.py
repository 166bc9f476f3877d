"""Published scores: what papers and projects report, each number with its protocol.

```python
from tfderain.evaluation import published

[one.printed for one in published.load() if one.method == "Rainmer"]
published.compare(result).same  # what may stand beside an `evaluation.Result`
```

The numbers lie in `published.toml` beside this module. One stands beside a measurement
only if the set, the number of its images, the protocol and the patches are equal: the
same pictures score 1.3 dB more under MATLAB's luma than under OpenCV's, and 35 pairs of
a set are another test than all 100.
"""

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePath

from tfderain import metrics
from tfderain.evaluation import scores

FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class Score:
    """The score of one method on one data set, as a source reports it.

    Args:
        method: name of the network or of its variant.
        data: key of the data set, see `data_sets`.
        psnr: dB.
        ssim: at most 1, or `None` where the source has none.
        printed: both with the digits of the source, such as `"34.57/0.9387"`.
        paper, url: what reports it, and where that lies (`""` where not known).
        source: table or place in it.
        channel: `"y"`, `"rgb"`, or `""` where nobody says.
        protocol: one of `metrics.PROTOCOLS`, or `""` where none is certain.
        matlab: whether MATLAB computed it, or `None` where nobody says.
        patches: `""` for whole images, or selection and side: `"five_crop 224"`.
        count: images (or patches) scored, or `None` where not stated.
        trained: what the method was trained on.
        note: what else to know.
    """

    method: str
    data: str
    psnr: float
    ssim: float | None
    printed: str
    paper: str
    url: str
    source: str
    channel: str
    protocol: str
    matlab: bool | None
    patches: str
    count: int | None
    trained: str
    note: str

    def differences(self, result: scores.Result) -> list[str]:
        """What keeps it from standing beside a result on the same set, in words."""
        found = []
        if self.protocol != result.protocol:
            found.append(self.protocol or "protocol not certain")
        if self.count != result.count:
            found.append(f"{self.count or 'unknown number of'} {self.unit}")
        if self.patches != patches_of(result):
            found.append(self.patches or "whole images")
        if result.fit:
            found.append("nothing fitted")
        return found

    @property
    def unit(self) -> str:
        """What `count` counts."""
        return "patches" if self.patches else "images"


@dataclass(frozen=True)
class Time:
    """Seconds that a method took for one image on the machine of a paper.

    Args:
        method: name of the network.
        seconds: for one image.
        size: `(height, width)` of the image.
        machine: processor or GPU.
        paper, source: as in `Score`.
    """

    method: str
    seconds: float
    size: tuple[int, int]
    machine: str
    paper: str
    source: str


@dataclass(frozen=True)
class Regions:
    """Where a method is better than a reference: see `evaluation.regions`.

    Args:
        method, reference: names of the two.
        data: key of the data set.
        mior, miob: means over the images, in rainy regions and in the background.
        paper, source: as in `Score`.
    """

    method: str
    reference: str
    data: str
    mior: float
    miob: float
    paper: str
    source: str


@dataclass(frozen=True)
class Comparison:
    """Published scores on the data set of a result.

    Args:
        data: key of the set, or `""` if the folder's name is that of no known set.
        same: those of the same protocol, patches and number of images.
        similar: those of the same channel that differ in one of these.
        others: number of those of another channel, or of none that is stated.
    """

    data: str
    same: tuple[Score, ...] = ()
    similar: tuple[Score, ...] = ()
    others: int = 0


@functools.cache
def load() -> tuple[Score, ...]:
    """Returns every published score, in the order of the file.

    Raises:
        ValueError: a table of the file is wrong; the message names it.
    """
    content = _content()
    return tuple(
        score
        for table in content["tables"]
        for score in _scores(table, content["papers"][table["paper"]])
    )


def times() -> tuple[Time, ...]:
    """Returns the published times; never to be compared with those of this machine."""
    content = _content()
    return tuple(
        Time(method, seconds, tuple(one["size"]), one["machine"], paper, one["source"])
        for one in content["times"]
        for paper in (content["papers"][one["paper"]]["title"],)
        for method, seconds in one["seconds"].items()
    )


def regions() -> tuple[Regions, ...]:
    """Returns the published mIoR and mIoB."""
    content = _content()
    return tuple(
        Regions(one["method"], one["reference"], data, mior, miob, paper, one["source"])
        for one in content["regions"]
        for paper in (content["papers"][one["paper"]]["title"],)
        for data, (mior, miob) in one["values"].items()
    )


def data_sets() -> dict[str, str]:
    """Returns the title of each data set, by its key."""
    return {key: one["title"] for key, one in _content()["sets"].items()}


def data_set(path: str) -> str:
    """Returns the key of the set that a folder is named after, or `""`.

    The last part of the path that is a set's name counts: `Rain100H/test` is Rain100H.
    Large and small letters, `-` and `_` make no difference.
    """
    known = {
        _plain(name): key
        for key, one in _content()["sets"].items()
        for name in one["names"]
    }
    parts = [_plain(part) for part in reversed(PurePath(path).parts)]
    return next((known[part] for part in parts if part in known), "")


def compare(result: scores.Result) -> Comparison:
    """Finds what is published on the data set of a result.

    The set is known by the name of its folder; the number of images must agree too.
    Results of clean images given to a model are compared with nothing.
    """
    data = data_set(result.data)
    if not data or result.identity:
        return Comparison(data)
    known = [score for score in load() if score.data == data]
    channel = metrics.channel(result.protocol)
    alike = [score for score in known if score.channel == channel]
    same = tuple(score for score in alike if not score.differences(result))
    similar = tuple(score for score in alike if score.differences(result))
    return Comparison(data, same, similar, len(known) - len(alike))


def patches_of(result: scores.Result) -> str:
    """Returns what a result was scored on, as `Score.patches` says it."""
    return "{selection} {side}".format(**result.patches) if result.patches else ""


@functools.cache
def _content():
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def _scores(table, paper):
    """Yields the scores of one table of the file."""
    about = f"{paper['title']}, {table['source']}"
    if table["protocol"] and metrics.channel(table["protocol"]) != table["channel"]:
        raise ValueError(
            "The channel of a table must be that of its protocol. Received: "
            f"{about}: channel={table['channel']!r}, protocol={table['protocol']!r}."
        )
    for method, *cells in table["rows"]:
        if not len(cells) == len(table["sets"]) == len(table["counts"]):
            raise ValueError(
                "A row must have a cell for each set, and each set a count. "
                f"Received: {about}: {method}, {len(cells)} cells."
            )
        for data, count, cell in zip(
            table["sets"], table["counts"], cells, strict=True
        ):
            if cell:
                psnr, _, ssim = cell.partition("/")
                yield Score(
                    method,
                    data,
                    float(psnr),
                    float(ssim) if ssim else None,
                    cell,
                    paper["title"],
                    paper["url"],
                    table["source"],
                    table["channel"],
                    table["protocol"],
                    table.get("matlab"),
                    table.get("patches", ""),
                    count or None,
                    table["trained"],
                    table.get("note", ""),
                )


def _plain(text):
    return re.sub(r"[^a-z0-9]", "", text.lower())
