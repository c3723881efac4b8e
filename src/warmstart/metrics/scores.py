"""Scores: named metrics with their direction, number of rows and confidence interval.

A ``Score`` always has n and a 95 % interval, in the terminal, JSON, report and model card. A metric
that is undefined on the given rows (for example, Matthews correlation if all targets are equal) has
the value ``None`` and not a substitute such as 0.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Metric:
    """Name and direction of a metric."""

    name: str
    higher_is_better: bool
    title: str
    """The name as shown to the user, such as ``Matthews correlation``."""


@dataclass(frozen=True, slots=True)
class Score:
    """The value of a metric on ``n`` rows with its 95 % interval; ``None`` if undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    higher_is_better: bool

    def better_than(self, other: "Score | None") -> bool:
        """Whether this value is better than ``other``; any value is better than ``None``."""
        if self.value is None:
            return False
        if other is None or other.value is None:
            return True
        return self.value > other.value if self.higher_is_better else self.value < other.value

    def to_json(self) -> dict[str, Any]:
        """``{"value", "low", "high", "n", "higher_is_better"}``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of one split, and additional values for the report.

    Args:
        metrics: name -> score; the task's main metric is first.
        details: additional JSON values of the task (confusion matrix, calibration bins, …).
    """

    metrics: Mapping[str, Score]
    details: Mapping[str, Any]

    def metrics_json(self) -> dict[str, dict[str, Any]]:
        """The scores as JSON values: ``{metric: {"value", "low", "high", "n", …}}``."""
        return {name: score.to_json() for name, score in self.metrics.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Scores":
        """Rebuild from ``{"scores": {metric: …}, "details": …}``."""
        metrics = {name: Score(**score) for name, score in content["scores"].items()}
        return cls(metrics, content.get("details", {}))
