"""Folders that mix pictures and films, and films that are there in part only."""

import films
import numpy as np
import pytest
from commands import Darkener, picture

from tfderain import batch, runtime


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "in" / "a.png")
    films.write(tmp_path / "in" / "b.mkv", 50, sound=None)
    return tmp_path


def test_pictures_and_films_of_a_folder(folder):
    told, lines, statuses = [], [], []
    summary = batch.derain_files(
        ["in"],
        "out",
        Darkener(),
        progress=lambda *counts: told.append(counts),
        say=lines.append,
        status=statuses.append,
    )
    assert summary.complete and summary.done == 2 and lines == []
    assert len(films.frames(folder / "out" / "b.mkv")) == 50
    # the film's own progress, in parts of a file
    assert told == sorted(told) and (1 + 25 / 50, 2) in told and told[-1] == (2, 2)
    assert statuses[0].startswith("b.mkv: 1 of 50 frames, ") and statuses[-1] == ""
    again = batch.derain_files(["in"], "out", Darkener(), skip_existing=True)
    assert (again.done, again.skipped) == (0, 2)
    assert batch.derain_files(["in"], "out", Darkener()).failed


def test_settings_of_films_are_passed_on(folder):
    settings = batch.Films(batch.run.video.Encoding("mpeg4", 1), neighbours=1)
    summary = batch.derain_files(["in/b.mkv"], "c.mkv", Darkener(), films=settings)
    assert summary.complete
    with films.av.open("c.mkv") as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"


def test_a_film_in_part_is_kept_and_said(folder):
    source = folder / "in" / "b.mkv"
    whole = source.read_bytes()
    source.write_bytes(whole[: int(0.6 * len(whole))])
    lines = []
    summary = batch.derain_files(["in"], "out", Darkener(), say=lines.append)
    assert not summary.complete and (summary.done, summary.failed) == (2, [])
    ((path, reason),) = summary.partial
    assert path == "in/b.mkv" and "at the end are missing" in reason
    assert lines == [f"warning: in/b.mkv: {reason}; the rest is derained"]
    assert "1 in part only" in summary.table()
    assert 10 < len(films.frames("out/b.mkv")) < 50


def test_a_film_that_is_none_does_not_stop_the_others(folder):
    (folder / "in" / "broken.mp4").write_bytes(b"no film")
    summary = batch.derain_files(["in"], "out", Darkener())
    assert summary.done == 2
    ((path, reason),) = summary.failed
    assert path == "in/broken.mp4" and "is no film" in reason
    assert not (folder / "out" / "broken.mp4").exists()


def test_films_with_masks_are_refused_before_anything_is_made(folder):
    class Masking(Darkener):
        makes_mask = True

    with pytest.raises(ValueError, match=r"of pictures, not of films.*in/b\.mkv"):
        batch.derain_files(["in"], "out", Masking(), masks="masks")
    assert not (folder / "out").exists() and not (folder / "masks").exists()


def test_films_through_several_models_are_refused_before_anything_is_made(folder):
    both = runtime.Chain([Darkener(), Darkener()])
    with pytest.raises(ValueError, match=r"one model at a time.*: 2 models, with in/b"):
        batch.derain_files(["in"], "out", both)
    assert not (folder / "out").exists()
    assert batch.derain_files(["in/a.png"], "out/", both).complete


def test_records_of_films_have_no_wet_area(folder):
    class Masking(Darkener):
        makes_mask = True

        def derain_and_mask(self, pixels, progress=None, alpha=None):
            return pixels // 2, np.ones(pixels.shape[:2], np.float32)

    summary = batch.derain_files(["in"], "out", Masking())
    assert summary.files == [
        {"source": "in/a.png", "target": "out/a.png", "wet": 1.0},
        {"source": "in/b.mkv", "target": "out/b.mkv"},
    ]


def test_frames_are_those_of_the_restorer(folder):
    batch.derain_files(["in/b.mkv"], "c.mkv", Darkener())
    before, after = films.pixels("in/b.mkv"), films.pixels("c.mkv")
    # see test_films of video
    assert np.abs(after - before / 2.0).mean() < 4
