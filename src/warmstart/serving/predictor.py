"""Strings or files in, predictions out, by whichever engine runs the model (``engines``).

The same tokenising and the same ``task.predictions`` as in evaluation, so that what is served
cannot differ from what was scored.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from warmstart import errors
from warmstart.config import DataConfig, RunConfig, config_file
from warmstart.data.label_lists import as_texts
from warmstart.data.reading.sources import read
from warmstart.data.table import SourceFile, Table
from warmstart.evaluation.store import prediction_table
from warmstart.runs.directory import refuse_unwritable, write_atomically
from warmstart.serving.engines import Engine
from warmstart.tasks.task import Labelled, Prediction, Predictions, Task

_PAIR = "data.text_pair"
_JSON_ROWS = 4096
"""Rows that are Python objects at one time, while they are written as JSON lines."""


def predict_texts(
    engine: Engine, texts: Sequence[str], text_pairs: Sequence[str] | None = None
) -> list[Prediction]:
    """Answers for texts, or for pairs of texts, one for each and in order.

    Raises:
        DataError: a text is empty, or no text; texts or pairs come as a single string; there are
            second texts and the run knows none, or the reverse.
        RunError: the run's task has no labels.
    """
    _refuse_without_labels(engine)
    given = {"data.text": texts} if text_pairs is None else {"data.text": texts, _PAIR: text_pairs}
    for setting, values in given.items():
        refuse_unusable(values, setting.removeprefix("data."))
    columns = engine.config.data.text_columns
    if given.keys() < columns.keys():
        raise errors.data.texts_without_pairs(columns[_PAIR])
    if columns.keys() < given.keys():
        raise errors.data.pairs_without_use(columns["data.text"])
    if text_pairs is not None and len(text_pairs) != len(texts):
        raise errors.data.unequal_texts(len(texts), len(text_pairs))
    arrays = {columns[setting]: pa.array(v, pa.string()) for setting, v in given.items()}
    table = Table(
        columns=pa.table(arrays),
        rows=np.arange(len(texts), dtype=np.int64),
        files=(SourceFile("text", sha256="", encoding=None, rows=len(texts)),),
        file_index=np.zeros(len(texts), dtype=np.int32),
        lines=np.arange(1, len(texts) + 1, dtype=np.int64),
    )
    return list(_answers(engine, engine.task, table)) if len(table) else []


def _refuse_without_labels(engine: Engine) -> None:
    if not isinstance(engine.task, Labelled):
        raise errors.run.gives_no_labels(engine.task.name)


def refuse_unusable(texts: Sequence[str], name: str) -> None:
    """Raise where what should be a list of texts is not; ``name`` is what a message calls them."""
    if isinstance(texts, str):
        raise errors.data.unusable_text(f"{name}s", texts)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str) or not text.strip():
            raise errors.data.unusable_text(f"{name} {number} of {len(texts)}", text)


def predict_file(
    engine: Engine, source: str | Sequence[str], overrides: Sequence[str] = ()
) -> pa.Table:
    """Answers for every row of the file(s), beside row id, file, line and text.

    Warns of rows that were left out or cut.

    Raises:
        RunError: the run's task has no labels.
    """
    _refuse_without_labels(engine)
    config = file_config(engine.config, overrides)
    task = type(engine.task).from_facts(config, engine.task.facts)
    table = usable_rows(task, config.data, source, labelled=False)
    return prediction_table(_answers(engine, task, table), table, config.data, labels=None)


def _answers(engine: Engine, task: Task, table: Table) -> Predictions:
    """What the model makes of a clean table, which has a row at least."""
    examples = task.examples(table, engine.tokenizer, engine.max_tokens, labelled=False)
    return engine.predictions(task, examples)


def usable_rows(
    task: Task, data: DataConfig, source: str | Sequence[str], *, labelled: bool
) -> Table:
    """The rows of the file(s) that can be used; what is left out under ``drop`` is warned of.

    Args:
        task: cleans them.
        data: how the files are written.
        source: the file(s).
        labelled: whether a row needs a label.
    """
    table, left_out = task.clean(data, read(sources(source), data, "--data"), labelled=labelled)
    reasons = {"ragged": sum(file.dropped for file in table.files), **left_out}
    told = [f"{count:,} {name.replace('_', ' ')}" for name, count in reasons.items() if count]
    if told:
        rows = sum(file.rows for file in table.files)
        warnings.warn(f"of {rows:,} rows, left out: {', '.join(told)}", stacklevel=4)
    return table


def file_config(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """The settings for a file named here: it is written like the training file, but for these.

    Args:
        config: of the run.
        overrides: settings that differ.
    """
    # It is looked up from the working directory, not in the training's folder.
    return config_file.load(config, ["data.dir=null", *overrides])


def sources(source: str | Sequence[str]) -> list[str]:
    """One file or several, as a list."""
    return [source] if isinstance(source, str) else list(source)


def predictions_json(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of ``predict_file`` as ``{"row", "label", "probabilities", "truncated"}``.

    Of several labels to a row with ``"labels"``; of a ranking as ``{"row", "score", "truncated"}``,
    of a regression with ``"value"``.
    """
    for number in ("score", "value"):
        if number in table.column_names:
            return table.select(["row", number, "truncated"]).to_pylist()  # type: ignore[no-any-return]
    answer = "labels" if pa.types.is_list(table.schema.field("prediction").type) else "label"
    prefix = "probability:"
    labels = [n.removeprefix(prefix) for n in table.column_names if n.startswith(prefix)]
    return [
        {
            "row": row["row"],
            answer: row["prediction"],
            "probabilities": {label: row[prefix + label] for label in labels},
            "truncated": row["truncated"],
        }
        for row in table.to_pylist()
    ]


def refuse_output(path: Path) -> None:
    """Say before any work that predictions cannot be written to ``path``.

    Raises:
        ConfigError: its suffix is unknown, or the file is there already.
        RunError: its folder cannot be written.
    """
    if path.suffix not in WRITERS:
        raise errors.command.output_format(path, list(WRITERS))
    if path.exists():
        raise errors.command.output_exists(path)
    refuse_unwritable(path)


def write_predictions(table: pa.Table, path: Path) -> None:
    """Write predictions as CSV, JSON lines or Parquet, by the suffix of ``path``."""
    write_atomically(path, lambda temporary: WRITERS[path.suffix](table, temporary))


def _write_csv(table: pa.Table, path: Path) -> None:
    """As CSV, whose cells hold no lists: several labels stand in one text."""
    place = table.column_names.index("prediction") if "prediction" in table.column_names else None
    if place is not None and pa.types.is_list(table.schema.field(place).type):
        texts = as_texts(table.column(place).combine_chunks())
        table = table.set_column(place, "prediction", texts)
    pyarrow.csv.write_csv(table, path)


def _write_jsonl(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(table), _JSON_ROWS):
            for answer in predictions_json(table.slice(start, _JSON_ROWS)):
                file.write(json.dumps(answer, ensure_ascii=False) + "\n")


WRITERS: dict[str, Callable[[pa.Table, Path], object]] = {
    ".csv": _write_csv,
    ".parquet": pyarrow.parquet.write_table,
    ".jsonl": _write_jsonl,
}
