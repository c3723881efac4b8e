"""Texts of the errors met before a file's first row: finding, fetching, unpacking, decoding it.

``path`` is always the file as the person wrote it (under ``data.dir`` where that was used), and
``setting`` the setting that named it, such as ``data.train``.
"""

import shlex
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches

from warmstart.errors.base import DataError

_LISTED = 12
"""Names shown of a long list."""


def _listed(names: Sequence[str]) -> str:
    """The names, joined; the tail of a long list is counted, not shown."""
    shown = ", ".join(names[:_LISTED]) or "nothing"
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


def _typed(setting: str, value: str) -> str:
    """How one types a value for a setting, or for an option such as ``--data``."""
    if setting.startswith("--"):
        return f"{setting} {shlex.quote(value)}"
    return f"--set {shlex.quote(f'{setting}={value}')}"


def not_found(path: str, setting: str, *, name: str, near: Sequence[str]) -> DataError:
    """No such file; ``near`` are the names in the folder (or archive) where ``name`` should be."""
    nearest = get_close_matches(name, near, n=1, cutoff=0.5)
    holds = f"; there: {_listed(near)}" if near else ""
    return DataError(
        f"{setting}: {path} does not exist",
        f"a file that can be read{holds}",
        _typed(setting, path.removesuffix(name) + nearest[0])
        if nearest
        else f"check the path and the working directory; {_typed(setting, 'FILE')}, or "
        "--set data.dir=FOLDER to look for the name there",
    )


def is_folder(path: str, setting: str, *, inside: Sequence[str]) -> DataError:
    """A folder stands where a file belongs; ``inside`` are the data files it holds."""
    choice = f"{path.rstrip('/')}/{inside[0] if inside else 'FILE'}"
    return DataError(
        f"{setting}: {path} is a folder",
        f"one file or a list of files; in it: {_listed(inside)}",
        _typed(setting, choice),
    )


def bad_folder(path: str) -> DataError:
    """``data.dir`` is neither a folder nor a zip file."""
    return DataError(
        f"data.dir: {path} is neither a folder nor a zip file",
        "the folder that holds the data files, a zip file, or the URL of one",
        "--set data.dir=FOLDER, or leave it out and give full paths",
    )


def unreadable(path: str, cause: OSError) -> DataError:
    """The operating system refuses to open or read the file."""
    return DataError(
        f"{path} cannot be read: {cause.strerror or cause}",
        "a file that this user may read",
        f"chmod +r '{path}', or copy it to a folder of your own",
    )


def no_temporary_room(cause: OSError) -> DataError:
    """Rows too many to hold are kept in the temporary folder, which is full or not writable."""
    try:
        folder = tempfile.gettempdir()
    except OSError:  # there is none
        folder = "the temporary folder"
    return DataError(
        f"{folder} takes no more of the rows that are kept there: {cause.strerror or cause}",
        "room for two copies of the columns and for the tokens, about three times the data file",
        "free some space there, or name a folder on a larger disk in TMPDIR: "
        "TMPDIR=FOLDER warmstart …",
    )


def unknown_suffix(path: str, setting: str, suffixes: Sequence[str]) -> DataError:
    """The file name does not tell the format."""
    return DataError(
        f"{setting}: the name {path} does not tell the format",
        f"a name that ends in one of {' '.join(suffixes)} (and perhaps .gz or .xz), or a .zip",
        "--set data.format=csv (or tsv, jsonl, parquet, text); save a spreadsheet as CSV first",
    )


def disguised(path: str, kind: str, remedy: str) -> DataError:
    """A file named as text begins like another kind of file."""
    return DataError(f"{path} is not text: it begins like {kind}", "text, as its name says", remedy)


def empty_file(path: str) -> DataError:
    """Not one character, or nothing but blank lines."""
    return DataError(
        f"{path} is empty",
        "a header line and at least one row (rows alone with data.columns)",
        "check that the file was written or downloaded completely",
    )


def bad_checksum(url: str, fragment: str) -> DataError:
    """What follows ``#`` in a URL is not a sha256."""
    return DataError(
        f"{url}: '#{fragment}' is no checksum",
        "#sha256= and 64 hexadecimal digits, or nothing",
        f"write {url}#sha256=HEX, or {url} alone to record the hash without checking it",
    )


def wrong_sha256(url: str, *, found: str, expected: str) -> DataError:
    """What was downloaded is not what the person asked for."""
    return DataError(
        f"{url}: the download has sha256 {found}",
        f"sha256 {expected}",
        f"if the new content is right, end the URL in #sha256={found}; nothing was kept",
    )


def download_failed(url: str, cause: Exception) -> DataError:
    """No copy could be fetched, and none is in the cache."""
    return DataError(
        f"{url} could not be downloaded: {cause}",
        "a reachable URL, or a copy in the cache (its folder: the variable WARMSTART_CACHE)",
        "offline, fetch it elsewhere and name the copy: the path in place of the URL, "
        "or --set data.dir=FOLDER",
    )


def corrupt(path: str, kind: str, cause: Exception) -> DataError:
    """A gz, xz, zip or Parquet file that ends early or holds broken bytes."""
    return DataError(
        f"{path} is not a whole {kind} file: {cause or type(cause).__name__}",
        f"a {kind} file that opens without an error",
        "copy or download it again; compare its sha256 with the publisher's",
    )


def member_not_found(path: str, member: str, have: Sequence[str]) -> DataError:
    """The archive has no member of that name."""
    nearest = get_close_matches(member, have, n=1, cutoff=0.3) or list(have[:1]) or ["MEMBER"]
    return DataError(
        f"{path} has no member {member!r}", f"one of: {_listed(have)}", f"write {path}!{nearest[0]}"
    )


def ambiguous_archive(path: str, have: Sequence[str]) -> DataError:
    """Several members (or none) could be meant."""
    return DataError(
        f"{path} holds {len(have)} data files",
        f"one, or the name of the one to read; it holds: {_listed(have)}",
        f"write '{path}!{have[0] if have else 'MEMBER'}'",
    )


def encrypted_archive(path: str, member: str) -> DataError:
    """The member needs a password."""
    return DataError(
        f"{path}!{member} is encrypted",
        "an archive without a password",
        "unpack it with its password and name the file itself",
    )


def unsafe_archive(path: str, member: str) -> DataError:
    """A member's name leads out of the folder it would be unpacked to, or stands there twice."""
    return DataError(
        f"{path} is not safe to open: its member {member!r} leads elsewhere or stands there twice",
        "distinct names below one folder",
        "get it from a source you trust, or unpack it yourself and name the file",
    )


def archive_too_large(path: str, *, packed: int, limit: int) -> DataError:
    """Content so much larger than its archive that it looks like a zip bomb; sizes in bytes."""
    return DataError(
        f"{path}: {packed:,} bytes unpack to more than {limit:,}",
        "text, which seldom shrinks to a hundredth",
        "if you trust it, unpack it yourself and name the file",
    )


def unknown_encoding(name: str) -> DataError:
    """``data.encoding`` is no codec that Python knows."""
    return DataError(
        f"data.encoding: {name!r} is no text encoding",
        "auto, or a name Python knows: utf-8, utf-16, gb18030, big5, cp1252, shift_jis, …",
        "--set data.encoding=auto",
    )


def undecodable(
    path: str, line: int, *, offset: int, byte: int, encoding: str, guess: str
) -> DataError:
    """Bytes that are no text in ``encoding``; ``guess`` is the codec they look like."""
    return DataError(
        f"{path}:{line}: byte 0x{byte:02X} at offset {offset} is not {encoding}",
        "UTF-8, UTF-16 or GB18030 text, or the name of the encoding",
        f"--set data.encoding={guess} if its text then reads right, or save the file as UTF-8",
    )


def wrong_encoding(path: str, *, named: str, detected: str) -> DataError:
    """``data.encoding`` decodes the bytes, but into other text than was written."""
    return DataError(
        f"{path} is {detected}, and data.encoding says {named}",
        f"the encoding it was written in; read as {named} its letters would be wrong",
        f"--set data.encoding={detected}",
    )


def nul_byte(path: str, line: int) -> DataError:
    """A NUL character in text: a binary file, a damaged one, or UTF-16 named as something else."""
    return DataError(
        f"{path}:{line}: a NUL byte",
        "text without NUL characters",
        "check that it is a text file; --set data.encoding=utf-16 if a spreadsheet wrote it as "
        "Unicode; or remove them: tr -d '\\000' < FILE > CLEAN",
    )


def bad_hub_source(source: str) -> DataError:
    """A ``hub:`` source that does not name a data set and a split."""
    return DataError(
        f"{source!r} names no data set and split",
        "hub:NAME[/CONFIG]:SPLIT",
        "for example hub:nyu-mll/glue/cola:train",
    )


def datasets_missing(source: str) -> DataError:
    """The optional ``datasets`` library is not installed."""
    return DataError(
        f"{source} needs the package 'datasets', which is not installed",
        "the optional package that reads Hugging Face data sets",
        "pip install datasets, or download the file and name its path",
    )


def hub_failed(source: str, cause: Exception) -> DataError:
    """The data set, its configuration or its split cannot be had."""
    return DataError(
        f"{source} could not be loaded: {cause}",
        "a data set on the Hub (or in its cache), with this configuration and split",
        "check the name on the Hub; behind a mirror set HF_ENDPOINT; offline, name a local file",
    )


def unknown_bundled(source: str, have: Sequence[str]) -> DataError:
    """No corpus of that name comes with the package."""
    nearest = get_close_matches(source, have, n=1) or have
    return DataError(
        f"{source} does not come with the package", f"one of: {_listed(have)}", f"use {nearest[0]}"
    )
