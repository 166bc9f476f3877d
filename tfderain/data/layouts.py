"""Layouts of pairs: which files belong together, judged by their names alone.

A pattern is `"RAINY:CLEAN"`: paths with `/` between folders, `*` for any text without
`/`, and `**/` for any number of folders. The stars in CLEAN stand for the same texts as
those in RAINY, in order; `{2}` repeats the second one. A pattern without an extension
matches any image extension.
"""

import itertools
import os
import re
from dataclasses import dataclass

from tfderain.images import EXTENSIONS

FOLDERS = (  # names of the rainy and of the clean folder, any case
    ("rainy", "clean"),
    ("input", "target"),
    ("rain", "norain"),
    ("data", "gt"),
    ("rainy", "gt"),
    ("input", "gt"),
    ("input", "groundtruth"),
    ("rain", "gt"),
    ("snowy", "gt"),
    ("rainy_image", "ground_truth"),
    ("rainy", "norain"),
    ("os", "bs"),  # JRGR's, beside photos in "ot"
)
NAMES = (  # within two folders, in the order tried; the last is many to one
    "*:*",
    "rain-*:norain-*",
    "*_rain:*_clean",
    "X2/*x2:*",
    "*_in:*_GT",
    "*:*gt",
    "*_*:*",
)
FLAT = ("rain-*:norain-*", "rainy/rain-*:norain-*", "*_rain:*_clean")
SCENES = "*/*R-*:*/*C-000"  # GT-Rain: many rainy frames, one clean image per scene

_STAR = r"\*\*/|\*"
_NUMBER = r"\{(\d+)\}"
_MEANING = {"*": "([^/]+)", "**/": "((?:[^/]+/)*)"}


@dataclass
class Matches:
    """Rainy files, the clean partner of each, and the files that have no partner."""

    rainy: list[str]
    clean: list[str]
    alone: list[str]


def _split_pattern(pattern: str) -> tuple[str, str]:
    """RAINY, and CLEAN with `{n}` in place of each star."""
    rainy, colon, clean = pattern.partition(":")
    numbers = itertools.count(1)
    clean = re.sub(_STAR, lambda _: f"{{{next(numbers)}}}", clean)
    used = {int(n) for n in re.findall(_NUMBER, clean)}
    known = range(1, len(re.findall(_STAR, rainy)) + 1)
    if not rainy or not clean or not used <= set(known):
        raise ValueError(
            "`pattern` must be RAINY:CLEAN, with no more stars in CLEAN than in RAINY, "
            f"such as 'rain-*.png:norain-*.png'. Received: pattern={pattern!r}."
        )
    return rainy, clean


def _regex(glob: str) -> re.Pattern:
    """Compiles a glob whose stars are groups; any image extension may follow it."""
    parts = re.split(f"({_STAR})", glob)
    body = "".join(_MEANING.get(part, re.escape(part)) for part in parts)
    if not glob.lower().endswith(EXTENSIONS):
        body += f"(?:{'|'.join(map(re.escape, EXTENSIONS))})"
    return re.compile(body, re.IGNORECASE)


def _fill(clean: str, texts: tuple[str, ...]) -> str:
    """Inserts the texts of RAINY's stars into CLEAN."""
    return re.sub(_NUMBER, lambda n: texts[int(n[1]) - 1], clean)


def _key(path: str) -> str:
    """A path without its image extension (a `.5` at its end is no extension)."""
    path = path.lower()
    return os.path.splitext(path)[0] if path.endswith(EXTENSIONS) else path


def match(files: list[str], pattern: str) -> Matches:
    """Pairs the files that match a pattern.

    Args:
        files: paths with `/` between folders.
        pattern: see above.

    Raises:
        ValueError: for a pattern that is not RAINY:CLEAN.
    """
    rainy_glob, clean_glob = _split_pattern(pattern)
    rainy_regex = _regex(rainy_glob)
    stars = re.findall(_STAR, rainy_glob)
    clean_regex = _regex(re.sub(_NUMBER, lambda n: stars[int(n[1]) - 1], clean_glob))
    rainy = {f: m.groups() for f in files if (m := rainy_regex.fullmatch(f))}
    # "*_1.png:*.png": a rainy name must not count as a clean one
    clean = {_key(f): f for f in files if f not in rainy and clean_regex.fullmatch(f)}
    names = {f: _key(_fill(clean_glob, texts)) for f, texts in rainy.items()}
    partners = {f: clean[name] for f, name in names.items() if name in clean}
    used = set(partners.values())
    alone = [f for f in files if f in rainy and f not in partners]
    alone += [f for f in clean.values() if f not in used]
    return Matches(list(partners), list(partners.values()), alone)


def recognise(files: list[str], layout: str) -> Matches:
    """The pairs of the first layout that fits any of the files."""
    if layout in ("auto", "folders"):
        names = {f.split("/")[0].lower(): f.split("/")[0] for f in files if "/" in f}
        present = [(names[r], names[c]) for r, c in FOLDERS if {r, c} <= set(names)]
        if len(present) > 1:
            raise ValueError(
                "Without a `pattern` there must be one rainy and one clean folder. "
                f"Received: folders={present}."
            )
        if present:
            return _match_folders(files, *present[0])
    patterns = (*FLAT, SCENES) if layout == "auto" else ()
    patterns = {"flat": FLAT, "scenes": (SCENES,)}.get(layout, patterns)
    candidates = [match(files, pattern) for pattern in patterns]
    return max(candidates, key=lambda m: len(m.rainy), default=Matches([], [], []))


def recognise_quietly(files: list[str]) -> Matches:
    """As `recognise` with `"auto"`; without pairs where it would be ambiguous."""
    try:
        return recognise(files, "auto")
    except ValueError:
        return Matches([], [], [])


def _match_folders(files: list[str], rainy: str, clean: str) -> Matches:
    """The first rule of NAMES that pairs every file, else the one that pairs most.

    The remaining files may follow one other rule: AllWeather holds data sets with
    several kinds of names in one pair of folders.
    """
    own = [f for f in files if f.startswith((f"{rainy}/", f"{clean}/"))]
    best = _best_rule(own, rainy, clean)
    if best.rainy and best.alone:
        rest = _best_rule(best.alone, rainy, clean)
        if not rest.alone:
            return Matches(best.rainy + rest.rainy, best.clean + rest.clean, [])
    return best


def _best_rule(own, rainy, clean):
    best = Matches([], [], own)
    for names in NAMES:
        rainy_name, clean_name = names.split(":")
        found = match(own, f"{rainy}/**/{rainy_name}:{clean}/**/{clean_name}")
        used = {*found.rainy, *found.clean}
        found.alone = [f for f in own if f not in used]
        if len(found.alone) < len(best.alone):
            best = found
        if not best.alone:
            break
    return best


def below(files: list[str], pattern: str) -> dict[str, Matches]:
    """The folders of a tree in which a pattern finds pairs, and these pairs.

    Args:
        files: paths with `/` between folders.
        pattern: as of `match`, or one-sided as of `side_by_side`; without `**/`.

    Returns:
        `{folder: matches}`, whose paths are relative to the folder; `""` is the tree
        itself.
    """
    globs = _split_pattern(pattern) if ":" in pattern else (pattern,)
    globs = [re.sub(_NUMBER, "*", glob) for glob in globs]
    regexes = [
        re.compile(f"(?:(.*)/)?{_regex(g).pattern}", re.IGNORECASE) for g in globs
    ]
    named: dict[str, list[str]] = {}
    for file in files:
        folders = {m[1] or "" for regex in regexes if (m := regex.fullmatch(file))}
        for folder in folders:
            named.setdefault(folder, []).append(file[len(folder) + bool(folder) :])
    find = match if ":" in pattern else side_by_side
    found = {folder: find(names, pattern) for folder, names in named.items()}
    return {folder: matches for folder, matches in found.items() if matches.rainy}


def merge(first: Matches, second: Matches) -> Matches:
    """Pairs of two patterns on the same files; a rainy file keeps its first partner."""
    known = set(first.rainy)
    both = zip(second.rainy, second.clean, strict=True)
    more = [(r, c) for r, c in both if r not in known]
    rainy = first.rainy + [r for r, _ in more]
    clean = first.clean + [c for _, c in more]
    paired = {*rainy, *clean}
    alone = dict.fromkeys((*first.alone, *second.alone))
    return Matches(rainy, clean, [file for file in alone if file not in paired])


def side_by_side(files: list[str], pattern: str | None) -> Matches:
    """Each file that matches the one-sided pattern is its own partner."""
    regex = _regex(pattern or "*")
    found = [f for f in files if regex.fullmatch(f)]
    return Matches(found, found, [])
