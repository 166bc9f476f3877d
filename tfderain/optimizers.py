"""Optimizers and learning rate schedules that Keras lacks."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfderain")
class ConvMuon(keras.optimizers.Muon):
    """Keras's Muon, with the kernels of convolutions among its matrices.

    Keras leaves every weight that is not a matrix to Adam, so that a convolutional
    network would be trained by plain Adam. Here a kernel `(height, width, in, out)` is
    orthogonalised as the matrix `(height * width * in, out)`, as the authors of Muon
    do. Biases, and kernels of layers named in `exclude_layers`, are left to Adam.

    Args:
        learning_rate: of both; updates are scaled so that Adam's rates are suitable.
        weight_decay: of the matrices. Defaults to `None`: restoration networks are
            trained without weight decay.
        adam_weight_decay: of the other weights. Defaults to `None`.
        **kwargs: see `keras.optimizers.Muon`. Here `exclude_layers` are full names of
            layers, each of which excludes all kernels below it.

    Reference: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/;
    scale of the update: Liu et al., 2025, https://arxiv.org/abs/2502.16982
    """

    def __init__(
        self, learning_rate=1e-3, weight_decay=None, adam_weight_decay=None, **kwargs
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            adam_weight_decay=adam_weight_decay,
            **kwargs,
        )

    def _should_use_adamw(self, variable):
        rank = len(variable.shape)
        is_embedding = rank == 2 and "embedding" in variable.path.lower()
        if rank not in (2, 4) or (is_embedding and self.exclude_embeddings):
            return True
        # Full names: "residual" must not match "residual_block" as well. (Keras
        # searches the path for a regular expression.)
        return not set(self.exclude_layers).isdisjoint(variable.path.split("/"))

    def zeropower_via_newtonschulz5(self, x, steps):
        # Keras's iteration X <- X (a + b A + c A A) with A = X^T X. All its factors are
        # polynomials of the first A, so that only small matrices need to be iterated.
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        wide = matrix.shape[0] < matrix.shape[1]
        matrix = ops.transpose(matrix) if wide else matrix
        matrix = matrix / (ops.norm(matrix) + 1e-7)
        gram = ops.transpose(matrix) @ matrix
        identity = ops.eye(gram.shape[0], dtype=gram.dtype)
        product = identity
        for _ in range(steps):
            factor = self.muon_b * gram + self.muon_c * (gram @ gram)
            factor = factor + self.muon_a * identity
            product = product @ factor
            gram = gram @ (factor @ factor)
        matrix = matrix @ product
        matrix = ops.transpose(matrix) if wide else matrix
        return ops.reshape(matrix, x.shape)

    def lr_adjust(self, x):
        if self.rms_rate is None:
            return x
        rows, columns = math.prod(x.shape[:-1]), x.shape[-1]
        return x * (math.sqrt(max(rows, columns)) * self.rms_rate)


@keras.saving.register_keras_serializable("tfderain")
class GroupAdam(keras.optimizers.Adam):
    """Adam with a separate learning rate for each part of a model.

    Args:
        learning_rate: of parts that are not named.
        rates: dict from the name of a layer to a factor, which applies to all weights
            below that layer.
        **kwargs: see `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=1e-3, rates=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.rates = dict(rates or {})

    def update_step(self, gradient, variable, learning_rate):
        # The TensorFlow trainer passes TensorFlow's variables, whose name is the path.
        path = getattr(variable, "path", variable.name)
        parts = path.split("/")
        for name, rate in self.rates.items():
            if name in parts:
                learning_rate = learning_rate * rate
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "rates": self.rates}


@keras.saving.register_keras_serializable("tfderain")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A constant learning rate, then a linear decay to 0.

    Args:
        initial_learning_rate: float.
        constant_steps: int. Steps at this rate.
        steps: int. Steps of the decay.

    Reference: Zhu et al., 2017, https://arxiv.org/abs/1703.10593, section 4.
    """

    def __init__(self, initial_learning_rate, constant_steps, steps):
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.constant_steps = constant_steps
        self.steps = steps

    def __call__(self, step):
        done = (ops.cast(step, "float32") - self.constant_steps) / self.steps
        return self.initial_learning_rate * (1 - ops.clip(done, 0.0, 1.0))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "constant_steps": self.constant_steps,
            "steps": self.steps,
        }


@keras.saving.register_keras_serializable("tfderain")
class StableDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A short warm-up, a constant learning rate, then a cosine decay to 0.

    A training run whose length is not known beforehand stays on the constant part,
    which it can prolong or leave for the decay at any time.

    Args:
        learning_rate: float, of the constant part.
        rising: int. Steps of the warm-up from 0.
        falling: int. Number of the first step of the decay.
        steps: int. Steps of the decay.

    Reference: Hu et al., 2024, MiniCPM, section 4, https://arxiv.org/abs/2404.06395
    """

    def __init__(self, learning_rate, rising, falling, steps):
        super().__init__()
        self.learning_rate = learning_rate
        self.rising, self.falling, self.steps = rising, falling, steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        up = ops.minimum(1.0, (step + 1.0) / max(self.rising, 1))
        done = ops.clip((step - self.falling) / max(self.steps, 1), 0.0, 1.0)
        down = (1.0 + ops.cos(math.pi * done)) / 2.0
        return self.learning_rate * up * down

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "rising": self.rising,
            "falling": self.falling,
            "steps": self.steps,
        }


@keras.saving.register_keras_serializable("tfderain")
class CosineCycles(keras.optimizers.schedules.LearningRateSchedule):
    """Cosine decays one after another, each from its own start to its own end.

    Args:
        learning_rate: float. Start of a cycle whose weight is 1.
        steps: ints. Length of each cycle, in steps of the optimizer.
        ends: floats. Rate at the end of each cycle, kept after the last one.
        weights: floats. Start of each cycle as a share of `learning_rate`. Defaults to
            1 for all.

    Raises:
        ValueError: a cycle lacks one of the three.

    Rainmer: `CosineCycles(3e-4, (92_000, 208_000), (1e-4, 1e-6))`.
    """

    def __init__(self, learning_rate, steps, ends, weights=None):
        super().__init__()
        weights = [1.0] * len(steps) if weights is None else weights
        if not 0 < len(steps) == len(ends) == len(weights):
            raise ValueError(
                "Each cycle needs steps, an end and a weight. Received: "
                f"steps={steps}, ends={ends}, weights={weights}."
            )
        self.learning_rate = learning_rate
        self.steps, self.ends, self.weights = list(steps), list(ends), list(weights)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rate, start = 0.0, 0
        for length, end, weight in zip(
            self.steps, self.ends, self.weights, strict=True
        ):
            share = ops.clip((step - start) / length, 0.0, 1.0)
            high = weight * self.learning_rate
            cosine = end + (high - end) * (1.0 + ops.cos(math.pi * share)) / 2.0
            rate = ops.where(step >= start, cosine, rate)
            start += length
        return rate

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "ends": self.ends,
            "weights": self.weights,
        }


@keras.saving.register_keras_serializable("tfderain")
class TwoGroupAdamW(keras.optimizers.AdamW):
    """AdamW for two groups of weights: one decays, the other has clipped gradients.

    Rainmer trains its encoder with PyTorch's default decay, and everything else without
    decay but with the norm of the gradients clipped to 0.01:
    `TwoGroupAdamW(rate, ["encoder"], gradient_accumulation_steps=2)`.

    Args:
        learning_rate: of both groups.
        decayed: names of layers. Weights in them decay and are not clipped, all other
            weights are clipped and do not decay.
        weight_decay: float, multiplied by the rate. Defaults to `0.01`.
        clip: float. Largest norm of all clipped gradients together, after averaging
            over several steps (`gradient_accumulation_steps`).
        epsilon: float. Defaults to PyTorch's `1e-8`.
        **kwargs: see `keras.optimizers.AdamW`.
    """

    def __init__(
        self,
        learning_rate=3e-4,
        decayed=("encoder",),
        weight_decay=0.01,
        clip=0.01,
        epsilon=1e-8,
        **kwargs,
    ):
        super().__init__(learning_rate, weight_decay, epsilon=epsilon, **kwargs)
        self.decayed = list(decayed)
        self.clip = clip

    def build(self, variables):
        # By key: in a step Keras passes the backend's variables, which have no path.
        self._decayed_keys = {
            self._var_key(variable)
            for variable in variables
            if not set(self.decayed).isdisjoint(variable.path.split("/"))
        }
        super().build(variables)

    def _decays(self, variable):
        return self._var_key(variable) in self._decayed_keys

    def _use_weight_decay(self, variable):
        return self._decays(variable) and super()._use_weight_decay(variable)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        clipped = [not self._decays(variable) for variable in trainable_variables]
        squares = [
            ops.sum(ops.square(ops.cast(gradient, "float32")))
            for gradient, clip in zip(grads, clipped, strict=True)
            if clip
        ]
        norm = ops.sqrt(sum(squares))
        factor = ops.minimum(1.0, self.clip / (norm + 1e-6))  # as PyTorch
        # The others go through an operation too: in a conditional, TensorFlow wants
        # all gradients to come from the same branch.
        grads = [
            gradient * ops.cast(factor, gradient.dtype)
            if clip
            else ops.stop_gradient(gradient)
            for gradient, clip in zip(grads, clipped, strict=True)
        ]
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def get_config(self):
        return {**super().get_config(), "decayed": self.decayed, "clip": self.clip}
