"""Text regression: its numbers, its loss, its remarks; the rest is in tests/contract."""

from typing import Any

import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from tests.data.test_label_lists import table_of
from tests.tasks.test_text_ranking import batch_of, values_of
from warmstart.config import RunConfig
from warmstart.errors import DataError
from warmstart.tasks.text_regression import TextRegression


def config() -> RunConfig:
    return RunConfig.model_validate({"task": "text-regression", "data": {"train": "l.csv"}})


@pytest.mark.parametrize("values", [["1", " -0.5 ", "2e1"], [1.0, -0.5, 20.0]])
def test_numbers_are_numbers_however_they_are_written(values: list[Any]) -> None:
    table = table_of(label=values)
    task = TextRegression.learn(config(), table)
    assert task.labels(table).tolist() == [1, -0.5, 20]
    assert task.shown_labels(task.labels(table)).type == pa.float64()
    whole = table_of(label=[3, 4])
    assert TextRegression.learn(config(), whole).labels(whole).tolist() == [3, 4]


@pytest.mark.parametrize("bad", ["good", "1,5", "nan", "inf", "-Infinity", "1e999", "", "1 m"])
def test_what_is_no_number_is_named_with_its_line(bad: str) -> None:
    with pytest.raises(DataError) as caught:
        TextRegression.learn(config(), table_of(label=["1", bad, "2"]))
    assert caught.value.found == f"l.csv:3: the column label has {bad!r}"
    assert "a number, such as 3" in caught.value.expected
    assert "--set task=text-classification" in caught.value.do


def test_lists_are_no_numbers() -> None:
    with pytest.raises(DataError, match="has values of the type list"):
        TextRegression.learn(config(), table_of(label=[[1.0], [2.0]]))


def test_there_must_be_something_to_predict() -> None:
    with pytest.raises(DataError) as caught:
        TextRegression.learn(config(), table_of(label=["2", "2.0"]))
    assert "all 2 training rows have 2 in the column label" in caught.value.found
    assert "two different numbers" in caught.value.expected
    assert "--label COLUMN" in caught.value.do


def test_the_loss_is_pytorchs() -> None:
    logits = torch.randn(4, 1)
    batch = batch_of([1.5, 0, -2, 1])
    total, count = TextRegression.from_facts(config(), {}).loss(logits, batch)
    assert count == 4
    torch.testing.assert_close(total / count, functional.mse_loss(logits[:, 0], values_of(batch)))


def test_the_prediction_is_the_logit() -> None:
    task = TextRegression.from_facts(config(), {})
    found = task.predictions(torch.tensor([[-3.5], [800.0]]), batch_of([0, 0]))
    assert [prediction.to_json() for prediction in found] == [
        {"row": 0, "value": -3.5, "truncated": False},
        {"row": 1, "value": 800.0, "truncated": False},
    ]


def test_labels_are_learned_in_standard_deviations_from_their_mean() -> None:
    table = table_of(label=["1e5", "3e5", "9e5"])
    task = TextRegression.learn(config(), table)
    assert task.facts == {"mean": pytest.approx(1.3e6 / 3), "deviation": pytest.approx(339934.6)}
    assert TextRegression.from_facts(config(), task.facts) == task
    logits, batch = torch.tensor([[2e5], [5e5]]), batch_of([1e5, 9e5])
    total, _ = task.loss(logits, batch)
    assert float(total) == pytest.approx((1e5**2 + 4e5**2) / 339934.6**2)
    # Scores and predictions have the unit of the labels.
    assert task.predictions(logits, batch).values.tolist() == [2e5, 5e5]
    assert task.remarks(task.labels(table)) == [
        "labels from 100000 to 900000, mean 433333, standard deviation 339935"
    ]
