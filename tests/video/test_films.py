"""Films derained: frames, times, tags, sound, damage and interruptions."""

from fractions import Fraction

import av
import films
import numpy as np
import pytest

from tfderain import video

LOSSLESS = video.Encoding("libx264", 0)
UNEVEN = [0, 512, 1024, 3000, 3512, 4000, 6000, 6100, 6200, 7000, 7512, 9000, 9512]
UNEVEN += [10000, 10512, 20000]


# The second encodes frames out of their order, the first does not.
@pytest.mark.parametrize("encoding", [LOSSLESS, None])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_every_frame_once_in_its_own_time(tmp_path, suffix, encoding):
    source = films.write(tmp_path / f"in.{suffix}", times=UNEVEN, sound=None)
    made = video.derain_film(
        source, tmp_path / f"out.{suffix}", films.Halver(), encoding=encoding
    )
    assert (made.frames, made.notes, made.problem) == (16, (), "")
    assert films.times(tmp_path / f"out.{suffix}") == films.times(source)
    before, after = films.pixels(source), films.pixels(tmp_path / f"out.{suffix}")
    # Chroma of half the size and the coding take what blocks' edges lose; a frame that
    # is another one is 20 levels off, and black is 60.
    assert np.abs(after - before / 2.0).mean() < 4


def test_the_last_frame_lasts_as_long(tmp_path):
    source = films.write(tmp_path / "in.mp4", times=UNEVEN, sound=None)
    video.derain_film(source, tmp_path / "out.mp4", films.Halver(), encoding=LOSSLESS)
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        assert after.duration == before.duration


@pytest.mark.parametrize(
    ("name", "sound", "settings"),
    [
        ("a.mp4", "aac", {"rotation": 90}),
        ("a.mov", "aac", {"rotation": 180, "codec": "libx265"}),
        ("a.mkv", "libopus", {"subtitles": True, "colours": (9, 16, 9, 1)}),
        ("a.webm", "libopus", {"codec": "libvpx-vp9", "base": Fraction(1, 1000)}),
        ("a.mp4", "aac", {"colours": (5, 6, 5, 2)}),
    ],
)
def test_all_else_is_copied(tmp_path, name, sound, settings):
    source = films.write(tmp_path / name, sound=sound, **settings)
    target = tmp_path / f"out_{name}"
    made = video.derain_film(source, target, films.Identity())
    assert (made.notes, made.problem) == ((), "")
    assert films.packets(target, "audio") == films.packets(source, "audio")
    if "subtitles" in settings:
        assert films.packets(target, "subtitle") == films.packets(source, "subtitle")
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert after.metadata["title"] == before.metadata["title"] == "Rain"
        assert [tags(stream) for stream in after.streams] == [
            tags(stream) for stream in before.streams
        ]
        named = [(c["start"] * c["time_base"], c["metadata"]) for c in after.chapters()]
        assert named == [
            (Fraction(start, 1000), {"title": title})
            for start, _, title in films.CHAPTERS
        ]
    (one, *_), (two, *_) = films.frames(source), films.frames(target)
    for tag in ("rotation", "colorspace", "color_range", "color_trc"):
        assert getattr(two, tag) == getattr(one, tag), tag
    assert (
        two.color_primaries == one.color_primaries == settings.get("colours", (1,))[0]
    )
    assert abs(one.rotation) == settings.get("rotation", 0)


def tags(stream):
    own = {key: stream.metadata.get(key) for key in ("title", "language")}
    return stream.type, own, stream.disposition


def test_ten_bits_stay_ten(tmp_path):
    levels = np.arange(64, 940, dtype=np.uint16)  # all that luma has, in one frame
    values = np.resize(levels, (48, 64))
    with av.open(str(tmp_path / "in.mkv"), "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        frame = av.VideoFrame(64, 48, "yuv420p10le")
        frame.planes[0].update(values.tobytes())
        for plane in frame.planes[1:]:
            plane.update(np.full((24, 32), 512, np.uint16).tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    identity = films.Identity()
    made = video.derain_film(
        tmp_path / "in.mkv",
        tmp_path / "out.mkv",
        identity,
        encoding=video.Encoding("ffv1"),
    )
    assert made.notes == () and identity.seen[0].dtype == np.uint16
    (frame,) = films.frames(tmp_path / "out.mkv")
    assert frame.format.name == "yuv420p10le"
    luma = np.frombuffer(bytes(frame.planes[0]), np.uint16).reshape(48, -1)[:, :64]
    # swscale's rounding to 16 bits and back; through 8 bits it were up to 2
    assert np.abs(luma.astype(int) - values).max() <= 1
    assert len(np.unique(luma)) > 800


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_h264_keeps_ten_bits_too(tmp_path, container):
    source = films.write(
        tmp_path / f"in.{container}", 2, pixel_format="yuv420p10le", sound=None
    )
    target = tmp_path / f"out.{container}"
    assert video.derain_film(source, target, films.Identity()).notes == ()
    assert films.frames(target)[0].format.name == "yuv420p10le"


def test_an_encoder_of_eight_bits_is_said(tmp_path):
    source = films.write(tmp_path / "in.mkv", 2, pixel_format="yuv420p10le", sound=None)
    made = video.derain_film(
        source,
        tmp_path / "out.mkv",
        films.Identity(),
        encoding=video.Encoding("mpeg4"),
    )
    assert made.notes == ("10 bits become 8: the encoder takes no more",)
    assert films.frames(tmp_path / "out.mkv")[0].format.name == "yuv420p"


@pytest.mark.parametrize("codec", [None, "libx265", "mpeg4", "libsvtav1"])
def test_odd_sizes_and_other_codecs(tmp_path, codec):
    size = (63, 65) if codec == "libsvtav1" else (47, 63)
    source = films.write(
        tmp_path / "in.mkv", 3, size, pixel_format="yuv444p", sound=None
    )
    if codec == "libsvtav1":  # which has no odd sizes in 4:2:0 of this version
        source = films.write(tmp_path / "in.mkv", 3, (64, 64), sound=None)
    video.derain_film(
        source,
        tmp_path / "out.mkv",
        films.Identity(),
        encoding=video.Encoding(codec),
    )
    before, after = films.pixels(source), films.pixels(tmp_path / "out.mkv")
    assert before.shape == after.shape
    # what the codings lose at their default quality; another frame is 40 levels off
    assert np.abs(after.astype(float) - before).mean() < 12


@pytest.mark.parametrize(
    ("name", "share", "least", "reason"),
    [
        ("in.mkv", 0.6, 20, "s at the end are missing (the file is cut off)"),
        ("in.webm", 0.6, 10, "s at the end are missing (the file is cut off)"),
        ("in.avi", 0.6, 1, "s at the end are missing (a packet is cut off)"),
    ],
)
def test_a_truncated_film_gives_what_is_there(tmp_path, name, share, least, reason):
    codec = {"in.webm": "libvpx-vp9", "in.avi": "mpeg4"}.get(name, "libx264")
    base = Fraction(1, 25 if name == "in.avi" else 1000)
    source = films.write(tmp_path / name, 50, codec=codec, base=base, sound=None)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(share * len(whole))])
    made = video.derain_film(source, tmp_path / "out.mkv", films.Identity())
    assert reason in made.problem
    assert least <= made.frames < 50
    assert len(films.frames(tmp_path / "out.mkv")) == made.frames


def test_damage_in_the_middle_is_said(tmp_path):
    source = films.write(tmp_path / "in.mp4", 50, sound=None)
    content = bytearray(source.read_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(len(content) // 4, len(content) // 2, 400):
        content[place] ^= 255
    source.write_bytes(content)
    made = video.derain_film(source, tmp_path / "out.mp4", films.Identity())
    assert "cannot be decoded" in made.problem
    assert len(films.frames(tmp_path / "out.mp4")) == made.frames < 50


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_no_half_film(tmp_path, error):
    source = films.write(tmp_path / "in.mp4")
    target = tmp_path / "out.mp4"
    target.write_text("of before")
    with pytest.raises(error):
        video.derain_film(source, target, films.Halver(fail_at=7, error=error))
    assert target.read_text() == "of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_sound_that_the_container_does_not_take_is_refused(tmp_path):
    source = films.write(tmp_path / "in.mp4")
    with pytest.raises(ValueError, match="webm cannot hold this film's sound .aac."):
        video.derain_film(source, tmp_path / "out.webm", films.Halver())
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("content", [b"", b"no film at all", None])
def test_what_is_no_film_is_refused(tmp_path, content):
    path = tmp_path / "in.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"in\.mp4"):
        video.derain_film(path, tmp_path / "out.mp4", films.Halver())
    assert not (tmp_path / "out.mp4").exists()


def test_progress_and_speed_are_told(tmp_path):
    source = films.write(tmp_path / "in.mp4")
    told, lines = [], []
    video.derain_film(
        source,
        tmp_path / "out.mp4",
        films.Halver(),
        progress=lambda *counts: told.append(counts),
        status=lines.append,
    )
    assert told == [(number, 16) for number in range(1, 17)] + [(1, 1)]
    assert lines[7].startswith("in.mp4: 8 of 16 frames, ")
    assert lines[7].endswith(" s left") and " frames/s, " in lines[7]


def test_frames_are_not_stored(tmp_path):
    """Each is written before much later ones are read: the encoder holds some back."""

    def noise(number, size):  # so that a frame fills some of the file's buffer
        rng = np.random.default_rng(number)
        return rng.integers(0, 256, (*size, 3), dtype=np.uint8)

    source = films.write(tmp_path / "in.mkv", 120, sound=None, make=noise)
    sizes = []

    class Watching(films.Identity):
        def derain_scene(self, scene, used):
            parts = list(tmp_path.glob(".*.mkv"))
            sizes.append(parts[0].stat().st_size if parts else 0)
            return super().derain_scene(scene, used)

    # 2: an encoder that looks ahead at no frames
    encoding = video.Encoding("mpeg4", 2)
    video.derain_film(source, tmp_path / "out.mkv", Watching(), encoding=encoding)
    assert sizes[110] > sizes[10]


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    source = films.write(tmp_path / "in.mp4", 2)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ImportError, match=r"tfderain\[video\]"):
        video.derain_film(source, tmp_path / "out.mp4", films.Halver())
