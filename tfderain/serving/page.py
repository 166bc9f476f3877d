"""Page of `web/`, as built by `make web`, served beside the REST API.

```python
serving.Settings(ui=serving.PAGE)  # or the folder of a copy
```
"""

import os
from pathlib import Path

# In a checkout; an installed package has no page, which is larger than all the rest.
PAGE = Path(__file__).resolve().parents[2] / "web" / "dist"

HEADERS = {
    # With these two, browsers let WebAssembly use threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    # Browsers ask whether the page has changed; what has not is not sent again.
    "Cache-Control": "no-cache",
}
# Operating systems disagree on these types; browsers insist on the first two.
TYPES = {
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
}


def check(folder: str | os.PathLike) -> Path:
    """Returns the folder of a built page.

    Raises:
        ValueError: there is no page in it.
    """
    # The page's sources also have an index.html.
    if not Path(folder, "index.html").is_file() or Path(folder, "src").exists():
        raise ValueError(
            "`ui` must be the folder of the built page. In a checkout of tfderain, "
            "`make web` builds web/dist (Node.js 20 and npm); elsewhere --ui-dir "
            f"names a copy of it. Received: {folder}."
        )
    return Path(folder)


def files(folder: str | os.PathLike):
    """Returns the ASGI application that serves the files of the page."""
    from starlette.staticfiles import StaticFiles

    class Page(StaticFiles):
        """The files of a folder, with `HEADERS` and the media types of `TYPES`."""

        async def get_response(self, path, scope):
            response = await super().get_response(path, scope)
            response.headers.update(HEADERS)
            if kind := TYPES.get(Path(path).suffix):
                response.headers["Content-Type"] = kind
            return response

    return Page(directory=folder, html=True)
