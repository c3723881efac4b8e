"""Strings or files in, predictions out, from a run's kept model.

The same tokenising, the same ``predict`` and the same ``task.predictions`` as in evaluation, so
that what is served cannot differ from what was scored.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from warmstart import config_file, errors
from warmstart.config import DataConfig
from warmstart.data.sources import read
from warmstart.data.table import SourceFile, Table
from warmstart.evaluation.evaluate import evaluate, predict
from warmstart.evaluation.store import prediction_table, write_evaluation
from warmstart.models.forward import forward_for
from warmstart.runs.directory import write_atomically
from warmstart.runs.load import LoadedRun
from warmstart.tasks.task import Prediction
from warmstart.training.device import build_accelerator


def predict_texts(run: LoadedRun, texts: Sequence[str]) -> list[Prediction]:
    """Answers for texts, in order.

    Raises:
        DataError: a text is empty.
    """
    table = Table(
        columns=pa.table({run.config.data.text: pa.array(texts, pa.string())}),
        rows=np.arange(len(texts), dtype=np.int64),
        files=(SourceFile("text", sha256="", encoding=None, rows=len(texts)),),
        file_index=np.zeros(len(texts), dtype=np.int32),
        lines=np.arange(1, len(texts) + 1, dtype=np.int64),
    )
    return _predict_table(run, run.config.data, table)[0]


def predict_file(
    run: LoadedRun, source: str | Sequence[str], overrides: Sequence[str] = ()
) -> pa.Table:
    """Answers for every row of the file(s), beside row id, file, line and text."""
    data = _data_config(run, overrides)
    predictions, table = _predict_table(run, data, read(_sources(source), data, "--data"))
    return prediction_table(predictions, table, data, labelled=False)


def evaluate_file(
    run: LoadedRun, source: str | Sequence[str], overrides: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Score the run's model on labelled file(s); keeps the result under ``evaluation/``."""
    data = _data_config(run, overrides)
    task = type(run.task).from_facts(data, run.task.facts)
    table, _ = task.clean(data, read(_sources(source), data, "--data"), labelled=True)
    examples = task.examples(table, run.tokenizer, run.max_tokens, labelled=True)
    accelerator = build_accelerator(run.config.train)
    run.model.to(accelerator.device)
    found = evaluate(task, run.model, forward_for(run.model), examples, table, accelerator)
    name = Path(_sources(source)[0]).name.partition(".")[0]
    write_evaluation(run.directory, f"file-{name}", found, table, data, baselines={})
    return found.scores.metrics_json()


def _predict_table(
    run: LoadedRun, data: DataConfig, table: Table
) -> tuple[list[Prediction], Table]:
    task = type(run.task).from_facts(data, run.task.facts)
    table, _ = task.clean(data, table, labelled=False)
    examples = task.examples(table, run.tokenizer, run.max_tokens, labelled=False)
    accelerator = build_accelerator(run.config.train)
    run.model.to(accelerator.device)
    predictions, _, _ = predict(task, run.model, forward_for(run.model), examples, accelerator)
    return predictions, table


def _data_config(run: LoadedRun, overrides: Sequence[str]) -> DataConfig:
    return config_file.load(run.config, overrides).data


def _sources(source: str | Sequence[str]) -> list[str]:
    return [source] if isinstance(source, str) else list(source)


def predictions_json(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of ``predict_file`` as ``{"row", "label", "probabilities", "truncated"}``."""
    prefix = "probability:"
    labels = [n.removeprefix(prefix) for n in table.column_names if n.startswith(prefix)]
    return [
        {
            "row": row["row"],
            "label": row["prediction"],
            "probabilities": {label: row[prefix + label] for label in labels},
            "truncated": row["truncated"],
        }
        for row in table.to_pylist()
    ]


def refuse_output(path: Path) -> None:
    """Say before any work that predictions cannot be written to ``path``.

    Raises:
        ConfigError: its suffix is unknown, or the file is there already.
    """
    if path.suffix not in WRITERS:
        raise errors.command.output_format(path, list(WRITERS))
    if path.exists():
        raise errors.command.output_exists(path)


def write_predictions(table: pa.Table, path: Path) -> None:
    """Write predictions as CSV, JSON lines or Parquet, by the suffix of ``path``."""
    write_atomically(path, lambda temporary: WRITERS[path.suffix](table, temporary))


def _write_jsonl(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for answer in predictions_json(table):
            file.write(json.dumps(answer, ensure_ascii=False) + "\n")


WRITERS: dict[str, Callable[[pa.Table, Path], object]] = {
    ".csv": pyarrow.csv.write_csv,
    ".parquet": pyarrow.parquet.write_table,
    ".jsonl": _write_jsonl,
}
