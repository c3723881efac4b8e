"""Write the predictions for a file as CSV, JSON lines, Parquet or CoNLL."""

import codecs
import json
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from warmstart import errors
from warmstart.data.label_lists import as_texts
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_task
from warmstart.runs.safe_files import refuse_unwritable, write_atomically
from warmstart.serving.predictor import FilePredictions
from warmstart.tasks import TASKS
from warmstart.tasks.capabilities import WritesConll


def refuse_output(
    path: Path,
    run: Path,
    inputs: Sequence[str] = (),
    *,
    overwrite: bool = False,
    formats: Collection[str] | None = None,
) -> None:
    """Raise an error before any work if results cannot be written to ``path``.

    Args:
        path: the file to write.
        run: the run directory of the model.
        inputs: the files that are read.
        overwrite: whether an existing file is replaced.
        formats: the possible suffixes; by default those of predictions.

    Raises:
        ConfigError: its suffix is unknown or not for this task, the file already exists, or it must
            not be replaced: it is an input, or belongs to the run.
        RunError: its folder cannot be written, or the run directory is damaged.
    """
    if path.suffix not in (known := formats or list(WRITERS)):
        raise errors.command.output_format(path, known)
    if path.suffix == ".conll":
        task = load_task(RunDirectory.open(run))[1]
        if not isinstance(task, WritesConll):
            writers = [name for name, kind in TASKS.items() if issubclass(kind, WritesConll)]
            raise errors.command.no_conll(path, task.name, writers)
    if path.is_dir() or (path.exists() and not overwrite):
        raise errors.command.output_exists(path)
    if path.exists() and any(_same(path, Path(name)) for name in inputs):
        raise errors.command.output_is_kept(path, "one of the files to read")
    if path.exists() and RunDirectory(run).would_lose(path):
        raise errors.command.output_is_kept(path, f"a file of the run {run}")
    refuse_unwritable(path.parent if path.exists() else path)


def _same(path: Path, other: Path) -> bool:
    """Whether both are the same existing file, also under two names."""
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # the other one is no local file
        return False


def write_predictions(found: FilePredictions, path: Path, *, overwrite: bool = False) -> None:
    """Write predictions as CSV, JSON lines, Parquet or CoNLL, depending on ``path``'s suffix.

    Args:
        found: the predictions.
        path: the file to write.
        overwrite: as for ``write_output``.

    Raises:
        WarmstartError: as for ``write_output``.
    """
    write_output(path, partial(WRITERS[path.suffix], found), overwrite=overwrite)


def write_output(path: Path, fill: Callable[[Path], None], *, overwrite: bool) -> None:
    """Write a file of results that ``refuse_output`` has accepted.

    Args:
        path: the file to write.
        fill: writes the content to another path.
        overwrite: whether an existing file is replaced; it is whole until the new one is.

    Raises:
        ConfigError: another command has created the file in the meantime.
        RunError: the file cannot be written.
    """

    def write(temporary: Path) -> None:
        fill(temporary)
        if path.exists() and not overwrite:
            raise errors.command.output_exists(path)

    write_atomically(path, write)


def _write_csv(found: FilePredictions, path: Path) -> None:
    """As CSV, whose cells cannot contain lists: a list is joined to one text.

    It begins with a byte order mark, without which Excel does not read it as UTF-8.
    """
    table = found.table
    for place, field in enumerate(table.schema):
        column = table.column(place).combine_chunks()
        if pa.types.is_list(field.type) and pa.types.is_string(field.type.value_type):
            texts = as_texts(column, found.label_separator)
        elif pa.types.is_nested(field.type):
            texts = pa.array(map(_json_text, column.to_pylist()), pa.string())
        else:
            continue
        table = table.set_column(place, field.name, texts)
    with path.open("wb") as file:
        file.write(codecs.BOM_UTF8)
        pyarrow.csv.write_csv(table, file)


def _json_text(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _write_jsonl(found: FilePredictions, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for answer in found.to_json():
            file.write(json.dumps(answer, ensure_ascii=False) + "\n")


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
