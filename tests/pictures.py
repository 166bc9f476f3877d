"""Pixels, pictures and metadata that the tests of images share."""

import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
DEEP = np.array([[0, 1, 255, 256], [32767, 32768, 65534, 65535]], np.uint16)


def photo(height=96, width=120, channels=3, seed=0):
    """Smooth coloured ramps with texture, away from black and white."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0.15, 0.6, width, dtype=np.float32)[None, :, None]
    tone = rng.uniform(0.7, 1.1, channels).astype(np.float32)
    texture = rng.uniform(-0.05, 0.05, (height, width, channels))
    return np.clip(ramp * tone + texture.astype(np.float32), 0, 1)


def save(path, pixels, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def camera_exif(orientation=1):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x9003] = "2024:02:29 12:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()


def parse(exif):
    parsed = Image.Exif()
    parsed.load(exif)
    return parsed


def png(width, height, depth, color, rows):
    """A PNG of kinds that Pillow reads but does not write."""

    def chunk(name, data):
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def size_of(path):
    with Image.open(path) as image:
        image.load()
        return image.size
