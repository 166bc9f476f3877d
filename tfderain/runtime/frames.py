"""Frames of a film: what each image decides for itself is decided once for all.

```python
frames = FrameRestorer(Restorer("menet"), first_frames)
derained = frames(frame)  # the kind, size and dtype of `frame`
```

Where bars lie and at which sizes a picture is derained are found from some frames of a
film and kept: choices that change from frame to frame would flicker. The size of the
tiles is then fixed as well, and LiteRT plans the network once for each.
"""

from collections.abc import Iterable

import numpy as np

from tfderain import images
from tfderain.runtime.chain import Chain
from tfderain.runtime.restorer import Restorer

# Grey levels of 255 between the darkest and the brightest pixels, but for a hundredth,
# of a frame that shows something: black and faded frames say nothing about bars.
_FLAT = 12


class FrameRestorer:
    """Derains the frames of one film, all of one size and dtype.

    Args:
        restorer: `tfderain.runtime.Restorer`. It may be used for others afterwards.
        examples: some frames of the film, arrays `(height, width, 3)` as `uint8`,
            `uint16` or float in [0, 1]; at least one. They are looked at one by one.

    Attributes:
        rows, columns: slices, the scene: what no bar covers in any of the examples.
        used: at which sizes the scene is derained, see `Restorer.sizes_used`: as most
            of the examples have it, at their own size if in doubt.

    Raises:
        ValueError: without examples, or for a `Chain` of several restorers.
    """

    def __init__(self, restorer: Restorer, examples: Iterable[np.ndarray]):
        if isinstance(restorer, Chain):
            raise ValueError(
                "Films take one restorer at a time. "
                f"Received: a chain of {len(restorer.restorers)}."
            )
        boxes, kept, size = [], [], (0, 0)
        for frame in examples:
            size = frame.shape[:2]
            kept.append(frame)
            if _shows_something(frame):
                scene = images.find_scene(frame)
                boxes.append((scene.rows, scene.columns))
        if not kept:
            raise ValueError("A film needs at least one frame. Received: none.")
        whole = [(slice(0, size[0]), slice(0, size[1]))]
        rows, columns = zip(*(boxes or whole), strict=True)
        self.rows, self.columns = _union(rows), _union(columns)
        self.restorer = restorer
        votes = [
            restorer.sizes_used(frame[self.rows, self.columns])
            for frame in kept
            if not boxes or _shows_something(frame)
        ]
        # The last size, the smallest copy, is used by all of them.
        self.used = tuple(
            2 * sum(vote) >= len(votes) for vote in zip(*votes, strict=True)
        )
        restorer.keep_sizes(len(self.used))

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Returns the derained frame, a new array of the same shape and dtype."""
        scene = np.ascontiguousarray(frame[self.rows, self.columns])
        derained = self.restorer.derain_scene(scene, self.used)
        if scene.shape == frame.shape:
            return derained
        result = frame.copy()
        result[self.rows, self.columns] = derained
        return result


def _shows_something(frame):
    few = images.to_float(frame[:: max(1, len(frame) // 64)])
    low, high = np.quantile(few, (0.01, 0.99))
    return high - low > _FLAT / 255


def _union(slices):
    return slice(min(s.start for s in slices), max(s.stop for s in slices))
