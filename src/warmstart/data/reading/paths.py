"""The path of a file or folder that the user named."""

import os
import stat
from pathlib import Path

from warmstart import errors


def expanded(path: str | Path) -> Path:
    """The path with ``~`` and ``~user`` expanded if there is such a user.

    Unlike ``Path.expanduser``, this keeps names such as ``~old.csv`` and ``./~old.csv``.

    Args:
        path: a path; a string as the user wrote it.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111


def given_path(value: str | os.PathLike[str], name: str) -> Path:
    """The path that was given as an argument of a Python function.

    Args:
        value: the argument.
        name: its name.

    Raises:
        DataError: it is not a path.
    """
    if not isinstance(value, str | os.PathLike):
        raise errors.arguments.no_path(name, value)
    return Path(value)


def local_path(name: str, shown: str | None = None) -> Path:
    """The path, with ``~`` and ``~user`` expanded if there is such a user; it need not exist.

    Args:
        name: as the user wrote it.
        shown: the source in messages, if it differs from ``name``.

    Raises:
        DataError: no file can have this name, or a folder on the way cannot be opened.
    """
    shown = name if shown is None else shown
    try:
        path = expanded(name)
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except PermissionError as error:
        raise errors.files.unreadable(shown, error) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise errors.files.impossible_name(shown, str(reason).lower()) from error
    return path


def output_path(path: Path) -> Path:
    """The path of something that is written, with ``~`` and ``~user`` expanded.

    Args:
        path: as the user wrote it.

    Raises:
        DataError: there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise errors.files.unknown_home(path) from error


def device_kind(path: Path) -> str | None:
    """What the path is, if it is a pipe, a terminal or another device, which may never end.

    Args:
        path: an existing path.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def refuse_device(path: Path) -> None:
    """Fail if the path is a pipe, a terminal or another device.

    Args:
        path: an existing path.

    Raises:
        DataError: it is neither a regular file nor a folder.
    """
    if (kind := device_kind(path)) is not None:
        raise errors.files.not_regular(str(path), kind)
