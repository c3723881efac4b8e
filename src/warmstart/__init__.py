"""Fine-tune pretrained transformers on your own file, from the checked data to an exported model.

    import warmstart
    run = warmstart.train("config.yaml")
    run.evaluate("more.tsv")
    run.predict(["The book was read by the girl."])

Everything that needs a finished run is a method of it. The names below are resolved at their first
use (PEP 562), so that ``import warmstart`` loads neither torch nor transformers and the command
line starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warmstart.api import check, generate, info, load, pretrain, resume, train
    from warmstart.config import RunConfig
    from warmstart.errors import WarmstartError
    from warmstart.evaluation.compare import compare
    from warmstart.evaluation.other_predictions import OtherPredictions
    from warmstart.experiments.cross_validation import cross_validate
    from warmstart.experiments.experiment import Experiment
    from warmstart.experiments.glue import glue, resume_glue
    from warmstart.experiments.kinds import resume_experiment
    from warmstart.experiments.learning_curve import learning_curve
    from warmstart.experiments.nested_search import nested_search
    from warmstart.experiments.ray_workers import RayWorkers
    from warmstart.experiments.repeat import repeat
    from warmstart.experiments.search import search
    from warmstart.run import Run
    from warmstart.serving.embedder import embed

__version__ = "0.1.0"

__all__ = [
    "Experiment",
    "OtherPredictions",
    "RayWorkers",
    "Run",
    "RunConfig",
    "WarmstartError",
    "__version__",
    "check",
    "compare",
    "cross_validate",
    "embed",
    "generate",
    "glue",
    "info",
    "learning_curve",
    "load",
    "nested_search",
    "pretrain",
    "repeat",
    "resume",
    "resume_experiment",
    "resume_glue",
    "search",
    "train",
]

_HOME = {
    "Experiment": "warmstart.experiments.experiment",
    "OtherPredictions": "warmstart.evaluation.other_predictions",
    "RayWorkers": "warmstart.experiments.ray_workers",
    "compare": "warmstart.evaluation.compare",
    "cross_validate": "warmstart.experiments.cross_validation",
    "embed": "warmstart.serving.embedder",
    "glue": "warmstart.experiments.glue",
    "learning_curve": "warmstart.experiments.learning_curve",
    "nested_search": "warmstart.experiments.nested_search",
    "repeat": "warmstart.experiments.repeat",
    "resume_experiment": "warmstart.experiments.kinds",
    "resume_glue": "warmstart.experiments.glue",
    "search": "warmstart.experiments.search",
    "Run": "warmstart.run",
    "RunConfig": "warmstart.config.settings",
    "WarmstartError": "warmstart.errors",
}
"""The module that defines a public name, if it is not ``warmstart.api``."""


def __getattr__(name: str) -> Any:
    """Import a public name's module at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "warmstart.api")), name)


def __dir__() -> list[str]:
    """The public names, before and after their first use."""
    return __all__
