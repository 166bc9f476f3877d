"""JRGR's losses in joint training: of the four networks and of the three critics."""

from collections.abc import Callable
from typing import Any

from keras import ops

from tfderain.models.adversarial import adversarial_loss, generator_loss

# As in the code that the authors ran (train_list.py): mse 40, adv 4, cyc 40. The paper
# prints adv 10, cyc 1, mse 10, which is the same ratio with two of them swapped.
LAMBDAS = {
    "adversarial_clean": 4.0,
    "adversarial_rainy": 4.0,
    "cycle": 40.0,
    "mse": 40.0,
}
CRITICS = ("critic_clean", "critic_synthetic", "critic_real")
# The four estimates of a background that critic_clean judges.
BACKGROUNDS = (
    "synthetic_derained",
    "made_real_derained",
    "real_derained",
    "made_synthetic_derained",
)


class JointLosses:
    """The losses of one step, for a model with `translate`, critics and pools."""

    translate: Callable
    adversary: str
    lambdas: dict
    pools: dict
    alpha: float

    def loss_names(self):
        """Names of the losses of joint training, in the order of the equations."""
        return [
            "generators",
            "critics",
            *(f"adversarial_{name}" for name in BACKGROUNDS),
            "adversarial_made_real_rainy",
            "adversarial_made_synthetic_rainy",
            "cycle_synthetic_rainy",
            "cycle_real_rainy",
            "cycle_synthetic_clean",
            "cycle_real_clean",
            "mse_synthetic_derained",
            "mse_made_real_derained",
            *CRITICS,
            *(f"{critic}_gap" for critic in CRITICS),
        ]

    def joint_losses(self, synthetic: Any, clean: Any, real: Any):
        """The losses of one step, Eqs. (2)-(8), all from the same forward passes.

        Args:
            synthetic, clean, real: `(batch, crop, crop, 3)` in [0, 1]: a synthetic pair
                and real rainy images, unpaired.

        Returns:
            `(derained, losses)`: the derained synthetic images, and all of
            `loss_names()`. The four networks minimise `generators`, the critics
            `critics`. `<critic>_gap` is the mean answer to real examples minus that to
            generated ones: near 0 the critic is beaten, near 1 it beats the generators.
        """
        synthetic, clean, real = (
            2 * ops.cast(image, "float32") - 1 for image in (synthetic, clean, real)
        )
        made = self.translate(synthetic, real, training=True)
        losses = self.generator_losses(made, synthetic, clean, real)
        # The images do not show it: oneDNN's convolution with ReLU turns NaN into 0.
        good = ops.isfinite(losses["generators"])
        losses |= self.critic_losses(made, synthetic, clean, real, good)
        return (made["synthetic_derained"] + 1) / 2, {
            "loss": losses["generators"],
            **losses,
        }

    def generator_losses(self, made: Any, synthetic: Any, clean: Any, real: Any):
        """Scalars by name: each loss of the generators, and as `generators` their sum,
        weighted by `lambdas`."""

        def distance(left, right):
            return ops.mean(ops.abs(left - right))

        judged = zip(
            CRITICS,
            (BACKGROUNDS, ["made_synthetic_rainy"], ["made_real_rainy"]),
            strict=True,
        )
        adversarial = {
            f"adversarial_{name}": generator_loss(logits, self.adversary)
            for critic, names in judged
            for name, logits in zip(
                names, self._ask(critic, [made[name] for name in names]), strict=True
            )
        }
        backgrounds = [f"adversarial_{name}" for name in BACKGROUNDS]
        # As in the authors' code, both sides of the background terms learn.
        cycles = {
            "cycle_synthetic_rainy": distance(synthetic, made["synthetic_cycled"]),
            "cycle_real_rainy": distance(real, made["real_cycled"]),
            "cycle_synthetic_clean": distance(
                made["synthetic_derained"], made["made_real_derained"]
            ),
            "cycle_real_clean": distance(
                made["real_derained"], made["made_synthetic_derained"]
            ),
        }
        squares = {
            f"mse_{name}": ops.mean(ops.square(made[name] - clean))
            for name in ("synthetic_derained", "made_real_derained")
        }
        weights = {
            name: "adversarial_clean" if name in backgrounds else "adversarial_rainy"
            for name in adversarial
        }
        weights |= dict.fromkeys(cycles, "cycle") | dict.fromkeys(squares, "mse")
        losses = {**adversarial, **cycles, **squares}
        total = sum(self.lambdas[weights[name]] * losses[name] for name in losses)
        return {"generators": total, **losses}

    def _ask(self, critic, images):
        """A critic's answers to several batches, each judged alone, in one call."""
        answers = getattr(self, critic)(ops.concatenate(images, axis=0))
        return ops.split(answers, len(images), axis=0)

    def critic_losses(
        self, made: Any, synthetic: Any, clean: Any, real: Any, good: bool = True
    ):
        """Halved sums of "real is real" and "made is made", Eqs. (2)-(4).

        `good`, a scalar bool, says whether the pools may store the images.
        """
        made = {name: ops.stop_gradient(image) for name, image in made.items()}
        if self.pools:
            kept = (*BACKGROUNDS, "made_real_rainy", "made_synthetic_rainy")
            made = {name: self.pools[name](made[name], good=good) for name in kept}
            self.pools["clean"](clean, good=good)
            # Each estimate is set against its own clean images.
            batch, groups = clean.shape[0], len(BACKGROUNDS)
            examples = ops.split(self.pools["clean"].draw(groups * batch), groups)
        else:
            examples = [clean] * len(BACKGROUNDS)
        given = {
            "critic_clean": (examples, [made[name] for name in BACKGROUNDS]),
            "critic_synthetic": ([synthetic], [made["made_synthetic_rainy"]]),
            "critic_real": ([real], [made["made_real_rainy"]]),
        }
        losses = {}
        for name, (right, wrong) in given.items():
            count = len(right)
            answers = self._ask(name, [*right, *wrong])
            # alpha weights the clean images against the four estimates together
            share = self.alpha / len(BACKGROUNDS) if name == "critic_clean" else 1.0
            # Means over groups of equal size: their sum is `count` times the mean.
            right, wrong = (
                ops.concatenate(part, axis=0)
                for part in (answers[:count], answers[count:])
            )
            losses[name] = 0.5 * count * (
                share * adversarial_loss(right, True, self.adversary)
                + adversarial_loss(wrong, False, self.adversary)
            )  # fmt: skip
            losses[f"{name}_gap"] = ops.mean(right) - ops.mean(wrong)
        return {"critics": sum(losses[name] for name in CRITICS), **losses}
