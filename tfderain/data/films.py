"""Films of rain: layers of streaks that fall, over scenes that stand still or move.

```python
rain = FallingRain((240, 320), np.random.default_rng(0))
rainy = [rain.over(clean, number) for number, clean in enumerate(cleans)]
```

A streak is as long as its drop falls while the shutter is open, which is about half of
the time between two frames, or less. So between frames each layer moves by one and a
half to three of its streaks' lengths, along their direction.
"""

from collections.abc import Iterator

import numpy as np

from tfderain.data import streaks
from tfderain.data.composition import composite, strength

SPEED = (1.5, 3.0)  # lengths of a streak per frame: shutters open for 2/3 to 1/3 of it
_MOST_GAIN = 3.0


class FallingRain:
    """Rain that falls through a film, in one direction, near and far.

    Args:
        shape: `(height, width)` of the frames.
        rng: `numpy.random.Generator`. All choices come from it.
        layers: int. How many distances of rain there are.
        psnr: float, dB between the first frame that it falls over and its clean one.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        rng: np.random.Generator,
        layers: int = 3,
        psnr: float = 22.0,
    ):
        self.shape, self.psnr, self.gain = streaks.checked_shape(shape), psnr, None
        angle = streaks.draw_angle(rng)
        self.layers = [self._layer(rng, angle) for _ in range(layers)]

    def _layer(self, rng, angle):
        """A layer that wraps round without a seam, and its motion per frame."""
        style = streaks.draw_style(rng)
        length = streaks.log_uniform(rng, streaks.STYLES[style].length)
        least = 32 * int(np.ceil((1.5 * length + 32) / 32))
        height, width = (max(32 * -(-side // 32), least) for side in self.shape)
        layer = streaks.render_streaks((height, width), rng, style, angle, length)
        fall = length * rng.uniform(*SPEED)
        slope = np.radians(angle)
        return layer, fall * np.cos(slope), fall * np.sin(slope)

    def streaks(self, number: int) -> np.ndarray:
        """The streaks of a frame by its number, float32 `shape` in [0, 1]."""
        total = np.zeros(self.shape, np.float32)
        for layer, down, right in self.layers:
            shift = round(number * down), round(number * right)
            moved = np.roll(layer, shift, (0, 1))
            total = np.maximum(total, moved[: self.shape[0], : self.shape[1]])
        return total

    def over(self, clean: np.ndarray, number: int) -> np.ndarray:
        """A frame with its rain.

        Args:
            clean: float32 `(height, width, 3)` in [0, 1].
            number: int, of the frame; the rain falls as this grows.

        Returns:
            float32 array of the same shape in [0, 1].
        """
        layer = self.streaks(number)
        if self.gain is None:
            self.gain = np.float32(strength(clean, layer, self.psnr, _MOST_GAIN))
        return composite(clean, layer * self.gain)


def panned(
    scene: np.ndarray, shape: tuple[int, int], count: int, step: tuple[float, float]
) -> Iterator[np.ndarray]:
    """Frames of a camera that pans over a still scene, bilinearly between pixels.

    Args:
        scene: float32 `(height, width, 3)` in [0, 1].
        shape: `(height, width)` of the frames.
        count: int, of the frames.
        step: `(down, right)` in pixels per frame, 0 or more.

    Raises:
        ValueError: if the scene is too small for so many frames.
    """
    needed = [
        side + int(np.ceil(pace * (count - 1))) + 1
        for side, pace in zip(shape, step, strict=True)
    ]
    if min(step) < 0 or any(
        a < b for a, b in zip(scene.shape[:2], needed, strict=True)
    ):
        raise ValueError(
            f"The scene must have {needed[0]}x{needed[1]} pixels or more, and `step` "
            f"not be negative. Received: scene={scene.shape[:2]}, step={step}."
        )
    for number in range(count):
        part = scene
        for axis, pace in enumerate(step):
            start, share = divmod(number * pace, 1)
            rows = np.arange(int(start), int(start) + shape[axis])
            part = (1 - share) * part.take(rows, axis) + share * part.take(
                rows + 1, axis
            )
        yield part.astype(np.float32)
