"""Preview: a page that shows a live film, without a window (MJPEG over HTTP).

```python
with Preview(8080) as preview:  # http://127.0.0.1:8080/
    live.derain_live(camera, restorer, [preview])
```
"""

import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from tfderain import images

PAGE = b"""<!doctype html><meta charset="utf-8"><title>tfderain</title>
<style>body { margin: 0; background: #111; color: #ccc; font: 14px sans-serif }
img { max-width: 100vw; max-height: 95vh; display: block; margin: auto }
p { text-align: center; margin: 4px }</style>
<img src="stream" alt="the derained film"><p id="late"></p>
<script>setInterval(async () => {
  late.textContent = await (await fetch("status")).text() }, 1000)</script>
"""
_BOUNDARY = "frame"
_QUALITY = 85  # of JPEG


class Preview:
    """A server of one page with the film, for any number of browsers.

    Each browser gets the newest frame as soon as it has taken the one before.

    Args:
        port: int; 0 for any that is free.
        host: address to listen at; by default this machine alone.

    Attributes:
        url: str, of the page.
    """

    def __init__(self, port: int, host: str = "127.0.0.1"):
        self._changed = threading.Condition()
        self._number, self._jpeg, self._late, self._watchers = 0, b"", 0.0, 0
        self._closed = False
        preview = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                preview._answer(self)

            def log_message(self, *_):
                """Says nothing: stderr is for the progress."""

        self.server = ThreadingHTTPServer((host, port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{host}:{self.server.server_address[1]}/"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def __call__(self, pixels: np.ndarray, frame: Any, when: float):
        """Shows a frame, see `live.derain_live`."""
        with self._changed:
            self._late = time.monotonic() - when
            if not self._watchers:  # nobody looks: no JPEG is made
                return
        file = io.BytesIO()
        Image.fromarray(images.to_uint8(pixels)).save(file, "JPEG", quality=_QUALITY)
        with self._changed:
            self._number, self._jpeg = self._number + 1, file.getvalue()
            self._changed.notify_all()

    def _answer(self, request):
        path = request.path.partition("?")[0].strip("/")
        if path == "stream":
            self._stream(request)
        elif path == "status":
            line = f"{1000 * self._late:.0f} ms late".encode()
            _send(request, 200, "text/plain; charset=utf-8", line)
        elif not path:
            _send(request, 200, "text/html; charset=utf-8", PAGE)
        else:
            _send(request, 404, "text/plain; charset=utf-8", b"not found")

    def _stream(self, request):
        request.send_response(200)
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        request.send_header("Content-Type", kind)
        request.send_header("Cache-Control", "no-store")
        request.end_headers()
        seen = 0
        with self._changed:
            self._watchers += 1
        try:
            while (found := self._next(seen)) is not None:
                seen, jpeg = found
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                head += f"Content-Length: {len(jpeg)}\r\n\r\n"
                request.wfile.write(head.encode() + jpeg + b"\r\n")
        except OSError:  # the browser has left
            pass
        finally:
            with self._changed:
                self._watchers -= 1

    def _next(self, seen):
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number != seen)
            return None if self._closed else (self._number, self._jpeg)


def _send(request, code, kind, content):
    request.send_response(code)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)
