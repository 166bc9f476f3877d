"""AirNet: contrastive encoder (Li et al., CVPR 2022), for comparison with Rainmer's.

Paper: https://openaccess.thecvf.com/content/CVPR2022/papers/Li_All-in-One_Image_Restoration_for_Unknown_Corruption_CVPR_2022_paper.pdf
Rewritten from the description of github.com/XLearning-SCU/2022-CVPR-AirNet at
bedea82f7f7a (PyTorch); tests/models/test_airnet.py proves equal outputs and one equal
training step. This is only the encoder: AirNet's restoration network needs deformable
convolutions.

Two crops of a degraded image attract each other; all images in a queue repel them.

```python
model = AirNet()
model.compile(keras.optimizers.Adam(1e-3))
model.fit(rainy)  # patches (n, height, width, 3) in [0, 1]; pairs will do as well
representations = model(rainy)  # (n, 256), length 1
```

Difference: each of the two crops has the same position in the whole batch.
"""

import keras
from keras import ops

from tfderain.models.base import take_over
from tfderain.models.contrast import cross_entropy, unit
from tfderain.models.entanglement import twin
from tfderain.models.layers import UnbiasedBatchNormalization, built

SLOPE = 0.1  # of the leaky ReLUs


@keras.saving.register_keras_serializable("tfderain")
class NormalizedResidualBlock(keras.layers.Layer):
    """Two 3x3 convolutions and a 1x1 shortcut, each with batch normalisation.

    Args:
        filters: int. Output channels.
        stride: int. Of the first convolution and the shortcut.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, channels)` to `(batch, height / stride,
    width / stride, filters)`, rounded up.
    """

    def __init__(self, filters, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.stride = stride

    def build(self, input_shape):
        made = (*input_shape[:-1], self.filters)
        for name, size, stride, shape in (
            ("first", 3, self.stride, input_shape),
            ("second", 3, 1, made),
            ("shortcut", 1, self.stride, input_shape),
        ):
            convolution = keras.layers.Conv2D(
                self.filters,
                size,
                stride,
                use_bias=False,
                dtype=self.dtype_policy,
                name=name,
            )
            convolution.build(shape)
            norm = UnbiasedBatchNormalization(
                momentum=0.9,  # PyTorch's defaults
                epsilon=1e-5,
                dtype=self.dtype_policy,
                name=f"{name}_norm",
            )
            norm.build(made)
            setattr(self, name, convolution)
            setattr(self, f"{name}_norm", norm)

    def call(self, features, training=False):
        # One pixel on each side: "same" would pad even sizes only on one side.
        border = ((0, 0), (1, 1), (1, 1), (0, 0))
        change = self.first(ops.pad(features, border))
        change = ops.leaky_relu(self.first_norm(change, training=training), SLOPE)
        change = self.second(ops.pad(change, border))
        change = self.second_norm(change, training=training)
        kept = self.shortcut_norm(self.shortcut(features), training=training)
        return ops.leaky_relu(change + kept, SLOPE)

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        sides = [side and -(-side // self.stride) for side in sides]
        return (batch, *sides, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "stride": self.stride,
        }


@keras.saving.register_keras_serializable("tfderain")
class AirNetEncoder(keras.layers.Layer):
    """Three residual blocks, of which two halve, spatial mean, and two dense layers.

    Args:
        filters: three ints. Channels of the blocks.
        **kwargs: `name`, `dtype` and the other `keras.layers.Layer` options.

    Call: `(batch, height, width, 3)` in [0, 1] to a dict: `"inter"` `(batch, height,
    width, filters[0])`, `"features"` and `"embedding"` `(batch, filters[2])`.
    """

    def __init__(self, filters=(64, 128, 256), **kwargs):
        super().__init__(**kwargs)
        self.filters = list(filters)

    def build(self, input_shape):
        dtype, channels = self.dtype_policy, [3, *self.filters]
        self.blocks = [
            built(
                NormalizedResidualBlock(
                    filters, 1 if index == 0 else 2, dtype=dtype, name=f"block_{index}"
                ),
                channels[index],
            )
            for index, filters in enumerate(self.filters)
        ]
        length = self.filters[-1]
        self.first = keras.layers.Dense(length, dtype=dtype, name="first")
        self.second = keras.layers.Dense(length, dtype=dtype, name="second")
        self.first.build((None, length))
        self.second.build((None, length))

    def call(self, images, training=False):
        inter = features = self.blocks[0](images, training=training)
        for block in self.blocks[1:]:
            features = block(features, training=training)
        features = ops.mean(features, axis=(1, 2))
        embedding = self.second(ops.leaky_relu(self.first(features), SLOPE))
        return {"inter": inter, "features": features, "embedding": embedding}

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("tfderain")
class AirNet(keras.Model):
    """AirNet's encoder with its momentum contrast, trained by `fit(rainy)`.

    Args:
        filters: see `AirNetEncoder`.
        crop: float. Side of the two crops, as a share of the patch. Defaults to `0.75`.
        queue: int. Number of images in the queue, a multiple of the batch size.
            Defaults to `1280`, the authors' 256 batches of five.
        momentum: float. Of the key encoder's moving average, which does not include its
            batch statistics.
        temperature: float. Divides the cosines.
        **kwargs: `name`, `dtype` and the other `keras.Model` options.

    Call: `(batch, height, width, 3)` in [0, 1] to `(batch, filters[2])`, float32, of
    length 1; in training, to the similarities `(batch, 1 + queue)`, the positive first.
    """

    def __init__(
        self,
        filters=(64, 128, 256),
        crop=0.75,
        queue=1280,
        momentum=0.999,
        temperature=0.07,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.crop = crop
        self.queue_size = queue
        self.momentum = momentum
        self.temperature = temperature
        self.encoder = AirNetEncoder(filters, dtype=self.dtype_policy, name="encoder")
        self.key_encoder = twin(self.encoder, "key_encoder")
        self.random = keras.random.SeedGenerator(0)

    def build(self, input_shape):
        if self.built:
            return
        self.encoder.build((None, None, None, 3))
        self.key_encoder.build((None, None, None, 3))
        # Only now, because building a layer makes its weights trainable again. Its
        # normalisations stay in training mode through the argument of their call.
        for weight in self.key_encoder.weights:
            weight.trainable = False
        take_over(self.key_encoder.weights, self.encoder.weights)
        self.queue = self.add_weight(
            (self.queue_size, self.encoder.filters[-1]),
            "random_normal",
            trainable=False,
            name="queue",
        )

    def call(self, rainy, training=False):
        if not training:
            return unit(self.encoder(rainy)["embedding"])
        return self.contrast(self.cut(rainy), self.cut(rainy))

    def cut(self, images):
        """A random crop, at the same place in each image."""
        sides = ops.shape(images)[1:3]
        cut = [ops.cast(ops.cast(x, "float32") * self.crop, "int32") for x in sides]
        room = [
            ops.cast(side - part + 1, "float32")
            for side, part in zip(sides, cut, strict=True)
        ]
        share = keras.random.uniform((2,), seed=self.random)
        top, left = (ops.cast(share[i] * room[i], "int32") for i in range(2))
        return images[:, top : top + cut[0], left : left + cut[1]]

    def contrast(self, query, key):
        """Similarities of two crops and the queue, to which the second is added."""
        query = unit(self.encoder(query, training=True)["embedding"])
        self.follow()
        key = unit(self.key_encoder(key, training=True)["embedding"])
        key = ops.stop_gradient(key)
        near = ops.sum(query * key, axis=-1, keepdims=True)
        far = ops.matmul(query, ops.transpose(unit(self.queue)))
        queue = ops.concatenate([key, self.queue])[: self.queue_size]
        self.queue.assign(queue)
        return ops.concatenate([near, far], axis=1)

    def follow(self):
        """Moves the key encoder towards the query encoder, except batch statistics."""
        for key, query in zip(
            self.key_encoder.weights, self.encoder.weights, strict=True
        ):
            if "moving_" not in key.path:
                key.assign(key + (1.0 - self.momentum) * (query - key))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        return cross_entropy(y_pred, temperature=self.temperature)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.encoder.filters,
            "crop": self.crop,
            "queue": self.queue_size,
            "momentum": self.momentum,
            "temperature": self.temperature,
        }
