"""Chain of restorers: several networks, one after the other, as if they were one.

```python
from tfderain.runtime import Chain, Restorer

both = Chain([Restorer("drops"), Restorer("resunet")])
derained = both.derain(rainy)  # drops off the glass, then rain out of the air
```
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tfderain import reports
from tfderain.runtime.restorer import Restorer


class Chain:
    """Gives each image to several restorers, each what the one before made of it.

    Args:
        restorers: `Restorer`s, in order.

    Attributes:
        makes_mask: bool. Whether one of them says where drops are; the first that does
            is asked.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, restorers: Sequence[Restorer]):
        self.restorers = list(restorers)
        if not self.restorers:
            raise ValueError("A chain needs at least one restorer. Received: none.")
        self.makes_mask = any(one.makes_mask for one in self.restorers)

    def derain(
        self,
        image: np.ndarray | Image.Image,
        progress: reports.Progress | None = None,
        alpha: np.ndarray | None = None,
    ):
        """Derains one image or a batch; arguments and result as of `Restorer`."""
        return self._derain(image, progress, alpha, None)[0]

    def derain_and_mask(
        self,
        image: np.ndarray | Image.Image,
        progress: reports.Progress | None = None,
        alpha: np.ndarray | None = None,
    ):
        """As `derain`, and where drops are, see `Restorer.derain_and_mask`.

        Raises:
            ValueError: if no network makes a mask, and see `derain`.
        """
        makers = [one for one in self.restorers if one.makes_mask]
        return self._derain(image, progress, alpha, (makers or self.restorers)[0])

    def _derain(self, image, progress, alpha, asked):
        """The derained image, and the mask of the restorer `asked` for it."""
        mask, count = None, len(self.restorers)
        for place, one in enumerate(self.restorers):
            tick = progress and _part(progress, place, count)
            if one is asked:
                image, mask = one.derain_and_mask(image, tick, alpha)
            else:
                image = one.derain(image, tick, alpha)
        return image, mask


def _part(progress, place, count):
    """The progress of one restorer of `count`, each as much as the others."""
    return lambda done, total: progress(place * total + done, count * total)
