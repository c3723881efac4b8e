"""The tasks warmstart knows, by their Hugging Face names and what their labels are.

To add one: write ``tasks/your_task.py`` with a class that satisfies ``task.Task``, add it here, and
run ``tests/contract``.
"""

from warmstart.config import ProblemName, RunConfig, TaskName
from warmstart.tasks.fill_mask import FillMask
from warmstart.tasks.multi_label import MultiLabel
from warmstart.tasks.task import Task
from warmstart.tasks.text_classification import TextClassification
from warmstart.tasks.text_generation import TextGeneration
from warmstart.tasks.text_ranking import TextRanking
from warmstart.tasks.text_regression import TextRegression

TASKS: dict[tuple[TaskName, ProblemName], type[Task]] = {
    ("text-classification", "single-label"): TextClassification,
    ("text-classification", "multi-label"): MultiLabel,
    ("text-classification", "regression"): TextRegression,
    ("text-ranking", "single-label"): TextRanking,
    ("text-generation", "single-label"): TextGeneration,
    ("fill-mask", "single-label"): FillMask,
}
"""Every task by ``task`` and ``problem``; the one place that lists them."""


def task_type(config: RunConfig) -> type[Task]:
    """What is learned under these settings.

    Args:
        config: names task and problem.
    """
    return TASKS[config.task, config.problem]
