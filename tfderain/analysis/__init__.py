"""Analysis: pictures and numbers about results, training runs and data sets.

Modules: `charts` (scores, improvements, task weights), `evaluation_report` (an
evaluation as a page, by `pages`), `examples` (hard and easy images, gradient maps),
`extremes` (worst and best images), `features` (maps of an entangled network),
`relations` (of data sets, as an encoder sees them), `translations` (JRGR's).
"""

from tfderain import lazy
from tfderain.images import before_after

__getattr__, __dir__, __all__ = lazy.face(
    __name__,
    {
        "charts": (
            "improvement_bars",
            "score_distributions",
            "task_weights",
        ),
        "evaluation_report": (),
        "examples": (),
        "extremes": (),
        "features": ("Correlations", "feature_maps"),
        "pages": (),
        "relations": (),
        "translations": (),
    },
)
__all__ += ["before_after"]
