"""Find the user's files and read them into a ``Table`` with the file and line of each row.

A source is one of

- a folder with brat's pairs of ``.txt`` and ``.ann`` files, or one ``.ann`` file;
- a folder of ``.txt`` files, or with a sub-folder of them for each label;
- a path, such as ``train.csv``, ``train.jsonl.gz`` or ``train.parquet``;
- ``archive.zip!member``; a zip with a single data file needs no member;
- a URL, ``https://…/train.csv#sha256=HEX``; without the checksum, the hash is only recorded;
- ``hub:NAME[/CONFIG]:SPLIT``, a Hugging Face data set;
- ``bundled/grammar/train`` (or ``validation``, ``test``), the bundled corpus;
- ``-``, the standard input, for the files of a command and not for those of a run, which are read
  again when it is resumed. It has one text per line, unless ``data.format`` says otherwise.

If ``data.dir`` is set, names are looked up there: in a folder, a zip file, or the URL of a zip
file. The first folders of a name can be missing: for ``cola_public/raw/in_domain_train.tsv``,
``raw/in_domain_train.tsv`` and ``in_domain_train.tsv`` are also accepted, in this order. The rows
of ``hub:nyu-mll/glue/NAME:SPLIT`` are then those of a folder of the GLUE download
(``glue_folder``).
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig, Sources
from warmstart.data.reading import archives
from warmstart.data.reading.brat_files import is_brat_source, read_brat_source
from warmstart.data.reading.content import BLOCK, Content, blocks, collected, content_of
from warmstart.data.reading.fetch import fetch, file_name, is_url
from warmstart.data.reading.formats import FORMATS, file_format, parse
from warmstart.data.reading.glue_folder import GlueSplit, OpenedFile, glue_split, read_glue
from warmstart.data.reading.hub_datasets import read_hub
from warmstart.data.reading.lines import Parsed
from warmstart.data.reading.paths import expanded, local_path, refuse_device
from warmstart.data.reading.python_tables import is_stored, note_use
from warmstart.data.reading.text_folders import is_text_folder, read_text_folder
from warmstart.data.spellings import plain
from warmstart.data.table import SourceFile, Table
from warmstart.data.tags.documents import ONE_DOCUMENT, joined_documents

_SUFFIXES = tuple(suffix + packed for suffix in FORMATS for packed in ("", ".gz", ".xz"))
_GRAMMAR = "bundled/grammar/"

HUB = "hub"
"""The format of a data set of the Hub in ``data.json``."""

STDIN = "-"
"""The source that is the standard input."""


def read(sources: Sources, data: DataConfig, setting: str, *, every_line: bool = False) -> Table:
    """Rows of one or several files, concatenated; row ids are consecutive over all files.

    Args:
        sources: the sources to read, see the module's docstring.
        data: settings for the format and the folder of the files.
        setting: the setting that named the files, such as ``data.train``, or the option of a
            command, such as ``--data``.
        every_line: whether a blank line of a plain text is a row too, without a text.

    Raises:
        DataError: a file cannot be found, opened, decoded or parsed, has no rows, or its columns
            differ from those of the first file. The message names the file and the line, if any.
    """
    parts = [
        _read_one(source, data, setting, every_line=every_line)
        for source in ([sources] if isinstance(sources, str) else sources)
    ]
    (first, first_file), *others = parts
    names = first.columns.column_names
    for part, file in others:
        have = part.columns.column_names
        if set(have) != set(names):
            missing = [name for name in names if name not in have]
            extra = [name for name in have if name not in names]
            alike = {*map(plain, missing)} & {*map(plain, extra)}

            def shown(name: str, alike: set[str] = alike) -> str:
                return ascii(name) if plain(name) in alike else name

            raise errors.data.columns_differ(
                first_file.path,
                file.path,
                missing=[*map(shown, missing)],
                extra=[*map(shown, extra)],
            )
    columns, without_borders = joined_documents([part.columns for part, _ in parts])
    counts = [len(part.lines) for part, _ in parts]
    starts = np.cumsum([0, *(part.total for part, _ in parts)])
    return Table(
        columns=pa.concat_tables(
            columns,
            promote_options="permissive",  # by name
        ),
        rows=np.concatenate(
            [part.positions + start for (part, _), start in zip(parts, starts, strict=False)]
        ),
        files=tuple(
            replace(file, notes=(*file.notes, ONE_DOCUMENT)) if is_one else file
            for (_, file), is_one in zip(parts, without_borders, strict=True)
        ),
        file_index=np.repeat(np.arange(len(parts), dtype=np.int32), counts),
        lines=np.concatenate([part.lines for part, _ in parts]),
        setting=setting,
    )


def format_of_name(source: str) -> str | None:
    """The format that the name of a source shows; None if it shows none, like that of a data set.

    Args:
        source: the source, see the module's docstring.

    >>> format_of_name("a.zip!b/c.CSV.gz"), format_of_name("-"), format_of_name("folder")
    ('csv', 'text', None)
    """
    if source == STDIN:
        return "text"
    outer, member = archives.split_member(source.partition("#")[0] if is_url(source) else source)
    suffixes = PurePosixPath((member or outer).partition("?")[0].lower()).suffixes
    named = [suffix for suffix in suffixes[-2:] if suffix not in (".gz", ".xz")]
    return FORMATS.get(named[-1]) if named else None


def file_states(sources: Sources, data: DataConfig) -> tuple[tuple[str, int, int], ...]:
    """Path, time of change and size of each local file that the sources may refer to.

    If this is unchanged, reading the sources again gives the same rows.

    Args:
        sources: the sources, as for ``read``.
        data: names the folder of the files.
    """
    states = []
    for source in [sources] if isinstance(sources, str) else sources:
        name, _ = archives.split_member(source.partition("#")[0])
        places = [Path(name)]
        if data.dir is not None and not is_url(data.dir):
            places += [Path(data.dir), *(Path(data.dir, tail) for tail in _tails(name))]
        for place in dict.fromkeys(expanded(path).absolute() for path in places):
            try:
                files = sorted(_files_of(place)) if place.is_dir() else [place]
                states += [(str(file), file.stat().st_mtime_ns, file.stat().st_size)
                           for file in files]  # fmt: skip
            except (OSError, ValueError):  # not a local file
                continue
    return tuple(states)


def _files_of(folder: Path) -> Iterator[Path]:
    """What is in the folder and in its sub-folders, which may be labels."""
    for one in folder.iterdir():
        yield one
        if one.is_dir():
            yield from one.iterdir()


@dataclass(frozen=True, slots=True)
class _File:
    """A file and its uncompressed content."""

    content: Content
    name: str
    """File name; its suffix shows the format."""
    path: str
    """The file as shown in messages and in ``data.json``."""


def _read_one(
    source: str, data: DataConfig, setting: str, *, every_line: bool
) -> tuple[Parsed, SourceFile]:
    """The rows of one source, and the record of the file for ``data.json``."""
    encoding: str | None
    if (place := _local_place(source, data.dir)) is not None:
        if is_brat_source(place, data):
            return read_brat_source(place, data)
        if is_text_folder(place, data):
            return read_text_folder(place, data, setting)
    if data.dir is not None and (part := glue_split(source)) is not None:
        files = _glue_files(part, data.dir, setting)
        parsed, sha256, encoding = read_glue(part, files, data)
        path, kind = files[0].path, HUB  # settings for a file format are not read
    elif source.startswith("hub:"):
        parsed, sha256 = read_hub(source)
        path, encoding, kind = source, None, HUB
    else:
        file = _find(source, data.dir, setting)
        path, sha256 = file.path, _sha256(file.content)
        kind = file_format(file.name, path, data, setting)
        parsed, encoding = parse(file.content, kind, path, data, every_line=every_line)
        kind = parsed.format
    dropped = parsed.total - len(parsed.lines)
    file_read = SourceFile(
        path, sha256, encoding, parsed.total, dropped, parsed.notes, parsed.row_unit, kind
    )
    return parsed, file_read


def _local_place(source: str, folder: str | None) -> Path | None:
    """The path that a source names; None if it is not a local name. It need not exist."""
    if source == STDIN or "://" in source or source.startswith(("hub:", "bundled/")):
        return None
    path = local_path(source)
    return path if folder is None or path.is_absolute() else local_path(folder) / path


def _sha256(content: Content) -> str:
    digest = hashlib.sha256()
    for block in blocks(content):
        digest.update(block)
    return digest.hexdigest()


def _find(source: str, folder: str | None, setting: str) -> _File:
    """The file of a source that is not a Hub data set."""
    if source.startswith("bundled/"):
        return _bundled(source)
    if source == STDIN and setting.startswith("--"):
        # None: the process was started without one.
        pieces = iter(partial(sys.stdin.buffer.read, BLOCK), b"") if sys.stdin else ()
        return _File(collected(pieces), "stdin.txt", "stdin")
    name, fragment_mark, fragment = source.partition("#") if is_url(source) else (source, "", "")
    outer, member = archives.split_member(name)
    if is_url(source) and folder is not None and not is_url(folder):
        # The URL in a recipe; data.dir is a folder with a copy of the file.
        outer = name = file_name(outer)
    elif is_url(source):
        copy = fetch(outer + fragment_mark + fragment)
        return _open(copy, file_name(outer), member, source)
    path = local_path(outer, source)
    if folder is None or path.is_absolute():
        return _open(_existing(path, source, setting), path.name, member, source)
    container, inner = _container(folder)
    if inner is not None:
        inside = next((tail for tail in _tails(name) if tail in inner), name)
        return _open(container, "data.zip", inside, f"{folder}!{inside}")
    for tail in _tails(outer):
        if (container / tail).exists():
            path = container / tail
            break
    else:
        path = container / outer
    shown = f"{path}!{member}" if member else str(path)
    return _open(_existing(path, shown, setting), path.name, member, shown)


def _container(folder: str) -> tuple[Path, list[str] | None]:
    """The folder or zip file that ``data.dir`` names, and for a zip file the names in it."""
    if is_url(folder):
        container, is_zip = fetch(folder), True
    else:
        container = local_path(folder)
        is_zip = container.is_file() and container.suffix.lower() == ".zip"
    if is_zip:
        return container, archives.members(container, folder)
    if not container.is_dir():
        raise errors.files.bad_folder(folder)
    return container, None


def lacks_glue(part: GlueSplit, folder: str) -> bool:
    """Whether a folder or zip file lacks the files of a split of GLUE.

    Args:
        part: the split.
        folder: as for ``data.dir``.

    Raises:
        DataError: there is no such folder or zip file.
    """
    container, inner = _container(folder)
    return part.held(lambda name: _has(container, inner, name)) is None


def _has(container: Path, inner: list[str] | None, name: str) -> bool:
    """Whether a file is in the folder, or among the names in the zip file."""
    return (container / name).is_file() if inner is None else name in inner


def _glue_files(part: GlueSplit, folder: str, setting: str) -> list[OpenedFile]:
    """The files of a local copy with the rows of a split."""
    container, inner = _container(folder)
    names = part.held(lambda name: _has(container, inner, name))
    if names is None:
        raise errors.glue.no_file(folder, part.files)
    found = [_find(name, folder, setting) for name in names]
    return [OpenedFile(file.path, file.content) for file in found]


def _existing(path: Path, shown: str, setting: str) -> Path:
    """The path itself; fails if it is not a file or does not exist."""
    if path.is_dir():
        raise errors.files.is_folder(shown, setting, inside=_data_files(path))
    if not path.exists():
        if is_stored(path):
            raise errors.python_tables.gone(shown, setting)
        near = _data_files(path.parent) if path.parent.is_dir() else []
        raise errors.files.not_found(shown, setting, name=path.name, near=near)
    refuse_device(path)
    if is_stored(path):
        note_use(path)
    return path


def _open(file: Path, name: str, member: str | None, shown: str) -> _File:
    """Read a file, or a member of a zip archive."""
    try:
        file.open("rb").close()  # first, because zipfile reports a missing permission as damage
        if name.lower().endswith(".zip"):
            archive = shown.removesuffix(f"!{member}")
            member = member or archives.only_member(file, _SUFFIXES, archive)
            content, name = archives.read_member(file, member, archive), member
        else:
            content = content_of(file)
    except OSError as error:
        raise errors.files.unreadable(shown, error) from error
    content, name = archives.decompress(content, name, shown, packed=file.stat().st_size)
    return _File(content, name, shown)


def _tails(name: str) -> Iterable[str]:
    """``a/b/c``, ``b/c``, ``c``."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _data_files(folder: Path) -> list[str]:
    """Names of the data files in a folder, sorted."""
    return sorted(
        path.name for path in folder.iterdir() if path.name.lower().endswith((*_SUFFIXES, ".zip"))
    )


def _bundled(source: str) -> _File:
    """A split of the bundled corpus."""
    from warmstart.data.grammar import sentences as grammar

    if not source.startswith(_GRAMMAR):
        raise errors.files.unknown_bundled(source, [_GRAMMAR + known for known in grammar.SPLITS])
    return _File(grammar.tsv(source.removeprefix(_GRAMMAR)), "grammar.tsv", source)
