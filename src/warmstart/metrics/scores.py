"""Scores: named metrics, each with its direction, the rows it was computed on, and its interval.

No number stands alone: a ``Score`` carries n and a 95 % interval wherever it goes (terminal, JSON,
report, model card). A metric that is not defined on the rows at hand (Matthews correlation over a
single class) has the value ``None``, never a stand-in such as 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is called and which way is better."""

    name: str
    higher_is_better: bool
    title: str
    """As shown to a person: ``Matthews correlation``."""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric's value on ``n`` rows with its 95 % interval; ``None`` where undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    higher_is_better: bool

    def better_than(self, other: "Score | None") -> bool:
        """Whether this value beats ``other``'s; a defined value beats an undefined one."""
        if self.value is None:
            return False
        if other is None or other.value is None:
            return True
        return self.value > other.value if self.higher_is_better else self.value < other.value

    def to_json(self) -> dict[str, Any]:
        """``{"value", "low", "high", "n", "higher_is_better"}``."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "higher_is_better": self.higher_is_better,
        }


@dataclass(frozen=True, slots=True)
class Scores:
    """All scores of one split, and what else a report shows of it.

    Args:
        metrics: by name, the task's main metric first.
        details: JSON-ready extras of the task (confusion matrix, calibration bins, …).
    """

    metrics: Mapping[str, Score]
    details: Mapping[str, Any]

    def metrics_json(self) -> dict[str, dict[str, Any]]:
        """The scores alone, JSON-ready: ``{metric: {"value", "low", "high", "n", …}}``."""
        return {name: score.to_json() for name, score in self.metrics.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Scores":
        """Rebuild from ``{"scores": {metric: …}, "details": …}``."""
        metrics = {name: Score(**score) for name, score in content["scores"].items()}
        return cls(metrics, content.get("details", {}))
