"""Evaluation: scores of models and folders of derained images, without TensorFlow.

Modules: `scores` (per image, under a protocol), `comparison` (several models, improved
images), `regions` (mIoR, mIoB), `niqe` (without clean images), `published` (scores of
papers), `subjects` (what is scored).
"""

from tfderain import lazy

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "comparison": (),
        "niqe": (),
        "published": (),
        "regions": (),
        "scores": ("Result", "Row", "evaluate", "find_scenes", "scenes_of"),
        "subjects": (),
    },
)
