"""An evaluation on disk: every row with its origin, and its scores."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from warmstart.config import DataConfig
from warmstart.data.table import SourceFile, Table
from warmstart.evaluation.baseline_scores import Scored
from warmstart.evaluation.evaluate import Evaluation
from warmstart.evaluation.store import prediction_table, scores_json, write_evaluation
from warmstart.metrics.scores import Score, Scores
from warmstart.runs.directory import RunDirectory
from warmstart.tasks.predictions.class_predictions import ClassPredictions
from warmstart.tasks.predictions.label_set_predictions import LabelSetPredictions
from warmstart.tasks.task import Split
from warmstart.tasks.text_classification import TextClassification

DATA = DataConfig(train="a.csv", text="review", label="stars")
TABLE = Table(
    columns=pa.table({"stars": [1.0, 0.0, 1.0], "review": ["好书", "b, with a comma", "c"]}),
    rows=np.array([2, 7, 9], dtype=np.int64),
    files=tuple(
        SourceFile(name, sha256="", encoding="utf-8", rows=6) for name in ("a.csv", "b.csv")
    ),
    file_index=np.array([0, 1, 1], dtype=np.int32),
    lines=np.array([4, 3, 5], dtype=np.int64),
)
SHARES = [0.25, 0.75, 0.5]
PREDICTIONS = ClassPredictions(
    ("0", "1"),
    np.stack([1 - np.array(SHARES), SHARES], axis=1),
    TABLE.rows,
    np.array([False, False, True]),
)
TASK = TextClassification(DATA, ("0", "1"))
SPLIT = Split(TABLE, np.array([1, 0, 1]))
MAJORITY = Scores({"accuracy": Score(0.5, 0.4, 0.6, 3, True)}, {})
BASELINES = {"majority": Scored(replace(PREDICTIONS, threshold=0.9), MAJORITY)}


@pytest.fixture
def found() -> Evaluation:
    scores = TASK.score(PREDICTIONS, SPLIT.labels)
    return Evaluation(PREDICTIONS, scores, loss=1.25)


def test_every_prediction_is_stored_with_its_row(tmp_path: Path, found: Evaluation) -> None:
    run = RunDirectory.create(tmp_path)
    write_evaluation(run, "test", TASK, found, SPLIT, DATA, BASELINES)
    rows = pyarrow.parquet.read_table(run.evaluation("test") / "predictions.parquet")
    assert rows.to_pydict() == {
        "row": [2, 7, 9],
        "file": ["a.csv", "b.csv", "b.csv"],
        "line": [4, 3, 5],
        "text": ["好书", "b, with a comma", "c"],
        "label": ["1", "0", "1"],
        "prediction": ["0", "1", "0"],
        "truncated": [False, False, True],
        "probability:0": [0.75, 0.25, 0.5],
        "probability:1": SHARES,
    }


def test_scores_carry_n_interval_loss_and_baselines(tmp_path: Path, found: Evaluation) -> None:
    run = RunDirectory.create(tmp_path)
    write_evaluation(run, "test", TASK, found, SPLIT, DATA, BASELINES)
    content = run.read_json("evaluation/test/scores.json")
    expected = scores_json("test", TASK, found, len(TABLE), {"majority": MAJORITY})
    assert content == json.loads(json.dumps(expected))
    write_evaluation(run, "file-a", TASK, found, SPLIT, DATA, BASELINES, ["data.text=b"])
    of_files = run.read_json("evaluation/file-a/scores.json")
    assert (of_files["files"], of_files["overrides"]) == (["a.csv", "b.csv"], ["data.text=b"])
    assert content["split"] == "test"
    assert content["n"] == 3
    assert content["scored_unit"] == "rows"
    assert content["loss"] == 1.25
    assert list(content["scores"]) == list(found.scores.metrics)
    for score in content["scores"].values():
        assert score.keys() == {"value", "low", "high", "n", "higher_is_better"}
        assert score["n"] == 3
    assert content["baselines"]["majority"]["accuracy"]["value"] == 0.5
    assert Scores.from_json(content).metrics == found.scores.metrics
    assert content["details"]["confusion_matrix"] == found.scores.details["confusion_matrix"]


def test_unlabelled_rows_have_no_label_column() -> None:
    bare = Table(
        TABLE.columns.select(["review"]), TABLE.rows, TABLE.files, TABLE.file_index, TABLE.lines
    )
    columns = prediction_table(PREDICTIONS, bare, DATA, labels=None).column_names
    assert "label" not in columns
    assert "prediction" in columns


def test_several_labels_stand_as_lists(tmp_path: Path) -> None:
    answers = LabelSetPredictions(
        ("x", "y"), (0.5, 0.2), PREDICTIONS.probabilities, TABLE.rows, PREDICTIONS.truncated
    )
    labels = pa.array([["x"], [], ["x", "y"]])
    found = prediction_table(answers, TABLE, DATA, labels=labels)
    assert found["label"].to_pylist() == [["x"], [], ["x", "y"]]
    assert found["prediction"].to_pylist() == [["x", "y"], ["y"], ["x", "y"]]
    assert found["probability:y"].to_pylist() == SHARES


def test_no_rows_are_an_empty_table() -> None:
    none = np.zeros(3, dtype=np.bool_)
    nothing = ClassPredictions(("0", "1"), np.zeros((0, 2)), TABLE.rows[none], none[none])
    assert prediction_table(nothing, TABLE.filter(none), DATA, labels=None).num_rows == 0
