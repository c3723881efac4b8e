"""The content of the report: mistakes, confusions, the start of overfitting."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.report.example_run import example_run
from warmstart import errors
from warmstart.config import DataConfig
from warmstart.report.report_content import (
    gather,
    largest_confusions,
    overfitting_start,
)
from warmstart.runs.run_record import Check
from warmstart.tasks.mistakes import Mistake
from warmstart.tasks.multi_label_classification import MultiLabelClassification
from warmstart.tasks.text_classification import TextClassification
from warmstart.tasks.text_regression import TextRegression

DATA = DataConfig(train="l.csv")
CLASSIFIER = TextClassification(DATA, ("unacceptable", "acceptable"))


def text_of(mistake: Mistake) -> str:
    return "".join(segment.text for segment in mistake.text)


def checks(*losses: float) -> list[Check]:
    return [
        Check(i, float(i + 1), loss, 0.1, 1.0, 1.0, best=False, scores={})
        for i, loss in enumerate(losses)
    ]


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [
        ((0.5, 0.4, 0.45, 0.6), 2.0),
        ((0.5, 0.6, 0.4, 0.45), 3.0),
        ((0.4, 0.5, 0.6), 1.0),
        ((0.5, 0.6, 0.5), None),
        ((0.5, 0.5), None),
        ((0.5, float("nan")), None),
        ((0.5,), None),
        ((), None),
    ],
)
def test_overfitting_starts_where_validation_loss_only_rises(
    losses: tuple[float, ...], epoch: float | None
) -> None:
    start = overfitting_start(checks(*losses))
    assert (start and start.epoch) == epoch


def test_the_surest_mistakes_come_first_and_all_are_counted(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run")
    path = run / "evaluation" / "test" / "predictions.parquet"
    found = CLASSIFIER.mistakes(path, 7)
    rows = [row for row in pq.read_table(path).to_pylist() if row["label"] != row["prediction"]]
    surest = sorted((row[f"probability:{row['prediction']}"] for row in rows), reverse=True)
    assert found.count == len(rows)
    assert [mistake.amount for mistake in found.rows] == [f"{100 * p:.1f} %" for p in surest[:7]]
    assert found.rows[0].where.startswith("cola_public/raw/out_of_domain_dev.tsv:")


def test_mistakes_of_a_large_split_are_found_anywhere(tmp_path: Path) -> None:
    """The file is read in pieces of about ten thousand rows."""
    path = example_run(tmp_path / "run") / "evaluation" / "test" / "predictions.parquet"
    table = pq.read_table(path)
    few = CLASSIFIER.mistakes(path, 3)
    times = 150_000 // len(table)
    pq.write_table(pa.concat_tables([table] * times), path)
    many = CLASSIFIER.mistakes(path, 3 * times)
    assert many.count == times * few.count
    assert sorted(many.rows[::times], key=str) == sorted(few.rows, key=str)


def test_rows_without_a_label_are_no_mistakes(tmp_path: Path) -> None:
    path = example_run(tmp_path / "run") / "evaluation" / "test" / "predictions.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("label")
    unlabelled = table.set_column(at, "label", [[None] * len(table)])
    pq.write_table(unlabelled.cast(table.schema), path)
    found = CLASSIFIER.mistakes(path, 5)
    assert (found.rows, found.count) == ((), 0)


def test_confusions_leave_out_right_answers_and_empty_cells() -> None:
    matrix = [[90, 2, 0], [7, 1, 0], [0, 0, 5]]
    found = largest_confusions({"labels": ["a", "b", "c"], "confusion_matrix": matrix})
    assert [(cell.label, cell.prediction, cell.n) for cell in found] == [
        ("b", "a", 7),
        ("a", "b", 2),
    ]
    assert found[0].share == 7 / 8


def test_the_test_split_judges_the_run(tmp_path: Path) -> None:
    content = gather(example_run(tmp_path / "run"))
    assert content.evaluation is not None
    assert content.evaluation.split == "test"
    assert content.verdict.startswith("On 516 test rows the model reaches a Matthews correlation")
    assert list(content.record.evaluations) == ["test", "validation"]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.RunError, match="contains no run") as caught:
        gather(tmp_path)
    assert "warmstart demo" in caught.value.do


def test_mistakes_in_several_labels_go_by_the_surest_wrong_one(tmp_path: Path) -> None:
    rows = [
        ("right", ["x"], ["x"], 0.9, 0.1),
        ("added", [], ["x"], 0.8, 0.3),
        ("missed", ["y"], [], 0.4, 0.05),
        ("both", ["y"], ["x"], 0.6, 0.45),
    ]
    names = ("text", "label", "prediction", "probability:x", "probability:y")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns |= {"file": ["l.csv"] * 4, "line": [2, 3, 4, 5], "truncated": [False] * 4}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    found = MultiLabelClassification(DATA, ("x", "y")).mistakes(tmp_path / "p.parquet", 2)
    assert found.count == 3
    assert [(text_of(one), one.label, one.prediction, one.amount) for one in found.rows] == [
        ("missed", "y", "none", "95.0 %"),
        ("added", "none", "x", "80.0 %"),
    ]


def test_numbers_go_by_how_far_off_they_are(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    columns = {
        "text": ["a", "b", "c"],
        "label": [1.0, 2.0, -3.0],
        "value": [1.5, 2.0, -1.0],
        "file": ["l.csv"] * 3,
        "line": [2, 3, 4],
        "truncated": [False] * 3,
    }
    pq.write_table(pa.table(columns), path)
    task = TextRegression(DATA)
    found = task.mistakes(path, 2)
    assert found.count == 3
    assert [(text_of(one), one.label, one.prediction, one.amount) for one in found.rows] == [
        ("c", "-3", "-1", "2"),
        ("a", "1", "1.5", "0.5"),
    ]
    true, predicted = task.points(path, most=5)
    assert (true.tolist(), predicted.tolist()) == (columns["label"], columns["value"])
