"""Predictions for texts or files, with the engine that runs the model (``engine``).

Tokenising and ``task.predictions`` are the same as in evaluation, so that predictions cannot differ
from what was scored.
"""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from warmstart import config_file, errors
from warmstart.config import DataConfig, RunConfig
from warmstart.config.config_faults import GROUPS, SETTINGS
from warmstart.data.checking.check import REASONS
from warmstart.data.examples.tokenise import is_unicode
from warmstart.data.label_lists import SEPARATOR, as_texts
from warmstart.data.reading.sources import read
from warmstart.data.table import SourceFile, Table
from warmstart.evaluation.store import prediction_table
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_task
from warmstart.runs.safe_files import refuse_unwritable, write_atomically
from warmstart.serving.engine import Engine
from warmstart.tasks import TASKS
from warmstart.tasks.capabilities import Generates, WritesConll, with_settings
from warmstart.tasks.task import AnyTask, Prediction, Predictions

_PAIR = "data.text_pair"

FILE_SETTINGS = frozenset(
    {
        "data.format",
        "data.delimiter",
        "data.columns",
        "data.quoting",
        "data.encoding",
        "data.text",
        "data.text_pair",
        "data.label",
        "data.label_separator",
        "data.label_columns",
        "data.prompt",
        "data.words",
        "data.tags",
        "data.tag_scheme",
        "data.spans",
        "data.group",
        "data.ragged",
        "data.missing",
        "data.dir",
    }
)
"""Settings that describe the format of a file; only these can differ from the training file's."""


@dataclass(frozen=True, slots=True)
class FilePredictions:
    """The predictions for a file.

    Args:
        predictions: one for each row.
        table: the predictions, with row id, file, line and text.
        task: the run's task.
        label_separator: text between the labels of a row, where a file cannot contain lists.
    """

    predictions: Predictions
    table: pa.Table
    task: AnyTask
    label_separator: str

    def to_json(self) -> list[dict[str, Any]]:
        """Each prediction as ``predict --json`` prints it."""
        return [prediction.to_json() for prediction in self.predictions]


def predict_texts(
    engine: Engine, texts: Sequence[str], text_pairs: Sequence[str] | None = None
) -> list[Prediction]:
    """Predictions for texts, or for pairs of texts, one for each and in order.

    Raises:
        DataError: a text is empty or not a string; a single string is given instead of a list;
            second texts are given and the run was trained on single texts, or the reverse.
        RunError: the run's task makes no prediction for a row.
    """
    refuse_without_predictions(engine.task)
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
    if not len(table):
        return []
    # One prediction for each text: an unusable text is an error here and is never left out.
    data = engine.config.data.model_copy(update={"missing": "error"})
    table, _ = engine.task.clean(data, table, labelled=False)
    return list(engine.predictions(engine.task, table))


def refuse_without_predictions(task: AnyTask) -> None:
    """Raise if the task generates text instead of predicting rows.

    Raises:
        RunError: the task generates text.
    """
    if isinstance(task, Generates):
        raise errors.run.generates_instead(task.name, task.usage().command)


def refuse_unusable(texts: Sequence[str], name: str) -> None:
    """Raise if ``texts`` is not a list of usable texts; ``name`` is their name in messages."""
    if isinstance(texts, str):
        raise errors.data.unusable_text(f"{name}s", texts)
    for number, text in enumerate(texts, start=1):
        which = f"{name} {number} of {len(texts)}"
        if not isinstance(text, str) or not text.strip():
            raise errors.data.unusable_text(which, text)
        if not is_unicode(text):
            raise errors.prompt.not_unicode(which, text)


def predict_file(
    engine: Engine, source: str | Sequence[str], overrides: Sequence[str] = ()
) -> FilePredictions:
    """Predictions for every row of the file(s), with row id, file, line and text.

    Warns about rows that were left out or truncated.

    Raises:
        RunError: the run's task makes no prediction for a row.
    """
    refuse_without_predictions(engine.task)
    config = file_config(engine.config, overrides)
    task = with_settings(engine.task, config)
    table = usable_rows(task, config.data, source, labelled=False)
    predictions = engine.predictions(task, table)
    rows = prediction_table(predictions, table, config.data, labels=None)
    separator = config.data.label_separator or SEPARATOR
    return FilePredictions(predictions, rows, task, separator)


def usable_rows(
    task: AnyTask, data: DataConfig, source: str | Sequence[str], *, labelled: bool
) -> Table:
    """The usable rows of the file(s); warns about rows that are left out under ``drop``.

    Args:
        task: its ``clean`` selects the rows.
        data: the format of the files.
        source: the file(s).
        labelled: whether a row needs a label.
    """
    table, left_out = task.clean(data, read(sources(source), data, "--data"), labelled=labelled)
    reasons = {"ragged": sum(file.dropped for file in table.files), **left_out}
    warn_of_left_out_rows(sum(file.rows for file in table.files), reasons)
    return table


def warn_of_left_out_rows(rows: int, reasons: Mapping[str, int]) -> None:
    """Warn about rows that are left out, with the reasons.

    Args:
        rows: number of rows, those included.
        reasons: number of rows by reason, a key of ``data.checking.check.REASONS``.
    """
    told = [f"{count:,} ({REASONS[reason]})" for reason, count in reasons.items() if count]
    if told:
        warnings.warn(f"of {rows:,} rows, left out: {', '.join(told)}", stacklevel=5)


def file_config(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """The settings for a new file: the same format as the training file, except for overrides.

    Args:
        config: settings of the run.
        overrides: settings that differ, each like ``data.format=csv``.

    Raises:
        ConfigError: an override is not a setting for reading files.
    """
    for text in overrides:
        name = text.partition("=")[0].strip()
        # A group, such as `train={epochs: 9}`, would change settings that are not for files.
        if (name in SETTINGS or name in GROUPS) and name not in FILE_SETTINGS:
            raise errors.config.fixed_by_training(name, sorted(FILE_SETTINGS))
    # The file is looked up in the working directory, not in the folder of the training files.
    return config_file.load(config, ["data.dir=null", *overrides])


def sources(source: str | Sequence[str]) -> list[str]:
    """One file or several, as a list."""
    return [source] if isinstance(source, str) else list(source)


def refuse_output(path: Path, run: Path) -> None:
    """Raise an error before any work if predictions cannot be written to ``path``.

    Args:
        path: the file to write.
        run: the run directory of the model.

    Raises:
        ConfigError: its suffix is unknown or not for this task, or the file already exists.
        RunError: its folder cannot be written, or the run directory is damaged.
    """
    if path.suffix not in WRITERS:
        raise errors.command.output_format(path, list(WRITERS))
    if path.suffix == ".conll":
        task = load_task(RunDirectory.open(run))[1]
        if not isinstance(task, WritesConll):
            writers = [name for name, kind in TASKS.items() if issubclass(kind, WritesConll)]
            raise errors.command.no_conll(path, task.name, writers)
    if path.exists():
        raise errors.command.output_exists(path)
    refuse_unwritable(path)


def write_predictions(found: FilePredictions, path: Path) -> None:
    """Write predictions as CSV, JSON lines, Parquet or CoNLL, depending on ``path``'s suffix.

    Raises:
        ConfigError: another command has created the file in the meantime.
        RunError: the file cannot be written.
    """

    def write(temporary: Path) -> None:
        WRITERS[path.suffix](found, temporary)
        if path.exists():
            raise errors.command.output_exists(path)

    write_atomically(path, write)


def _write_csv(found: FilePredictions, path: Path) -> None:
    """As CSV, whose cells cannot contain lists: a list is joined to one text."""
    table = found.table
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            column = table.column(place).combine_chunks()
            texts = (
                as_texts(column, found.label_separator)
                if pa.types.is_string(field.type.value_type)
                else pa.array(
                    [json.dumps(value, ensure_ascii=False) for value in column.to_pylist()]
                )
            )
            table = table.set_column(place, field.name, texts)
    pyarrow.csv.write_csv(table, path)


def _write_jsonl(found: FilePredictions, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for prediction in found.predictions:
            file.write(json.dumps(prediction.to_json(), ensure_ascii=False) + "\n")


def _write_parquet(found: FilePredictions, path: Path) -> None:
    pyarrow.parquet.write_table(found.table, path)


def _write_conll(found: FilePredictions, path: Path) -> None:
    """As a CoNLL file with a word and its predicted tag on each line, for tasks with words."""
    assert isinstance(found.task, WritesConll)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(found.task.conll(found.predictions))


WRITERS: dict[str, Callable[[FilePredictions, Path], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
    ".conll": _write_conll,
}
"""The function that writes a file of predictions, by its suffix."""
