"""Exports of a network for servers, devices and browsers, each verified by running it.

```python
from tfderain import export, models

model = models.load("menet")
export.to_saved_model(model, "serving/menet/1")  # TF Serving: image bytes, or floats
export.to_litert(model, "menet.tflite")  # runs without TensorFlow
export.to_litert(model, "int8.tflite", quantization="int8", representative=photos)
export.to_onnx(model, "menet.onnx")  # ONNX Runtime, OpenVINO
export.to_ffmpeg(model, "ffmpeg.pb")  # FFmpeg's filters
```

An export that can be loaded may still be wrong: variables that were left behind work in
Python but fail in the C++ server, or values turn into NaN on a device. So each written
file is run by the runtime it is meant for and compared with Keras; if it differs by
more than its format allows, nothing is kept.
"""

from tfderain.export.artefact import (
    BOUNDS,
    Artefact,
    Bound,
    deployable,
    measure,
    random_image,
    staged,
    total_bytes,
)
from tfderain.export.ffmpeg import NAMES as FFMPEG_NAMES
from tfderain.export.ffmpeg import run_ffmpeg, to_ffmpeg
from tfderain.export.litert import QUANTIZATIONS, run_litert, to_litert
from tfderain.export.onnx import run_onnx, run_openvino, to_onnx
from tfderain.export.preset import MAX_PRESET_BYTES, check_keras, export_preset
from tfderain.export.report import TARGETS, Exports, export_all, read_representative
from tfderain.export.saved_model import (
    run_saved_model,
    to_saved_model,
    write_saved_model,
)

__all__ = [
    "BOUNDS",
    "FFMPEG_NAMES",
    "MAX_PRESET_BYTES",
    "QUANTIZATIONS",
    "TARGETS",
    "Artefact",
    "Bound",
    "Exports",
    "check_keras",
    "deployable",
    "export_all",
    "export_preset",
    "measure",
    "random_image",
    "read_representative",
    "run_ffmpeg",
    "run_litert",
    "run_onnx",
    "run_openvino",
    "run_saved_model",
    "staged",
    "to_ffmpeg",
    "to_litert",
    "to_onnx",
    "to_saved_model",
    "total_bytes",
    "write_saved_model",
]
