"""Error messages about opening a file, and about settings that its format does not read.

``path`` is always the file as the user wrote it (below ``data.dir`` if that is set), and
``setting`` the setting that named it, such as ``data.train``.
"""

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePath

from warmstart.errors.base import ConfigError, DataError

_LISTED = 12
"""Maximum number of names shown from a long list."""


_PATH_CHARACTERS = 200
"""Maximum number of characters of an impossible path in a message."""


def _listed(names: Sequence[str]) -> str:
    """The names, joined; of a long list only the first ones and the number of the others."""
    shown = ", ".join(names[:_LISTED]) or "nothing"
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


def _typed(setting: str, value: str) -> str:
    """The command-line text that sets a setting, or an option such as ``--data``, to ``value``."""
    if setting.startswith("--"):
        return f"{setting} {shlex.quote(value)}"
    return f"--set {shlex.quote(f'{setting}={value}')}"


def not_found(path: str, setting: str, *, name: str, near: Sequence[str]) -> DataError:
    """No such file; ``near`` are the names in the folder (or archive) where ``name`` should be."""
    stems = {PurePath(one).stem: one for one in near}  # many files have the same suffix
    nearest = [stems[one] for one in get_close_matches(PurePath(name).stem, stems, n=1)]
    existing = f"; its folder contains: {_listed(near)}" if near else ""
    return DataError(
        f"{setting}: {path} does not exist",
        f"an existing file{existing}",
        _typed(setting, path.removesuffix(name) + nearest[0])
        if nearest
        else f"check the path and the working directory; {_typed(setting, 'FILE')}"
        + ", or --set data.dir=FOLDER to read it from there" * (not setting.startswith("--")),
    )


def is_folder(path: str, setting: str, *, inside: Sequence[str]) -> DataError:
    """A folder was given in place of a file; ``inside`` are the data files in it."""
    choice = f"{path.rstrip('/')}/{inside[0] if inside else 'FILE'}"
    return DataError(
        f"{setting}: {path} is a folder",
        f"a file, several files, or a folder of .txt files; the folder contains: {_listed(inside)}",
        _typed(setting, choice),
    )


def impossible_name(path: str, reason: str) -> DataError:
    """A name that no file can have: too long, or with a NUL character."""
    return DataError(
        f"{_start(path)} cannot be the name of a file: {reason}",
        "the path of a file, relative to the working directory or absolute",
        "check the quotes around the name and the option before it",
    )


def not_regular(path: str, kind: str) -> DataError:
    """A named pipe, a terminal, a socket or a device in place of a file."""
    return DataError(
        f"{_start(path)} is {kind}, not a file",
        "a file with an end, which can be read several times",
        "save the rows to a file and name it"
        + (f": cat {shlex.quote(path)} > rows.csv" if kind == "a pipe" else ""),
    )


def unknown_home(path: Path) -> DataError:
    """A path below the home folder of a user who does not exist."""
    return DataError(
        f"{path}: there is no home folder {path.parts[0]}",
        "a path; ~ alone is your own home folder",
        f"write the path in full, such as {shlex.quote(str(path.absolute()))}",
    )


def config_is_no_file(path: str, kind: str) -> ConfigError:
    """A pipe or a device in place of a YAML file; ``kind`` says which."""
    return ConfigError(
        found=f"{path} is {kind}, not a file",
        expected="a YAML file, or the name of a recipe",
        do="save the settings to a file and name it: warmstart train config.yaml",
    )


def _start(path: str) -> str:
    """The path, shortened if it is very long."""
    return path if len(path) <= _PATH_CHARACTERS else f"{path[:_PATH_CHARACTERS]}…"


def bad_folder(path: str) -> DataError:
    """``data.dir`` is neither a folder nor a zip file."""
    return DataError(
        f"data.dir: {path} is neither a folder nor a zip file",
        "the folder with the data files, a zip file, or the URL of a zip file",
        "--set data.dir=FOLDER, or leave it out and give full paths",
    )


def unreadable(path: str, cause: OSError) -> DataError:
    """The operating system refuses to open or read the file."""
    return DataError(
        f"{path} cannot be read: {cause.strerror or cause}",
        "a file that you have permission to read",
        f"chmod +r '{path}', or copy it to a folder of your own",
    )


def no_temporary_room(cause: OSError) -> DataError:
    """The temporary folder, which stores rows that do not fit in memory, is full or read-only."""
    try:
        folder = tempfile.gettempdir()
    except OSError:  # no temporary folder exists
        folder = "the temporary folder"
    return DataError(
        f"cannot write temporary copies of the rows to {folder}: {cause.strerror or cause}",
        "space for two copies of the columns and for the tokens, about three times the data file",
        "free some space there, or set TMPDIR to a folder on a larger disk: "
        "TMPDIR=FOLDER warmstart …",
    )


def unknown_suffix(path: str, setting: str, suffixes: Sequence[str]) -> DataError:
    """The file name does not show the format."""
    return DataError(
        f"{setting}: the format cannot be derived from the name {path}",
        f"a name that ends in one of {' '.join(suffixes)} (optionally with .gz or .xz), or a .zip",
        "--set data.format=csv (or tsv, jsonl, json, parquet, text); a spreadsheet must first be "
        "saved as CSV",
    )


def disguised(path: str, kind: str, remedy: str) -> DataError:
    """A file with the name of a text file starts like another kind of file."""
    return DataError(
        f"{path} is not text: it starts like {kind}", "a text file, as its name suggests", remedy
    )


def empty_file(path: str) -> DataError:
    """A file without characters, or with blank lines only."""
    return DataError(
        f"{path} is empty",
        "a header line and at least one row (no header if data.columns is set)",
        "check that the file was written or downloaded completely",
    )


def bad_url(url: str, cause: Exception) -> DataError:
    """A text that starts like a URL, but is not one."""
    return DataError(
        f"{_start(url)} is not a URL: {cause}",
        "https://HOST/PATH/FILE.csv",
        "correct it; the address of a server in IPv6 is written in brackets: http://[::1]/x.csv",
    )


def bad_checksum(url: str, fragment: str) -> DataError:
    """What follows ``#`` in a URL is not a sha256."""
    return DataError(
        f"{url}: '#{fragment}' is not a checksum",
        "#sha256= followed by 64 hexadecimal digits, or nothing",
        f"write {url}#sha256=HEX, or only {url} to record the hash without checking it",
    )


def wrong_sha256(url: str, *, found: str, expected: str) -> DataError:
    """The sha256 of the download is not the one in the URL."""
    return DataError(
        f"{url}: the download has sha256 {found}",
        f"sha256 {expected}; the download was deleted",
        f"if the new content is correct, end the URL with #sha256={found}",
    )


def download_failed(url: str, cause: Exception) -> DataError:
    """The download failed, and the cache has no copy."""
    return DataError(
        f"{url} could not be downloaded: {cause}",
        "a reachable URL, or a copy in the cache (the environment variable WARMSTART_CACHE sets "
        "its folder)",
        "without a network, download the file on another machine and give its path in place of the "
        "URL, or --set data.dir=FOLDER",
    )


def corrupt(path: str, kind: str, cause: Exception) -> DataError:
    """A gz, xz, zip or Parquet file that is truncated or damaged."""
    return DataError(
        f"{path} is not a complete {kind} file: {cause or type(cause).__name__}",
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
    """The archive has no data file, or several and none was named."""
    return DataError(
        f"{path} contains {len(have)} data files",
        f"exactly one, or the name of the one to read; it contains: {_listed(have)}",
        f"write '{path}!{have[0] if have else 'MEMBER'}'",
    )


def encrypted_archive(path: str, member: str) -> DataError:
    """The member needs a password."""
    return DataError(
        f"{path}!{member} is encrypted",
        "an archive without a password",
        "unpack it with its password and name the unpacked file",
    )


def unsafe_archive(path: str, member: str) -> DataError:
    """A member's path points outside of the target folder, or occurs twice."""
    return DataError(
        f"{path} is not safe to open: the path of its member {member!r} points outside of the "
        "archive's folder or occurs twice",
        "different names below one folder",
        "get it from a source that you trust, or unpack it yourself and name the unpacked file",
    )


def archive_too_large(path: str, *, packed: int, limit: int) -> DataError:
    """Content that is much larger than its archive, as in a zip bomb; sizes in bytes."""
    return DataError(
        f"{path}: {packed:,} bytes unpack to more than {limit:,}",
        "text, which compression rarely reduces to less than one hundredth of its size",
        "if you trust it, unpack it yourself and name the unpacked file",
    )


def unknown_encoding(name: str) -> DataError:
    """``data.encoding`` is not the name of a text encoding in Python."""
    return DataError(
        f"data.encoding: {name!r} is not a text encoding",
        "auto, or an encoding that Python knows: utf-8, utf-16, gb18030, big5, cp1252, "
        "shift_jis, …",
        "--set data.encoding=auto",
    )


def undecodable(
    path: str,
    line: int,
    *,
    offset: int,
    byte: int,
    encoding: str,
    guess: str | None,
    reads: str | None,
    mostly_utf8: bool,
) -> DataError:
    """Bytes that are not valid in ``encoding``.

    Args:
        path: the file.
        line: line of the first such byte.
        offset: its offset in the file.
        byte: its value.
        encoding: the encoding in which the bytes are not valid.
        guess: the most likely encoding; None if the bytes are not text.
        reads: the text around the byte, decoded with ``guess``.
        mostly_utf8: the other characters outside of ASCII around the byte are UTF-8.
    """
    if mostly_utf8:
        advice = (
            "correct this line: the text around it is UTF-8, so no single encoding fits; "
            "or delete such bytes: iconv -c -f utf-8 -t utf-8 FILE > NEW"
        )
    elif guess is None:
        advice = "check that it is a text file; open it in its own program and save it as UTF-8 CSV"
    else:
        advice = (
            f"--set data.encoding={guess} if the text should read {reads!r}; otherwise name "
            "another encoding, or save the file as UTF-8"
        )
    return DataError(
        f"{path}:{line}: byte 0x{byte:02X} at offset {offset} is not valid {encoding}",
        "UTF-8, UTF-16, UTF-32 or GB18030 text, or the name of the encoding in data.encoding",
        advice,
    )


def escape_sequence(path: str, line: int, encoding: str) -> DataError:
    """Text in an encoding with escape sequences, which only uses ASCII bytes."""
    return DataError(
        f"{path}:{line}: an escape sequence of {encoding}",
        "UTF-8, UTF-16, UTF-32 or GB18030 text, or the name of the encoding in data.encoding",
        f"--set data.encoding={encoding}",
    )


def wrong_encoding(path: str, *, named: str, detected: str) -> DataError:
    """``data.encoding`` can decode the bytes, but to the wrong text."""
    return DataError(
        f"{path} is {detected}, but data.encoding is {named}",
        f"the encoding of the file; decoded as {named}, its letters would be wrong",
        f"--set data.encoding={detected}",
    )


def nul_byte(path: str, line: int) -> DataError:
    """A NUL character in text: a binary or damaged file, or UTF-16 with another encoding set."""
    return DataError(
        f"{path}:{line}: a NUL byte",
        "text without NUL characters",
        "check that it is a text file; --set data.encoding=utf-16 if a spreadsheet program saved "
        "it as Unicode; or remove the NUL bytes: tr -d '\\000' < FILE > CLEAN",
    )


def bad_hub_source(source: str) -> DataError:
    """A ``hub:`` source that does not name a data set and a split."""
    return DataError(
        f"{source!r} does not name a data set and a split",
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
    """The data set, its configuration or its split cannot be loaded."""
    return DataError(
        f"{source} could not be loaded: {cause}",
        "a data set on the Hub (or in its cache), with this configuration and split",
        "check the name on the Hub; to use a mirror, set HF_ENDPOINT; without a network, name a "
        "local file",
    )


def unknown_bundled(source: str, have: Sequence[str]) -> DataError:
    """No bundled corpus has this name."""
    nearest = get_close_matches(source, have, n=1) or have
    return DataError(
        f"{source} is not bundled with warmstart", f"one of: {_listed(have)}", f"use {nearest[0]}"
    )


def no_such_option(
    setting: str, default: str, file_format: str, formats: Sequence[str]
) -> ConfigError:
    """A setting that does not apply to files of this format, but only to ``formats``."""
    return ConfigError(
        found=f"{setting} is set and data.format is {file_format}",
        expected=f"no {setting}: it applies only to {', '.join(formats)} files",
        do=f"--set {setting}={default}, or --set data.format={formats[0]}",
    )


def unread_by_files(
    setting: str, default: str, files: Mapping[str, str], formats: Sequence[str]
) -> ConfigError:
    """A setting that the format of none of the files reads; ``files``: path -> format."""
    path, file_format = next(iter(files.items()))
    others = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return ConfigError(
        found=f"{setting} is set, and no file has a format that reads it: {path}{others} "
        f"({file_format})",
        expected=f"no {setting}: it applies only to {', '.join(formats)} files",
        do=f"--set {setting}={default}",
    )


def text_has_no_columns(path: str, name: str) -> ConfigError:
    """A column is named for a plain text, which has one text on each line."""
    return ConfigError(
        found=f"data.text is set to {name!r}, and {path} is a plain text",
        expected="no data.text: each line is one text",
        do="leave data.text out; or, if the file has columns: --set data.format=csv",
    )
