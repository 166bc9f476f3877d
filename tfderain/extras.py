"""Extras: optional packages, imported where they are used, and one error without them.

```python
ndimage = extras.require("scipy.ndimage", extra="analysis")
```
"""

import contextlib
import importlib
import importlib.util
import types

from tfderain import errors

TENSORFLOW = ("keras", "tensorboard", "tensorflow", "tensorflow_serving")


@contextlib.contextmanager
def with_tensorflow():
    """Names the extra `tensorflow` where its packages are not installed.

    Raises:
        ImportError: instead of the `ModuleNotFoundError` for one of them.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in TENSORFLOW:
            raise
        raise _missing("TensorFlow and Keras", "tensorflow", error) from error


def require(*modules: str, extra: str) -> types.ModuleType:
    """Imports modules of optional packages and returns the first.

    Args:
        modules: names as after `import`, e.g. `"sklearn.manifold"`.
        extra: tfderain's extra that installs them, such as `"analysis"` or `"onnx"`.

    Raises:
        ImportError: one of them is missing or cannot be loaded; names the extra. The
            command line exits with 1.
    """
    try:
        return [importlib.import_module(module) for module in modules][0]
    except ImportError as error:
        packages = ", ".join(dict.fromkeys(name.partition(".")[0] for name in modules))
        raise _missing(packages, extra, error) from error


def installed(*packages: str) -> bool:
    """Returns whether all these packages are installed, without importing them."""
    return all(importlib.util.find_spec(package) for package in packages)


def _missing(packages, extra, error):
    return ImportError(
        f'This needs {packages}; install with `pip install "tfderain[{extra}]"`. '
        f"Received: {errors.reason(error)}."
    )
