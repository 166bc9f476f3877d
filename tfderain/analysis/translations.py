"""JRGR translations: two rainy images translated, and rain layers of many.

```python
pictures = translations.figure_6(model, synthetic, real, "figure_6.png")
layers = translations.rain_layers(model, "synthetic/", "real/")
positions = translations.tsne(layers)
translations.draw_layers(positions, "figure_8.png")
```
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from tfderain import extras, images
from tfderain.analysis import charts

# The pictures of Figure 6 in its order: the input, then its translations.
PICTURES = {
    "real": (
        "real_derained",
        "made_synthetic_rainy",
        "made_synthetic_derained",
        "real_cycled",
    ),
    "synthetic": (
        "synthetic_derained",
        "made_real_rainy",
        "made_real_derained",
        "synthetic_cycled",
    ),
}
# The rain layers of Figure 8, with colour (by origin) and marker (by domain).
LAYERS = {
    "synthetic_rain": ("tab:red", "*"),
    "real_rain": ("tab:red", "D"),
    "made_synthetic_rain": ("tab:green", "*"),
    "made_real_rain": ("tab:green", "D"),
}


def figure_6(
    model: Any,
    synthetic: np.ndarray,
    real: np.ndarray,
    path: str | os.PathLike | None = None,
):
    """The inputs and their eight translations.

    Args:
        model: `tfderain.models.JRGR` with all four networks.
        synthetic, real: rainy images `(height, width, 3)`, float in [0, 1] or uint8.
            The larger one is cropped around its centre to the common size.
        path: the picture to write: a row for the real image and one for the synthetic
            one, each starting with the input, as in Figure 6; `None` for no picture.

    Returns:
        Dict of float32 arrays `(height, width, 3)`, see `JRGR.pictures`.

    Raises:
        ValueError: for a model without the four networks.
    """
    from tfderain.models import jrgr

    jrgr.check_networks(model)
    made = _pictures(model, synthetic, real)
    if path is not None:
        both = common(images.to_float(synthetic), images.to_float(real))
        inputs = {"synthetic": both[0], "real": both[1]}
        rows = [
            (inputs[domain], *(made[name] for name in names))
            for domain, names in PICTURES.items()
        ]
        images.before_after(rows, path)
    return made


def _pictures(model, synthetic, real):
    """What `model.pictures` makes of the centres of two images."""
    both = common(images.to_float(synthetic), images.to_float(real))
    made = model.pictures(*(image[None] for image in both))
    return {name: np.asarray(image)[0] for name, image in made.items()}


def figure_9(
    models: Sequence[Any],
    synthetic: np.ndarray,
    real: np.ndarray,
    path: str | os.PathLike,
):
    """Rain made by several models, such as CycleGAN and JRGR, one row each.

    CycleGAN translates the whole derained image, JRGR only the layer of rain.

    Args:
        models: sequence of `JRGR` and `CycleGAN`.
        synthetic, real: see `figure_6`.
        path: the picture to write; each row has the real image and its derained
            version, then the synthetic image, derained, and with real rain.

    Returns:
        List of the results of each model's `pictures`, see `figure_6`.

    Raises:
        ValueError: for a model that makes no rain.
    """
    from tfderain.models import CycleGAN

    made = []
    for model in models:
        if isinstance(model, CycleGAN):
            made.append(_pictures(model, synthetic, real))
        else:
            made.append(figure_6(model, synthetic, real))
    synthetic, real = common(images.to_float(synthetic), images.to_float(real))
    rows = [
        (
            real,
            one["real_derained"],
            synthetic,
            one["synthetic_derained"],
            one["made_real_rainy"],
        )
        for one in made
    ]
    images.before_after(rows, path)
    return made


def figure_7(
    model: Any, synthetic: Sequence[np.ndarray], path: str | os.PathLike | None = None
):
    """Real rain that a model makes of synthetic rain.

    Args:
        model: `tfderain.models.JRGR` with all four networks, or a `CycleGAN`.
        synthetic: rainy images `(height, width, 3)`, float in [0, 1] or uint8.
        path: the picture to write, each image before and after; up to three of one
            size that follow one another share a row. `None` writes none.

    Returns:
        List of float32 arrays like the images.
    """
    from tfderain.models import CycleGAN, jrgr

    if not isinstance(model, CycleGAN):
        jrgr.check_networks(model)
    made = [_pictures(model, x, x)["made_real_rainy"] for x in synthetic]
    if path is not None:
        rows: list[list] = []
        for image, rainy in zip(synthetic, made, strict=True):
            if not rows or len(rows[-1]) == 6 or rows[-1][0].shape != image.shape:
                rows.append([])
            rows[-1] += [image, rainy]
        images.before_after(rows, path)
    return made


def figure_10(
    models: Sequence,
    backgrounds: Sequence[np.ndarray],
    photos: Sequence[np.ndarray],
    path: str | os.PathLike,
):
    """Photos derained by networks that were trained on different data sets.

    Args:
        models: objects with a method `derain`, one trained on each data set.
        backgrounds: one image of each data set, in the order of the models, `(height,
            width, 3)`, float in [0, 1] or uint8.
        photos: rainy images.
        path: the picture to write: a row for each photo, itself and derained by each
            model, and above them, each over the column of its model, the backgrounds,
            cut and resized to the first photo's size.

    Raises:
        ValueError: the numbers of backgrounds and models differ.
    """
    if len(models) != len(backgrounds):
        raise ValueError(
            "There must be one background for each model. "
            f"Received: {len(models)} models, {len(backgrounds)} backgrounds."
        )
    size = (photos[0].shape[1], photos[0].shape[0])
    fitted = (
        np.asarray(ImageOps.fit(Image.fromarray(images.to_uint8(image)), size))
        for image in backgrounds
    )
    rows = [(np.full((*size[::-1], 3), 255, np.uint8), *fitted)]
    rows += [(photo, *(model.derain(photo) for model in models)) for photo in photos]
    images.before_after(rows, path)


def rain_layers(
    model: Any,
    synthetic: Sequence[np.ndarray],
    real: Sequence[np.ndarray],
    size: int = 128,
):
    """Rain layers that a model finds and makes, from equally many images of both kinds.

    Args:
        model: `tfderain.models.JRGR` with all four networks.
        synthetic, real: sequences of rainy images `(height, width, 3)`, each side at
            least `size`. A patch is cut from the centre of each.
        size: int. Side of the patches.

    Returns:
        Dict from each of `LAYERS` to a float32 array `(images, size, size, 3)`.

    Raises:
        ValueError: there are no images, images are too small, or the model lacks some
            of the four networks.
    """
    from tfderain.models import jrgr

    jrgr.check_networks(model)
    count = min(len(synthetic), len(real))
    if not count:
        raise ValueError("There must be images of both kinds. Received: 0.")
    found = {name: [] for name in LAYERS}
    for pair in zip(synthetic, real, strict=False):
        patches = [centre(images.to_float(image), size)[None] for image in pair]
        made = model.pictures(*patches)
        for name in LAYERS:
            found[name].append(np.asarray(made[name])[0])
    return {name: np.stack(layers) for name, layers in found.items()}


def tsne(layers: dict[str, np.ndarray], seed: int = 0):
    """Places rain layers in the plane so that similar ones are close (Figure 8).

    Args:
        layers: dict of arrays `(images, ...)`, see `rain_layers`. All pixels of a
            layer are its features, as in the authors' code.
        seed: int.

    Returns:
        Dict of float32 arrays `(images, 2)`.

    Raises:
        ValueError: for fewer than five layers in all.
        ImportError: without scikit-learn.
    """
    manifold = extras.require("sklearn.manifold", "threadpoolctl", extra="analysis")
    import threadpoolctl

    counts = [len(layer) for layer in layers.values()]
    total = sum(counts)
    if total < 5:
        raise ValueError(f"There must be at least five layers. Received: {total}.")
    features = np.concatenate([x.reshape(len(x), -1) for x in layers.values()])
    # The authors' settings; the perplexity must stay below the number of layers.
    method = manifold.TSNE(
        perplexity=min(10, (total - 1) / 3),
        init="pca",
        learning_rate=100,
        random_state=seed,
    )
    # Threads wait for each other a thousand times: on a busy machine this takes half a
    # minute, against 0.1 s with one thread.
    with threadpoolctl.threadpool_limits(1):
        found = method.fit_transform(features)
    parts = np.split(found, np.cumsum(counts)[:-1])
    return dict(zip(layers, parts, strict=True))


def draw_layers(positions: dict[str, np.ndarray], path: str | os.PathLike):
    """Draws what `tsne` returned: colour by origin, marker by domain.

    Returns:
        The Matplotlib figure.
    """
    figure = charts.new_figure(6, 5)
    axis = figure.subplots()
    for name, points in positions.items():
        colour, marker = LAYERS[name]
        label = name.replace("_", " ")
        axis.scatter(*points.T, s=25, c=colour, marker=marker, label=label)
    axis.legend(fontsize="small")
    axis.set(xticks=[], yticks=[], title="Rain layers, t-SNE")
    return charts.save_figure(figure, path)


def centre(image: np.ndarray, height: int, width: int | None = None):
    """The central part of an image.

    Raises:
        ValueError: the image is smaller than that.
    """
    width = width or height
    if image.shape[0] < height or image.shape[1] < width:
        raise ValueError(
            f"Images must have at least {width}x{height} pixels. "
            f"Received: {image.shape[1]}x{image.shape[0]}."
        )
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def common(*arrays):
    """The central parts of images, all of equal size."""
    height, width = (min(array.shape[axis] for array in arrays) for axis in (0, 1))
    return [centre(array, height, width) for array in arrays]
