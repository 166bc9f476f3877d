"""Evaluation report: one page of scores, charts and crops, as HTML and as Markdown.

```python
watch = extremes.Extremes()
found = comparison.compare(models, sets, "matlab_y_float", watch=watch)
evaluation_report.write(found, "report/", watch)
```

Charts need Matplotlib (extra `analysis`); without it the page says so in their place.
Scores that papers report stand beside measured ones where protocol, data set, number
of images and patches are equal (`evaluation.published`), and are told apart from them
where something differs.
"""

import dataclasses
import os
import re
import statistics
from pathlib import Path

from tfderain import extras, files, images, metrics, reports
from tfderain.analysis import charts
from tfderain.analysis.extremes import Extremes
from tfderain.analysis.pages import (
    Block,
    Code,
    Details,
    Heading,
    Page,
    Picture,
    Pictures,
    Table,
    Text,
)
from tfderain.evaluation import comparison, published, scores

HTML, MARKDOWN = "report.html", "report.md"
NO_CHARTS = (
    'Charts need Matplotlib: pip install "tfderain[analysis]", then run this again.'
)
_SCORES = ("psnr", "ssim")


def write(
    found: comparison.Comparison,
    folder: str | os.PathLike,
    extremes: Extremes | None = None,
    command: str = "",
    overwrite: bool = False,
) -> Path:
    """Writes `report.html`, `report.md` and the pictures that the latter names.

    Args:
        found: scores of one model or more on one data set or more.
        folder: where to write; made if it is missing.
        extremes: worst and best images, or `None` to leave these out.
        command: what was run, to be named in the page.
        overwrite: whether pages that exist are replaced.

    Returns:
        The path of the HTML file.

    Raises:
        FileExistsError: a page exists.
    """
    folder = Path(folder)
    targets = [folder / name for name in (HTML, MARKDOWN)]
    existing = [str(target) for target in targets if target.exists()]
    if existing and not overwrite:
        raise FileExistsError(
            "A report is not overwritten unless `overwrite` says so. "
            f"Received: {existing[0]!r}, which exists."
        )
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    models = list(found.results)
    sets = _by_set(found)
    blocks = [Text(_about(found)), *_overview(found)]
    for number, (name, results) in enumerate(sets.items(), 1):
        # Numbers keep files of names apart that differ in signs only.
        stem = pictures / f"{number}-{_file_name(name)}"
        blocks += _section(name, results, stem, extremes)
    blocks += _made_by(found, command)
    page = Page(f"{_listed(models)} on {_listed(list(sets))}", blocks)
    page.write_markdown(targets[1])
    page.write_html(targets[0])
    return targets[0]


def _by_set(found):
    """For each data set the results of the models."""
    names = next(iter(found.results.values()))
    return {n: {m: row[n] for m, row in found.results.items()} for n in names}


def _listed(names, most=4):
    shown = (
        names if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    )
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)


def _about(found):
    one = found.flat()[0]
    given = "clean images, to see what is changed" if one.identity else "rainy images"
    text = f"Models were given {given}. Protocol {one.protocol}: "
    text += f"{metrics.describe(one.protocol)}"
    text += f", {scores.described_fit(one.fit)}. " if one.fit else ". "
    text += "Scores under another protocol, of Y or of RGB, cannot be compared with "
    return f"{text}these."


def _names(result):
    """`psnr_y` and `ssim_y`, or of RGB."""
    channel = metrics.channel(result.protocol)
    return f"psnr_{channel}", f"ssim_{channel}"


def _titles(result):
    """The names with their units."""
    psnr, ssim = _names(result)
    return f"{psnr}, dB", ssim


def _given(result):
    return "clean, as given" if result.identity else "rainy"


def _scored(result):
    """What was scored, and how, for captions."""
    what = "patches" if result.patches else "images"
    text = f"{result.count} {what}"
    if result.patches:
        text += ", {selection} {side}x{side}".format(**result.patches)
    if result.groups:
        text += f", mean of {len(result.groups)} scenes"
    return f"{text}; {_protocol(result)}, of {metrics.channel(result.protocol).upper()}"


def _protocol(result):
    """The protocol, and what was fitted before."""
    fit = f", {scores.described_fit(result.fit)}" if result.fit else ""
    return f"{result.protocol}{fit}"


def _pair(means, which=""):
    return f"{means[f'{which}psnr']:.2f} / {means[f'{which}ssim']:.4f}"


# The page, block by block


def _overview(found):
    """All models and all sets in one table; of a single pair the section has it."""
    if len(found.flat()) == 1:
        return []
    first = next(iter(found.results.values()))
    one = found.flat()[0]
    psnr, ssim = _titles(one)
    rows = [
        [_given(one), *(_pair(result.means, "input_") for result in first.values())]
    ]
    rows += [
        [model, *(_pair(result.means) for result in row.values())]
        for model, row in found.results.items()
    ]
    titles = ["model", *(f"{name} ({result.count})" for name, result in first.items())]
    caption = f"{psnr} / {ssim}, {_protocol(one)} (number of images)"
    return [Heading("All models and sets"), Table(caption, titles, rows)]


def _section(name, results, stem, extremes):
    """Everything about one data set; `stem` begins the names of its pictures."""
    blocks = [Heading(name), _scores_table(results)]
    blocks += _scenes_table(results)
    blocks += _hard_and_easy(results)
    blocks += _draw_charts(name, results, stem)
    blocks += _papers(next(iter(results.values())), results)
    for number, model in enumerate(results if extremes else (), 1):
        longer = Path(f"{stem}-{number}-{_file_name(model)}")
        blocks += _crops(name, model, results[model], longer, extremes)
    return blocks


def _scores_table(results):
    one = next(iter(results.values()))
    psnr, ssim = _titles(one)
    titles = ["model", psnr, "gain", ssim, "gain", "seconds, median", "mean"]
    means = one.means
    rows = [
        [
            _given(one),
            f"{means['input_psnr']:.2f}",
            "",
            f"{means['input_ssim']:.4f}",
            "",
            "",
            "",
        ]
    ]
    for model, result in results.items():
        means = result.means
        row = [model]
        for score, digits in zip(_SCORES, (2, 4), strict=True):
            gain = means[score] - means[f"input_{score}"]
            row += [f"{means[score]:.{digits}f}", f"{gain:+.{digits}f}"]
        rows.append(row + [_seconds(means[s]) for s in ("seconds_median", "seconds")])
    caption = f"{_scored(one)}. Seconds per image, reading and writing not counted; "
    return Table(f"{caption}the mean includes each size's first.", titles, rows)


def _seconds(value):
    """Derained images that were read took no time."""
    return f"{value:.3f}" if value else "-"


def _scenes_table(results):
    one = next(iter(results.values()))
    if not one.groups:
        return []
    psnr, ssim = _titles(one)
    rows = [
        [scene, _pair(means, "input_")]
        + [_pair(result.groups[scene]) for result in results.values()]
        for scene, means in one.groups.items()
    ]
    caption = f"Mean of each scene, {psnr} / {ssim}, {_protocol(one)}"
    return [Table(caption, ["scene", _given(one), *results], rows)]


def _hard_and_easy(results):
    """Scores of images with more and with less rain, and how many improved."""
    one = next(iter(results.values()))
    if one.identity:
        return []
    rainy = dataclasses.replace(
        one,
        model=_given(one),
        rows=tuple(dataclasses.replace(r, psnr=r.input_psnr) for r in one.rows),
    )
    mean = comparison.improvement(rainy, one).mean_psnr
    psnr, _ = _titles(one)
    rows = []
    for model, result in results.items():
        shares = comparison.improvement(rainy, result)
        hard = [row for row in result.rows if row.input_psnr < mean]
        easy = [row for row in result.rows if row.input_psnr > mean]
        rows.append([model, *_before_after(hard), *_before_after(easy)])
        rows[-1] += [str(shares.all), str(shares.hard), str(shares.easy)]
    titles = ["model", f"hard: {psnr}", "gain", f"easy: {psnr}", "gain"]
    titles += ["improved", "of the hard", "of the easy"]
    name, _ = _names(one)
    caption = f"Hard (easy): {name} of the rainy image below (above) their mean, "
    caption += f"{mean:.2f} dB; {_protocol(one)}. "
    caption += "Improved: more than the rainy image's."
    blocks: list[Block] = [
        Heading("Hard and easy images", 3),
        Table(caption, titles, rows),
    ]
    if len(results) > 1:
        blocks.append(_over_the_first(results))
    return blocks


def _before_after(rows):
    if not rows:
        return ["-", "-"]
    after = statistics.fmean(row.psnr for row in rows)
    gain = after - statistics.fmean(row.input_psnr for row in rows)
    return [f"{after:.2f}", f"{gain:+.2f}"]


def _over_the_first(results):
    """Shares of images that other models derain better than the first one does."""
    first, *others = results.values()
    first = dataclasses.replace(first, model=next(iter(results)))
    found = [comparison.improvement(first, other) for other in others]
    rows = [
        [model, str(one.all), str(one.hard), str(one.easy), f"{one.gain:+.2f}"]
        for model, one in zip(list(results)[1:], found, strict=True)
    ]
    psnr, _ = _names(first)
    caption = f"Images improved over {first.model}; hard (easy): its {psnr} below "
    caption += f"(above) its mean, {found[0].mean_psnr:.2f} dB; {_protocol(first)}"
    return Table(
        caption, ["model", "improved", "hard", "easy", f"gain in {psnr}, dB"], rows
    )


def _draw_charts(name, results, stem):
    """Histograms of PSNR and boxes of SSIM; a line where Matplotlib is missing."""
    heading = Heading("Distribution over the images", 3)
    if not extras.installed("matplotlib"):
        return [heading, Text(NO_CHARTS)]
    one = next(iter(results.values()))
    drawn = []
    for kind, draw in (("psnr", charts.psnr_histogram), ("ssim", charts.ssim_boxes)):
        path = Path(f"{stem}-{kind}.svg")
        draw(_shortened(results), path, rainy=not one.identity)
        alt = {"psnr": "Histograms of PSNR", "ssim": "Box plots of SSIM"}[kind]
        alt += f" of {_listed(list(results))} on {name}, {_protocol(one)}"
        drawn.append(Picture(path, alt))
    return [heading, Pictures(drawn)]


def _shortened(results, most=24):
    """The results by names that fit below a chart."""
    short = [n if len(n) <= most else f"…{n[1 - most :]}" for n in results]
    numbered = (f"{number} {name}" for number, name in enumerate(short, 1))
    return dict(zip(files.distinct(short, numbered), results.values(), strict=True))


def _papers(one, results):
    """Published scores beside the measured ones, and those that differ in something."""
    known = published.compare(one)
    if not known.data or one.identity:
        return []
    blocks: list[Block] = [Heading("What papers report", 3)]
    if known.same:
        blocks += _beside(known.same, one, results)
    else:
        text = f"No paper reports scores of just this ({_scored(one)}), so no number "
        blocks.append(Text(f"{text}of a paper can stand beside those measured here."))
    if known.similar:
        blocks.append(_similar(known.similar, one))
    if known.others:
        text = f"Left out: {known.others} of another channel or of one nobody states."
        blocks.append(Text(text))
    return blocks


def _similar(found, one):
    """Scores of the same set and channel that must not stand beside measured ones."""
    rows = [
        [
            score.method,
            score.printed,
            ", ".join(score.differences(one)),
            _source(score),
            score.trained,
            score.note,
        ]
        for score in found
    ]
    channel = metrics.channel(one.protocol).upper()
    titles = ["method", f"PSNR/SSIM of {channel}", "how it differs"]
    titles += ["paper", "trained on", "note"]
    caption = f"As the papers print it; not comparable with this ({_scored(one)})"
    table = Table(caption, titles, rows, texts=(0, 2, 3, 4, 5))
    summary = f"Similar, not comparable: {len(rows)} of the same set and channel"
    return Details(summary, [table])


def _beside(same, one, results):
    """One table of measured and published scores, best first."""
    lines = [
        (result.means["psnr"], [model, _pair(result.means), "measured here", "", ""])
        for model, result in results.items()
    ]
    lines += [
        (
            s.psnr,
            [s.method, s.printed.replace("/", " / "), _source(s), s.trained, s.note],
        )
        for s in same
    ]
    lines.sort(key=lambda line: -line[0])
    rows = [row for _, row in lines]
    strong = [n for n, row in enumerate(rows) if row[2] == "measured here"]
    psnr, ssim = _titles(one)
    titles = ["method", f"{psnr} / {ssim}", "where from", "trained on", "note"]
    caption = f"{_scored(one)}; papers and measurements alike. The set is known by "
    caption += "the name of its folder and its number of images."
    return [Table(caption, titles, rows, texts=(0, 2, 3, 4), strong=strong)]


def _source(score):
    return f"{score.paper}, {score.source}"


def _crops(name, model, result, stem, extremes):
    """The worst and the best images of one model."""
    psnr, ssim = _names(result)
    blocks = []
    kinds = ("worst", extremes.worst(model, name)), ("best", extremes.best(model, name))
    for kind, chosen in kinds:
        drawn = []
        for place, one in enumerate(chosen, 1):
            path = Path(f"{stem}-{kind}-{place}.jpg")
            images.before_after(one.parts, path, gap=4)
            row = one.row
            caption = f"{row.name}: {psnr} {row.input_psnr:.2f} → {row.psnr:.2f} dB, "
            caption += f"{ssim} {row.input_ssim:.4f} → {row.ssim:.4f}"
            alt = f"{row.name}: {_given(result)}, derained and clean"
            drawn.append(Picture(path, alt, caption))
        if drawn:
            where = "is left" if kind == "worst" else "was taken off"
            blocks += [
                Heading(f"{model}: {kind} {len(drawn)}", 3),
                Text(
                    f"By {psnr}. {_given(result).capitalize()}, derained, clean; below "
                    f"them the part where most error {where}, enlarged."
                ),
                Pictures(drawn, small=True),
            ]
    return blocks


def _made_by(found, command):
    """Command, protocol, versions, machine and folders."""
    rows = [
        [model, name, result.data, str(result.count)]
        for model, row in found.results.items()
        for name, result in row.items()
    ]
    versions = {}
    for result in found.flat():
        versions |= result.versions
    blocks = [Heading("How this was made")]
    blocks += [Code(command)] if command else []
    blocks += [
        Text(f"Protocol: {_protocol(found.flat()[0])}."),
        Text("Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()) + "."),
        Text(f"Machine: {reports.machine()}."),
        Table("What was scored", ["model", "set", "folder", "images"], rows, (0, 1, 2)),
    ]
    return blocks


def _file_name(text):
    """The text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_.") or "_"
