"""Text classification: its labels, loss and predictions; the rest is in tests/contract."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tests.tiny import tiny_tokenizer
from warmstart.config import DataConfig, RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.targets import NO_LABEL, NoTargets, RowBatchTargets
from warmstart.data.table import SourceFile, Table
from warmstart.errors import DataError
from warmstart.tasks.predictions.class_predictions import ClassPredictions
from warmstart.tasks.text_classification import TextClassification

DATA = DataConfig(train="reviews.csv", text="review", label="stars")
CONFIG = RunConfig(data=DATA)


def table_of(labels: pa.Array, texts: list[str] | None = None) -> Table:
    """Rows whose ids and lines are not their positions."""
    rows = len(labels)
    texts = texts or [f"story {number}" for number in range(rows)]
    return Table(
        columns=pa.table({"stars": labels, "review": pa.array(texts)}),
        rows=np.arange(rows, dtype=np.int64) + 10,
        files=(SourceFile("reviews.csv", sha256="", encoding="utf-8", rows=rows),),
        file_index=np.zeros(rows, dtype=np.int32),
        lines=np.arange(rows, dtype=np.int64) + 12,
        setting="data.train",
    )


@pytest.mark.parametrize(
    ("labels", "names", "targets"),
    [
        (pa.array(["no", "yes", "no"]), ("no", "yes"), [0, 1, 0]),
        (pa.array(["10", "9", "10"]), ("9", "10"), [1, 0, 1]),
        (pa.array(["1.0", "0.0", "1.0"]), ("0", "1"), [1, 0, 1]),
        (pa.array([1.0, 0.0, 1.0]), ("0", "1"), [1, 0, 1]),
        (pa.array([2, -1, 2]), ("-1", "2"), [1, 0, 1]),
        (pa.array([True, False, True]), ("false", "true"), [1, 0, 1]),
        (pa.array(["差", "好", "好"]).dictionary_encode(), ("好", "差"), [1, 0, 0]),
    ],
)
def test_labels_are_texts_whatever_the_file_holds(
    labels: pa.Array, names: tuple[str, ...], targets: list[int]
) -> None:
    table = table_of(labels)
    task = TextClassification.learn(CONFIG, table)
    assert task.label_names == names
    assert task.labels(table).tolist() == targets
    assert json.loads(json.dumps(task.facts)) == {"label_names": list(names)}


def test_the_main_metric_depends_on_the_number_of_labels() -> None:
    two = TextClassification(DATA, ("a", "b"))
    three = TextClassification(DATA, ("a", "b", "c"))
    assert two.metrics[0].name == "matthews_correlation"
    assert three.metrics[0].name == "macro_f1"


def test_a_label_never_seen_in_training_is_named_with_its_line() -> None:
    task = TextClassification.learn(CONFIG, table_of(pa.array(["no", "yes"])))
    with pytest.raises(DataError, match=r"reviews.csv:13.*maybe"):
        task.labels(table_of(pa.array(["no", "maybe"])))


def test_without_labels_the_label_column_is_not_read() -> None:
    """A file for prediction may lack the label column, or contain anything in it."""
    task = TextClassification(DATA, ("no", "yes"))
    table = table_of(pa.array(["whatever", None]), ["a cat", "the old dog sat"])
    tokenizer = tiny_tokenizer()
    bare = task.encode(table, None, tokenizer, 128)
    assert isinstance(bare.targets, NoTargets)
    assert bare.rows.tolist() == [10, 11]
    assert bare.lengths.tolist() == [4, 6]
    without = Table(
        table.columns.drop_columns(["stars"]),
        table.rows,
        table.files,
        table.file_index,
        table.lines,
    )
    again = task.encode(without, None, tokenizer, 128)
    assert (again.tokens.input_ids == bare.tokens.input_ids).all()


def batch_of(labels: list[int], lengths: list[int] | None = None) -> Batch:
    """A batch of rows 10, 11, …; ``lengths`` are their lengths before truncation to 3 tokens."""
    count = len(labels)
    values = torch.tensor(labels)
    return Batch(
        input_ids=torch.ones(3 * count, dtype=torch.int64),
        offsets=np.arange(count + 1, dtype=np.int64) * 3,
        rows=np.arange(count, dtype=np.int64) + 10,
        truncated=np.array(lengths or [3] * count) > 3,
        targets=RowBatchTargets(values, int((values != NO_LABEL).sum())),
    )


def test_the_loss_is_the_sum_of_surprises_in_nats() -> None:
    task = TextClassification(DATA, ("a", "b", "c"))
    shares = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    loss, count = task.loss(shares.log(), batch_of([0, 2, NO_LABEL]))
    assert count == 2
    assert loss.item() == pytest.approx(-np.log(0.7) - np.log(0.25), rel=1e-6)


def test_predictions_have_row_label_probabilities_and_truncation() -> None:
    task = TextClassification(DATA, ("a", "b"))
    logits = torch.tensor([[0.0, 0.0], [30.0, -30.0], [-1.0, 1.0]], dtype=torch.bfloat16)
    found = task.predictions(logits, batch_of([0, 0, 0], lengths=[3, 9, 3]))
    assert [prediction.row for prediction in found] == [10, 11, 12]
    assert [prediction.label for prediction in found] == ["a", "a", "b"]
    assert [prediction.truncated for prediction in found] == [False, True, False]
    for prediction in found:
        assert list(prediction.probabilities) == ["a", "b"]
        assert abs(sum(prediction.probabilities.values()) - 1) < 1e-15
    assert found[2].probabilities["b"] == pytest.approx(1 / (1 + np.exp(-2)))
    assert json.loads(json.dumps(found[1].to_json()))["truncated"] is True


def test_scores_compare_predictions_with_labels() -> None:
    task = TextClassification(DATA, ("0", "1"))
    table = table_of(pa.array([1.0, 0.0, 1.0, 0.0]))
    shares = np.array([[0.2, 0.8], [0.4, 0.6], [0.1, 0.9], [0.7, 0.3]])
    found = ClassPredictions(task.label_names, shares, table.rows, np.zeros(4, dtype=np.bool_))
    scores = task.score(found, task.labels(table))
    assert scores.metrics["accuracy"].value == 0.75
    assert scores.metrics["accuracy"].n == 4
    assert scores.details["confusion_matrix"] == [[1, 1], [0, 2]]


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    table = table_of(pa.array(["a", None, "b", "a"]), ["x", "y", " ", "z"])
    drop = DATA.model_copy(update={"missing": "drop"})
    kept, counts = TextClassification.clean(drop, table, labelled=True)
    assert counts == {"empty_text": 1, "missing_label": 1}
    assert kept.rows.tolist() == [10, 13]
    assert kept.where(1) == "reviews.csv:15"
    assert len(TextClassification.clean(drop, table, labelled=False)[0]) == 3
    with pytest.raises(DataError, match="reviews.csv:14"):
        TextClassification.clean(DATA, table, labelled=True)


def uneven(**train: object) -> RunConfig:
    return RunConfig.model_validate({"data": DATA.model_dump(), "train": train})


def test_rare_labels_weigh_as_much_as_common_ones() -> None:
    """Like scikit-learn's ``balanced``, and like PyTorch's weighted cross-entropy, summed."""
    table = table_of(pa.array(["a"] * 6 + ["b"] * 2))
    task = TextClassification.learn(uneven(class_weights="balanced"), table)
    assert task.class_weights == (8 / 12, 8 / 4)
    assert task.facts["class_weights"] == [8 / 12, 8 / 4]
    assert TextClassification.from_facts(uneven(), task.facts).class_weights == task.class_weights
    logits, labels = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 0])
    batch = batch_of(labels.tolist())
    expected = torch.nn.functional.cross_entropy(
        logits, labels, torch.tensor(task.class_weights), reduction="sum"
    )
    total, count = task.loss(logits, batch)
    torch.testing.assert_close(total, expected)
    assert count == 5


def test_the_focal_loss_is_its_formula() -> None:
    task = TextClassification.from_facts(
        uneven(loss="focal", focal_gamma=1.5), {"label_names": ["a", "b", "c"]}
    )
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    share = logits.softmax(1)[torch.arange(6), labels]
    expected = (-((1 - share) ** 1.5) * share.log()).sum()
    torch.testing.assert_close(task.loss(logits, batch_of(labels.tolist()))[0], expected)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 0.999, 1.0, 2.0, 5.0])
def test_the_focal_loss_has_a_gradient_for_rows_that_are_learned(gamma: float) -> None:
    """From p = 1/2 to p = 1 in float32; compared with its formula in float64."""
    task = TextClassification.from_facts(
        uneven(loss="focal", focal_gamma=gamma), {"label_names": ["a", "b"]}
    )
    margins = torch.tensor([0.0, 5.0, 15.0, 20.0, 90.0, 200.0], requires_grad=True)
    logits = torch.stack([margins, torch.zeros(6)], dim=1)
    total, _ = task.loss(logits, batch_of([0] * 6))
    total.backward()
    assert margins.grad is not None
    exact = margins.detach().double()
    right, wrong = exact.sigmoid(), (-exact).sigmoid()
    nats = torch.nn.functional.softplus(-exact)
    expected = -(wrong ** (gamma + 1)) - gamma * nats * right * wrong**gamma
    torch.testing.assert_close(margins.grad.double(), expected, atol=1e-5, rtol=1e-3)


def test_a_threshold_decides_between_two_labels() -> None:
    task = TextClassification(DATA, ("no", "yes"), threshold=0.3)
    shares = np.array([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6]])
    batch = batch_of([0, 0, 0])
    found = task.predictions(torch.from_numpy(shares).log(), batch)
    np.testing.assert_allclose(found.probabilities, shares)
    found = replace(found, uncalibrated=shares)  # the second equals the threshold exactly
    assert [prediction.label for prediction in found] == ["no", "yes", "yes"]
    assert found.columns(batch.rows)["prediction"].to_pylist() == ["no", "yes", "yes"]
    labels = task.labels(table_of(pa.array(["no", "yes", "yes"])))
    assert task.score(found, labels).metrics["accuracy"].value == 1.0
    plain = TextClassification(DATA, ("no", "yes")).repeated(found)
    assert plain[1].label == "no"
    assert plain.changed(found) == 1


def test_the_threshold_that_is_chosen_is_the_best() -> None:
    task = TextClassification(DATA, ("no", "yes"))
    shares = np.array([0.05, 0.1, 0.2, 0.3, 0.4])
    both = np.stack([1 - shares, shares], 1)
    found = ClassPredictions(task.label_names, both, np.arange(5), np.zeros(5, bool))
    labels = task.labels(table_of(pa.array(["no", "no", "no", "yes", "yes"])))
    chosen, sentence = task.with_threshold(found, labels, "log_loss")
    assert chosen.threshold == pytest.approx(0.25)
    assert sentence.startswith("'yes' is predicted if its probability is at least 0.250")
    # A threshold does not change the log-loss, so the main metric is used.
    assert "matthews correlation" in sentence
    assert [one.label for one in chosen.repeated(found)] == ["no", "no", "no", "yes", "yes"]


def test_a_temperature_divides_the_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (40, 3)).astype(np.float32)
    logits[0] = [200, -200, 0]
    plain = TextClassification(DATA, ("a", "b", "c"))
    warm = replace(plain, temperature=2.5)
    batch = batch_of([0] * 40)
    found, cooled = warm.predictions(logits, batch), plain.predictions(logits / 2.5, batch)
    np.testing.assert_allclose(found.probabilities, cooled.probabilities, rtol=1e-6)
    columns = found.columns(batch.rows)
    for position, prediction in enumerate(found):
        for name, share in prediction.probabilities.items():
            assert columns[f"probability:{name}"][position].as_py() == share
    before = plain.predictions(logits, batch)
    assert (plain.repeated(found).probabilities == before.probabilities).all()
    assert found.changed(before) == 0
    assert [one.label for one in found] == [one.label for one in before]


def test_a_temperature_that_makes_two_labels_equal_does_not_change_the_label() -> None:
    shares = np.array([[0.5, np.nextafter(0.5, 1)]])
    found = ClassPredictions(("a", "b"), shares, np.arange(1), np.zeros(1, bool), temperature=20)
    assert found.probabilities[0, 0] == found.probabilities[0, 1]
    assert found.predicted.tolist() == [1]
    assert found[0].label == "b"
