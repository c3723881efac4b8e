"""Multi-label classification: names, weights, losses, thresholds; the rest is in tests/contract."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.data.test_label_lists import table_of
from tests.tasks.test_text_ranking import batch_of, values_of
from warmstart.config import RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.targets import RowBatchTargets
from warmstart.errors import DataError
from warmstart.tasks.multi_label_classification import MultiLabelClassification

TRUTH = [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]


def config(train: dict[str, Any] | None = None, **data: Any) -> RunConfig:
    settings = {"data": {"train": "l.csv", **data}, "train": train or {}}
    return RunConfig.model_validate({"task": "multi-label-classification", **settings})


def batch_of_sets() -> Batch:
    truth = torch.tensor(TRUTH)
    targets = RowBatchTargets(truth, truth.numel())
    return replace(batch_of([0.0] * len(TRUTH)), targets=targets)


def task(**train: Any) -> MultiLabelClassification:
    return MultiLabelClassification.from_facts(config(train), {"label_names": ["rude", "spam"]})


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 0.999, 1.0, 2.0, 5.0])
def test_the_focal_loss_has_a_gradient_for_rows_that_are_learned(gamma: float) -> None:
    """From p = 1/2 to p = 1 in float32; compared with its formula in float64."""
    margins = torch.tensor([[0.0, 5.0], [15.0, 20.0], [90.0, 200.0]], requires_grad=True)
    signs = torch.tensor(TRUTH) * 2 - 1  # every label of every row is predicted correctly
    total, _ = task(loss="focal", focal_gamma=gamma).loss(margins * signs, batch_of_sets())
    total.backward()
    assert margins.grad is not None
    exact = margins.detach().double()
    right, wrong = exact.sigmoid(), (-exact).sigmoid()
    nats = functional.softplus(-exact)
    expected = -(wrong ** (gamma + 1)) - gamma * nats * right * wrong**gamma
    torch.testing.assert_close(margins.grad.double(), expected, atol=1e-5, rtol=1e-3)


def test_names_are_learned_from_training_or_are_those_of_the_columns() -> None:
    table = table_of(label=["spam|rude", "", "rude"], b=["1", "0", "0"], a=["1", "1", "0"])
    assert MultiLabelClassification.learn(config(), table).label_names == ("rude", "spam")
    columns = MultiLabelClassification.learn(config(label_columns=["b", "a"]), table)
    assert columns.label_names == ("b", "a")
    assert columns.shown_labels(columns.labels(table)).to_pylist() == [["b", "a"], ["a"], []]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["", ""], "all 2 training rows have no label"),
        (["a|b", "b|a"], "all 2 training rows have the labels 'a', 'b' and no others"),
    ],
)
def test_there_must_be_something_to_tell_apart(values: list[str], found: str) -> None:
    with pytest.raises(DataError) as caught:
        MultiLabelClassification.learn(config(), table_of(label=values))
    assert caught.value.found == found
    assert "rows with different labels" in caught.value.expected
    assert "--label COLUMN" in caught.value.do


def test_a_label_that_every_row_has_is_allowed_with_others() -> None:
    assert MultiLabelClassification.learn(config(), table_of(label=["a|b", "a"])).label_names == (
        "a",
        "b",
    )


def test_the_loss_is_pytorchs_with_and_without_weights() -> None:
    logits, batch = torch.randn(3, 2), batch_of_sets()
    total, count = task().loss(logits, batch)
    assert count == 6
    plain = functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(total / count, plain(logits, values_of(batch)))
    table = table_of(label=["rude", "", "rude|spam", "rude", ""])
    learned = MultiLabelClassification.learn(config({"class_weights": "balanced"}), table)
    assert learned.label_weights == (2 / 3, 4.0)
    weights = torch.tensor(learned.label_weights)
    expected = plain(logits, values_of(batch), pos_weight=weights, reduction="sum")
    torch.testing.assert_close(learned.loss(logits, batch)[0], expected)


def test_a_label_without_rows_has_a_finite_weight() -> None:
    table = table_of(a=["1", "0"], b=["0", "0"])
    columns = config({"class_weights": "balanced"}, label_columns=["a", "b"])
    learned = MultiLabelClassification.learn(columns, table)
    assert learned.label_weights == (1.0, 2.0)
    assert "no row has the label 'b'" in learned.remarks(learned.labels(table))


def test_the_focal_loss_is_its_definition() -> None:
    logits, batch = torch.randn(3, 2), batch_of_sets()
    total, _ = task(loss="focal", focal_gamma=1.5).loss(logits, batch)
    right = torch.where(values_of(batch) == 1, logits.sigmoid(), 1 - logits.sigmoid())
    torch.testing.assert_close(total, (-((1 - right) ** 1.5) * right.log()).sum())
    same, _ = task(loss="focal", focal_gamma=0.0).loss(logits, batch)
    torch.testing.assert_close(same, task().loss(logits, batch)[0])


def test_labels_are_predicted_from_a_threshold_for_each_label() -> None:
    table = table_of(label=["rude", "rude|spam", "spam", "spam", ""])
    shares = np.array([[0.9, 0.05], [0.8, 0.3], [0.2, 0.25], [0.3, 0.4], [0.6, 0.1]])
    numbers = np.log(shares / (1 - shares)).astype(np.float32)
    found = task().predictions(numbers, batch_of([0.0] * 5))
    assert found[1].labels == ("rude",)
    assert found[2].labels == ()
    assert found[1].probabilities == pytest.approx({"rude": 0.8, "spam": 0.3})
    labels = task().labels(table)
    chosen, sentence = task().with_threshold(found, labels, "log_loss")
    assert chosen.thresholds == pytest.approx((0.7, 0.175))
    assert "'rude' 0.700, 'spam' 0.175" in sentence
    again = chosen.repeated(found)
    assert (again.probabilities == found.probabilities).all()
    assert [prediction.labels for prediction in again] == [
        ("rude",),
        ("rude", "spam"),
        ("spam",),
        ("spam",),
        (),
    ]
    assert again.columns(found.rows)["prediction"].to_pylist()[1] == ["rude", "spam"]
    assert chosen.score(again, labels).metrics["subset_accuracy"].value == 1
    assert found.changed(again) == 4
    assert MultiLabelClassification.from_facts(config(), chosen.facts) == chosen


def test_remarks_count_labels_and_miss_the_separator() -> None:
    table = table_of(label=["rude", "", "spam", "rude"])
    assert task().remarks(task().labels(table)) == [
        "0.75 labels per row; 1 of 4 rows has none (25.0%)",
        "no row has '|' between labels, so none has more than one: if that is wrong, set "
        "data.label_separator",
    ]


@pytest.mark.parametrize("labels", [[["rude"], ["spam", "rude"]], ['["rude"]', '["spam", "rude"]']])
def test_a_separator_is_refused_if_every_row_has_a_list(labels: list[Any]) -> None:
    with pytest.raises(DataError, match="contains lists of labels") as caught:
        MultiLabelClassification.learn(config(label_separator=";"), table_of(label=labels))
    assert caught.value.do == "--set data.label_separator=null"
    MultiLabelClassification.learn(config(), table_of(label=labels))
    # One row with a text is enough to need it.
    MultiLabelClassification.learn(
        config(label_separator=";"), table_of(label=['["rude"]', "spam;rude"])
    )


def test_a_temperature_divides_the_logits_of_all_labels() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (40, 2)).astype(np.float32)
    logits[0] = [-500, 20]
    plain, batch = task(), batch_of([0.0] * 40)
    found = replace(plain, temperature=2.5).predictions(logits, batch)
    cooled = plain.predictions(logits / np.float32(2.5), batch)
    np.testing.assert_allclose(found.probabilities, cooled.probabilities, rtol=1e-6)
    for prediction, shares in zip(found, found.probabilities, strict=True):
        assert list(prediction.probabilities.values()) == shares.tolist()
    before = plain.predictions(logits, batch)
    assert (plain.repeated(found).probabilities == before.probabilities).all()
    assert found.changed(before) == 0
