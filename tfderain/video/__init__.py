"""Films and cameras: frames in, derained frames out, in their own time (PyAV).

Modules: `films` (a file into a file), `formats` (known names), `reading`, `writing`,
`encoders` (codec, quality, pixel format), `colours` (frames to pixels and back),
`temporal` (neighbouring frames), `live` (cameras and streams), `preview` (a page).
Importing them loads neither PyAV nor OpenCV nor TensorFlow.
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "colours": (),
        "encoders": ("Encoding",),
        "films": ("Film", "derain_film"),
        "formats": ("EXTENSIONS", "FORMATS", "is_film", "is_live"),
        "live": ("Camera", "Live", "Recording", "derain_live"),
        "preview": ("Preview",),
        "reading": (),
        "temporal": ("ALIGNMENTS",),
        "writing": (),
    },
)
