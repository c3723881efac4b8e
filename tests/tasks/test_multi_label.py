"""Several labels itself: names, weights, losses, thresholds; the rest is the contract's."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from warmstart.tasks.multi_label import MultiLabel

from tests.data.test_label_lists import table_of
from tests.tasks.test_text_ranking import batch_of
from warmstart.config import RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.errors import DataError

TRUTH = [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]


def config(train: dict[str, Any] | None = None, **data: Any) -> RunConfig:
    content = {"problem": "multi-label", "data": {"train": "l.csv", **data}, "train": train or {}}
    return RunConfig.model_validate(content)


def batch_of_sets() -> Batch:
    truth = torch.tensor(TRUTH)
    return replace(batch_of([0.0] * len(TRUTH)), labels=truth, count=truth.numel())


def task(**train: Any) -> MultiLabel:
    return MultiLabel.from_facts(config(train), {"label_names": ["rude", "spam"]})


def test_names_are_learned_from_training_or_are_those_of_the_columns() -> None:
    table = table_of(label=["spam|rude", "", "rude"], b=["1", "0", "0"], a=["1", "1", "0"])
    assert MultiLabel.learn(config(), table).label_names == ("rude", "spam")
    columns = MultiLabel.learn(config(label_columns=["b", "a"]), table)
    assert columns.label_names == ("b", "a")
    assert columns.shown_labels(table).to_pylist() == [["b", "a"], ["a"], []]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["", ""], "all 2 training rows have no label"),
        (["a|b", "b|a"], "all 2 training rows have the labels 'a', 'b' and no others"),
    ],
)
def test_there_must_be_something_to_tell_apart(values: list[str], said: str) -> None:
    with pytest.raises(DataError) as caught:
        MultiLabel.learn(config(), table_of(label=values))
    assert caught.value.found == said
    assert "some rows have and others have not" in caught.value.expected
    assert "--label COLUMN" in caught.value.do


def test_a_label_that_every_row_has_may_stand_beside_others() -> None:
    assert MultiLabel.learn(config(), table_of(label=["a|b", "a"])).label_names == ("a", "b")


def test_the_loss_is_pytorchs_with_and_without_weights() -> None:
    logits, batch = torch.randn(3, 2), batch_of_sets()
    total, count = task().loss(logits, batch)
    assert count == 6
    plain = functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(total / count, plain(logits, batch.labels))
    table = table_of(label=["rude", "", "rude|spam", "rude", ""])
    learned = MultiLabel.learn(config({"class_weights": "balanced"}), table)
    assert learned.label_weights == (2 / 3, 4.0)
    weights = torch.tensor(learned.label_weights)
    expected = plain(logits, batch.labels, pos_weight=weights, reduction="sum")
    torch.testing.assert_close(learned.loss(logits, batch)[0], expected)


def test_a_label_without_rows_has_a_finite_weight() -> None:
    table = table_of(a=["1", "0"], b=["0", "0"])
    columns = config({"class_weights": "balanced"}, label_columns=["a", "b"])
    learned = MultiLabel.learn(columns, table)
    assert learned.label_weights == (1.0, 2.0)
    assert "no row has the label 'b'" in learned.remarks(table)


def test_the_focal_loss_is_its_definition() -> None:
    logits, batch = torch.randn(3, 2), batch_of_sets()
    total, _ = task(loss="focal", focal_gamma=1.5).loss(logits, batch)
    right = torch.where(batch.labels == 1, logits.sigmoid(), 1 - logits.sigmoid())
    torch.testing.assert_close(total, (-((1 - right) ** 1.5) * right.log()).sum())
    same, _ = task(loss="focal", focal_gamma=0.0).loss(logits, batch)
    torch.testing.assert_close(same, task().loss(logits, batch)[0])


def test_answers_go_by_a_threshold_for_each_label() -> None:
    table = table_of(label=["rude", "rude|spam", "spam", "spam", ""])
    shares = np.array([[0.9, 0.05], [0.8, 0.3], [0.2, 0.25], [0.3, 0.4], [0.6, 0.1]])
    numbers = np.log(shares / (1 - shares)).astype(np.float32)
    found = task().predictions(numbers, batch_of([0.0] * 5))
    assert found[1].labels == ("rude",)
    assert found[2].labels == ()
    assert found[1].probabilities == pytest.approx({"rude": 0.8, "spam": 0.3})
    settled, said = task().settled(found, table, "log_loss")
    assert settled.thresholds == pytest.approx((0.7, 0.175))
    assert "'rude' 0.700, 'spam' 0.175" in said
    again = settled.answers(found.probabilities, found.rows, found.truncated)
    assert [answer.labels for answer in again] == [
        ("rude",),
        ("rude", "spam"),
        ("spam",),
        ("spam",),
        (),
    ]
    assert again.columns(found.rows)["prediction"].to_pylist()[1] == ["rude", "spam"]
    assert settled.score(again, table).metrics["subset_accuracy"].value == 1
    assert found.labels_unlike(again) == 4
    assert MultiLabel.from_facts(config(), settled.facts) == settled


def test_remarks_count_labels_and_miss_the_separator() -> None:
    table = table_of(label=["rude", "", "spam", "rude"])
    assert task().remarks(table) == [
        "0.75 labels a row; 1 of 4 rows have none (25.0%)",
        "no row has '|' between labels, so none has more than one: if that is wrong, set "
        "data.label_separator",
    ]
