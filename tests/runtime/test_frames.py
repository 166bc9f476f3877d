"""Frames of a film: bars, sizes and tiles are decided once for all of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfderain.runtime import Chain, FrameRestorer, Restorer, engines, restorer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Edges:
    """A stand-in for an engine: halves what differs from the pixels beside it."""

    stride, global_operations = 2, False

    def __call__(self, tile):
        return (tile + np.roll(tile, 1, 0) + np.roll(tile, 1, 1)) / 3


class Same(Edges):
    """Leaves pixels as they are."""

    def __call__(self, tile):
        return tile.copy()


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(restorer.RUNTIMES, "litert", lambda model, threads: Edges())
    return "edges"


@pytest.fixture
def identity(monkeypatch):
    monkeypatch.setitem(restorer.RUNTIMES, "litert", lambda model, threads: Same())
    return "same"


def scene(height=64, width=96, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(30, 256, (height, width, 3), dtype=np.uint8)


def boxed(frame, rows=12):
    bars = np.zeros((len(frame) + 2 * rows, *frame.shape[1:]), np.uint8)
    bars[rows:-rows] = frame
    return bars


def test_a_frame_is_derained_as_a_picture(tiny):
    restorer, frame = Restorer(tiny), scene()
    made = FrameRestorer(restorer, [frame])(frame)
    np.testing.assert_array_equal(made, restorer.derain(frame))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_kinds_of_pixels_stay(identity, dtype):
    frame = scene().astype(dtype) * (257 if dtype == np.uint16 else 1)
    made = FrameRestorer(Restorer(identity), [frame])(frame)
    assert made.dtype == dtype and made is not frame
    np.testing.assert_array_equal(made, frame)


def test_black_frames_say_nothing_about_bars(tiny):
    frames = [boxed(scene(seed=seed)) for seed in (0, 1)]
    dark = np.zeros_like(frames[0])
    restore = FrameRestorer(Restorer(tiny), [dark, *frames])
    assert (restore.rows, restore.columns) == (slice(12, 76), slice(0, 96))
    made = restore(frames[1])
    expected = Restorer(tiny).derain(scene(seed=1))
    np.testing.assert_array_equal(made, boxed(expected))
    np.testing.assert_array_equal(restore(dark)[:12], 0)
    all_dark = FrameRestorer(Restorer(tiny), [dark])
    assert all_dark.rows == slice(0, 88)


def test_no_frame_is_cut_where_one_shows_something(tiny):
    whole = scene(88)
    restore = FrameRestorer(Restorer(tiny), [boxed(scene()), whole])
    assert (restore.rows, restore.columns) == (slice(0, 88), slice(0, 96))


def test_sizes_are_those_of_most_examples(identity):
    small = np.asarray(Image.open(EXAMPLES / "clean" / "coffee.jpg"))[:200]
    soft = np.asarray(Image.fromarray(small).resize((960, 400), 3))  # bicubic
    sharp = scene(400, 960)
    restorer = Restorer(identity)
    # by the same detail as `derain` takes it, see test_restorer and test_scales
    assert restorer.sizes_used(sharp) == (True, True)
    assert restorer.sizes_used(soft) == (False, True)
    assert FrameRestorer(restorer, [sharp, soft, soft]).used == (False, True)
    assert FrameRestorer(restorer, [sharp, sharp, soft]).used == (True, True)
    assert FrameRestorer(restorer, [soft, sharp]).used == (True, True)
    assert FrameRestorer(Restorer(identity, scales=1), [soft]).used == (True,)


def test_what_is_decided_is_what_a_picture_decides(tiny):
    restorer = Restorer(tiny)
    sharp = scene(96, 1000)
    for frame in (sharp, np.repeat(np.repeat(scene(48, 500), 2, 0), 2, 1)):
        made = FrameRestorer(restorer, [frame])(frame)
        np.testing.assert_array_equal(made, restorer.derain(frame))


def test_best_averages_mirror_images(tiny):
    restorer, frame = Restorer(tiny, best=True), scene()
    made = FrameRestorer(restorer, [frame])(frame)
    np.testing.assert_array_equal(made, restorer.derain(frame))


def test_litert_is_planned_once_for_each_size(tmp_path, monkeypatch):
    from tfderain import export, models

    model = models.MENET(num_blocks=1, filters=4, normalization=None, value_range=1.0)
    model.build((None, None, None, 3))
    path = tmp_path / "model.tflite"
    export.to_litert(model, path, size=(16, 16))
    card = {"stride": model.stride, "global_operations": False}
    (tmp_path / "card.json").write_text(json.dumps(card))
    opened = []
    make = engines.LiteRT._open
    monkeypatch.setattr(
        engines.LiteRT, "_open", lambda engine: opened.append(1) or make(engine)
    )
    frame = scene(32, 160)
    tool = Restorer(path, scales=2)
    assert len(opened) == 1
    expected = tool.derain(frame)
    assert len(opened) == 1, "pictures of many sizes keep but one network"
    restore = FrameRestorer(tool, [frame])
    for _ in range(3):
        np.testing.assert_array_equal(restore(frame), expected)
    assert len(opened) == 2, "one for each size of the film"
    other = scene(48, 96)
    np.testing.assert_array_equal(
        tool.derain(other), Restorer(path, scales=2).derain(other)
    )


def test_a_film_needs_a_frame(tiny):
    with pytest.raises(ValueError, match="needs at least one frame"):
        FrameRestorer(Restorer(tiny), [])


def test_a_chain_takes_no_films(tiny):
    with pytest.raises(ValueError, match="one restorer at a time. Received: a chain"):
        FrameRestorer(Chain([Restorer(tiny), Restorer(tiny)]), [scene()])
