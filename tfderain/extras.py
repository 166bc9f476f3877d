"""Extras: optional packages, imported where they are used, and one error without them.

```python
ndimage = extras.require("scipy.ndimage", extra="analysis")
```
"""

import importlib
import importlib.util
import types

from tfderain import errors


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
        raise ImportError(
            f'This needs {packages}; install with `pip install "tfderain[{extra}]"`. '
            f"Received: {errors.reason(error)}."
        ) from error


def installed(*packages: str) -> bool:
    """Returns whether all these packages are installed, without importing them."""
    return all(importlib.util.find_spec(package) for package in packages)
