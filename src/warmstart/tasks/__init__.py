"""The tasks of warmstart, by the value of the setting ``task``.

To add a task: write ``tasks/your_task.py`` with a class that satisfies ``task.Task``, add it here,
and run ``tests/contract``.
"""

from warmstart.config import RunConfig
from warmstart.tasks.bert_pretraining import BertPretraining
from warmstart.tasks.fill_mask import FillMask
from warmstart.tasks.multi_label_classification import MultiLabelClassification
from warmstart.tasks.next_sentence import NextSentence
from warmstart.tasks.question_answering import QuestionAnswering
from warmstart.tasks.task import AnyTask
from warmstart.tasks.text_classification import TextClassification
from warmstart.tasks.text_generation import TextGeneration
from warmstart.tasks.text_ranking import TextRanking
from warmstart.tasks.text_regression import TextRegression
from warmstart.tasks.token_classification import TokenClassification

TASKS: dict[str, type[AnyTask]] = {
    "text-classification": TextClassification,
    "multi-label-classification": MultiLabelClassification,
    "text-regression": TextRegression,
    "text-ranking": TextRanking,
    "token-classification": TokenClassification,
    "question-answering": QuestionAnswering,
    "text-generation": TextGeneration,
    "fill-mask": FillMask,
    "next-sentence": NextSentence,
    "bert-pretraining": BertPretraining,
}
"""Every task; the only list of them."""


def task_type(config: RunConfig) -> type[AnyTask]:
    """The task that these settings name.

    Args:
        config: a config checked by ``config_file``, so that its task is known.
    """
    return TASKS[config.task]
