"""Winograd convolutions: faster 3x3 convolutions for training on CPUs.

```python
winograd.use(True)  # compiles winograd.cc once, a quarter of a minute
model.fit(...)      # 3x3 convolutions of `ConvNorm` now take a third of the time
```

`winograd.cc` is a TensorFlow operation with its gradients. It needs a C++ compiler
(`g++`, or the one named by CXX) and is cached below `~/.cache/tfderain` (or
XDG_CACHE_HOME), under a hash of everything it is made from: source, flags, compiler,
TensorFlow and processor. It sums in a different order than TensorFlow, so that results
differ by about 1e-5 of the largest value. XLA cannot compile it.

Reference: Lavin and Gray, 2016, https://arxiv.org/abs/1509.09308
"""

import functools
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import warnings
from typing import Any

from tfderain import files

SOURCE = pathlib.Path(__file__).with_suffix(".cc")
# No -ffast-math: with -shared it links code that makes the whole process that loads the
# library flush subnormal numbers to zero, and it gains nothing here: the loops are
# written in vectors of eight, and multiply-adds are fused without it.
FLAGS = ("-O3", "-march=native", "-Wall", "-Wextra", "-shared", "-fPIC")
LANES = 8  # channels and filters must be multiples of it

_wanted = False


def use(wanted: bool):
    """Chooses, for graphs traced from now on, what computes 3x3 convolutions.

    Args:
        wanted: bool. `True` compiles the operation if that has not been done yet.

    Returns:
        bool, the previous choice.

    Raises:
        RuntimeError: there is no compiler, or it fails.
    """
    global _wanted
    if wanted:
        operations()
    before, _wanted = _wanted, bool(wanted)
    return before


def suits(inputs: Any, kernel: Any):
    """Whether `convolve` is wanted and applicable: float32, 3x3, whole lanes."""
    return (
        _wanted
        and tuple(kernel.shape[:2]) == (3, 3)
        and not (kernel.shape[2] % LANES or kernel.shape[3] % LANES)
        and inputs.dtype == kernel.dtype == "float32"
    )


def convolve(inputs: Any, kernel: Any):
    """A convolution with zero padding and stride 1, with gradients for both.

    Args:
        inputs: `(batch, height, width, channels)` float32.
        kernel: `(3, 3, channels, filters)` float32; channels and filters are
            multiples of 8.

    Returns:
        `(batch, height, width, filters)` float32.
    """
    return operations().tfderain_winograd_conv(inputs, kernel)


@functools.cache
def operations():
    """The compiled operations, see `use`."""
    import tensorflow as tf

    library = tf.load_op_library(str(compiled()))

    @tf.RegisterGradient("TfderainWinogradConv")
    def gradients(operation, gradient):
        return library.tfderain_winograd_conv_grad(*operation.inputs, gradient)

    return library


def compiled():
    """Path of the compiled library, which is compiled if necessary."""
    compiler = shutil.which(os.environ.get("CXX") or "g++")
    if compiler is None:
        raise RuntimeError(
            "Winograd's convolutions need a C++ compiler: install g++ or set CXX. "
            f"Received: CXX={os.environ.get('CXX')!r}."
        )
    flags = [*FLAGS, *_tensorflow_flags()]
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    path = pathlib.Path(cache, "tfderain", f"{_content(compiler, flags)}.so")
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        # libraries come after the source that needs them
        command = [compiler, str(SOURCE), "-o", str(temporary), *flags]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(
                f"Winograd's convolutions could not be compiled. Received: "
                f"{' '.join(command)}\n{made.stderr.strip()[-2000:]}"
            )
        if made.stderr.strip():
            warnings.warn(made.stderr.strip()[-2000:], RuntimeWarning, stacklevel=2)
    return path


def _tensorflow_flags():
    """TensorFlow's flags; warnings about its headers are not ours to fix."""
    import tensorflow as tf

    system = [
        re.sub("^-I", "-isystem", flag) for flag in tf.sysconfig.get_compile_flags()
    ]
    return [*system, *tf.sysconfig.get_link_flags()]


def _content(compiler, flags):
    """A hash of everything that the library is made from, 16 hex digits."""
    import tensorflow as tf

    asked = [compiler, "--version"]
    version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    parts = (SOURCE.read_text(), flags, compiler, version, tf.__version__)
    return hashlib.sha256(repr((*parts, _processor())).encode()).hexdigest()[:16]


def _processor():
    """What `-march=native` depends on: another processor may lack instructions."""
    info = pathlib.Path("/proc/cpuinfo")
    if not info.is_file():
        return ""
    lines = info.read_text().splitlines()
    return sorted({line for line in lines if line.startswith(("flags", "model name"))})
