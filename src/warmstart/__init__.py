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
    from warmstart.api import check, compare, generate, info, load, pretrain, resume, train
    from warmstart.config import RunConfig
    from warmstart.errors import WarmstartError
    from warmstart.evaluation.other_predictions import OtherPredictions
    from warmstart.run import Run

__version__ = "0.1.0"

__all__ = [
    "OtherPredictions",
    "Run",
    "RunConfig",
    "WarmstartError",
    "__version__",
    "check",
    "compare",
    "generate",
    "info",
    "load",
    "pretrain",
    "resume",
    "train",
]

_HOME = {
    "OtherPredictions": "warmstart.evaluation.other_predictions",
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
