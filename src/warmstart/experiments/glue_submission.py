"""The files that the GLUE server scores: one for each task, with the columns index and prediction.

The predictions are those of the best run of each task by its validation rows. The server knows the
labels of CoLA, SST-2, MRPC, QQP and WNLI as 0 and 1, those of the others by their names, and STS-B
as a number from 0 to 5.

Source: https://gluebenchmark.com/faq, questions on submissions.
"""

import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from warmstart import errors
from warmstart.data.reading.glue_folder import glue_split
from warmstart.data.reading.sources import lacks_glue
from warmstart.errors.counts import counted, form
from warmstart.experiments.benchmark_folder import BenchmarkFolder
from warmstart.experiments.experiment import Experiment
from warmstart.experiments.glue_tasks import NUMBERED, TEST_FILES, TEST_ROWS
from warmstart.run import Run
from warmstart.runs.safe_files import write_atomically, write_folder
from warmstart.tasks.capabilities import label_names_of

SCALE = (0.0, 5.0)
"""The smallest and the largest similarity of STS-B."""


def write_submission(
    benchmark: BenchmarkFolder, found: Mapping[str, Experiment], folder: str | None
) -> dict[str, Any]:
    """Predict the test rows, and write ``submission/`` and ``submission.zip``.

    Args:
        benchmark: the folder of the benchmark.
        found: the experiment of each finished task.
        folder: ``data.dir``; None for the rows of the Hub.

    Returns:
        ``{"files", "zip", "left_out", "notes"}``: the files that were written; those that were not,
        each with the reason, such as a test file that is missing or cannot be read; sentences.

    Raises:
        RunError: the folder cannot be written.
    """
    where = {} if folder is None else {"data.dir": folder}
    texts: dict[str, str] = {}
    left_out: dict[str, str] = {}
    notes: list[str] = []
    for task, files in TEST_FILES.items():
        for file, source in files:
            part = glue_split(source)
            assert part is not None
            if task not in found:
                left_out[file] = f"{task} is not finished"
            elif folder is not None and lacks_glue(part, folder):
                left_out[file] = f"{part.files[0][0]} is missing"
            else:
                run = found[task].best
                try:
                    table = run.predict_file(source, where)
                except errors.DataError as problem:
                    left_out[file] = problem.found
                    continue
                answers, filled = _answers(task, run, table)
                texts[file] = _tsv(answers)
                notes += [*_about_filled(file, filled), *_about_rows(file, len(answers))]
    if left_out:
        reasons = "; ".join(f"{file} ({reason})" for file, reason in left_out.items())
        notes.append(f"The submission lacks {reasons}. The GLUE server needs all files.")
    if texts:
        _write_files(benchmark, texts)
    return {
        "files": list(texts),
        "zip": str(benchmark.archive) if texts else None,
        "left_out": left_out,
        "notes": notes,
    }


def _answers(task: str, run: Run, table: pa.Table) -> tuple[list[str], int]:
    """What the server gets for each row, and how many of the rows have no prediction.

    A row without a text gets the most frequent answer, because the server needs every row.
    """
    rows = table.column("row").to_pylist()
    column = "prediction" if "prediction" in table.column_names else "value"
    known = {
        row: answer
        for row, answer in zip(rows, table.column(column).to_pylist(), strict=True)
        if answer is not None
    }
    labels = list(label_names_of(run.open().task))
    written = {row: _written(task, labels, answer) for row, answer in known.items()}
    usual = Counter(written.values()).most_common(1)[0][0]
    every = range(max(rows) + 1)
    return [written.get(row, usual) for row in every], len(every) - len(written)


def _written(task: str, labels: Sequence[str], answer: Any) -> str:
    """A prediction as the server reads it."""
    if not labels:
        return f"{min(max(float(answer), SCALE[0]), SCALE[1]):.3f}"
    return str(labels.index(answer)) if task in NUMBERED else str(answer)


def _about_filled(file: str, filled: int) -> list[str]:
    if not filled:
        return []
    do = form(filled, "has no text and gets", "have no text and get")
    return [f"{file}: {counted(filled, 'row')} {do} the most frequent answer."]


def _about_rows(file: str, rows: int) -> list[str]:
    """A sentence if the server needs another number of rows: the test file is not GLUE's."""
    if rows == TEST_ROWS[file]:
        return []
    return [f"{file} has {counted(rows, 'row')}; the GLUE server needs {TEST_ROWS[file]:,}."]


def _tsv(answers: Sequence[str]) -> str:
    lines = (f"{index}\t{answer}\n" for index, answer in enumerate(answers))
    return "index\tprediction\n" + "".join(lines)


def _write_files(benchmark: BenchmarkFolder, texts: Mapping[str, str]) -> None:
    """Write the files into ``submission/``, and the same files into ``submission.zip``."""

    def fill(target: Path) -> None:
        for file, text in texts.items():
            (target / file).write_text(text, encoding="utf-8", newline="\n")

    def pack(target: Path) -> None:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, text in texts.items():
                archive.writestr(file, text)

    write_folder(benchmark.submission, fill)
    write_atomically(benchmark.archive, pack)
