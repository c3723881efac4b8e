"""Predictions for texts or files, with the engine that runs the model (``engine``).

Tokenising and ``task.predictions`` are the same as in evaluation, so that predictions cannot differ
from what was scored.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.checking.check import REASONS
from warmstart.data.examples.tokens import Bools
from warmstart.data.label_lists import SEPARATOR
from warmstart.data.table import Table
from warmstart.errors.counts import counted
from warmstart.evaluation.store import prediction_table
from warmstart.serving.engine import Engine
from warmstart.serving.file_settings import Source, file_config, given_settings, read_files
from warmstart.serving.given_texts import text_table
from warmstart.tasks import TASKS
from warmstart.tasks.capabilities import (
    Generates,
    RanksAnswers,
    RanksLabels,
    label_names_of,
    with_settings,
)
from warmstart.tasks.task import AnyTask, Prediction, Predictions

ROWS_AT_ONCE = 1024
"""Rows whose columns become Python objects in one call."""


@dataclass(frozen=True, slots=True)
class FilePredictions:
    """The predictions for the N rows of a file.

    Args:
        predictions: one for each row with a text.
        answered: whether each row has a prediction, bool [N].
        table: each row with its id, file, line and text, and its prediction or nulls.
        task: the run's task.
        label_separator: text between the labels of a row, where a file cannot contain lists.
        kept: all columns of the file, if they are wanted.
    """

    predictions: Predictions
    answered: Bools
    table: pa.Table
    task: AnyTask
    label_separator: str
    kept: pa.Table | None = None

    def __iter__(self) -> Iterator[Prediction | None]:
        """The prediction of each row; None for a row without a text."""
        found = iter(self.predictions)
        return (next(found) if answered else None for answered in self.answered.tolist())

    def to_json(self) -> Iterator[dict[str, Any]]:
        """Each row as ``predict --json`` prints it; without a text, every value is None."""
        names = next(iter(self.predictions)).to_json().keys()
        batches = [] if self.kept is None else self.kept.to_batches(max_chunksize=ROWS_AT_ONCE)
        kept = (row for batch in batches for row in batch.to_pylist())
        for row, found in zip(self.table.column("row").to_pylist(), self, strict=True):
            answer = {**dict.fromkeys(names), "row": row} if found is None else found.to_json()
            if self.kept is not None:
                # Dates and bytes become text.
                answer["columns"] = json.loads(json.dumps(next(kept), default=str))
            yield answer

    def shown(self) -> Iterator[str]:
        """Each row for the terminal."""
        return (NO_TEXT if found is None else prediction_text(found) for found in self)


NO_TEXT = "no prediction (no text)"
"""What is shown for a row without a text."""


def prediction_text(prediction: Prediction) -> str:
    """A prediction for the terminal, and whether its text was truncated."""
    return prediction.shown() + "  (truncated)" * prediction.truncated


def predict_texts(
    engine: Engine,
    texts: Iterable[str],
    text_pairs: Iterable[str] | None = None,
    *,
    top_k: int | None = None,
) -> list[Prediction]:
    """Predictions for texts, or for pairs of texts, one for each and in order.

    Args:
        engine: the run's engine.
        texts: any sequence of texts, see ``given_texts``.
        text_pairs: the second text of each.
        top_k: number of labels to show, the most probable first; None for all, in their own order.

    Raises:
        DataError: a text is empty or not a string; a single string is given instead of a list;
            second texts are given and the run was trained on single texts, or the reverse.
        RunError: the run's task makes no prediction for a row.
    """
    refuse_without_predictions(engine.task)
    refuse_top_k(engine.task, top_k)
    table = text_table(engine.config.data, texts, text_pairs)
    if not len(table):
        return []
    # One prediction for each text: an unusable text is an error here and is never left out.
    data = engine.config.data.model_copy(update={"missing": "error"})
    table, _ = engine.task.clean(data, table, labelled=False)
    return list(_most_probable(engine.task, engine.predictions(engine.task, table), top_k))


def refuse_top_k(task: AnyTask, count: int | None) -> None:
    """Raise if the ``count`` most probable labels cannot be shown.

    Args:
        task: the run's task.
        count: number of labels; None if none is given.

    Raises:
        ConfigError: the task has no probabilities of labels, or not as many labels.
    """
    if count is None:
        return
    if not isinstance(task, RanksLabels):
        able = [name for name, kind in TASKS.items() if issubclass(kind, RanksLabels)]
        raise errors.command.top_k_of_what(count, task.name, able)
    answers = task.most_answers if isinstance(task, RanksAnswers) else None
    most = answers or len(label_names_of(task))
    if not 1 <= count <= most:
        unit = "label" if answers is None else "answer"
        raise errors.command.top_k_out_of_range(count, most, unit)


def _most_probable(task: AnyTask, found: Predictions, count: int | None) -> Predictions:
    if count is None:
        return found
    assert isinstance(task, RanksLabels)
    ranked: Predictions = task.most_probable(found, count)
    return ranked


def refuse_without_predictions(task: AnyTask) -> None:
    """Raise if the task generates text instead of predicting rows.

    Raises:
        RunError: the task generates text.
    """
    if isinstance(task, Generates):
        raise errors.run.generates_instead(task.name, task.usage().command)


def predict_file(
    engine: Engine,
    source: Source | Sequence[Source],
    overrides: Sequence[str] = (),
    *,
    top_k: int | None = None,
    keep_columns: bool = False,
) -> FilePredictions:
    """Predictions for every row of the file(s), with row id, file, line and text.

    A row without a text has no prediction, but stays in the result, so that rows align with the
    file. ``data.missing``, if it is given for the file, leaves such rows out or refuses them.
    Warns about such rows, and about rows that were truncated.

    Args:
        engine: the run's engine.
        source: the file(s).
        overrides: settings in which they differ from the training file.
        top_k: as for ``predict_texts``.
        keep_columns: whether the result has all columns of the file.

    Raises:
        RunError: the run's task makes no prediction for a row.
    """
    refuse_without_predictions(engine.task)
    refuse_top_k(engine.task, top_k)
    config = file_config(engine.config, overrides, source, labelled=False)
    task = with_settings(engine.task, config)
    table, used, answered = answerable_rows(
        config.data, partial(task.clean, labelled=False), source, overrides
    )
    predictions = _most_probable(task, engine.predictions(task, used), top_k)
    rows = prediction_table(predictions, used, config.data, labels=None)
    if not answered.all():
        rows = _with_unanswered(rows, table, answered, config.data)
    kept = table.columns if keep_columns else None
    if kept is not None:
        rows = with_columns(rows, kept, config.data)
    separator = config.data.label_separator or SEPARATOR
    return FilePredictions(predictions, answered, rows, task, separator, kept)


class AnswerableRows(NamedTuple):
    """The rows of file(s), and those of them that have a text."""

    table: Table
    """N rows; under ``data.missing``, only those with a text."""
    used: Table
    """The rows with a text."""
    answered: Bools
    """Whether each row has a text, bool [N]."""


def answerable_rows(
    data: DataConfig,
    clean: Callable[[DataConfig, Table], tuple[Table, Mapping[str, int]]],
    source: Source | Sequence[Source],
    overrides: Sequence[str],
    answer: Literal["prediction", "vector"] = "prediction",
) -> AnswerableRows:
    """Read file(s) for predictions or vectors; warns about rows without a text.

    Args:
        data: settings from ``file_config``.
        clean: selects the usable rows, and counts the others by reason.
        source: the file(s).
        overrides: the settings that were given for them.
        answer: what each row with a text gets, for the warning.

    Raises:
        DataError: a file cannot be read or lacks the text column, or no row has a text.
    """
    table = read_files(source, data, overrides, every_line=True)
    missing = data.missing if "data.missing" in given_settings(overrides) else None
    used, unused = clean(data.model_copy(update={"missing": missing or "drop"}), table)
    answered = np.isin(table.rows, used.rows)
    if missing is None:
        _warn_of_unanswered_rows(table, unused, answer)
    else:
        _warn_of_unused_rows(table, unused)
        table, answered = table.filter(answered), answered[answered]
    return AnswerableRows(table, used, answered)


def _with_unanswered(found: pa.Table, table: Table, answered: Bools, data: DataConfig) -> pa.Table:
    """The predictions with a row for each row of ``table``: nulls where there is no prediction."""
    places = pa.array(np.cumsum(answered) - 1, pa.int64(), mask=~answered)
    rows = found.take(places)
    own = prediction_table(None, table, data, labels=None)
    for place, name in enumerate(found.column_names):
        if name in own.column_names and own.column(name).type == found.column(name).type:
            both = pc.coalesce(rows.column(name), own.column(name))
            rows = rows.set_column(place, name, both)
    return rows


def with_columns(rows: pa.Table, columns: pa.Table, data: DataConfig) -> pa.Table:
    """The results with the other columns of the file; a name that is taken gets a prefix.

    Args:
        rows: N results with their rows.
        columns: all columns of the file, N rows.
        data: names the columns.
    """
    shown = {*data.text_columns.values(), *([data.group] if "group" in rows.schema.names else [])}
    for name in columns.column_names:
        if name in shown:
            continue  # it has another name here
        new = name
        while new in rows.schema.names:
            new = f"input:{new}"
        rows = rows.append_column(new, columns.column(name))
    return rows


def usable_rows(
    task: AnyTask,
    data: DataConfig,
    source: Source | Sequence[Source],
    overrides: Sequence[str] = (),
) -> Table:
    """The labelled rows of the file(s); warns about rows that are left out under ``drop``.

    Args:
        task: its ``clean`` selects the rows.
        data: the format of the files.
        source: the file(s).
        overrides: the settings that were given for them.
    """
    table = read_files(source, data, overrides)
    used, left_out = task.clean(data, table, labelled=True)
    _warn_of_unused_rows(table, left_out)
    return used


def _warn_of_unused_rows(table: Table, left_out: Mapping[str, int]) -> None:
    reasons = {"ragged": sum(file.dropped for file in table.files), **left_out}
    warn_of_left_out_rows(sum(file.rows for file in table.files), reasons)


def _warn_of_unanswered_rows(table: Table, unused: Mapping[str, int], answer: str) -> None:
    """Warn about rows that stay in the result without an answer."""
    _warn_of_unused_rows(table, {})
    if told := _counted(unused):
        warnings.warn(f"of {counted(len(table), 'row')}, without a {answer}: {told}", stacklevel=4)


def warn_of_left_out_rows(rows: int, reasons: Mapping[str, int]) -> None:
    """Warn about rows that are left out, with the reasons.

    Args:
        rows: number of rows, those included.
        reasons: number of rows by reason, a key of ``data.checking.check.REASONS``.
    """
    if told := _counted(reasons):
        warnings.warn(f"of {counted(rows, 'row')}, left out: {told}", stacklevel=5)


def warn_of_truncated_rows(cut: int, rows: int, unit: str, max_tokens: int) -> None:
    """Warn if rows were truncated.

    Args:
        cut: number of truncated rows.
        rows: number of all rows.
        unit: what they are: ``row`` or ``text``.
        max_tokens: the model's longest input in tokens.
    """
    if cut:
        told = f"of {counted(rows, unit)}, truncated to {max_tokens} tokens: {cut:,}"
        warnings.warn(told, stacklevel=4)


def _counted(reasons: Mapping[str, int]) -> str:
    """``1 (no text), 2 (no label)``; empty if all numbers are 0."""
    return ", ".join(f"{count:,} ({REASONS[reason]})" for reason, count in reasons.items() if count)
