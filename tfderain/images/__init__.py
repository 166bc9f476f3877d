"""Images, read and written: the only place that deals with bytes and file formats.

```python
picture = images.read("photo.jpg")  # picture.pixels: uint8 (height, width, 3)
images.write("derained.png", picture, derained)
```

Pixels stay `uint8` (`uint16` for 16-bit greyscale) until a tile goes through a
network, so that a picture of 7680x4320 takes 100 MB rather than 400 MB.
"""

from tfderain.images.exif import orientation, turned
from tfderain.images.folders import find_images, natural_key
from tfderain.images.hidden import Scene, find_scene
from tfderain.images.like import Like, store
from tfderain.images.picture import (
    EXTENSIONS,
    FORMATS,
    MAX_PIXELS,
    ImageError,
    Picture,
    TooLarge,
)
from tfderain.images.pixels import from_float, to_float, to_rgb, to_uint8
from tfderain.images.reading import decode, from_pil, opened, read, read_rgb
from tfderain.images.strips import before_after
from tfderain.images.writing import compare, encode, to_pil, write

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "MAX_PIXELS",
    "ImageError",
    "Like",
    "Picture",
    "Scene",
    "TooLarge",
    "before_after",
    "compare",
    "decode",
    "encode",
    "find_images",
    "find_scene",
    "from_float",
    "from_pil",
    "natural_key",
    "opened",
    "orientation",
    "read",
    "read_rgb",
    "store",
    "to_float",
    "to_pil",
    "to_rgb",
    "to_uint8",
    "turned",
    "write",
]
