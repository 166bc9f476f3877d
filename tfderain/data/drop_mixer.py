"""Mixture of drops on the glass: turns crops into pairs that have a mask as well.

```python
degrade = drop_mixer.DropMixer(mixer.render_pools(seed=0))
rainy, target = degrade(rainy, clean, seed=17)  # a dozen milliseconds for 192x192
clean, mask = target[..., :3], target[..., 3]
```

Kinds: `"clean"` (no drops), the looks of `drops.KINDS`, `"defocused"` and `"lens"`,
and `"both"`: rain in the air, see `mixer`, and drops of either look over it. Then the
target is clean under the drops and rainy between them, in proportion to the mask: who
takes drops off must leave what lies between them as it is, for the network that takes
off rain. Needs numpy only.
"""

from typing import Any

import numpy as np

from tfderain.data import drops, mixer

KINDS = ("clean", *drops.KINDS, "both")
UNKNOWN = -1.0  # of the mask of real pairs, which nobody has drawn


def with_mask(clean: np.ndarray, mask: np.ndarray | float) -> np.ndarray:
    """The target `(height, width, 4)`: a clean image, and the mask of its drops."""
    target = np.empty((*clean.shape[:2], 4), np.float32)
    target[..., :3], target[..., 3] = clean, mask
    return target


class DropMixer(mixer.KindMixer):
    """Turns crops into training pairs with drops on the glass.

    Args:
        pools: dict of rain layers, see `mixer.render_pools`.
        own_share: probability of keeping the rainy image of a pair.
        drops: dict from the kinds of this module to their relative frequency, for all
            other crops.
        kinds: dict from the kinds of rain under drops of `"both"` to their frequency.
        ranges: `mixer.Ranges` to draw rain from, and what cameras do to all kinds but
            `"own"`.

    Call: `(rainy, clean, seed)` as `mixer.KindMixer`, to `(rainy, target)`, float32
    arrays `(height, width, 3)` and `(height, width, 4)` in [0, 1]: the clean image, and
    in the fourth channel the mask, `UNKNOWN` for pairs of their own.

    Raises:
        ValueError: for an unknown kind, or shares that are none.
    """

    channels = 4
    validated = tuple(drops.KINDS)

    def __init__(
        self,
        pools: dict[str, np.ndarray],
        own_share: float = 1.0,
        drops: dict[str, float] | None = None,
        kinds: dict[str, float] | None = None,
        ranges: mixer.Ranges = mixer.RANGES,
    ):
        super().__init__(pools, own_share, kinds, ranges)
        shares: Any = dict(SHARES if drops is None else drops)
        if not set(shares) <= set(KINDS):
            raise ValueError(
                f"`drops` must be among {KINDS}. Received: drops={shares}."
            )
        if not shares or min(shares.values()) < 0 or not sum(shares.values()) > 0:
            raise ValueError(f"Shares must be positive. Received: drops={shares}.")
        self.drops = list(shares)
        values = np.array(list(shares.values()), float)
        self.drop_ends = np.cumsum(values / values.sum())

    def __call__(self, rainy: np.ndarray, clean: np.ndarray, seed: int):
        rng = np.random.default_rng(int(seed) % 2**63)
        if rainy is not clean and rng.random() < self.own_share:
            return self.own(rainy, clean)
        place = np.searchsorted(self.drop_ends, rng.random(), side="right")
        return self.make(self.drops[min(place, len(self.drops) - 1)], clean, rng)

    def own(self, rainy: np.ndarray, clean: np.ndarray, seed: int = 0):
        """A pair as it is, of unknown mask; `seed` changes nothing."""
        return rainy, with_mask(clean, UNKNOWN)

    def make(self, kind: str, clean: np.ndarray, rng: np.random.Generator):
        """`(rainy, target)` of one of the kinds of this module.

        A kind of rain in the air gives what `mixer.KindMixer` makes of it.
        """
        if kind not in KINDS:
            return super().make(kind, clean, rng)
        if kind == "clean":
            rainy, clean = self._camera(clean, clean, rng)
            return rainy, with_mask(clean, 0.0)
        if kind == "both":
            air, _ = self._rain(clean, clean, rng)
            # The drops see the rain, too, as a whole.
            wet, mask = drops.add_drops(air, rng)
            clean = air + mask[..., None] * (clean - air)
        else:
            wet, mask = drops.add_drops(clean, rng, drops.KINDS[kind])
        # Bars and frames are not for masks, blur and noise are of both images.
        rainy, clean = self._camera(wet, clean, rng, hide=False)
        return rainy, with_mask(clean, mask)


# Of crops without drops of their own. With a quarter of real pairs beside them, 7 % of
# all are clean.
SHARES = {"clean": 0.093, "defocused": 0.4, "lens": 0.387, "both": 0.12}
