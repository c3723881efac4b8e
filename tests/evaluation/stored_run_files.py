"""Run directories with made-up predictions, as ``compare`` reads them; nothing is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from warmstart import config_file
from warmstart.config import RunConfig
from warmstart.data.table import SourceFile, Table
from warmstart.evaluation.baseline_scores import Scored
from warmstart.evaluation.evaluate import Evaluation
from warmstart.evaluation.store import write_evaluation
from warmstart.runs.directory import RunDirectory
from warmstart.tasks import task_type
from warmstart.tasks.predictions.class_predictions import ClassPredictions
from warmstart.tasks.predictions.document_predictions import DocumentPredictions
from warmstart.tasks.task import Split

ROWS = 400


def truth(rows: int = ROWS) -> Any:
    """The class of each row, 0 or 1."""
    return np.random.default_rng(0).integers(0, 2, rows)


def classes(share: float, seed: int, rows: int = ROWS) -> Any:
    """Predicted classes that are right for a share of the rows."""
    right = np.random.default_rng(seed).random(rows) < share
    return np.where(right, truth(rows), 1 - truth(rows))


def write_run(
    path: Path,
    predicted: Any,
    overrides: Sequence[str] = (),
    *,
    kept: Sequence[int] | None = None,
    sha256: str = "ab" * 32,
    splits: Sequence[str] = ("validation", "test"),
    baselines: Mapping[str, Any] | None = None,
    facts: Any = None,
    texts: str = "row",
    finished: bool = True,
) -> Path:
    """Write a run of text classification.

    Args:
        path: its folder.
        predicted: class of each row that the model predicts.
        overrides: settings that differ from other runs.
        kept: row ids of the split; all by default.
        sha256: hash of the file.
        splits: the splits with predictions.
        baselines: the classes that each baseline predicts.
        facts: the facts of the task.
        texts: beginning of each text.
        finished: whether the run has ended.
    """
    data = {"train": str(path.parent / "train.csv"), "test": str(path.parent / "test.csv")}
    config = config_file.load({"data": data}, overrides)
    kind, facts = task_type(config), facts or {"label_names": ["bad", "good"]}
    task: Any = kind.from_facts(config, facts)
    rows = np.arange(len(predicted))
    if kept is not None:
        rows = np.array(kept)
    file = SourceFile(str(path.parent / "test.csv"), sha256, "utf-8", rows=len(predicted))
    columns = pa.table({"text": [f"{texts} {row}" for row in rows]})
    table = Table(columns, rows, (file,), np.zeros(len(rows), np.int32), rows + 2, "data.test")

    def answers(found: Any) -> ClassPredictions:
        shares = np.array([[0.8, 0.2], [0.3, 0.7]])[found[rows]]
        return ClassPredictions(task.label_names, shares, rows, np.zeros(len(rows), np.bool_))

    directory = RunDirectory.create(path)
    split = Split(table, truth(len(predicted))[rows])
    score = Evaluation(answers(predicted), task.score(answers(predicted), split.labels), 0.5)
    beside = {}
    for name, chosen in (baselines or {}).items():
        beside[name] = Scored(answers(chosen), task.score(answers(chosen), split.labels))
    for name in splits:
        write_evaluation(directory, name, task, score, split, config.data, beside)
    _complete(directory, config, facts, file, finished=finished)
    return path


def write_documents(path: Path, nats: float, tokens: int = 10) -> Path:
    """Write a run of fill-mask.

    Args:
        path: its folder.
        nats: mean loss of each hidden token.
        tokens: number of hidden tokens of each row.
    """
    data = {"train": str(path.parent / "train.csv"), "test": str(path.parent / "test.csv")}
    config = config_file.load(
        {"task": "fill-mask", "data": data, "train": {"learning_rate": nats / 1e5}}
    )
    task: Any = task_type(config).from_facts(config, {})
    rows, noise = np.arange(ROWS), np.random.default_rng(0).normal(0, 0.1, ROWS)
    file = SourceFile(str(path.parent / "test.csv"), "ef" * 32, "utf-8", rows=ROWS)
    columns = pa.table({"text": [f"row {row}" for row in rows]})
    table = Table(columns, rows, (file,), np.zeros(ROWS, np.int32), rows + 2, "data.test")
    sums = {"nats": tokens * (nats + noise), "correct": rows % 9, "tokens": np.full(ROWS, tokens)}
    found = DocumentPredictions(rows, sums, np.zeros(ROWS, np.bool_))
    directory = RunDirectory.create(path)
    score = Evaluation(found, task.score(found, rows), nats)
    write_evaluation(directory, "test", task, score, Split(table, rows), config.data, {})
    _complete(directory, config, {}, file, finished=True)
    return path


def _complete(
    directory: RunDirectory, config: RunConfig, facts: Any, file: SourceFile, *, finished: bool
) -> None:
    """The files of a run that do not depend on its task."""
    directory.write_text("config.yaml", config_file.dump(config))
    directory.write_json("task.json", {"task": config.task, "facts": facts})
    sources = {name: {"source": "test", "rows": "all"} for name in ("validation", "test")}
    content = {"files": {"test": [file.to_json()]}, "splits": sources, "max_tokens": 32}
    directory.write_json("data.json", content)
    event = "finish" if finished else "start"
    directory.write_text("events.jsonl", f'{{"event": "{event}", "time": 1.0}}\n')
