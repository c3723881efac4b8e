"""Strings or files in, predictions out, from a run's kept model.

The same tokenising, the same ``predict`` and the same ``task.predictions`` as in evaluation, so
that what is served cannot differ from what was scored.
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
from accelerate import Accelerator

from warmstart import config_file, errors
from warmstart.config import DataConfig
from warmstart.data.encode import Examples
from warmstart.data.sources import read
from warmstart.data.table import SourceFile, Table
from warmstart.evaluation.evaluate import evaluate, predict
from warmstart.evaluation.store import prediction_table, write_evaluation
from warmstart.models.forward import Forward, forward_for
from warmstart.runs.directory import refuse_unwritable, write_atomically
from warmstart.runs.load import LoadedRun
from warmstart.tasks.task import Classifies, Prediction, Task
from warmstart.training.device import build_accelerator, can_compute

_PAIR = "data.text_pair"
_JSON_ROWS = 4096
"""Rows that are Python objects at one time, while they are written as JSON lines."""


def predict_texts(
    run: LoadedRun, texts: Sequence[str], text_pairs: Sequence[str] | None = None
) -> list[Prediction]:
    """Answers for texts, or for pairs of texts, one for each and in order.

    Raises:
        DataError: a text is empty, or no text; texts or pairs come as a single string; there are
            second texts and the run knows none, or the reverse.
    """
    given = {"data.text": texts} if text_pairs is None else {"data.text": texts, _PAIR: text_pairs}
    for setting, values in given.items():
        _refuse_unusable(values, setting.removeprefix("data."))
    columns = run.config.data.text_columns
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
    return list(_answers(run, run.task, table)) if len(table) else []


def _refuse_unusable(texts: Sequence[str], name: str) -> None:
    """Raise where what should be a list of texts is not; ``name`` is what a message calls them."""
    if isinstance(texts, str):
        raise errors.data.unusable_text(f"{name}s", texts)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str) or not text.strip():
            raise errors.data.unusable_text(f"{name} {number} of {len(texts)}", text)


def predict_file(
    run: LoadedRun, source: str | Sequence[str], overrides: Sequence[str] = ()
) -> pa.Table:
    """Answers for every row of the file(s), beside row id, file, line and text.

    Warns of rows that were left out or cut.
    """
    data = _data_config(run, overrides)
    task = type(run.task).from_facts(data, run.task.facts)
    table = _usable_rows(task, data, source, labelled=False)
    return prediction_table(_answers(run, task, table), table, data, labelled=False)


def _usable_rows(
    task: Task, data: DataConfig, source: str | Sequence[str], *, labelled: bool
) -> Table:
    """The rows of the file(s) that can be used; what is left out under ``drop`` is warned of."""
    table, left_out = task.clean(data, read(_sources(source), data, "--data"), labelled=labelled)
    reasons = {"ragged": sum(file.dropped for file in table.files), **left_out}
    told = [f"{count:,} {name.replace('_', ' ')}" for name, count in reasons.items() if count]
    if told:
        rows = sum(file.rows for file in table.files)
        warnings.warn(f"of {rows:,} rows, left out: {', '.join(told)}", stacklevel=4)
    return table


def _warn_of_cut_rows(examples: Examples, max_tokens: int) -> None:
    cut = int((examples.full_lengths > examples.lengths).sum())
    if cut:
        rows = len(examples)
        warnings.warn(f"of {rows:,} rows, cut to {max_tokens} tokens: {cut:,}", stacklevel=4)


def evaluate_file(
    run: LoadedRun, source: str | Sequence[str], overrides: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Score the run's model on labelled file(s); keeps the result under ``evaluation/``.

    Warns of rows that were left out or cut.
    """
    data = _data_config(run, overrides)
    task = type(run.task).from_facts(data, run.task.facts)
    table = _usable_rows(task, data, source, labelled=True)
    examples = task.examples(table, run.tokenizer, run.max_tokens, labelled=True)
    _warn_of_cut_rows(examples, run.max_tokens)
    accelerator = _accelerator(run)
    forward = _forward(run, examples, accelerator)
    found = evaluate(task, run.model, forward, examples, table, accelerator)
    # Two files may share a name; their content tells them apart.
    stem, content = Path(_sources(source)[0]).name.partition(".")[0], table.files[0].sha256[:8]
    name = f"file-{stem}-{content}"
    labelled = isinstance(task, Classifies)
    write_evaluation(run.directory, name, found, table, data, baselines={}, labelled=labelled)
    return found.scores.metrics_json()


def _answers(run: LoadedRun, task: Task, table: Table) -> Any:
    """What the model makes of a clean table, which has a row at least."""
    examples = task.examples(table, run.tokenizer, run.max_tokens, labelled=False)
    accelerator = _accelerator(run)
    forward = _forward(run, examples, accelerator)
    predictions, _, _ = predict(task, run.model, forward, examples, accelerator)
    return predictions


def _forward(run: LoadedRun, examples: Examples, accelerator: Accelerator) -> Forward:
    """How the model runs there, tried once on rows that are at hand."""
    place = f"{accelerator.device} {accelerator.mixed_precision}"
    if place in run.forwards:
        return run.forwards[place]
    forward = forward_for(run.model, examples, accelerator.autocast)
    if len(examples) > 1:  # a single row cannot show whether rows see each other
        run.forwards[place] = forward
    return forward


def _accelerator(run: LoadedRun) -> Accelerator:
    """Device and precision, with the model moved there.

    The run's own precision where this machine has it; a model that was trained on a GPU must
    answer on a laptop too.
    """
    config = run.config.train
    if not can_compute(config):
        config = config.model_copy(update={"precision": "auto"})
    accelerator = build_accelerator(config)
    run.model.to(accelerator.device)
    return accelerator


def _data_config(run: LoadedRun, overrides: Sequence[str]) -> DataConfig:
    # A file named here is looked up from the working directory, not in the training's folder.
    return config_file.load(run.config, ["data.dir=null", *overrides]).data


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


def _write_jsonl(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(table), _JSON_ROWS):
            for answer in predictions_json(table.slice(start, _JSON_ROWS)):
                file.write(json.dumps(answer, ensure_ascii=False) + "\n")


WRITERS: dict[str, Callable[[pa.Table, Path], object]] = {
    ".csv": pyarrow.csv.write_csv,
    ".parquet": pyarrow.parquet.write_table,
    ".jsonl": _write_jsonl,
}
