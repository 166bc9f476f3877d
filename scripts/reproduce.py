"""Measure the numbers of README and docs again from the shipped presets.

    python scripts/reproduce.py --data TEST_SETS            # rewrites README.md, docs/
    python scripts/reproduce.py --data TEST_SETS --check    # exit code 1 if they differ
    python scripts/reproduce.py --data TEST_SETS --only scores --preset menet
    python scripts/reproduce.py --data TEST_SETS --times    # on an idle machine
    python scripts/reproduce.py --list

`TEST_SETS` holds the folders Rain100L, Rain100H, SIRR20 and GT-Rain. The numbers come
from what `tfderain evaluate`, `export` and `bench` call, and go between marks in the
Markdown (`marks.py`). What is left out by `--only`, `--preset`, `--set` or for want of
data stays as it stands, and so do all times without `--times`. Scores are kept in
`--cache` by the bytes of the model and of the data, the protocol, and the code and
libraries that made them, so that running this again takes seconds; `--fresh` makes them
anew.

By hand remain: what compares trainings of its own (ERL-Net with MEMD, Rainmer with and
without its contrast, relations of encoders, JRGR's pre-training and its rain for
another network), NIQE of real photos, and the load test of docs/serving.md.
"""

import argparse
import difflib
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import marks
import reproduce_times as timed
from reproduce_work import CLEAN, SETS, Cache, Work
from score_sizes import chosen_pairs, gain

from tfderain import presets
from tfderain.data import pairs as pairing
from tfderain.data.pipeline import read_pair

ROOT = Path(__file__).resolve().parents[1]
FEATURED = "resunet"  # the preset of what README says in running text
TITLES = {
    "SIRR20": "SIRR20 (SIRR's validation set)",
    "GT-Rain": "GT-Rain (real rain; mean of scenes)",
    CLEAN: "Rain100L's clean pictures (`--identity`)",
}
# Forms of a preset: title, target of `export`, and the file if it ships.
FORMS = (
    ("SavedModel", "saved_model", "1"),
    ("LiteRT {shipped}", "litert", "model.tflite"),
    ("LiteRT float16", "litert_float16", None),
    ("LiteRT dynamic int8", "litert_dynamic_int8", None),
    ("LiteRT int8", "litert_int8", "model_int8.tflite"),
    ("ONNX", "onnx", None),
)


def scores(work: Work):
    """PSNR and SSIM of every preset on every set."""
    names = ordered_presets()
    titles = ["test set", "pairs", "protocol", "rainy", *(f"`{n}`" for n in names)]
    rows = []
    for name, protocol in SETS.items():
        found = {preset: work.score(preset, name) for preset in names}
        for preset, result in found.items():
            compare_card(preset, name, result)
        one = next(filter(None, found.values()), None)
        cells = [found[preset] and pair(found[preset].means) for preset in names]
        given = one and pair(one.means, "input_")
        given = "unchanged" if name == CLEAN else given
        title = f"`{protocol}` ({protocol_channel(protocol)})"
        rows.append(
            [TITLES.get(name, name), one and counted(one), title, given, *cells]
        )
    return marks.Rows(titles, rows)


def compare_card(preset, name, result):
    """Says where a preset's card has another score; `make_preset.py` writes cards."""
    for score in presets.available()[preset].get("scores", []) if result else []:
        known = (score["set"], score["protocol"], score["count"])
        if known != (name, result.protocol, result.count):
            continue
        measured = result.means["psnr"]
        if abs(score["psnr"] - measured) >= 0.01:
            text = (
                f"{preset} on {name}: card {score['psnr']:.2f}, now {measured:.2f} dB"
            )
            print(f"note: {text}", file=sys.stderr)


def ordered_presets() -> list[str]:
    """The presets, the default one first."""
    return sorted(presets.available(), key=lambda name: (name != presets.DEFAULT, name))


def protocol_channel(protocol):
    from tfderain import metrics

    return metrics.channel(protocol).upper()


def pair(means, which=""):
    return f"{means[f'{which}psnr']:.2f} dB, {means[f'{which}ssim']:.4f}"


def counted(result):
    scenes = f" in {len(result.groups)} scenes" if result.groups else ""
    return f"{result.count}{scenes}"


def best(work: Work):
    """What `--best` gains, for the text."""
    texts = []
    for name in ("Rain100L", "Rain100H"):
        plain = work.score(FEATURED, name)
        mirrored = work.score(FEATURED, name, best=True)
        if not plain or not mirrored:
            return None
        before, after = (one.means["psnr"] for one in (plain, mirrored))
        texts.append(f"{name} {before:.2f} -> {after:.2f}")
    return f"{', '.join(texts)} dB"


def int8(work: Work):
    """Scores of the shipped int8 file, for the text."""
    file = presets.find(FEATURED) / "model_int8.tflite"
    found = [work.score(FEATURED, name, file=file) for name in SETS]
    if not all(found):
        return None
    *first, last = (f"{one.means['psnr']:.2f}" for one in found)
    return f"{', '.join(first)} and {last} dB"


def sizes(work: Work, factors=(1, 2, 4, 8), count=7):
    """Gain where pictures are enlarged, for the text; see `score_sizes.py`."""
    folder = work.folder(FEATURED, "Rain100L")
    if folder is None:
        return None
    pairs = pairing.find_pairs(folder)
    chosen = chosen_pairs(pairs, count)
    texts = []
    for factor in factors:

        def measure(factor=factor):
            restorer = work.restorer(FEATURED)
            gains = [gain(restorer, *read_pair(pairs, i)[:2], factor) for i in chosen]
            return sum(like for like, _ in gains) / len(gains)

        key = work.key(presets.find(FEATURED), folder, "sizes", factor, count)
        texts.append(f"{work.cache.get(key, measure):.2f}")
    return f"{', '.join(texts[:-1])} and {texts[-1]} dB"


def jrgr(work: Work):
    """The columns of README's table of JRGR's training that the preset fills."""
    titles = ["test set", "rainy", "pre-trained (20,000 steps of 8)"]
    titles.append("joint training (6,000 steps of 2 + 2 more)")
    rows = []
    for name, protocol in SETS.items():
        one = work.score("jrgr", name)
        title = "Rain100L's clean pictures" if name == CLEAN else name
        given = one and f"{one.means['input_psnr']:.2f} dB"
        cells = ["" if name == CLEAN else given, None, one and pair(one.means)]
        rows.append([f"{title}, `{protocol}`", *cells])
    rows.append(["20 photos of SIRR, NIQE (less is better)", None, None, None])
    return marks.Rows(titles, rows)


def forms(work: Work):
    """Size, difference from Keras, scores and time of each form of each preset."""
    titles = ["preset", "form", "size", "difference"]
    titles += ["Rain100L, psnr_y", "Rain100H, psnr_y", "ms"]
    rows = [row for name in ordered_presets() for row in forms_of(work, name)]
    return marks.Rows(titles, rows, keys=2)


def forms_of(work: Work, name: str):
    """The rows of one preset."""
    shipped = precision(name)
    for title, target, file in FORMS:
        title = title.format(shipped=shipped)
        if file is None and title == f"LiteRT {shipped}":
            continue  # the file that ships is this one
        form = work.form(name, target, file)
        cells = [work.form_score(form, data) for data in ("Rain100L", "Rain100H")]
        cells = [one and f"{one.means['psnr']:.2f}" for one in cells]
        ms = timed.form(work, form) if work.times and form else None
        measured = [form and f"{form.bytes / 1e6:.1f} MB"]
        measured.append(form and f"{form.difference:.0e}".replace("e-0", "e-"))
        yield [f"`{name}`", title, *measured, *cells, ms]


def precision(name: str) -> str:
    """Of the weights in a preset's LiteRT file; those in its SavedModel are float32."""
    folder = presets.find(name)
    weights = sum(f.stat().st_size for f in (folder / "1" / "variables").glob("*data*"))
    small = (folder / "model.tflite").stat().st_size < 0.75 * weights
    return "float16" if small else "float32"


def tiling(work: Work):
    """Differences between tiles and the whole image, for the text."""
    return work.tiling(presets.DEFAULT)


def prenet(work: Work):
    """The authors' weights converted, rounded to 8 bits and truncated."""
    rows = []
    for name in ("Rain100L", "Rain100H"):
        found = work.prenet(name)
        cells = [pair(one.means) for one in found] if found else [None, None]
        rows.append([f"{name}, {name}", *cells])
    titles = ["weights, test set", "rounded (`tfderain evaluate`), Y"]
    return marks.Rows([*titles, "truncated, as the authors' script, Y"], rows)


# Name of each part, the file that it stands in, and what makes it.
PARTS = {
    "sizes": ("README.md", sizes),
    "best": ("README.md", best),
    "scores": ("README.md", scores),
    "int8": ("README.md", int8),
    "photo": ("README.md", timed.photo),
    "jrgr": ("README.md", jrgr),
    "forms": ("README.md", forms),
    "speed": ("README.md", timed.speed),
    "growth": ("README.md", timed.growth),
    "tiling": ("README.md", tiling),
    "profile": ("docs/on_device.md", timed.profile),
    "prenet": ("docs/papers/prenet.md", prenet),
}


def main(arguments=None):
    args = parse(arguments)
    if args.list:
        for name, (file, make) in PARTS.items():
            print(f"{name:8}  {file:22}  {make.__doc__.splitlines()[0]}")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        work = Work(
            args.data,
            Cache(args.cache, args.fresh),
            Path(scratch),
            presets=args.preset,
            sets=args.set,
            times=args.times,
            weights=args.weights,
            peers=args.peers,
        )
        texts = rewritten(work, args.root, args.only or list(PARTS))
    return report(texts, args.root, args.check)


def rewritten(work, root, chosen):
    """For each file its text and what it becomes."""
    texts = {}
    for name in chosen:
        file, make = PARTS[name]
        if file not in texts:
            text = (root / file).read_text(encoding="utf-8")
            texts[file] = (text, text)
        before, text = texts[file]
        print(f"{name} ({file})", file=sys.stderr)
        made = make(work)
        if isinstance(made, marks.Rows):
            made = made.render(marks.part(text, name))
        if made is not None:
            text = marks.replaced(text, name, made)
        texts[file] = (before, text)
    return texts


def report(texts, root, check):
    """Prints what differs, and writes it unless this is a check."""
    changed = {file: both for file, both in texts.items() if both[0] != both[1]}
    for file, (before, after) in changed.items():
        lines = [text.splitlines(keepends=True) for text in (before, after)]
        sys.stdout.writelines(difflib.unified_diff(*lines, file, f"{file}, measured"))
        if not check:
            (root / file).write_text(after, encoding="utf-8")
    words = "differ from what was measured" if check else "were rewritten"
    print(f"{len(changed)} of {len(texts)} files {words}.", file=sys.stderr)
    return int(check and bool(changed))


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the test sets")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; repeat")
    parser.add_argument("--preset", action="append", help="only of this one; repeat")
    parser.add_argument(
        "--set", action="append", choices=SETS, help="only on it; repeat"
    )
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--times", action="store_true", help="measure times as well")
    parser.add_argument("--peers", help="interpreter with PyTorch, for `speed`")
    parser.add_argument("--weights", type=Path, help="folder with PReNet's .pth files")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "reproduce.json")
    parser.add_argument("--fresh", action="store_true", help="measure all scores again")
    parser.add_argument("--root", type=Path, default=ROOT, help="of README.md and docs")
    parser.add_argument("--list", action="store_true", help="print the parts")
    args = parser.parse_args(arguments)
    if not args.list and (args.data is None or not args.data.is_dir()):
        parser.error(f"--data must be a folder; received {args.data}")
    unknown = set(args.preset or ()) - set(presets.available())
    if unknown:
        parser.error(f"--preset must be one that is here; received {unknown}")
    return args


if __name__ == "__main__":
    sys.exit(main())
