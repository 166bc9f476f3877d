"""Balancing of several task losses, usable by any Keras model.

```python
weights = LossBalance()({"pixel": 0.02, "edge": 0.06})  # {"pixel": 0.75, "edge": 0.25}
```

A weighting is called with a dict of scalar task losses and returns a dict of weights
that carry no gradient. `GradientBalance` also needs the norm of each task's gradient
at a variable that all tasks share; `needs_gradients` says so to the caller.

Reference: Fan et al., 2020, arXiv:2003.09689, Algorithms 1 and 2.
"""

import keras
from keras import ops


def _one_minus_share(values, epsilon):
    """`{task: 1 - value / sum}` in float32, without a gradient.

    The weights of T tasks sum to T - 1: two tasks share a weight of 1.
    """
    values = {
        task: ops.stop_gradient(ops.cast(value, "float32"))
        for task, value in values.items()
    }
    total = sum(values.values()) + epsilon
    return {task: 1.0 - value / total for task, value in values.items()}


class Weighting:
    """Base: a callable from task losses to task weights, serialisable by Keras."""

    needs_gradients = False

    def __call__(self, losses: dict, gradient_norms: dict | None = None):
        """Returns `{task: scalar weight}`.

        Args:
            losses: dict from task to scalar loss.
            gradient_norms: dict from task to scalar gradient norm, for weightings
                with `needs_gradients`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `__call__`.")

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("tfderain")
class Fixed(Weighting):
    """Constant weights.

    Args:
        weights: dict from task to float. Tasks not named weigh 1. Defaults to `{}`.
    """

    def __init__(self, weights: dict | None = None):
        self.weights = dict(weights or {})

    def __call__(self, losses: dict, gradient_norms: dict | None = None):
        unknown = sorted(set(self.weights) - set(losses))
        if unknown:
            raise ValueError(
                f"`weights` may name only tasks of the model, {sorted(losses)}. "
                f"Received: {unknown}."
            )
        return {
            task: ops.convert_to_tensor(self.weights.get(task, 1.0), "float32")
            for task in losses
        }

    def get_config(self):
        return {"weights": self.weights}


@keras.saving.register_keras_serializable("tfderain")
class LossBalance(Weighting):
    """LB: `w_t = 1 - L_t / sum(L)`, computed anew in every step (Algorithm 2).

    Args:
        epsilon: float added to the sum, so that all-zero losses give finite weights.
            Defaults to `1e-8`; the authors' code has none.
    """

    def __init__(self, epsilon: float = 1e-8):
        self.epsilon = epsilon

    def __call__(self, losses: dict, gradient_norms: dict | None = None):
        return _one_minus_share(losses, self.epsilon)

    def get_config(self):
        return {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable("tfderain")
class GradientBalance(LossBalance):
    """GB: `w_t = 1 - G_t / sum(G)`, G_t the norm of task t's gradient (Algorithm 1).

    G_t is the l2 norm of the gradient of the unweighted task loss at a variable that
    all tasks share (MENET: the kernel of the last convolution).

    Args:
        epsilon: float added to the sum. Defaults to `1e-8`.
    """

    needs_gradients = True

    def __call__(self, losses: dict, gradient_norms: dict | None = None):
        if gradient_norms is None or set(gradient_norms) != set(losses):
            raise ValueError(
                "`gradient_norms` must have one norm for each task, "
                f"{sorted(losses)}. Received: gradient_norms={gradient_norms}."
            )
        return _one_minus_share(gradient_norms, self.epsilon)
