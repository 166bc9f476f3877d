"""Films of a few small frames that tests of video share, and what is in a film."""

from fractions import Fraction

import av
import numpy as np

CHAPTERS = [(0, 300, "one"), (300, 640, "two")]
RATE = 48_000  # of the sound


def scene(number, size=(48, 64), seed=0):
    """A `uint8` picture: blocks that move with the number of the frame."""
    rng = np.random.default_rng(seed)
    height, width = size
    blocks = rng.integers(16, 240, (height // 8 + 3, width // 8 + 3, 3))
    large = np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)
    step = number % 8
    return np.ascontiguousarray(large[step : step + height, step : step + width])


def write(
    path,
    count=16,
    size=(48, 64),
    codec="libx264",
    pixel_format="yuv420p",
    times=None,
    base=Fraction(1, 12800),
    sound="aac",
    subtitles=False,
    rotation=None,
    colours=(1, 1, 1, 1),
    make=scene,
):
    """Writes a film at 25 frames/s, or with frames at `times` (in units of `base`)."""
    lossless = {"libx264": {"crf": "0"}, "libx265": {"x265-params": "log-level=none"}}
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, 25, lossless.get(codec), time_base=base)
        context = video.codec_context
        video.width, video.height, video.pix_fmt = *size[::-1], pixel_format
        context.color_primaries, context.color_trc = colours[:2]
        context.colorspace, context.color_range = colours[2:]
        if rotation is not None:
            video.set_display_rotation(rotation)
        video.metadata["title"] = "the rain"
        if sound:
            audio = container.add_stream(sound, RATE)
            audio.metadata["language"] = "fre"
        if subtitles:
            text = container.add_mux_stream("subrip", time_base=Fraction(1, 1000))
            text.metadata["language"] = "ger"
        container.metadata["title"] = "Rain"
        container.set_chapters(
            [
                {
                    "id": number,
                    "start": start,
                    "end": end,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": title},
                }
                for number, (start, end, title) in enumerate(CHAPTERS, 1)
            ]
        )
        if subtitles:
            packet = av.Packet(b"It rains.")
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = 100
            packet.duration = 200
            container.mux(packet)
        sent = 0
        for number in range(count):
            rgb = av.VideoFrame.from_ndarray(make(number, size), format="rgb24")
            # 10: swscale's bicubic way with exact rounding and all of the chroma
            frame = rgb.reformat(
                format=pixel_format, dst_colorspace="ITU709", interpolation=4 | 0x40000
            )
            frame.pts = times[number] if times else round(number / 25 / base)
            frame.time_base = base
            container.mux(video.encode(frame))
            while sound and sent < (number + 1) * RATE / 25:
                container.mux(audio.encode(tone(sent)))
                sent += 960
        container.mux(video.encode(None))
        if sound:
            container.mux(audio.encode(None))
    return path


def tone(start, count=960):
    wave = 0.3 * np.sin(np.arange(start, start + count) / 10, dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
    return frame


def frames(path):
    """All `av.VideoFrame`s of a film."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def pixels(path):
    """All frames as RGB, `uint8` `(count, height, width, 3)`."""
    exact = {"interpolation": 4 | 0x40000 | 0x2000 | 0x4000}
    return np.stack(
        [frame.reformat(format="rgb24", **exact).to_ndarray() for frame in frames(path)]
    )


def times(path):
    return [frame.pts * frame.time_base for frame in frames(path)]


def packets(path, kind):
    """Bytes and seconds of the packets of the first stream of a kind."""
    with av.open(str(path)) as container:
        (stream, *_) = [s for s in container.streams if s.type == kind]
        return [
            (bytes(packet), packet.pts * packet.time_base)
            for packet in container.demux(stream)
            if packet.size
        ]


class Halver:
    """Stands in for `runtime.Restorer`: halves all values, and keeps what it saw."""

    def __init__(self, fail_at=None, error=KeyboardInterrupt):
        self.seen, self.fail_at, self.error = [], fail_at, error

    def sizes_used(self, scene):
        return (True,)

    def keep_sizes(self, count):
        pass

    def derain_scene(self, scene, used):
        if len(self.seen) == self.fail_at:
            raise self.error
        self.seen.append(scene)
        return scene // 2


class Identity(Halver):
    """Leaves frames as they are."""

    def derain_scene(self, scene, used):
        self.seen.append(scene)
        return scene.copy()
