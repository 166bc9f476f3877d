"""Files, folders and trees through a fake restorer that darkens what it is given."""

import json
import os

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tfderain import batch, extras
from tfderain.data.pairs import find_pairs


class Darkener:
    """Halves every pixel; fails at the widths in `broken`."""

    def __init__(self, broken=()):
        self.broken = broken
        self.count = 0

    def derain(self, pixels, progress=None, alpha=None):
        self.count += 1
        if pixels.shape[1] in self.broken:
            raise RuntimeError("out of\nluck")
        if progress:
            progress(1, 2)
        return pixels // 2


class Listener:
    def __init__(self):
        self.counts = []
        self.lines = []

    def __call__(self, done, total):
        self.counts.append((done, total))

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, so that paths in messages are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(path, size=(6, 4), value=200, mode="RGB", **options):
    """Writes a one-coloured picture, `size` being (width, height)."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    color = value if mode == "L" else (value,) * len(mode)
    Image.new(mode, size, color).save(path, **options)


def pixel(path):
    with Image.open(path) as image:
        return image.convert("RGB").getpixel((0, 0))[0]


def files(folder="."):
    found = (
        os.path.relpath(os.path.join(here, name), folder).replace(os.sep, "/")
        for here, _, names in os.walk(folder)
        for name in names
    )
    return sorted(found)


def test_one_file_to_a_file(folder):
    picture("a.png")
    summary = batch.derain_files(["a.png"], "new/b.png", Darkener())
    assert (summary.done, summary.skipped, summary.failed) == (1, 0, [])
    assert files("new") == ["b.png"] and pixel("new/b.png") == 100


@pytest.mark.parametrize("exists, output", [(True, "out"), (False, "out/")])
def test_one_file_into_a_folder(folder, exists, output):
    picture("in/a.png")
    if exists:
        os.mkdir("out")
    batch.derain_files(["in/a.png"], output, Darkener())
    assert files("out") == ["a.png"]


def test_the_ending_of_the_output_chooses_the_format(folder):
    picture("a.png")
    batch.derain_files(["a.png"], "b.webp", Darkener())
    with Image.open("b.webp") as image:
        assert image.format == "WEBP"


def test_the_restorer_learns_which_pixels_are_hidden(folder):
    seen = []

    class Watcher(Darkener):
        def derain(self, pixels, progress=None, alpha=None):
            seen.append(alpha if alpha is None else alpha.tolist())
            return super().derain(pixels)

    alpha = [[0, 255, 7]]
    Image.fromarray(np.array([[[9, 9, 9, a] for a in alpha[0]]], np.uint8)).save(
        "b.png"
    )
    picture("a.png")
    batch.derain_files(["a.png", "b.png"], "out", Watcher())
    assert seen == [None, alpha]


def test_several_files_make_a_folder(folder):
    picture("a.png")
    picture("deep/b.png")
    batch.derain_files(["a.png", "deep/b.png"], "out", Darkener())
    assert files("out") == ["a.png", "b.png"]


def test_a_folder_leaves_out_what_is_hidden_and_what_is_no_picture(folder):
    for path in ("in/a.png", "in/B.PNG", "in/.c.png", "in/deep/d.png"):
        picture(path)
    (folder / "in" / "notes.txt").write_text("no picture")
    summary = batch.derain_files(["in"], "out", Darkener())
    assert files("out") == ["B.PNG", "a.png"] and not summary.failed


def test_a_tree_is_mirrored_and_the_output_in_it_left_out(folder):
    for path in ("in/a.png", "in/deep/er/b.png", "in/.git/c.png", "in/out/old.png"):
        picture(path)
    batch.derain_files(["in"], "in/out", Darkener(), recursive=True)
    assert files("in/out") == ["a.png", "deep/er/b.png", "old.png"]


def test_a_format_renames_and_gif_becomes_png(folder):
    picture("in/a.png")
    picture("in/b.gif")
    batch.derain_files(["in"], "jpg", Darkener(), format="jpg")
    batch.derain_files(["in"], "same", Darkener())
    assert files("jpg") == ["a.jpg", "b.jpg"] and files("same") == ["a.png", "b.png"]


def test_compare_writes_both_side_by_side(folder):
    picture("a.png", size=(5, 3), mode="RGBA")
    batch.derain_files(["a.png"], "out/a.png", Darkener(), compare=True)
    assert files("out") == ["a.compare.png", "a.png"]
    with Image.open("out/a.compare.png") as image:
        both = np.asarray(image)
    assert both.shape == (3, 10, 4)
    assert (both[:, :5, :3] == 200).all() and (both[:, 5:, :3] == 100).all()


def test_what_compares_two_pictures_of_one_stem_has_two_names(folder):
    for path in ("in/a.png", "in/a.jpg", "in/b.png"):
        picture(path)
    summary = batch.derain_files(["in"], "out", Darkener(), compare=True)
    assert summary.done == 3 and not summary.failed
    assert files("out") == [
        "a.jpg",
        "a.jpg.compare.png",
        "a.png",
        "a.png.compare.png",
        "b.compare.png",
        "b.png",
    ]


def test_formats_of_other_names_are_derained(folder):
    for path in ("in/a.jfif", "in/b.jpe"):
        picture(path, format="JPEG")
    picture("in/c.ppm")
    picture("in/d.avif")
    picture("in/e.mpo", format="MPO")  # of stereo cameras
    picture("in/f.jif", format="JPEG")
    summary = batch.derain_files(["in"], "out", Darkener())
    assert summary.complete and summary.done == 6
    expected = ["a.jfif", "b.jpe", "c.png", "d.png", "e.png", "f.jif"]
    assert files("out") == expected
    with Image.open("out/a.jfif") as image:
        assert image.format == "JPEG"


def test_what_cannot_be_read_here_is_counted(folder, monkeypatch):
    for path in ("in/a.png", "in/b.heic", "in/c.heic", "in/d.cr2"):
        picture(path, format="PNG")
    monkeypatch.setattr(extras, "installed", lambda *packages: False)
    summary = batch.derain_files(["in"], "out", Darkener())
    assert summary.done == 1 and not summary.failed and not summary.complete
    first, *reasons = summary.table().splitlines()
    assert first.startswith("1 derained, 0 skipped, 0 failed, 3 left out, ")
    assert reasons[0].startswith("left out: 2, first in/b.heic: HEIC needs pillow-heif")
    assert reasons[1].startswith("left out: 1, first in/d.cr2: camera RAW needs rawpy")
    assert [path for path, _ in summary.as_dict()["left_out"]] == [
        "in/b.heic",
        "in/c.heic",
        "in/d.cr2",
    ]
    os.remove("in/a.png")
    with pytest.raises(ValueError, match="in, where HEIC needs.*; camera RAW needs"):
        batch.derain_files(["in"], "out2", Darkener())


def test_nothing_is_overwritten_unless_asked(folder):
    picture("in/a.png")
    picture("in/b.png")
    picture("out/a.png", value=7)
    summary = batch.derain_files(["in"], "out", Darkener())
    assert summary.done == 1 and pixel("out/a.png") == 7
    ((path, message),) = summary.failed
    assert os.path.basename(path) == "a.png" and "--overwrite" in message
    summary = batch.derain_files(["in"], "out", Darkener(), overwrite=True)
    assert summary.done == 2 and pixel("out/a.png") == 100


def test_skip_existing_does_only_what_is_missing(folder):
    for name in "abc":
        picture(f"in/{name}.png")
    picture("out/a.png", value=7)
    picture("out/a.compare.png", value=7)
    picture("out/b.png", value=7)
    restorer = Darkener()
    summary = batch.derain_files(
        ["in"], "out", restorer, skip_existing=True, compare=True
    )
    assert (summary.done, summary.skipped, restorer.count) == (2, 1, 2)
    assert pixel("out/b.png") == 7, "what exists stays"
    assert "b.compare.png" in files("out") and "c.compare.png" in files("out")


def test_the_model_loads_only_when_a_picture_needs_it(folder):
    picture("a.png")
    picture("out/a.png")

    def load():
        raise AssertionError("loaded for nothing")

    summary = batch.derain_files(["a.png"], "out/", load, skip_existing=True)
    assert summary.skipped == 1
    with pytest.raises(ValueError, match="must exist"):
        batch.derain_files(["missing.png"], "out/", load)


def test_a_model_that_does_not_load_ends_the_run(folder):
    picture("a.png")
    picture("b.png")

    def load():
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        batch.derain_files(["a.png", "b.png"], "out", load)


def test_one_bad_file_never_stops_the_rest(folder):
    picture("in/a.png")
    picture("in/broken.png", size=(9, 4))
    (folder / "in" / "empty.png").write_bytes(b"")
    (folder / "in" / "text.jpg").write_text("no picture at all")
    whole = (folder / "in" / "a.png").read_bytes()
    (folder / "in" / "truncated.png").write_bytes(whole[: len(whole) * 2 // 3])
    picture("in/z.png")
    listener = Listener()
    summary = batch.derain_files(["in"], "out", Darkener({9}), say=listener.say)
    assert files("out") == ["a.png", "z.png"], "and nothing half-written"
    failed = [os.path.basename(path) for path, _ in summary.failed]
    assert failed == ["broken.png", "empty.png", "text.jpg", "truncated.png"]
    errors = [line for line in listener.lines if line.startswith("error: ")]
    for name, line in zip(failed, errors, strict=True):
        assert line.count(name) == 1 and "\n" not in line
    assert summary.table().startswith("2 derained, 0 skipped, 4 failed, ")


def test_two_pictures_that_would_become_one_both_fail(folder):
    for path in ("in/a.png", "in/a.jpg", "in/b.png"):
        picture(path)
    summary = batch.derain_files(["in"], "out", Darkener(), format="png")
    assert files("out") == ["b.png"]
    assert len(summary.failed) == 2
    for _, message in summary.failed:
        assert "a.jpg" in message and "a.png" in message and "both become" in message


def test_equal_names_from_two_folders_are_noticed(folder):
    picture("one/a.png")
    picture("two/a.png")
    summary = batch.derain_files(["one", "two"], "out", Darkener())
    assert not os.path.exists("out") and len(summary.failed) == 2


@pytest.mark.parametrize("existing", ["overwrite", "skip_existing", None])
def test_outputs_that_are_one_file_are_noticed(folder, existing):
    # by a link here; elsewhere `A.png` and `a.png` are one file
    picture("in/a/1.png")
    picture("in/b/1.png", value=100)
    os.makedirs("out/a")
    os.symlink("a", "out/b", target_is_directory=True)
    options = {existing: True} if existing else {}
    for _ in range(2 if existing == "overwrite" else 1):
        summary = batch.derain_files(
            ["in"], "out", Darkener(), recursive=True, **options
        )
        assert (summary.done, summary.skipped) == (1, 0)
        ((path, message),) = summary.failed
        assert path == "in/b/1.png" and "in/a/1.png" in message
        assert pixel("out/a/1.png") == 100


def test_lines_about_odd_names_are_lines(folder):
    os.mkdir("in")
    names = ["in/a\n\x1b[31m.jpg", "in/b  b.jpg"]
    for name in names:
        with open(name, "wb") as file:
            file.write(b"no picture")
    picture("in/c\n.png", mode="RGBA", value=9)
    listener = Listener()
    summary = batch.derain_files(
        ["in"], "out", Darkener(), format="jpg", say=listener.say
    )
    assert [path for path, _ in summary.failed] == names  # as they are
    what = "it is not a picture of a known format"
    first, second, note = listener.lines
    assert first == f"error: Cannot read in/a \\x1b[31m.jpg: {what}."
    assert second == f"error: Cannot read in/b  b.jpg: {what}."
    assert note.startswith("note: ") and "(first in in/c .png; said once)" in note


def test_a_picture_that_is_named_twice_is_derained_once(folder):
    picture("in/a.png")
    summary = batch.derain_files(["in", "in/a.png", "./in"], "out", Darkener())
    assert (summary.done, summary.failed) == (1, [])


def test_notes_are_said_once(folder):
    for name in "ab":
        picture(f"in/{name}.png", mode="RGBA", value=9)
    listener = Listener()
    summary = batch.derain_files(
        ["in"], "out", Darkener(), format="jpg", say=listener.say
    )
    (note,) = summary.notes
    assert "transparency" in note and summary.notes[note] == 2
    assert sum(note in line for line in listener.lines) == 1


def test_progress_counts_pictures_and_parts_of_them(folder):
    picture("in/a.png")
    picture("in/b.png")
    listener = Listener()
    batch.derain_files(["in"], "out", Darkener(), progress=listener)
    assert listener.counts == [(0, 2), (0.5, 2), (1, 2), (1.5, 2), (2, 2)]


def test_ctrl_c_leaves_nothing_half_written(folder):
    picture("in/a.png")
    picture("in/b.png", size=(9, 4))

    class Interrupted(Darkener):
        def derain(self, pixels, progress=None, alpha=None):
            if pixels.shape[1] == 9:
                raise KeyboardInterrupt
            return super().derain(pixels)

    with pytest.raises(KeyboardInterrupt):
        batch.derain_files(["in"], "out", Interrupted())
    assert files("out") == ["a.png"]


def test_too_many_pixels_are_refused(folder):
    picture("a.png", size=(6, 4))
    assert batch.derain_files(["a.png"], "b.png", Darkener(), max_pixels=23).failed
    assert not batch.derain_files(["a.png"], "b.png", Darkener(), max_pixels=24).failed


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((["missing.png"], "out"), "must exist"),
        (([], "out"), "must be pictures"),
        ((["empty"], "out"), "must be pictures"),
        ((["a.png"], "out"), "ends with a slash"),
        ((["a.png"], "out.txt"), "ends with a slash"),
        ((["a.png", "b.png"], "out.png"), "need a folder"),
        ((["in"], "b.png"), "need a folder"),
        ((["a.png"], "a.png"), "one of the inputs"),
        ((["a.png"], "./in/../a.png"), "one of the inputs"),
        ((["a.png"], "link.png"), "one of the inputs"),
        ((["in"], "in"), "one of the inputs"),
        ((["a.png", "b.png"], "."), "one of the inputs"),
    ],
)
def test_bad_usage_is_refused_before_anything_is_written(folder, arguments, message):
    for path in ("a.png", "b.png", "in/c.png"):
        picture(path)
    os.mkdir("empty")
    os.link("a.png", "link.png")
    before = files()
    with pytest.raises(ValueError, match=message):
        batch.derain_files(*arguments, Darkener(), overwrite=True)
    assert files() == before and pixel("a.png") == 200


def test_options_that_contradict_each_other_are_refused(folder):
    picture("a.png")
    with pytest.raises(ValueError, match="skip_existing=True, overwrite=True"):
        batch.derain_files(
            ["a.png"], "b.png", Darkener(), skip_existing=True, overwrite=True
        )
    with pytest.raises(ValueError, match="`format` must be one of"):
        batch.derain_files(["a.png"], "out/", Darkener(), format="psd")
    with pytest.raises(ValueError, match="`format` must agree"):
        batch.derain_files(["a.png"], "b.png", Darkener(), format="jpg")


def scene(path, height=48, width=64):
    """Writes a picture that is neither flat nor noisy."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([100 + y, 80 + x, 150 - y], axis=-1).astype(np.uint8)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(pixels).save(path)


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_pairs_keep_the_meaning_of_their_colours(folder):
    linear = PngImagePlugin.PngInfo()
    linear.add(b"gAMA", (100_000).to_bytes(4, "big"))
    Image.new("RGB", (48, 40), (90, 80, 70)).save("a.png", pnginfo=linear)
    assert not batch.synthesize_files(["a.png"], "out").failed
    for path in ("out/rainy/a.png", "out/clean/a.png"):
        with Image.open(path) as image:
            assert image.info["gamma"] == 1.0


def test_synthesize_keeps_pairs(folder):
    scene("in/a.png")
    scene("in/deep/b.jpg")
    summary = batch.synthesize_files(["in"], "out", kind="heavy", recursive=True)
    assert summary.done == 2 and summary.table().startswith("2 made rainy, ")
    assert files("out") == [
        "clean/a.png",
        "clean/deep/b.png",
        "rainy/a.png",
        "rainy/deep/b.png",
    ]
    assert (read("out/clean/a.png") == read("in/a.png")).all()
    difference = read("out/rainy/a.png").astype(float) - read("in/a.png")
    assert difference.mean() > 1, "rain brightens"


def test_pairs_of_a_tree_are_read_again(folder):
    scene("in/a.png")
    scene("in/deep/b.png")
    batch.synthesize_files(["in"], "one", recursive=True)
    batch.synthesize_files(["in"], "two", recursive=True, copies=2)
    assert len(find_pairs("one")) == 2
    found = find_pairs("two")
    two = zip(found.rainy, found.clean, strict=True)
    assert [tuple(os.path.relpath(path, "two") for path in pair) for pair in two] == [
        ("rainy/a_1.png", "clean/a.png"),
        ("rainy/a_2.png", "clean/a.png"),
        ("rainy/deep/b_1.png", "clean/deep/b.png"),
        ("rainy/deep/b_2.png", "clean/deep/b.png"),
    ]


def test_synthesize_depends_on_seed_name_and_copy_alone(folder):
    for name in "ab":
        scene(f"in/{name}.png")
    batch.synthesize_files(["in"], "all", seed=3, copies=2)
    batch.synthesize_files(["in/b.png"], "one", seed=3, copies=2)
    batch.synthesize_files(["in/b.png"], "other", seed=4, copies=2)
    assert files("all/rainy") == ["a_1.png", "a_2.png", "b_1.png", "b_2.png"]
    for name in ("b_1.png", "b_2.png"):
        assert (read(f"all/rainy/{name}") == read(f"one/rainy/{name}")).all()
        assert (read(f"all/rainy/{name}") != read(f"other/rainy/{name}")).any()
    assert (read("all/rainy/a_1.png") != read("all/rainy/b_1.png")).any()
    assert (read("all/rainy/b_1.png") != read("all/rainy/b_2.png")).any()


def test_names_that_are_no_text_are_made_rainy(folder):
    scene("in/a.png")
    odd = os.fsdecode(b"caf\xe9.png")
    os.rename("in/a.png", f"in/{odd}")
    summary = batch.synthesize_files(["in"], "out")
    assert summary.complete and files("out") == [f"clean/{odd}", f"rainy/{odd}"]
    assert json.loads(summary.to_json())["done"] == 1


def test_synthesize_overwrites_only_if_asked(folder):
    scene("in/a.png")
    picture("out/rainy/a.png", value=7)
    assert batch.synthesize_files(["in"], "out").failed
    assert pixel("out/rainy/a.png") == 7
    assert not batch.synthesize_files(["in"], "out", overwrite=True).failed
    assert read("out/rainy/a.png").shape == (48, 64, 3)


def test_synthesize_says_that_transparency_is_lost(folder):
    picture("in/a.png", size=(40, 32), mode="RGBA", value=90)
    summary = batch.synthesize_files(["in"], "out")
    assert list(summary.notes) == ["transparency is not kept in pairs"]
    assert read("out/clean/a.png").shape == (32, 40, 3)


def test_synthesize_refuses_bad_arguments(folder):
    scene("in/a.png")
    with pytest.raises(ValueError, match="`kind` must be one of.*kind=hail"):
        batch.synthesize_files(["in"], "out", kind="hail")
    with pytest.raises(ValueError, match="`copies` must be positive"):
        batch.synthesize_files(["in"], "out", copies=0)
    scene("pairs/clean/b.png")
    with pytest.raises(ValueError, match="one of the inputs"):
        batch.synthesize_files(["pairs/clean"], "pairs", overwrite=True)
    assert not os.path.exists("out") and files("pairs") == ["clean/b.png"]


class Finder(Darkener):
    """Darkens, and finds drops in the left quarter of a picture."""

    makes_mask = True

    def derain_and_mask(self, pixels, progress=None, alpha=None):
        mask = np.zeros(pixels.shape[:2], np.float32)
        mask[:, : pixels.shape[1] // 4] = 0.6
        return self.derain(pixels, progress, alpha), mask


def test_masks_are_grey_png_files_beside_their_records(folder):
    picture("in/a.jpg", (8, 4))
    picture("in/sub/b.png", (8, 4))
    run = {"recursive": True, "masks": "masks"}
    summary = batch.derain_files(["in"], "out", Finder(), **run)
    with Image.open("masks/sub/b.png") as mask:
        assert mask.mode == "L" and mask.size == (8, 4)
        assert mask.getpixel((1, 0)) == 153 and mask.getpixel((2, 0)) == 0
    assert summary.files == [
        {"source": "in/a.jpg", "target": "out/a.jpg", "wet": 0.25},
        {"source": "in/sub/b.png", "target": "out/sub/b.png", "wet": 0.25},
    ]
    assert json.loads(summary.to_json())["files"] == summary.files
    os.remove("masks/a.png")  # alone is missing, and alone made again
    before = os.stat("out/a.jpg").st_mtime_ns
    again = batch.derain_files(["in"], "out", Finder(), skip_existing=True, **run)
    assert (again.done, again.skipped) == (1, 1) and os.path.exists("masks/a.png")
    assert os.stat("out/a.jpg").st_mtime_ns == before


def test_masks_of_one_stem_are_kept_apart(folder):
    picture("in/a.jpg")
    picture("in/a.png")
    batch.derain_files(["in"], "out", Finder(), masks="masks")
    assert sorted(os.listdir("masks")) == ["a.jpg.png", "a.png.png"]
    batch.derain_files(["in/a.png"], "one.png", Finder(), masks="more")
    assert os.listdir("more") == ["one.png"]


def test_a_network_that_finds_no_drops_makes_no_masks(folder):
    picture("a.png")
    with pytest.raises(ValueError, match="finds drops on the glass"):
        batch.derain_files(["a.png"], "b.png", Darkener(), masks="masks")
    assert not os.path.exists("b.png")
    summary = batch.derain_files(["a.png"], "b.png", Darkener())
    assert summary.files == [{"source": "a.png", "target": "b.png"}]
