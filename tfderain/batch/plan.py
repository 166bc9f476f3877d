"""Plans of a batch: which file becomes which, before any picture or film is opened.

```python
from tfderain.batch import plan

for job in plan.plan(["photos"], "derained", recursive=True, format="png"):
    print(job.source, "->", job.target)
```
"""

import collections
import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfderain import files, images, video

FORMATS = ("png", "jpg", "webp")


@dataclass(frozen=True)
class Job:
    """One picture or film and the files to be made from it.

    Attributes:
        source: str, path of the picture or film.
        target: str, path of the first output.
        others: tuple of str, paths of further outputs.
        mask: str, path of the mask of drops; empty if none is wanted.
        problem: str, why this picture cannot be processed; empty if it can.
    """

    source: str
    target: str
    others: tuple[str, ...] = ()
    mask: str = ""
    problem: str = ""

    @property
    def outputs(self) -> tuple[str, ...]:
        """All files that this job writes, `target` first."""
        return (self.target, *self.others, *([self.mask] if self.mask else []))


def plan(
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    recursive: bool = False,
    format: str | None = None,
    compare: bool = False,
    masks: str | os.PathLike | None = None,
    missed: list[tuple[str, str]] | None = None,
) -> list[Job]:
    """Decides which file becomes which, without reading or writing pictures.

    A single file goes to the file `output`, or into the folder `output` if that exists
    or ends with a slash. Several files, and folders, go into the folder `output` under
    their own names. In folders, hidden files and files without the extension of a
    picture or film are left out, and so is `output` itself. Films are films by their
    names, and are not compared side by side.

    Args:
        masks: folder for masks of drops, PNG files with the names of the pictures, or
            `None`; films have none.
        missed: list to which `(path, reason)` is appended for what lies in the folders
            but cannot be read, see `images.find_images`.

    Returns:
        One `Job` for each picture, those of a folder in the natural order of their
        names. Two pictures that would become one output both carry a `problem`.

    Raises:
        ValueError: an input is missing, there is no picture at all, `output` does not
            fit the inputs, the format is unknown, or an output is one of the inputs.
    """
    inputs, output = _checked_inputs(inputs), os.fspath(output)
    missed = [] if missed is None else missed
    _check_format(format)
    if masks is not None:
        masks = os.path.join(os.fspath(masks), "")  # may not exist yet
        _check_folder(masks)
    single = len(inputs) == 1 and not os.path.isdir(inputs[0])
    if single and not _is_folder(output):
        folder = os.path.dirname(output)
        found = [(inputs[0], _single_target(inputs[0], output, format))]
    else:
        _check_folder(output)
        folder = output
        found = [
            (path, os.path.join(output, _rename(name, format)))
            for path, name in _find(inputs, output, recursive, missed, video.EXTENSIONS)
        ]
    return _checked(_jobs(found, folder, compare, masks), inputs, recursive, missed)


def _jobs(found, folder, compare, masks):
    """Jobs of `(source, target)`; a film is neither compared nor masked."""
    targets = [name for _, name in found]
    compared = _beside(targets, ".compare.png") if compare else None
    masked = None
    if masks is not None:
        names = [os.path.relpath(target, folder or ".") for target in targets]
        masked = [os.path.join(masks, name) for name in _beside(names, ".png")]
    return [
        Job(
            path,
            name,
            (compared[n],) if compared and not video.is_film(path) else (),
            masked[n] if masked and not video.is_film(path) else "",
        )
        for n, (path, name) in enumerate(found)
    ]


def plan_pairs(
    inputs: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    recursive: bool = False,
    copies: int = 1,
    missed: list[tuple[str, str]] | None = None,
) -> list[Job]:
    """Plans pairs `output/clean/NAME.png` and `output/rainy/NAME.png`.

    Several `copies` of one clean picture are called `NAME_1.png`, `NAME_2.png`, ...
    The clean picture is the job's `target`, the rainy ones are its `others`.

    Raises:
        ValueError: as `plan`, and if `copies` is not positive.
    """
    inputs, output = _checked_inputs(inputs), os.fspath(output)
    missed = [] if missed is None else missed
    _check_folder(output)
    if copies < 1:
        raise ValueError(f"`copies` must be positive. Received: copies={copies}.")
    endings = ("",) if copies == 1 else [f"_{copy + 1}" for copy in range(copies)]
    jobs = []
    for path, name in _find(inputs, output, recursive, missed):
        stem = os.path.splitext(name)[0]
        rainy = (os.path.join(output, "rainy", f"{stem}{end}.png") for end in endings)
        clean = os.path.join(output, "clean", f"{stem}.png")
        jobs.append(Job(path, clean, tuple(rainy)))
    return _checked(jobs, inputs, recursive, missed)


def _checked_inputs(inputs):
    inputs = list(dict.fromkeys(os.fspath(path) for path in inputs))
    for path in inputs:
        if not os.path.exists(path):
            raise ValueError(f"Every input must exist. Received: {path}.")
    return inputs


def _checked(jobs, inputs, recursive, missed):
    if not jobs:
        left = dict.fromkeys(reason for _, reason in missed)
        raise ValueError(
            f"There must be pictures ({', '.join(images.FORMATS)}, ...) or films in "
            f"the inputs"
            f"{'' if recursive else '; --recursive also looks into subfolders'}. "
            f"Received: {', '.join(inputs) or 'no input'}"
            f"{', where ' if left else ''}{'; '.join(left)}."
        )
    _check_not_an_input(jobs)
    return _mark_collisions(jobs)


def _find(inputs, output, recursive, missed, more=()) -> Iterator[tuple[str, str]]:
    """Yields the path of each picture and its path below the output folder."""
    seen = set()
    for given in inputs:
        if os.path.isdir(given):
            paths = images.find_images(given, recursive, output, missed, more)
            walk = [(path, os.path.relpath(path, given)) for path in paths]
        else:
            walk = [(given, os.path.basename(given))]
        for path, name in walk:
            place = (os.path.realpath(path), name)  # `dir dir/a.png` names a.png twice
            if place not in seen:
                seen.add(place)
                yield path, name


def _suffix(path):
    return os.path.splitext(path)[1].lower()


def _is_folder(path):
    return path.endswith(("/", os.sep)) or os.path.isdir(path)


def _rename(name, format):
    """Returns the name of the output; PNG for what can only be read, such as GIF."""
    if video.is_film(name):
        known = _suffix(name) in video.FORMATS
        return name if known else f"{os.path.splitext(name)[0]}.mkv"
    if not format and _suffix(name) in images.FORMATS:
        return name
    return f"{os.path.splitext(name)[0]}.{format or 'png'}"


def _beside(targets, ending):
    """Names of further outputs, with the extension where stems are equal."""
    stems = [files.stem(target) for target in targets]
    several = collections.Counter(map(os.path.normcase, stems))
    return [
        f"{target if several[os.path.normcase(stem)] > 1 else stem}{ending}"
        for target, stem in zip(targets, stems, strict=True)
    ]


def _check_format(format):
    if format not in (None, *FORMATS):
        raise ValueError(
            f"`format` must be one of {', '.join(FORMATS)}. Received: format={format}."
        )


def _check_folder(output):
    endings = (*images.EXTENSIONS, *video.EXTENSIONS)
    written_as_file = _suffix(output) in endings and not _is_folder(output)
    if written_as_file or os.path.isfile(output):
        raise ValueError(
            "Several pictures, or a folder of them, need a folder as the output. "
            f"Received: output={output}."
        )


def _single_target(source, output, format):
    suffix, film = _suffix(output), video.is_film(source)
    endings = video.FORMATS if film else images.FORMATS
    if suffix not in endings:
        name = _rename(os.path.basename(source), format)
        raise ValueError(
            f"The output of one {'film' if film else 'picture'} must be a file ending "
            f"in {', '.join(endings)}, or a folder that exists or ends with a "
            f"slash ({output}{os.sep} would make {os.path.join(output, name)}). "
            f"Received: output={output}."
        )
    if format and not film and images.FORMATS[suffix] != images.FORMATS[f".{format}"]:
        raise ValueError(
            "`format` must agree with the ending of the output. "
            f"Received: format={format}, output={output}."
        )
    return output


def identity(path):
    """Identifies a file whatever name it is given by; `None` if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_not_an_input(jobs):
    """Links and other spellings of one path count as the same file."""
    sources = {identity(job.source): job.source for job in jobs}
    for job in jobs:
        for path in job.outputs:
            same = identity(path)
            if same and same in sources:
                raise ValueError(
                    "An output must not be one of the inputs; choose another folder or "
                    f"name. Received: {path} (the input {sources[same]})."
                )


def _mark_collisions(jobs):
    sources = {}
    for job in jobs:
        for path in job.outputs:
            sources.setdefault(os.path.normcase(path), []).append(job.source)
    marked = []
    for job in jobs:
        for path in job.outputs:
            rivals = sources[os.path.normcase(path)]
            if len(rivals) > 1:
                problem = f"{' and '.join(rivals)} would both become {path}"
                job = dataclasses.replace(job, problem=problem)
                break
        marked.append(job)
    return marked
