"""Live films: the newest frame, a stream over TCP, recordings, raw frames, the page."""

import io
import socket
import threading
import urllib.request
from fractions import Fraction

import av
import films
import numpy as np
import pytest
from PIL import Image

from tfderain import video
from tfderain.video import live


@pytest.fixture
def address(tmp_path):
    """Where a film is sent as MPEG-TS to whoever connects, as cameras do."""
    base = Fraction(1, 90_000)
    content = films.write(tmp_path / "in.ts", 12, sound=None, base=base).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send():
            connection, _ = server.accept()
            with connection:
                connection.sendall(content)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join(20)


def test_a_stream_becomes_a_recording_and_raw_frames(address, tmp_path):
    said, raw, lines = [], io.BytesIO(), []
    target = tmp_path / "out.mkv"
    with video.Recording(target) as recording, video.Camera(address) as camera:
        sinks = [recording, live.RawFrames(raw, said.append)]
        made = video.derain_live(camera, films.Halver(), sinks, status=lines.append)
        assert not target.exists(), "it appears whole or not at all"
    assert made.frames + made.dropped == camera.read > 0 and made.problem == ""
    found = films.frames(target)
    assert len(found) == made.frames
    times = [frame.pts for frame in found]
    assert times[0] == 0 and times == sorted(set(times))
    assert said == ["stdout: -f rawvideo -pixel_format rgb24 -video_size 64x48"]
    pixels = np.frombuffer(raw.getvalue(), np.uint8).reshape(-1, 48, 64, 3)
    assert len(pixels) == made.frames and pixels.max() <= 127
    assert len(lines) == made.frames
    assert " frames/s, " in lines[0] and " ms late, " in lines[0]


def test_frames_are_dropped_rather_than_delayed(tmp_path):
    """A restorer that waits until all has come gets the first and the last frame."""
    films.write(tmp_path / "in.mkv", 12, sound=None)
    camera = file_camera(tmp_path / "in.mkv")

    class Slow(films.Identity):
        def derain_scene(self, scene, used):
            camera._thread.join(20)
            return super().derain_scene(scene, used)

    shown = []
    with camera:
        camera._thread.join(0)
        made = video.derain_live(
            camera, Slow(), [lambda pixels, frame, when: shown.append(frame.pts)]
        )
    assert camera.read == 12 and made.frames + made.dropped == 12
    assert made.frames <= 2 and shown[-1] == 440  # the last of 12 at 25 frames/s


def file_camera(path):
    """A camera that reads a file, as fast as it can be read."""
    camera = object.__new__(live.Camera)
    camera.container = av.open(str(path))
    camera.video = camera.container.streams.video[0]
    camera.source, camera.read, camera.dropped, camera.problem = "file", 0, 0, ""
    camera._newest, camera._ended = None, False
    camera._changed = threading.Condition()
    camera._thread = threading.Thread(target=camera._run, daemon=True)
    return camera


def test_ctrl_c_ends_and_keeps_a_recording(tmp_path):
    films.write(tmp_path / "in.mkv", 12, sound=None)
    target = tmp_path / "out.mp4"
    failing = films.Identity()

    def stop(pixels, frame, when):
        raise KeyboardInterrupt

    with video.Recording(target) as recording, file_camera(tmp_path / "in.mkv") as cam:
        video.derain_live(cam, failing, [recording, stop])
    assert len(films.frames(target)) == 1


def test_an_error_leaves_no_recording(tmp_path):
    films.write(tmp_path / "in.mkv", 12, sound=None)
    target = tmp_path / "out.mp4"

    def fail(pixels, frame, when):
        raise OSError("no space")

    with (
        pytest.raises(OSError, match="no space"),
        video.Recording(target) as recording,
        file_camera(tmp_path / "in.mkv") as camera,
    ):
        video.derain_live(camera, films.Identity(), [recording, fail])
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_neighbours_are_combined(tmp_path):
    films.write(tmp_path / "in.mkv", 6, sound=None)
    shown = []
    with file_camera(tmp_path / "in.mkv") as camera:
        sinks = [lambda pixels, frame, when: shown.append(pixels.shape)]
        made = video.derain_live(camera, films.Halver(), sinks, neighbours=1)
    assert len(shown) == made.frames > 0


def test_the_page_shows_frames():
    with video.Preview(0) as preview:
        with urllib.request.urlopen(preview.url) as answer:
            assert b'<img src="stream"' in answer.read()
        got, ready = [], threading.Event()

        def watch():
            with urllib.request.urlopen(f"{preview.url}stream") as answer:
                kind = answer.headers["Content-Type"]
                ready.set()
                head = [answer.readline() for _ in range(4)]
                size = int(head[2].split()[1])
                got.extend((kind, head, answer.read(size)))

        thread = threading.Thread(target=watch)
        thread.start()
        assert ready.wait(20)
        pixels = np.full((48, 64, 3), 128, np.uint8)
        while thread.is_alive():  # it may not count as a watcher yet
            preview(pixels, None, 0.0)
            thread.join(0.05)
        with urllib.request.urlopen(f"{preview.url}status") as answer:
            assert answer.read().endswith(b" ms late")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{preview.url}other")
    kind, head, jpeg = got
    assert kind == "multipart/x-mixed-replace; boundary=frame"
    assert head[0] == b"--frame\r\n" and head[1] == b"Content-Type: image/jpeg\r\n"
    with Image.open(io.BytesIO(jpeg)) as image:
        # JPEG's rounding of a plain grey
        assert image.size == (64, 48)
        assert np.abs(np.asarray(image).astype(int) - 128).max() <= 2


def test_no_jpeg_is_made_for_nobody(monkeypatch):
    with video.Preview(0) as preview:
        preview(np.zeros((4, 4, 3), np.uint8), None, 0.0)
        assert preview._jpeg == b""


@pytest.mark.parametrize(
    ("source", "live"),
    [
        ("rtsp://10.0.0.7/stream", True),
        ("udp://127.0.0.1:9", True),
        ("/dev/video0", True),
        ("-", True),
        ("rainy.mp4", False),
        ("/dev/shm/a.mp4", False),
        ("http/a.mp4", False),
    ],
)
def test_what_is_live(source, live):
    assert video.is_live(source) == live


def test_what_cannot_be_opened_is_named():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(OSError, match=f"{address} cannot be opened"):
            video.Camera(address)
    with pytest.raises(ValueError, match=r"A live source is .* Received: a\.mp4"):
        video.Camera("a.mp4")
    with pytest.raises(ValueError, match=r"must end in \.mp4"):
        video.Recording("a.gif")


def test_recordings_take_other_codecs(tmp_path):
    films.write(tmp_path / "in.mkv", 3, sound=None, base=Fraction(1, 1000))
    encoding = video.Encoding("libvpx-vp9", 40)
    target = tmp_path / "out.webm"
    with (
        video.Recording(target, encoding) as recording,
        file_camera(tmp_path / "in.mkv") as camera,
    ):
        made = video.derain_live(camera, films.Identity(), [recording])
    assert len(films.frames(target)) == made.frames
