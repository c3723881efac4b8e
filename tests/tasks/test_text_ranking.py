"""Text ranking: its grades, its losses, its predictions; the rest is in tests/contract."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.tiny import tiny_tokenizer
from warmstart.config import RunConfig
from warmstart.data.checking.check import collect_findings
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.targets import NO_GROUP, RowBatchTargets, count_lists, of_kind
from warmstart.data.table import SourceFile, Table
from warmstart.errors import DataError
from warmstart.tasks.capabilities import Stratifies
from warmstart.tasks.list_losses import listwise, pairwise
from warmstart.tasks.predictions.number_predictions import NumberPredictions
from warmstart.tasks.query_mistakes import worst_queries
from warmstart.tasks.text_ranking import TextRanking


def config(loss: str | None = None, group: str | None = None) -> RunConfig:
    columns = {"text": "q", "text_pair": "d", "label": "grade", "group": group}
    settings = {
        "task": "text-ranking",
        "data": {"train": "r.csv", **columns},
        "train": {"loss": loss},
    }
    return RunConfig.model_validate(settings)


def table_of(grades: list[Any], queries: list[str] | None = None) -> Table:
    rows = len(grades)
    return Table(
        columns=pa.table(
            {
                "q": pa.array(queries or ["which cat"] * rows),
                "d": pa.array([f"story {number}" for number in range(rows)]),
                "grade": pa.array(grades),
                "topic": pa.array(["t"] * rows),
            }
        ),
        rows=np.arange(rows, dtype=np.int64),
        files=(SourceFile("r.csv", sha256="", encoding="utf-8", rows=rows),),
        file_index=np.zeros(rows, dtype=np.int32),
        lines=np.arange(rows, dtype=np.int64) + 2,
    )


def batch_of(grades: list[float], lists: list[int] | None = None) -> Batch:
    rows = len(grades)
    groups = None if lists is None else np.array(lists)
    count = rows if groups is None else count_lists(groups)
    return Batch(
        input_ids=torch.arange(rows),
        offsets=np.arange(rows + 1),
        rows=np.arange(rows),
        truncated=np.zeros(rows, dtype=np.bool_),
        targets=RowBatchTargets(torch.tensor(grades, dtype=torch.float32), count, groups),
    )


def values_of(batch: Batch) -> Tensor:
    return of_kind(batch.targets, RowBatchTargets).values


@pytest.mark.parametrize(
    "grades", [["0", "2", "1"], [0, 2, 1], [0.0, 2.0, 1.0], [" 0", "2.0", "1"]]
)
def test_grades_are_numbers_however_they_are_written(grades: list[Any]) -> None:
    task = TextRanking.learn(config("listwise"), table_of(grades))
    assert task.labels(table_of(grades)).grades.tolist() == [0, 2, 1]


def test_there_may_be_any_number_of_grades() -> None:
    """Many more grades than labels are allowed, and grades for which 2^grade is too large."""
    grades = [number / 2 for number in range(3000)]
    table = table_of(grades)
    task = TextRanking.learn(config("listwise"), table)
    data = task.data
    found = collect_findings(
        {"train": table},
        data,
        {"train": np.full(3000, 9)},
        max_tokens=64,
        dropped={"train": {}},
        labels={"train": task.shown_labels(task.labels(table))},
        classes=isinstance(task, Stratifies),
        together="q",
    )
    assert found.splits[0].label_counts == {}, "3,000 grades are no labels to be counted"
    none = np.zeros(3000, dtype=np.bool_)
    right = NumberPredictions("score", np.arange(3000.0), table.rows, none)
    assert task.score(right, task.labels(table)).metrics["ndcg_at_10"].value == pytest.approx(1)


@pytest.mark.parametrize("bad", ["yes", "-1", "nan", "1e999", ""])
def test_what_is_no_grade_is_named_with_its_line(bad: str) -> None:
    with pytest.raises(DataError) as caught:
        TextRanking.learn(config(), table_of(["0", bad, "1"]))
    assert caught.value.found == f"r.csv:3: the column grade has {bad!r}"
    assert "0 if not relevant" in caught.value.expected
    assert "--label COLUMN" in caught.value.do


@pytest.mark.parametrize("loss", [None, "cross-entropy"])
@pytest.mark.parametrize("grade", [2, 0.5])
def test_a_binary_loss_refuses_grades(loss: str | None, grade: float) -> None:
    with pytest.raises(DataError) as caught:
        TextRanking.learn(config(loss), table_of([0.0, 1.0, float(grade)]))
    assert f"r.csv:4: the column grade has the grade {grade:g}" in caught.value.found
    assert "train.loss=listwise" in caught.value.do


def test_there_must_be_something_to_tell_apart() -> None:
    with pytest.raises(DataError, match="all 3 training rows have the relevance 1"):
        TextRanking.learn(config(), table_of([1, 1, 1]))
    apart = table_of([1, 0], queries=["a", "b"])
    TextRanking.learn(config(), apart)
    with pytest.raises(DataError) as caught:
        TextRanking.learn(config("pairwise"), apart)
    assert "no q has documents of different relevance" in caught.value.found
    assert "binary-cross-entropy" in caught.value.do


def test_queries_are_the_texts_or_the_groups() -> None:
    table = table_of([1, 0, 1], queries=["b", "a", "b"])
    assert TextRanking.learn(config(), table).labels(table).queries.tolist() == [0, 1, 0]
    assert TextRanking.learn(config(group="topic"), table).labels(table).queries.tolist() == [
        0,
        0,
        0,
    ]


def test_losses_of_single_rows_are_pytorchs() -> None:
    one, two = torch.randn(4, 1), torch.randn(4, 2)
    batch = batch_of([1, 0, 0, 1])
    task = TextRanking.from_facts(config(), {})
    total, count = task.loss(one, batch)
    assert count == 4
    expected = functional.binary_cross_entropy_with_logits(one[:, 0], values_of(batch))
    torch.testing.assert_close(total / count, expected)
    total, count = TextRanking.from_facts(config("cross-entropy"), {}).loss(two, batch)
    expected = functional.cross_entropy(two, values_of(batch).long())
    torch.testing.assert_close(total / count, expected)


def pairwise_by_hand(scores: Tensor, grades: list[float]) -> Tensor:
    pairs = [
        -functional.logsigmoid(scores[i] - scores[j])
        for i, high in enumerate(grades)
        for j, low in enumerate(grades)
        if high > low
    ]
    return torch.stack(pairs).mean()


def listwise_by_hand(scores: Tensor, grades: list[float]) -> Tensor:
    shares = torch.tensor(grades) / sum(grades)
    return -(shares * scores.log_softmax(0)).sum()


@pytest.mark.parametrize(
    ("loss", "by_hand"), [(pairwise, pairwise_by_hand), (listwise, listwise_by_hand)]
)
def test_losses_of_lists_are_their_definitions(loss: Any, by_hand: Any) -> None:
    """A query whose documents all have the same grade adds nothing, for any number of documents."""
    grades = [2.0, 0, 1, 0, 0, 1, 1, 3, 0]
    lists = np.array([0, 0, 0, NO_GROUP, NO_GROUP, NO_GROUP, NO_GROUP, 5, 5])
    scores = (torch.randn(9) * 3).requires_grad_()
    expected = by_hand(scores[:3], grades[:3]) + by_hand(scores[7:], grades[7:])
    found = loss(scores, torch.tensor(grades), lists)
    torch.testing.assert_close(found, expected)
    (one,) = torch.autograd.grad(found, scores, retain_graph=True)
    (other,) = torch.autograd.grad(expected, scores)
    torch.testing.assert_close(one, other)
    assert batch_of(grades, lists.tolist()).count == 2


def test_a_score_is_the_probability_of_being_relevant() -> None:
    task = TextRanking.from_facts(config(), {})
    batch = batch_of([1, 0, 0])
    logits = torch.tensor([[0.0], [800.0], [-800.0]])
    assert [prediction.value for prediction in task.predictions(logits, batch)] == [0.5, 1.0, 0.0]
    two = torch.tensor([[1.0, 3.0], [3.0, 1.0], [0.0, 0.0]])
    found = [prediction.value for prediction in task.predictions(two, batch)]
    assert found == pytest.approx(two.softmax(1)[:, 1].tolist())


def test_queries_whose_documents_have_equal_grades_are_in_no_list() -> None:
    table = table_of([0, 1, 0, 2, 1, 1], queries=["a", "b", "a", "b", "c", "d"])
    task = TextRanking.learn(config("listwise"), table)
    assert task.labels(table).lists.tolist() == [NO_GROUP, 0, NO_GROUP, 0, NO_GROUP, NO_GROUP]
    sentence, counts = task.remarks(task.labels(table))
    assert sentence.endswith("; 1 has documents to compare")
    assert counts == "documents by grade: 0: 2, 1: 3, 2: 1"


def test_remarks_count_queries_that_say_nothing(tmp_path: Path) -> None:
    table = table_of([1, 0, 0, 0], queries=["a", "a", "b", "c"])
    task = TextRanking.learn(config(), table)
    assert task.remarks(task.labels(table)) == [
        "3 queries (values of q); 2 have no relevant document and are left out of the means",
        "documents by grade: 0: 3, 1: 1",
    ]


def test_many_grades_are_counted_together() -> None:
    table = table_of([number / 4 for number in range(11)])
    task = TextRanking.learn(config("listwise"), table)
    assert task.remarks(task.labels(table))[1] == "11 different grades"


def test_only_the_losses_of_lists_keep_rows_together() -> None:
    table = table_of([0, 1, 0, 1], queries=["a", "a", "b", "b"])
    for loss, groups in {"pairwise": [0, 0, 1, 1], "cross-entropy": None}.items():
        task = TextRanking.learn(config(loss), table)
        found = task.encode(table, task.labels(table), tiny_tokenizer(), 32).targets.groups
        assert (None if found is None else found.tolist()) == groups
        assert task.encode(table, None, tiny_tokenizer(), 32).targets.groups is None


def test_scores_of_exactly_1_are_ranked_by_their_logits(tmp_path: Path) -> None:
    """In float64 the sigmoid of every number above 37 is 1."""
    grades, queries = ["0", "1", "0"] * 20, [f"q{row // 3}" for row in range(60)]
    table = table_of(grades, queries)
    task = TextRanking.learn(config(), table)
    batch = batch_of([float(grade) for grade in grades])
    found = task.predictions(torch.tensor([[40.0], [60.0], [50.0]] * 20), batch)
    assert (found.values == 1).all()
    tied = NumberPredictions("score", found.values, found.rows, found.truncated)
    labels = task.labels(table)
    scores = [task.score(one, labels).metrics["mrr_at_10"].value for one in (found, tied)]
    assert scores[0] == 1 != scores[1]
    joined = NumberPredictions.joined([found], np.arange(60))
    path = tmp_path / "predictions.parquet"
    texts = {"text": queries, "text_pair": ["a", "b", "c"] * 20, "label": grades}
    pq.write_table(pa.table({**texts, **joined.columns(table.rows)}), path)
    assert worst_queries(path, 5) == ([], 0)
