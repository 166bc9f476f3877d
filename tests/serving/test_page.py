"""Page of the server, beside the REST API: its files, and what it has not."""

import pathlib

import httpx
import pytest
from serving_clients import b64, encode, photo, predict, unb64

from tfderain import serving

PRESET = pathlib.Path(__file__).parents[2] / "savedmodels" / "menet"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with files of the kinds that the page has."""
    folder = tmp_path_factory.mktemp("page")
    names = ("index.html", "sw.js", "assets/style.css", "litert/a.wasm", "m.tflite")
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="module")
def page(built):
    options = serving.Settings(port=0, grpc_port=None, workers=1, threads=1, ui=built)
    with (
        serving.Server(PRESET, options) as server,
        httpx.Client(base_url=server.rest_address, timeout=60) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("path", "file", "kind"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/sw.js", "sw.js", "text/javascript"),
        ("/assets/style.css", "assets/style.css", "text/css; charset=utf-8"),
        ("/litert/a.wasm", "litert/a.wasm", "application/wasm"),
        ("/m.tflite", "m.tflite", "application/octet-stream"),
    ],
)
def test_files_of_the_page_let_browsers_use_threads(page, path, file, kind):
    answer = page.get(path)
    assert (answer.status_code, answer.text) == (200, file)
    again = page.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.text) == (304, "")
    for headers in (answer.headers, again.headers):
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert answer.headers["content-type"] == kind


def test_the_page_leaves_the_api_as_it_is(page):
    assert page.get("/v1/models").json()["models"][0]["name"] == "menet"
    assert page.get("/v1/modules/menet").json() == {
        "error": "Malformed request: GET /v1/modules/menet"
    }
    assert page.get("/v1/models/other").status_code == 404
    assert page.get("/healthz").json() == {"status": "ok"}
    body = {"instances": [b64(encode(photo(4, 6)))]}
    assert unb64(*predict(page, **body)["predictions"]).shape == (4, 6, 3)


@pytest.mark.parametrize(
    "path", ["/missing.js", "/assets/", "/%2e%2e/secret.txt", "/..%2fsecret.txt"]
)
def test_what_the_page_does_not_have_is_an_error_in_json(page, path):
    answer = page.get(path)
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})
    assert page.post("/").json() == {"error": "Method Not Allowed"}


def test_a_page_must_be_built(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "index.html").touch()
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match="`make web` builds web/dist"):
            serving.Settings(ui=folder)
