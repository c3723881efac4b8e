"""The names of a task's metrics and baselines in the report and in the model card.

A task defines them: ``Metric.title`` and ``HasBaselines.baseline_titles``. A name that the task
does not know, such as one in a run of an older version, is shown with spaces instead of
underscores.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from warmstart.tasks.capabilities import START_TITLES, HasBaselines, metrics_of
from warmstart.tasks.task import AnyTask

_ARTICLES = ("the ", "an ", "a ")
_PERSONS = ("Matthews", "Pearson", "Spearman")


@dataclass(frozen=True, slots=True)
class Titles:
    """Titles of one task.

    Args:
        metrics: title of each metric by its name.
        baselines: name of each baseline for use in a sentence, by its key.
        unit: what scores are a mean over, such as ``queries``.
    """

    metrics: Mapping[str, str]
    baselines: Mapping[str, str]
    unit: str = "rows"

    @classmethod
    def of(cls, task: AnyTask) -> Self:
        """The titles of a task."""
        baselines = task.baseline_titles if isinstance(task, HasBaselines) else {}
        metrics = {metric.name: metric.title for metric in metrics_of(task)}
        return cls(metrics, {**START_TITLES, **baselines}, task.scored_unit)

    def metric(self, name: str) -> str:
        """A metric's name as a heading.

        >>> Titles({"ndcg_at_10": "nDCG@10"}, {}).metric("ndcg_at_10")
        'nDCG@10'
        >>> Titles({}, {}).metric("top_five_recall")
        'Top five recall'
        """
        spaced = name.replace("_", " ")
        return self.metrics.get(name, spaced[:1].upper() + spaced[1:])

    def metric_in_sentence(self, name: str) -> str:
        """A metric's name after other words.

        >>> Titles({"mcc": "Matthews correlation"}, {}).metric_in_sentence("mcc")
        'Matthews correlation'
        >>> Titles({}, {}).metric_in_sentence("accuracy")
        'accuracy'
        """
        title = self.metric(name)
        short = not title[1:2].islower()  # nDCG, MAP, F1
        return title if short or title.startswith(_PERSONS) else title[0].lower() + title[1:]

    def with_value(self, name: str, value: str) -> str:
        """A metric with its value in a sentence.

        >>> titles = Titles({"mcc": "Matthews correlation", "ndcg_at_10": "nDCG@10"}, {})
        >>> titles.with_value("mcc", "0.8"), titles.with_value("accuracy", "0.9")
        ('a Matthews correlation of 0.8', 'an accuracy of 0.9')
        >>> titles.with_value("ndcg_at_10", "0.5")
        'an nDCG@10 of 0.5'
        >>> Titles({"map": "MAP"}, {}).with_value("map", "0.5")
        'a MAP of 0.5'
        >>> titles.with_value("bits_per_byte", "1.7")
        '1.7 bits per byte'
        """
        title = self.metric_in_sentence(name)
        if title.startswith("bits "):
            return f"{value} {title}"
        # MRR is pronounced letter by letter ("em"), MAP as a word.
        spelt = not title[1:2].islower() and title[1:2] not in "AEIO"
        article = "an" if title[0] in ("nMF" if spelt else "aeio") else "a"
        return f"{article} {title} of {value}"

    def baseline(self, name: str) -> str:
        """A baseline's name in a sentence.

        >>> Titles({}, {"majority": "the majority class"}).baseline("majority")
        'the majority class'
        """
        return self.baselines.get(name, name.replace("_", " "))

    def baseline_head(self, name: str) -> str:
        """A baseline's name as the head of a column: without its article.

        >>> Titles({}, {"majority": "the majority class"}).baseline_head("majority")
        'majority class'
        """
        title = self.baseline(name)
        article = next((found for found in _ARTICLES if title.startswith(found)), "")
        return title.removeprefix(article)
