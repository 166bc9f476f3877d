"""Temporal: neighbours brought onto a frame, and what is taken of them."""

import itertools
import weakref

import numpy as np
import pytest

from tfderain import images
from tfderain.data import films
from tfderain.video import temporal


def picture(size=(64, 96), seed=0):
    """A float32 scene that is smooth enough for optical flow."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((size[0] // 8 + 2, size[1] // 8 + 2, 3), np.float32)
    large = np.kron(coarse, np.ones((8, 8, 1), np.float32))
    for axis, step in itertools.product((0, 1), (1, 2, 3)):
        large = (large + np.roll(large, step, axis)) / 2
    return large[: size[0], : size[1]]


def flat(value, size=(8, 8)):
    return np.full((*size, 3), value, np.float32)


def test_the_median_is_taken_where_it_rained_and_neighbours_agree():
    own, rain = flat(0.5), np.full((8, 8), 0.5, np.float32)
    neighbours = [flat(0.40), flat(0.41)]
    # the median of 0.5, 0.40 and 0.41, in float32
    np.testing.assert_allclose(temporal.combine(own, rain, neighbours), 0.41, rtol=1e-6)


@pytest.mark.parametrize(
    ("rain", "neighbours"),
    [
        (0.019, (0.40, 0.41)),  # it did not rain
        (0.5, (0.40, 0.4801)),  # they do not agree: 2 * AGREE
        (0.5, (0.0, -0.01)),  # it would change by 2 * MOST
    ],
)
def test_else_the_frame_stays(rain, neighbours):
    own, mask = flat(0.5), np.full((8, 8), rain, np.float32)
    made = temporal.combine(own, mask, [flat(value) for value in neighbours])
    np.testing.assert_array_equal(made, own)


def test_one_of_four_neighbours_may_be_elsewhere():
    own, mask = flat(0.5), np.ones((8, 8), np.float32)
    neighbours = [flat(value) for value in (0.4, 0.41, 0.9, 0.4)]
    made = temporal.combine(own, mask, neighbours)
    np.testing.assert_allclose(made, 0.41, rtol=1e-6)  # float32


@pytest.mark.parametrize(("step", "align"), [((0, 0), "none"), ((1.5, 2.5), "flow")])
def test_what_one_frame_has_of_rain_goes(step, align):
    scene = picture((96, 128))
    clean = list(films.panned(scene, (64, 96), 5, step))
    rng = np.random.default_rng(1)
    streaks = [(rng.random((64, 96, 1)) < 0.1).astype(np.float32) for _ in clean]
    rainy = [np.clip(c + 0.5 * s, 0, 1) for c, s in zip(clean, streaks, strict=True)]
    derained = [np.clip(c + 0.1 * s, 0, 1) for c, s in zip(clean, streaks, strict=True)]
    items = zip(derained, rainy, range(5), strict=True)
    made = list(temporal.combined(items, temporal.Combiner(2, align)))
    assert [number for _, number in made] == [0, 1, 2, 3, 4]
    before = np.square(derained[2] - clean[2]).mean()
    after = np.square(made[2][0] - clean[2]).mean()
    # still: all but streaks that meet; panned: what moving neighbours costs as well
    assert after < before / (10 if align == "none" else 3)


def test_frames_without_rain_stay_as_they_are():
    clean = [images.to_uint8(f) for f in films.panned(picture(), (48, 64), 4, (1, 2.5))]
    items = ((frame, frame, None) for frame in clean)
    made = [frame for frame, _ in temporal.combined(items, temporal.Combiner(1))]
    np.testing.assert_array_equal(made, clean)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_kinds_of_pixels_stay(dtype):
    frame = images.from_float(picture(), dtype)
    made = temporal.Combiner(1)(frame, frame, [frame])
    assert made.dtype == dtype and made.shape == frame.shape


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("neighbours", [1, 3])
def test_all_frames_come_in_order_with_their_neighbours(count, neighbours):
    class Recorder:
        def __init__(self):
            self.neighbours, self.calls = neighbours, []

        def __call__(self, derained, rainy, others):
            self.calls.append((derained, rainy, sorted(others)))
            return derained

    recorder = Recorder()
    items = ((number, -number, str(number)) for number in range(count))
    made = list(temporal.combined(items, recorder))
    assert made == [(number, str(number)) for number in range(count)]
    expected = [
        (t, -t, [k for k in range(count) if k != t and abs(k - t) <= neighbours])
        for t in range(count)
    ]
    assert recorder.calls == [call for call in expected if call[2]]


def test_no_more_frames_are_held_than_needed():
    seen = []

    class Frame(np.ndarray):
        pass

    def items():
        for number in range(30):
            frame = np.zeros((4, 4, 3), np.float32).view(Frame)
            seen.append(weakref.ref(frame))
            yield frame, frame, number
            del frame
            most.append(sum(one() is not None for one in seen))

    class Passing:
        neighbours = 2

        def __call__(self, derained, rainy, others):
            return derained

    most = []
    for _ in temporal.combined(items(), Passing()):
        pass
    assert max(most) <= 2 * 2 + 2  # its neighbours, itself, and the one that comes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "temporal"), ((1, "magic"), "`align` must be one of flow, none")],
)
def test_other_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        temporal.Combiner(*arguments)
