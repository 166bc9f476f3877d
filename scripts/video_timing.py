"""Frames per second of films: each preset and form, at the sizes of small cameras.

Part `video` of `benchmark.py`. `network` is the network alone, as films use it; `film`
is `video.derain_film` on a film of 16 frames: decoding, network and H.264.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tfderain import presets, runtime, video

SIZES = ((360, 640), (720, 1280))  # (height, width)
FORMS = {"LiteRT float32": "model.tflite", "LiteRT int8": "model_int8.tflite"}
FRAMES = 16


def measure_video(bench):
    """Frames/s of every preset that is here, or with `--quick` of the one asked for."""
    folders = [bench.preset] if bench.quick else preset_folders(bench)
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        for size in SIZES[:1] if bench.quick else SIZES:
            film = Path(folder) / "film.mp4"
            write_film(film, size)
            for preset in folders:
                for form, name in FORMS.items():
                    if (preset / name).is_file():
                        measure(bench, preset / name, form, film, size)


def preset_folders(bench):
    found = {path.name: path for path in map(presets.find, presets.available())}
    return list((found | {bench.preset.name: bench.preset}).values())


def measure(bench, model, form, film, size):
    """Adds a row: frames/s of the network and of the whole film."""
    restorer = runtime.Restorer(model)
    with video.reading.Source(film) as source:
        frames = [video.colours.to_pixels(x) for x in source.examples()[:3]]
    restore = runtime.FrameRestorer(restorer, frames)
    restore(frames[0])  # the first call plans
    seconds = []
    for frame in frames * (1 if bench.quick else 2):
        started = time.perf_counter()
        restore(frame)
        seconds.append(time.perf_counter() - started)
    made = video.derain_film(film, film.with_name("derained.mp4"), restorer)
    name = f"video, {model.parent.name} {form}, {size[1]}x{size[0]}"
    whole = f"{made.frames / made.seconds:.1f} frames/s"
    bench.add(name, f"{1 / np.median(seconds):.1f} frames/s (film {whole})")


def write_film(path, size):
    """A film that pans over a picture, so that it is not for nothing to encode."""
    av = video.colours.require_av()
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (size[0] // 16 + 8, size[1] // 16 + 8, 3), np.uint8)
    large = [side + 64 for side in size[::-1]]
    scene = np.asarray(Image.fromarray(coarse).resize(large, Image.Resampling.BICUBIC))
    noise = rng.integers(-12, 13, scene.shape)
    scene = np.clip(scene.astype(int) + noise, 0, 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, {"crf": "18"})
        stream.width, stream.height = size[::-1]
        for step in range(FRAMES):
            pixels = scene[2 * step :][: size[0], 3 * step : 3 * step + size[1]]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    print(
        f"film of {FRAMES} frames, {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr
    )
