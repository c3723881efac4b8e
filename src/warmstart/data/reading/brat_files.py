"""Read brat's pairs of files: ``NAME.txt`` with a text, ``NAME.ann`` with its spans.

A source is a folder with such pairs, or one ``.ann`` file. Every pair is one row; instead of a line
number, a row has the number of its document, in the order of the names, from 1.

Source: brat.nlplab.org/standoff.html.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.reading.content import hashed_content
from warmstart.data.reading.encodings import to_utf8
from warmstart.data.reading.formats import all_rows
from warmstart.data.reading.lines import Parsed
from warmstart.data.table import SourceFile
from warmstart.data.tags.span_formats import read_brat

_FORMATS = ("auto", "spans")
"""Values of ``data.format`` that allow brat's files."""


def is_brat_source(path: Path, data: DataConfig) -> bool:
    """Whether the path is a folder with ``.ann`` files or an ``.ann`` file.

    Args:
        path: a file or a folder; it need not exist.
        data: the format.
    """
    if data.format not in _FORMATS:
        return False
    return any(path.glob("*.ann")) if path.is_dir() else path.suffix == ".ann" and path.exists()


def read_brat_source(path: Path, data: DataConfig) -> tuple[Parsed, SourceFile]:
    """The texts and spans of a folder or of one pair of files.

    Args:
        path: for which ``is_brat_source`` is true.
        data: the encoding of the files, and the name of the text column.

    Raises:
        DataError: a file cannot be read or decoded, an ``.ann`` file has no text, or a line is not
            an annotation.
    """
    folder = path if path.is_dir() else path.parent
    names = sorted(path.glob("*.ann")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    documents = []
    for name in names:
        text = name.with_suffix(".txt")
        if not text.exists():
            raise errors.tags.no_brat_text(str(name), str(text))
        contents = [_decoded(file, data.encoding, digest) for file in (text, name)]
        documents.append((str(name), *contents))
    found = read_brat([(name, text, spans) for name, text, spans in documents])
    table = found.columns.rename_columns(
        [data.text if name == "text" else name for name in found.columns.column_names]
    )
    notes = list(found.notes)
    lonely = {one.stem for one in folder.glob("*.txt")} - {one.stem for one in names}
    if path.is_dir() and lonely:
        notes.append(f"Texts without an .ann file, not read: {len(lonely):,}.")
    parsed = all_rows(table, np.arange(1, len(names) + 1, dtype=np.int64))
    file = SourceFile(
        str(path), digest.hexdigest(), None, len(names), 0, tuple(notes), "document", "spans"
    )
    return replace(parsed, notes=tuple(notes)), file


def _decoded(file: Path, encoding: str, digest: "hashlib._Hash") -> str:
    """The text of a file, with its line ends unchanged; its bytes are added to the hash."""
    content = hashed_content(file, digest)
    if not len(content):  # brat writes an empty .ann file for a text without spans
        return ""
    return bytes(to_utf8(content, encoding, str(file))[0][:]).decode("utf-8")
