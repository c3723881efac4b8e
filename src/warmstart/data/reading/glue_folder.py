"""A folder in the layout of the classic GLUE download, read as a copy of the Hub's data set.

With ``data.dir: FOLDER`` the rows of ``hub:nyu-mll/glue/mrpc:train`` are those of
``FOLDER/MRPC/train.tsv``, with the columns of the data set on the Hub. So a recipe is the same for
both. The files of GLUE differ from each other:

- quotes are ordinary characters in all of them, and a few rows have too few fields: these are
  dropped and counted, as in the data set on the Hub;
- CoLA has four columns without a header, except for its test file;
- MRPC may be as Microsoft distributes it: ``msr_paraphrase_train.txt`` contains the rows of both
  ``train`` and ``validation``, and ``dev_ids.tsv`` says which rows are the latter;
- MNLI has two files for validation and two for the test;
- test files have no labels: their label is null in every row.

Source: Wang et al. 2019, arXiv:1804.07461, and the download script ``download_glue_data.py`` of
https://github.com/nyu-mll/GLUE-baselines.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.mapped import filtered
from warmstart.data.reading.content import Content, blocks
from warmstart.data.reading.formats import parse
from warmstart.data.reading.lines import Parsed

SOURCE = "hub:nyu-mll/glue/"
"""Begin of the sources of GLUE on the Hub; ``NAME:SPLIT`` follows."""

_SPLITS = {"train": "train", "validation": "dev", "test": "test"}
_SPLITS_OF_MNLI = {
    "train": "train",
    "validation_matched": "dev_matched",
    "validation_mismatched": "dev_mismatched",
    "test_matched": "test_matched",
    "test_mismatched": "test_mismatched",
}
_PAIR = {"sentence1": "sentence1", "sentence2": "sentence2"}
_INFERENCE = {"premise": "sentence1", "hypothesis": "sentence2"}

Columns = Mapping[str, str]
"""Name of a column on the Hub -> its name in the file."""


@dataclass(frozen=True, slots=True)
class GlueFiles:
    """The files of one GLUE task.

    Args:
        folder: their folder.
        texts: the columns with texts.
        label: the column with labels in the files of ``train`` and ``validation``.
        splits: name of a split on the Hub -> name of its file without ``.tsv``.
        without_header: columns of a file without header; the test file has one.
    """

    folder: str
    texts: Columns
    label: str = "label"
    splits: Mapping[str, str] = field(default_factory=lambda: _SPLITS)
    without_header: tuple[str, ...] = ()


LAYOUTS: Mapping[str, GlueFiles] = {
    "cola": GlueFiles(
        "CoLA",
        {"sentence": "sentence"},
        without_header=("source", "label", "mark", "sentence"),
    ),
    "sst2": GlueFiles("SST-2", {"sentence": "sentence"}),
    "mrpc": GlueFiles("MRPC", {"sentence1": "#1 String", "sentence2": "#2 String"}, "Quality"),
    "stsb": GlueFiles("STS-B", _PAIR, "score"),
    "qqp": GlueFiles("QQP", {"question1": "question1", "question2": "question2"}, "is_duplicate"),
    "mnli": GlueFiles("MNLI", _INFERENCE, "gold_label", _SPLITS_OF_MNLI),
    "qnli": GlueFiles("QNLI", {"question": "question", "sentence": "sentence"}),
    "rte": GlueFiles("RTE", _PAIR),
    "wnli": GlueFiles("WNLI", _PAIR),
    "ax": GlueFiles("diagnostic", _INFERENCE, splits={"test": "diagnostic"}),
}
"""The files of each GLUE task, and of the diagnostics (``ax``), by its name on the Hub."""

_ALTERNATIVES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("mrpc", "train"): ("MRPC/msr_paraphrase_train.txt", "MRPC/dev_ids.tsv"),
    ("mrpc", "validation"): ("MRPC/msr_paraphrase_train.txt", "MRPC/dev_ids.tsv"),
    ("mrpc", "test"): ("MRPC/msr_paraphrase_test.txt",),
    ("ax", "test"): ("AX.tsv",),
}
"""The other files that a split may have."""


@dataclass(frozen=True, slots=True)
class GlueSplit:
    """One split of one GLUE task.

    Args:
        name: the task, a key of ``LAYOUTS``.
        split: the split, as the Hub calls it.
    """

    name: str
    split: str

    @property
    def layout(self) -> GlueFiles:
        """The files of the task."""
        return LAYOUTS[self.name]

    @property
    def files(self) -> list[tuple[str, ...]]:
        """The files that may have its rows, each alternative with all files that it needs."""
        usual = f"{self.layout.folder}/{self.layout.splits[self.split]}.tsv"
        other = _ALTERNATIVES.get((self.name, self.split))
        return [(usual,), other] if other else [(usual,)]

    def held(self, holds: Callable[[str], bool]) -> tuple[str, ...] | None:
        """The files that are there, the first alternative that is complete; None if none is.

        Args:
            holds: whether the folder has a file of this name.
        """
        return next((names for names in self.files if all(map(holds, names))), None)


def glue_split(source: str) -> GlueSplit | None:
    """The split of GLUE that a source names; None if it names another data set.

    Args:
        source: such as ``hub:nyu-mll/glue/mrpc:train``.

    Raises:
        DataError: GLUE has no such task, or the task no such split.

    >>> glue_split("hub:nyu-mll/glue/mnli:validation_matched").files
    [('MNLI/dev_matched.tsv',)]
    """
    if not source.startswith(SOURCE):
        return None
    name, _, split = source.removeprefix(SOURCE).partition(":")
    if name not in LAYOUTS:
        raise errors.glue.unknown_name(source, name, list(LAYOUTS))
    if split not in LAYOUTS[name].splits:
        raise errors.glue.unknown_split(source, name, split, list(LAYOUTS[name].splits))
    return GlueSplit(name, split)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file of the folder.

    Args:
        path: the file as shown in messages.
        content: its uncompressed content.
    """

    path: str
    content: Content


def read_glue(
    part: GlueSplit, files: list[OpenedFile], data: DataConfig
) -> tuple[Parsed, str, str | None]:
    """The rows of a split with the columns of the Hub, their sha256, and the file's encoding.

    Args:
        part: the split.
        files: the files of one of ``part.files``.
        data: settings of the run; GLUE's files have a format of their own.

    Raises:
        DataError: a file cannot be parsed, or lacks a column.
    """
    file, layout = files[0], part.layout
    digest = hashlib.sha256()
    for block in (block for one in files for block in blocks(one.content)):
        digest.update(block)
    has_header = not layout.without_header or part.split == "test"
    own: dict[str, object] = {"format": "tsv", "quoting": "none", "ragged": "drop"}
    own |= {"encoding": "auto", "delimiter": None}
    own |= {"columns": None if has_header else list(layout.without_header)}
    as_tsv = data.model_copy(update=own)
    parsed, encoding = parse(file.content, "tsv", file.path, as_tsv)
    if len(files) > 1:
        parsed = _chosen(parsed, file.path, files[1], of_validation=part.split == "validation")
        digest.update(part.split.encode())  # both splits have the rows of one file
    columns = _columns_of_hub(parsed.columns, part, file.path)
    return replace(parsed, columns=columns), digest.hexdigest(), encoding


def _columns_of_hub(columns: pa.Table, part: GlueSplit, path: str) -> pa.Table:
    """The texts and the label under their names on the Hub; the label is null if there is none."""
    names, layout = columns.column_names, part.layout
    if missing := [name for name in layout.texts.values() if name not in names]:
        raise errors.glue.other_columns(path, missing[0], names)
    found = {ours: columns.column(theirs) for ours, theirs in layout.texts.items()}
    if layout.label in names:
        return pa.table({**found, "label": columns.column(layout.label)})
    if not part.split.startswith("test"):
        raise errors.glue.other_columns(path, layout.label, names)
    return pa.table({**found, "label": pa.nulls(len(columns), pa.string())})


def _chosen(parsed: Parsed, path: str, ids: OpenedFile, *, of_validation: bool) -> Parsed:
    """The rows of MRPC's one file that belong to ``validation``, or those that do not."""
    names, pair = parsed.columns.column_names, ("#1 ID", "#2 ID")
    if missing := [name for name in pair if name not in names]:
        raise errors.glue.other_columns(path, missing[0], names)
    lines = bytes(ids.content[:]).decode("utf-8-sig", errors="replace").splitlines()
    chosen = {tuple(line.split("\t")[:2]) for line in lines}
    both = (parsed.columns.column(name).to_pylist() for name in pair)
    is_chosen = np.array([pair in chosen for pair in zip(*both, strict=True)], np.bool_)
    kept = is_chosen if of_validation else ~is_chosen
    rows, dropped = int(kept.sum()), parsed.total - len(parsed.lines)
    return replace(
        parsed,
        columns=filtered(parsed.columns, kept),
        positions=np.arange(rows, dtype=np.int64),
        lines=parsed.lines[kept],
        total=rows + dropped,
    )
