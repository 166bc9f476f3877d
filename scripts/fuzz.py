"""Fuzzing: mutated pictures through `derain`, mutated requests through the server.

```console
python scripts/fuzz.py --pictures 1000 --rest 200 --grpc 100 --corpus photos/
```

Hypothesis draws the mutations and shrinks failing inputs. Networks do not take part:
pictures are only halved, since this tests the handling of files and formats. Each input
must lead to a complete output that can be read again, or to one line that says what is
wrong and no output; within `SECONDS`, and within `MEMORY` of address space.
"""

import argparse
import base64
import collections
import faulthandler
import io
import json
import os
import pathlib
import resource
import struct
import tempfile
import time
import warnings
import zlib

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from tfderain import batch, images, runtime, serving

SECONDS = 20  # for one input; a machine may be busy
MEMORY = 6 * 2**30  # bytes of address space, of which TensorFlow Serving's stubs map
MAX_PIXELS = 100_000
PORTION = 100  # inputs between checks of the clock
SUFFIXES = (".png", ".jpg", ".webp", ".tif", ".gif", ".bmp", ".ppm", ".avif")
FORMATS = (None, "png", "jpg", "webp")
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


# Valid inputs


def exif():
    """An EXIF block with tags of every type, including its sub-blocks."""
    block = Image.Exif()
    block[0x0112] = 6
    block[0x010F] = "Camera"
    block[0x011A] = 72.5
    block.get_ifd(0x8769)[0x9003] = "2024:02:29 12:00:00"
    block.get_ifd(0x8769)[0x927C] = b"\0\1\2maker"
    block.get_ifd(0x8825)[1] = "N"
    block.get_ifd(0x8825)[6] = 12.25
    return block.tobytes()


def pictures(corpus=None):
    """Files of every format, mode and odd size, and those of a folder."""
    rng = np.random.default_rng(0)
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "rain", zip=True)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    about = {"exif": exif(), "icc_profile": icc, "dpi": (72, 72)}
    options = {"PNG": {"pnginfo": text, **about}, "JPEG": about, "WEBP": about}
    options |= {"TIFF": {"compression": "tiff_lzw"}, "AVIF": {"exif": exif()}}
    modes = {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "WEBP": ("RGB", "RGBA"),
        "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
        "GIF": ("L", "P"),
        "BMP": ("1", "L", "P", "RGB", "RGBA"),
        "PPM": ("1", "L", "RGB"),
        "AVIF": ("RGB", "RGBA"),
    }
    found = []
    for kind, names in modes.items():
        for number, mode in enumerate(names):
            size = ((1, 1), (7, 5), (33, 18))[number % 3]
            pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
            image = Image.fromarray(pixels)
            if mode in ("I;16", "I", "F"):
                deep = pixels[..., 0].astype(np.uint16) * 200
                image = (
                    Image.fromarray(deep).convert(mode)
                    if mode != "I;16"
                    else (Image.fromarray(deep))
                )
                image = image.point(lambda v: v * (1 / 65535)) if mode == "F" else image
            else:
                image = image.convert(mode)
            file = io.BytesIO()
            image.save(file, kind, **options.get(kind, {}))
            found.append(file.getvalue())
    paths = pathlib.Path(corpus).rglob("*") if corpus else ()
    small = (p for p in sorted(paths) if p.is_file() and p.stat().st_size < 200_000)
    return found + [path.read_bytes() for path in small if path.suffix != ".md"]


# Mutations

mutation = st.one_of(
    st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
    st.tuples(st.just("byte"), st.floats(0, 1), st.integers(0, 255)),
    st.tuples(st.just("number"), st.floats(0, 1), st.sampled_from(NUMBERS)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.integers(1, 64)),
    st.tuples(st.just("repeat"), st.floats(0, 1), st.integers(1, 64)),
    st.tuples(st.just("end"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("head"), st.floats(0, 0.02), st.integers(0, 255)),
    st.tuples(st.just("splice"), st.floats(0, 1), st.integers(0, 1000)),
)
mutations = st.lists(mutation, min_size=1, max_size=6)


def mutated(data, changes, others):
    """Bytes after some changes; places are fractions of the length."""
    data = bytearray(data)
    for kind, part, value in changes:
        place = min(int(part * len(data)), max(len(data) - 1, 0))
        if kind == "flip" and data:
            data[place] ^= 1 << value
        elif kind in ("byte", "head") and data:
            data[place] = value
        elif kind == "number":
            order = "<" if value % 2 else ">"
            data[place : place + 4] = struct.pack(f"{order}I", value)
        elif kind == "cut":
            del data[place : place + value]
        elif kind == "repeat":
            data[place:place] = data[place : place + value] * 3
        elif kind == "end":
            del data[place:]
        elif kind == "splice":
            data[place:] = others[value % len(others)][place:]
    return bytes(data)


def with_checksums(data):
    """A PNG file whose chunks have correct checksums, so that readers continue."""
    if not data.startswith(b"\x89PNG"):
        return data
    made, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        chunk = data[place + 4 : place + 8 + length]
        made += struct.pack(">I", length) + chunk + struct.pack(">I", zlib.crc32(chunk))
        place += 12 + length
    return bytes(made)


def with_exif(block, kind):
    """A picture with a given EXIF block, valid or not."""
    file = io.BytesIO()
    Image.new("RGB", (9, 6), (90, 120, 60)).save(file, kind, exif=block)
    return file.getvalue()


# What must be true


class Halver:
    """Takes the place of a network."""

    stride = 1

    def __init__(self, *_, **__):
        pass

    def derain(self, pixels, progress=None, alpha=None):
        return pixels // 2 if pixels.dtype.kind == "u" else pixels / 2


class Watch:
    """Counts the outcomes of inputs; ends the process with a stack if one hangs."""

    def __init__(self):
        self.ends = collections.Counter()
        self.slowest = 0.0

    def __enter__(self):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        self.started = time.monotonic()

    def __exit__(self, *_):
        faulthandler.cancel_dump_traceback_later()
        self.slowest = max(self.slowest, time.monotonic() - self.started)


def check_picture(data, suffix, form, watch):
    """Derains one file, and checks what is left behind."""
    with tempfile.TemporaryDirectory() as folder, watch:
        inputs, out = os.path.join(folder, "in"), os.path.join(folder, "out")
        os.mkdir(inputs)
        with open(os.path.join(inputs, f"a{suffix}"), "wb") as file:
            file.write(data)
        said = []
        summary = batch.derain_files(
            *([inputs], out, Halver()),
            format=form,
            compare=True,
            max_pixels=MAX_PIXELS,
            say=said.append,
        )
        left = sorted(os.listdir(out)) if os.path.isdir(out) else []
        assert all("\n" not in line for line in said), said
        if summary.failed:
            ((_, message),) = summary.failed
            assert message and left == [], (message, left)
            watch.ends["refused"] += 1
            return
        assert summary.done == 1 and len(left) == 2, (summary, left)
        (target,) = (name for name in left if "compare" not in name)
        made = images.read(os.path.join(out, target))
        given = images.read(os.path.join(inputs, f"a{suffix}"), max_pixels=MAX_PIXELS)
        assert made.pixels.shape[:2] == given.pixels.shape[:2]
        watch.ends["derained"] += 1


def run(count, seed, until, test, *strategies):
    """Runs `test` on `count` draws, as long as there is time.

    An error is shown with the smallest input that causes it.
    """
    for first in range(0, count, PORTION):
        if time.monotonic() > until:
            return
        decorated = settings(
            max_examples=min(PORTION, count - first),
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )(given(*strategies)(test))
        hypothesis.seed(seed * 1_000_000 + first)(decorated)()


def fuzz_pictures(count, seed, until, corpus):
    """Mutated files, and mutated EXIF in intact ones."""
    seeds, block, watch = pictures(corpus), exif(), Watch()
    kinds = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif"}

    def file(index, changes, suffix, form, repaired):
        data = mutated(seeds[index % len(seeds)], changes, seeds)
        check_picture(with_checksums(data) if repaired else data, suffix, form, watch)

    def tags(changes, kind, form):
        try:
            data = with_exif(mutated(block, changes, [block]), kind)
        except Exception:  # Pillow cannot write it
            watch.ends["not written"] += 1
            return
        check_picture(data, kinds[kind], form, watch)

    forms, index = st.sampled_from(FORMATS), st.integers(0, 10_000)
    suffix = st.sampled_from(SUFFIXES)
    kind = st.sampled_from(list(kinds))
    quarter = time.monotonic() + (until - time.monotonic()) / 4
    run(count // 4, seed, quarter, tags, mutations, kind, forms)
    drawn = index, mutations, suffix, forms, st.booleans()
    run(count - count // 4, seed, until, file, *drawn)
    return watch


def fuzz_rest(server, count, seed, until):
    """Mutated JSON: misplaced values, and bytes that are not JSON."""
    import httpx

    watch, seeds = Watch(), pictures()
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    scalars |= st.sampled_from(("\ud800", "tensor", "serving_default", "serve"))
    files = st.builds(
        lambda index, changes: {
            "b64": base64.b64encode(
                mutated(seeds[index % len(seeds)], changes, seeds)
            ).decode()
        },
        *(st.integers(0, 1000), mutations),
    )
    values = st.recursive(
        scalars | files,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(("b64", "rainy", "rainy_bytes")) | st.text(), inner
            )
        ),
        max_leaves=12,
    )
    keys = ("instances", "inputs", "signature_name")
    documents = st.dictionaries(st.sampled_from(keys) | st.text(), values, max_size=4)
    instances = st.fixed_dictionaries({"instances": st.lists(files, max_size=3)})

    with httpx.Client(base_url=server.rest_address, timeout=SECONDS) as client:

        def post(document, changes):
            body = json.dumps(document).encode()
            if changes:
                body = mutated(body, changes, [body])
            with watch:
                answer = client.post("/v1/models/fuzz:predict", content=body)
            assert answer.status_code in (200, 400, 408, 413, 503), answer.text
            assert answer.status_code == 200 or answer.json()["error"]
            watch.ends[answer.status_code] += 1

        changes = st.just([]) | mutations
        run(count, seed, until, post, documents | instances, changes)
        good = {"instances": [{"b64": base64.b64encode(seeds[4]).decode()}]}
        assert client.post("/v1/models/fuzz:predict", json=good).status_code == 200
    return watch


def fuzz_grpc(server, count, seed, until):
    """Mutated messages of `Predict`."""
    import grpc

    from tfderain.serving import protos

    watch, seeds, messages = Watch(), pictures(), protos.load()
    made = []
    for data in seeds:
        request = messages.PredictRequest()
        request.model_spec.name = "fuzz"
        tensor = request.inputs["rainy_bytes"]
        tensor.dtype = 7  # DT_STRING
        tensor.tensor_shape.dim.add().size = 1
        tensor.string_val.append(data)
        made.append(request.SerializeToString())
    floats = messages.PredictRequest()
    floats.model_spec.name, floats.model_spec.signature_name = "fuzz", "tensor"
    tensor = floats.inputs["rainy"]
    tensor.dtype = 1  # DT_FLOAT
    for size in (1, 2, 3, 3):
        tensor.tensor_shape.dim.add().size = size
    tensor.tensor_content = np.zeros((1, 2, 3, 3), np.float32).tobytes()
    made += [floats.SerializeToString()] * 10

    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

        def send(index, changes):
            body = mutated(made[index % len(made)], changes, made)
            with watch:
                try:
                    call(body, timeout=SECONDS)
                    code = "OK"
                except grpc.RpcError as error:
                    code = error.code().name
                    assert code in ("INVALID_ARGUMENT", "NOT_FOUND"), error
            watch.ends[code] += 1

        run(count, seed, until, send, st.integers(0, 10_000), mutations)
        call(made[4], timeout=SECONDS)
    return watch


def parse(arguments=None):
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=7000)
    parser.add_argument("--rest", type=int, default=2000)
    parser.add_argument("--grpc", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10, help="for each part")
    parser.add_argument("--corpus", help="folder with further pictures to mutate")
    return parser.parse_args(arguments)


def show(name, watch):
    """Prints the figures of one part."""
    ends = ", ".join(
        f"{count} {end}" for end, count in sorted(watch.ends.items(), key=str)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name}: {sum(watch.ends.values())} inputs ({ends}); "
        f"slowest {watch.slowest:.2f} s, memory at most {peak:.0f} MiB",
        flush=True,
    )


def main(arguments=None):
    """Runs the command line."""
    args = parse(arguments)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")

    def settings_of(count):
        return count, args.seed, time.monotonic() + 60 * args.minutes

    if args.pictures:
        made = fuzz_pictures(*settings_of(args.pictures), args.corpus)
        show("pictures", made)
    runtime.Restorer = Halver
    options = serving.Settings(
        port=0,
        grpc_port=0,
        name="fuzz",
        workers=1,
        max_bytes=1_000_000,
        max_pixels=MAX_PIXELS,
    )
    if args.rest or args.grpc:
        with serving.Server("menet", options) as server:
            if args.rest:
                show("REST", fuzz_rest(server, *settings_of(args.rest)))
            if args.grpc:
                show("gRPC", fuzz_grpc(server, *settings_of(args.grpc)))


if __name__ == "__main__":
    main()
