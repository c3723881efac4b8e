"""Read a folder of ``.txt`` files, each of which is one text.

- ``pos/*.txt``, ``neg/*.txt``: a sub-folder for each label; the columns are ``data.text`` and
  ``data.label``.
- ``*.txt``: documents without labels, for text generation and fill-mask, in the column
  ``data.text``.

The rows are in the order of the names of their files. Instead of a line number, a row has the
number of its document, from 1; messages name its file.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.mapped import mapped_table
from warmstart.data.reading.content import BLOCK, hashed_content
from warmstart.data.reading.encodings import to_utf8
from warmstart.data.reading.formats import FORMATS, all_rows, refuse_disguised
from warmstart.data.reading.lines import Parsed
from warmstart.data.table import SourceFile

_FORMATS = ("auto", "text")
"""Values of ``data.format`` that allow a folder of texts."""

_NO_DATA = ("config.yaml", "config.json", ".lock", ".previous")
"""Entries that only the folder of a run or of a model has."""

_DATA = tuple(suffix + packed for suffix in FORMATS for packed in ("", ".gz", ".xz"))


def is_text_folder(path: Path, data: DataConfig) -> bool:
    """Whether the path is a folder with ``.txt`` files, or with sub-folders of them.

    Args:
        path: a file or a folder; it need not exist.
        data: the format.
    """
    return data.format in _FORMATS and path.is_dir() and _has_texts(path)


def _has_texts(folder: Path) -> bool:
    files, folders = _entries(folder)
    inside = (file for one in folders for file in _entries(one)[0])
    return any(map(_is_text, files)) or any(map(_is_text, inside))


def is_data_folder(path: Path) -> bool:
    """Whether a folder has data files, or sub-folders of texts, and is neither a run nor a model.

    Args:
        path: a file or a folder; it need not exist.
    """
    if not path.is_dir() or any((path / name).exists() for name in _NO_DATA):
        return False
    is_data = any(file.name.lower().endswith(_DATA) for file in _entries(path)[0])
    return is_data or _has_texts(path)


def read_text_folder(folder: Path, data: DataConfig, setting: str) -> tuple[Parsed, SourceFile]:
    """The texts of a folder, and their labels if they are in sub-folders.

    Args:
        folder: for which ``is_text_folder`` is true.
        data: the encoding of the files, and the names of the columns.
        setting: the setting that named the folder.

    Raises:
        DataError: the folder has other data files, texts beside sub-folders, a sub-folder without
            texts or with folders in it; or a file cannot be read or decoded.
    """
    files, labels, others = _documents(folder, setting)
    names = [data.text] if labels is None else [data.text, data.label]
    schema = pa.schema([(name, pa.string()) for name in names])
    digest = hashlib.sha256()
    encodings: set[str] = set()

    def batches() -> Iterator[pa.RecordBatch]:
        start, size = 0, 0
        texts: list[str | None] = []
        for number, file in enumerate(files, 1):
            # Names and separators, so that text moved from one file to the next changes the hash.
            digest.update(
                f"{file.relative_to(folder).as_posix()}\0".encode(errors="surrogateescape")
            )
            texts.append(_text_of(file, data.encoding, digest, encodings))
            size += len(texts[-1] or "")
            if size >= BLOCK or number == len(files):
                columns = [texts, *([] if labels is None else [labels[start:number]])]
                yield pa.record_batch([pa.array(one, pa.string()) for one in columns], schema)
                start, size, texts = number, 0, []

    table = mapped_table(batches(), schema)
    parsed = all_rows(table, np.arange(1, len(files) + 1, dtype=np.int64))
    notes = (f"Files that do not end in .txt, not read: {others:,}.",) if others else ()
    file = SourceFile(
        str(folder),
        digest.hexdigest(),
        ", ".join(sorted(encodings)) or None,
        len(files),
        notes=notes,
        row_unit="document",
        format="text",
        documents=tuple(str(file.relative_to(folder)) for file in files),
    )
    return replace(parsed, notes=notes), file


def _documents(folder: Path, setting: str) -> tuple[list[Path], list[str] | None, int]:
    """The files, the label of each (None without sub-folders), and the number of other files."""
    files, classes = _entries(folder)
    texts = [file for file in files if _is_text(file)]
    if texts and classes:
        raise errors.folders.texts_beside_folders(str(folder), setting, texts[0].name)
    inside = {one: _entries(one) for one in classes}
    every = files + [file for found, _ in inside.values() for file in found]
    for file in every:
        if file.name.lower().endswith(_DATA) and not _is_text(file):
            raise errors.folders.other_data(str(folder), setting, str(file))
    others = len(every)
    if not classes:
        return texts, None, others - len(texts)
    texts, labels = [], []
    for one, (found, folders) in inside.items():
        own = [file for file in found if _is_text(file)]
        if folders or not own:
            raise errors.folders.no_class(str(one), nested=bool(folders))
        texts += own
        labels += [one.name] * len(own)
    return texts, labels, others - len(texts)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files and the sub-folders of a folder, sorted by name, without hidden ones."""
    try:
        found = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise errors.files.unreadable(str(folder), error) from error
    return [one for one in found if not one.is_dir()], [one for one in found if one.is_dir()]


def _is_text(file: Path) -> bool:
    return file.suffix.lower() == ".txt"


def _text_of(file: Path, encoding: str, digest: "hashlib._Hash", encodings: set[str]) -> str | None:
    """The text of a file without the line break at its end; None if there is no character."""
    content = hashed_content(file, digest)
    if not len(content):
        return None
    refuse_disguised(content, str(file))
    text, codec = to_utf8(content, encoding, str(file))
    encodings.add(codec)
    return bytes(text[:]).decode("utf-8").rstrip("\r\n") or None
