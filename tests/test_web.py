"""The page in `web/`, in a real browser: same pixels as Python, no other host.

Needs Chromium and the built page (`make web-test` builds it), so it is left out of
`make test`; only the numbers that the page's own tests compare with are checked there.
"""

import base64
import functools
import http.server
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image, ImageOps

from tfderain import runtime

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "web"
EXAMPLES = ROOT / "examples" / "rainy"


def test_the_numbers_that_the_page_compares_with_are_current():
    path = WEB / "tests" / "make_tiling.py"
    spec = importlib.util.spec_from_file_location("make_tiling", path)
    make_tiling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_tiling)
    written = json.loads(path.with_name("tiling.json").read_text(encoding="utf-8"))
    assert written == make_tiling.numbers()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """The page from files, without any special header, and a REST back end."""

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        if self.path == "/v1/models":
            return self.answer({})  # a server that names nothing serves our network
        return super().do_GET()

    def do_POST(self):
        assert self.path == "/v1/models/resunet:predict"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (instance,) = json.loads(body)["instances"]
        rainy = Image.open(io.BytesIO(base64.b64decode(instance["b64"])))
        buffer = io.BytesIO()
        self.server.restorer.derain(rainy.convert("RGB")).save(buffer, "PNG")
        derained = base64.b64encode(buffer.getvalue()).decode()
        return self.answer({"predictions": [{"b64": derained}]})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def restorer():
    return runtime.Restorer("resunet")


@pytest.fixture(scope="module")
def page_restorer():
    return runtime.Restorer("resunet", tile=640, overlap=128)  # as src/tiling.js has it


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files that a person might drop on the page, by what they are."""
    folder = tmp_path_factory.mktemp("pictures")
    rocket = Image.open(EXAMPLES / "rocket.jpg")
    paths = {"photo": EXAMPLES / "rocket.jpg"}

    def save(what, name, image, **options):
        paths[what] = folder / name
        image.save(paths[what], **options)

    # Odd sizes; the first takes four tiles, the last is smaller than the stride.
    parts = [np.asarray(Image.open(EXAMPLES / f"{n}.jpg")) for n in ("cat", "rocket")]
    parts = [np.tile(part, (3, 2, 1))[:701, :451] for part in parts]
    save("tiles", "tiles.png", Image.fromarray(np.concatenate(parts, axis=1)))
    save("dot", "dot.png", rocket.crop((0, 0, 3, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    save("turned", "turned.jpg", rocket, exif=exif, quality=95)
    transparent = rocket.convert("RGBA")
    transparent.putalpha(Image.new("L", rocket.size, 255))
    transparent.paste((0, 0, 0, 0), (10, 20, 60, 50))
    save("transparent", "transparent.png", transparent)
    save("small", "small.png", rocket.crop((100, 50, 161, 97)))
    save("large", "large.jpg", rocket.resize((1920, 1080)))
    # Just above a megapixel, which is the page's limit.
    save("megapixel", "megapixel.png", rocket.resize((1200, 850)))
    save("clear", "clear.png", transparent.resize((1001, 1000)))
    save("chosen", "chosen.png", rocket.crop((200, 50, 261, 97)))
    for what, content in (
        ("broken", (EXAMPLES / "rocket.jpg").read_bytes()[:500]),
        ("empty", b""),
        ("huge", _png_head(30_000, 20_000)),
    ):
        paths[what] = folder / f"{what}.jpg"
        paths[what].write_bytes(content)
    return paths


def _png_head(width, height):
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size + bytes(100)


@pytest.fixture(scope="module")
def report(files, restorer, tmp_path_factory):
    """What `web/tests/drive.js` saw; every test below reads another part of it."""
    folder = tmp_path_factory.mktemp("report")
    handler = functools.partial(_Handler, directory=WEB / "dist")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.restorer = restorer
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # Another host as browsers see it, and one that would answer.
        elsewhere = f"http://localhost:{server.server_port}/"
        settings = {
            "url": f"http://127.0.0.1:{server.server_port}/",
            "elsewhere": elsewhere,
            "pictures": [
                str(files[what])
                for what in ("photo", "tiles", "dot", "turned", "transparent")
            ],
            **{what: str(files[what]) for what in ("small", "large")},
            **{what: str(files[what]) for what in ("broken", "empty", "huge")},
        }
        content = _drive("drive.js", folder, settings)
        server.shutdown()
    return content


@pytest.fixture(scope="module")
def served(files, tmp_path_factory):
    """What `web/tests/drive_server.js` saw of `tfderain serve --ui`."""
    code = "import sys; from tfderain.cli import main; sys.exit(main())"
    options = ["--ui", "--rest-only", "--port", "0", "--name", "rain"]
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", "resunet", *options],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            lines = process.stdout.readline() + process.stdout.readline()
            settings = {
                "url": re.search("page: (.*)", lines)[1],
                "large": str(files["megapixel"]),
                **{what: str(files[what]) for what in ("small", "clear", "chosen")},
            }
            folder = tmp_path_factory.mktemp("served")
            return _drive("drive_server.js", folder, settings)
        finally:
            process.terminate()


def _drive(script, folder, settings):
    """Runs one of the scripts in `web/tests/` and returns its report."""
    assert (WEB / "dist" / "index.html").is_file(), "Build the page first: `make web`."
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "Chromium must be on the path, or be named by CHROMIUM."
    path = folder / "settings.json"
    settings |= {"folder": str(folder), "chromium": chromium}
    path.write_text(json.dumps(settings), encoding="utf-8")
    command = ["node", WEB / "tests" / script, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    print(json.dumps(content, indent=2))  # with `pytest -s`
    content["net"] = json.loads((folder / "net.json").read_text(encoding="utf-8"))
    return content


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _difference(derained_file, rainy_file, restorer):
    """Largest difference in grey levels of 255."""
    derained = _pixels(derained_file).astype(int)
    expected = restorer.derain(_pixels(rainy_file)).astype(int)
    assert derained.shape == expected.shape
    return np.abs(derained - expected).max()


# 1 grey level: rounding.
@pytest.mark.web
@pytest.mark.parametrize("what", ["photo", "tiles", "dot", "turned"])
def test_pixels_are_those_of_python(report, files, page_restorer, what):
    derained = report["pictures"][str(files[what])]["file"]
    assert _difference(derained, files[what], page_restorer) <= 1


@pytest.mark.web
def test_transparency_is_kept(report, files, restorer):
    derained = report["pictures"][str(files["transparent"])]["file"]
    with Image.open(derained) as image, Image.open(files["transparent"]) as rainy:
        alpha = np.asarray(image.getchannel("A"))
        np.testing.assert_array_equal(alpha, np.asarray(rainy.getchannel("A")))


@pytest.mark.web
def test_the_server_gives_the_same_pixels(report, files, restorer):
    assert _difference(report["server"]["file"], files["photo"], restorer) <= 1


@pytest.mark.web
def test_large_photos_go_to_the_server_that_serves_the_page(served, files, restorer):
    large, small = "Large photos on the server (network rain)", "In this browser"
    assert served["choices"] == [large, small, "On the server (network rain)"]
    assert served["chosen"] == large
    assert "more than 1 megapixel are sent to the server" in served["note"]
    assert served["isolated"], "The server's headers let WebAssembly use threads."
    assert served["errors"] == []
    (sent,) = served["large"]["sent"]
    assert sent.endswith("/v1/models/rain:predict")
    assert "1200 × 850 pixels" in served["large"]["status"]
    assert served["large"]["status"].endswith(" s on the server")
    assert _difference(served["large"]["file"], files["megapixel"], restorer) == 0


@pytest.mark.web
def test_small_photos_stay_in_the_browser_unless_one_chooses(served, files, restorer):
    assert served["small"]["sent"] == []
    assert "server" not in served["small"]["status"]
    assert _difference(served["small"]["file"], files["small"], restorer) <= 1
    assert served["noteOfBrowser"].endswith("nothing is uploaded.")
    assert len(served["sent"]["sent"]) == 1
    assert _difference(served["sent"]["file"], files["chosen"], restorer) == 0


@pytest.mark.web
def test_the_choice_fits_a_phone(served):
    assert served["phoneWidth"] == 390  # no more than the window


@pytest.mark.web
def test_transparency_is_kept_by_way_of_the_server(served, files):
    assert len(served["clear"]["sent"]) == 1
    with Image.open(served["clear"]["file"]) as image:
        alpha = np.asarray(image.getchannel("A"))
    with Image.open(files["clear"]) as rainy:
        np.testing.assert_array_equal(alpha, np.asarray(rainy.getchannel("A")))


@pytest.mark.web
def test_bad_files_say_what_is_wrong(report):
    assert "not a picture that your browser can read" in report["broken"]["problem"]
    assert report["empty"]["problem"] == "The file is empty."
    assert "too large: 30000 × 20000 pixels" in report["huge"]["problem"]


@pytest.mark.web
def test_cancelling_leaves_the_page_usable(report):
    assert report["cancelled"] == "Cancelled."
    assert report["retried"]
    assert report["afterCancel"]["file"]


@pytest.mark.web
def test_several_files_wait_for_each_other(report):
    assert report["queue"] == ["rocket.jpg", "tiles.png"]
    assert report["shownByKey"] == "tiles.png"
    assert report["focusKept"]
    assert report["cleared"]


@pytest.mark.web
def test_the_page_answers_while_the_network_runs(report):
    # A tile takes longer than that, also on fast machines, if it blocks the page.
    assert report["responsive"] < 200  # milliseconds


@pytest.mark.web
def test_arrow_keys_move_the_dividing_line(report):
    slider = report["slider"]
    assert slider["before"] == "inset(0px 0px 0px 50%)"
    assert slider["after"] == "inset(0px 0px 0px 60%)"
    assert slider["text"] == "60 % before"


@pytest.mark.web
@pytest.mark.parametrize("seen", ["report", "served"])
def test_no_other_host_is_asked(seen, request):
    report = request.getfixturevalue(seen)
    logged = [event["params"] for event in report["net"]["events"] if "params" in event]
    # The browser asks for its own sake, too; what the page asks names it as initiator.
    (page,) = {
        params["initiator"]
        for params in logged
        if params.get("initiator", "").startswith("http://127.0.0.1")
    }
    asked = {p["url"] for p in logged if p.get("initiator") == page and "url" in p}
    assert any(url.endswith(".wasm") for url in asked), "Workers must be logged, too."
    requested = [line.split()[-1] for line in report["requests"]]
    urls = [url.removeprefix("blob:") for url in [*asked, *requested]]
    assert {urlsplit(url)._replace(path="").geturl() for url in urls} == {page}


@pytest.mark.web
def test_the_policy_forbids_other_hosts_in_page_and_workers(report):
    assert len(report["policy"]) == 2
    assert set(report["policy"]) == {"refused"}


@pytest.mark.web
def test_nothing_complains(report):
    assert report["errors"] == []


@pytest.mark.web
def test_the_page_works_without_a_network_and_gains_threads(report, files, restorer):
    assert report["isolatedLater"] is True
    assert _difference(report["offline"]["file"], files["photo"], restorer) <= 1


@pytest.mark.web
def test_a_graphics_card_gives_the_same_pixels(report, files, restorer):
    if not report["adapter"]:
        pytest.skip("This Chromium has no WebGPU in software.")
    # Software must lose the race against the processor.
    assert "graphics card" not in report["gpu"]["chosen"]["status"]
    assert "graphics card" in report["gpu"]["made"]["status"]
    assert _difference(report["gpu"]["made"]["file"], files["small"], restorer) <= 1
