"""Messages with a number read well with 0, 1 and 2."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.checking.unknown_tokens import Vocabulary, about_vocabulary
from warmstart.data.examples.tokens import Tokens
from warmstart.data.table import SourceFile, Table
from warmstart.evaluation.novelty import novelty
from warmstart.models.tuning.freezing import Frozen
from warmstart.tasks.label_sets import LabelSets
from warmstart.tasks.multi_label_classification import MultiLabelClassification
from warmstart.tasks.text_ranking import Relevance, TextRanking

DATA = DataConfig(train="a.csv")


def of_queries(count: int) -> str:
    """Remarks about two queries with an answer, and this number without."""
    grades = [1.0, 0.0, 1.0, 0.0, *[0.0] * count]
    queries = [0, 0, 1, 1, *range(2, 2 + count)]
    task = TextRanking(DATA, "query", "pairwise")
    return task.remarks(Relevance(np.array(grades), np.array(queries)))[0]


def of_lists(count: int) -> str:
    """Remarks about this number of queries with documents to compare, and one other."""
    grades = [0.0, *[1.0, 0.0] * count]
    queries = [0, *np.repeat(np.arange(1, count + 1), 2)]
    task = TextRanking(DATA, "query", "pairwise")
    return task.remarks(Relevance(np.array(grades), np.array(queries)))[0]


def of_label_sets(count: int) -> str:
    """Remarks about a row with a label, and this number without."""
    matrix = np.zeros((count + 1, 2), np.bool_)
    matrix[0] = True
    task = MultiLabelClassification(DATA, ("a", "b"))
    return task.remarks(LabelSets(matrix, lacks_separator=False, multi_hot=False))[0]


def of_tokens(count: int) -> str:
    """Findings about this number of rows with an unknown token and a control token."""
    ids = np.array([1, *[0] * count], np.int32)
    rows = np.arange(count + 1)
    file = SourceFile("a.csv", "", None, count + 1)
    texts = pa.table({"text": ["known", *["[SEP]"] * count]})
    table = Table(texts, rows, (file,), np.zeros(count + 1, np.int32), rows + 2)
    tokens = Tokens(ids, np.arange(count + 2), rows, full_lengths=np.ones(count + 1, np.int64))
    unknown = np.array([True, False])
    vocabulary = Vocabulary("[UNK]", unknown, ~unknown, ("[SEP]",), "text")
    found = about_vocabulary({"train": table}, {"train": tokens}, ["text"], vocabulary)
    return "\n".join(finding.text for finding in found)


def of_novelty(count: int) -> str:
    """The table for one text, of which this number of words is copied."""
    console = Console(file=io.StringIO(), width=200)
    from warmstart.cli import app, generate  # app imports generate, and must come first

    assert app is not None
    compared = novelty(["a b c d"], [" ".join("abcd"[:count])])
    console.print(generate._novelty_table(compared.to_json()))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


MESSAGES: dict[str, Callable[[int], object]] = {
    "queries without a relevant document": of_queries,
    "lists to compare": of_lists,
    "rows without labels": of_label_sets,
    "unknown tokens": of_tokens,
    "novelty": of_novelty,
    "frozen layers": lambda count: Frozen(count, backbone=False),
    "a limit without effect": lambda count: errors.splits.limit_without_effect(count, count),
    "prompts": lambda count: errors.unlearnable.prompts_fill_rows("train", count, "a:1", 8),
    "unknown characters": lambda count: errors.unlearnable.no_known_token("train", count, "a:1"),
    "nothing left": lambda count: errors.data.nothing_left(
        count, {"data.text": "text"}, setting="data.train"
    ),
    "a folder with a run": lambda _: errors.run.not_empty(
        Path("run"), is_run=True, is_finished=True
    ),
}

NOUNS = "row|query|text|word|character|token|document|layer|epoch|step|label|prompt|wrong row"
PLURALS = "|".join(f"{noun}s" for noun in NOUNS.split("|")) + "|queries"


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("name", MESSAGES)
def test_nouns_and_verbs_agree_with_their_number(name: str, count: int) -> None:
    text = " ".join(str(MESSAGES[name](count)).split())
    words = r"(?:(?:training|validation|different|new|more) )?"
    wrong = [
        rf"(?<![\d.,])1 {words}(?:{PLURALS})\b",
        rf"(?<![\d.,])(?:0|2) {words}(?:{NOUNS})\b",
        r"(?<![\d.,])1 (?:of [\d,]+ [a-z ]*?(?:rows?|texts?) )?(?:have|are|were|contain)\b",
        r"(?<![\d.,])2 (?:of [\d,]+ [a-z ]*?(?:rows?|texts?) )?(?:has|is|was|contains)\b",
        r"\ball (?:0|1)\b",
    ]
    for pattern in wrong:
        assert not re.search(pattern, text), (pattern, text)
