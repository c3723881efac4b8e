"""The tasks warmstart knows, by their Hugging Face names.

To add one: write ``tasks/your_task.py`` with a class that satisfies ``task.Task``, add it here, and
run ``tests/contract``.
"""

from warmstart.tasks.fill_mask import FillMask
from warmstart.tasks.task import Task
from warmstart.tasks.text_classification import TextClassification
from warmstart.tasks.text_generation import TextGeneration
from warmstart.tasks.text_ranking import TextRanking

TASKS: dict[str, type[Task]] = {
    "text-classification": TextClassification,
    "text-ranking": TextRanking,
    "text-generation": TextGeneration,
    "fill-mask": FillMask,
}
"""Every task by name; the one place that lists them."""
