"""Write, replace and remove files and folders so that a process can be killed at any moment.

Everything is made under a temporary name, flushed to disk and then renamed (POSIX ``rename``
replaces a file atomically). A folder is renamed before it is removed. So under its own name, a file
or folder is always complete. The temporary names of a process that was killed:

    .NAME.000012345a6b.partial   was being written; the name starts with the id of the process
    .NAME.000012345a6b.old       was being removed
    .NAME.previous               was being replaced; complete; put back if the new one is missing

``settle`` removes the first two and completes or undoes a replacement. Whoever writes a file or
folder again also removes what a killed process left of it. Files of a process that still runs are
never removed.
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
from filelock import FileLock, Timeout
from safetensors import SafetensorError

from warmstart import errors

T = TypeVar("T")

_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.(?P<process>[0-9a-f]{8})([0-9a-f]{4})?\.(?P<state>partial|old)"
)
_PREVIOUS = re.compile(r"\.(?P<name>.+)\.previous")

CLOCKS_DIFFER = 1.0
"""Largest difference in seconds between the clocks of processes and files."""


def temporary_path(target: Path, state: str) -> Path:
    """A new hidden path next to ``target``; no other process or thread uses it.

    Args:
        target: the file or folder to write or to remove.
        state: ``partial`` or ``old``.
    """
    process = f"{os.getpid():08x}{secrets.token_hex(2)}"
    return target.with_name(f".{target.name}.{process}.{state}")


def previous(target: Path) -> Path:
    """The path of the older folder while ``target`` is replaced."""
    return target.with_name(f".{target.name}.previous")


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Within the block, an error of the disk becomes an error with advice.

    Some libraries raise their own exceptions and keep only the text of the system error, such as
    ``No space left on device (os error 28)``.

    Args:
        path: the file or folder that is written.

    Raises:
        RunError: the disk is full or the folder is not writable.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise errors.run.cannot_write(path, error) from error
    except Exception as error:
        if errors.run.is_system_error(error):
            raise errors.run.cannot_write(path, error) from error
        raise


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file next to ``path`` with ``write``, flush it to disk, then rename it.

    Args:
        path: the file to create or replace.
        write: function that is called with the temporary path.

    Raises:
        RunError: the disk is full or the folder is not writable; ``path`` is not changed.
    """
    temporary = temporary_path(path, "partial")
    try:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path)
            write(temporary)
            flush_to_disk(temporary)
            temporary.replace(path)
            flush_to_disk(path.parent)
    finally:
        with suppress(OSError):  # it does not exist: it was renamed, or never created
            temporary.unlink()


def write_folder(target: Path, fill: Callable[[Path], object]) -> None:
    """Write a temporary folder next to ``target`` with ``fill``, flush its files, then rename it.

    If ``target`` exists, it is replaced; after a crash between the two renames, ``settle`` puts the
    older folder back.

    Args:
        target: the folder to create or replace.
        fill: function that is called with a new, empty folder.

    Raises:
        RunError: the disk is full or the folder is not writable; other folders are not changed.
    """
    partial, older = temporary_path(target, "partial"), previous(target)
    try:
        with write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target)
            partial.mkdir()
            fill(partial)
            for file in partial.iterdir():
                flush_to_disk(file)
            if target.exists():
                target.rename(older)
            try:
                partial.rename(target)
            except OSError:
                older.rename(target)
                raise
            flush_to_disk(target.parent)
            remove(older)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_replaceable(folder: Path, read: Callable[[], T]) -> T:
    """Read from a folder that another process may replace with ``write_folder`` meanwhile.

    If it was replaced, what was read may come from both versions, and is read again.

    Args:
        folder: the folder.
        read: reads from it.

    Raises:
        WarmstartError: that of ``read``.
    """
    for _ in range(100):
        before, moving = _version(folder), previous(folder).exists()
        try:
            found = read()
        except errors.WarmstartError:
            if _version(folder) == before and not moving:
                raise
        else:
            if _version(folder) == before:
                return found
        time.sleep(0.01)  # it is missing between two renames
    return read()


def _version(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


@contextmanager
def locked_by(lock: Path, taken: errors.RunError) -> Iterator[None]:
    """Hold a lock within the block; it is also released when the process ends.

    Args:
        lock: the file of the lock.
        taken: raised if another process holds it.

    Raises:
        RunError: ``taken``, or the folder is not writable.
    """
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout as error:
        raise taken from error
    except OSError as error:
        raise errors.run.cannot_write(lock.parent, error) from error
    try:
        yield
    finally:
        held.release()


def remove(place: Path) -> None:
    """Remove a file, a link or a folder, if it exists; a folder is renamed first.

    Args:
        place: the file, link or folder.

    Raises:
        RunError: its folder is not writable.
    """
    with write_errors(place):
        if place.is_dir() and not place.is_symlink():
            old = temporary_path(place, "old")
            place.rename(old)
            _remove_folder(old)
        else:
            place.unlink(missing_ok=True)


def _remove_folder(folder: Path) -> None:
    """Remove a folder that another process may be removing, too."""
    while folder.exists():
        with suppress(FileNotFoundError):  # the other one was faster
            shutil.rmtree(folder)


def entries_of(folder: Path) -> list[Path]:
    """The entries of a folder; none if it cannot be read or another process has removed it.

    Args:
        folder: any path. ``Path.glob`` would fail if a folder on its way is removed meanwhile.
    """
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def target_of(name: str) -> str | None:
    """The name of the file or folder that a temporary name belongs to; None for other names.

    >>> target_of(".model.0a1b2c3d.partial"), target_of(".export.previous"), target_of("model")
    ('model', 'export', None)
    """
    found = _TEMPORARY.fullmatch(name) or _PREVIOUS.fullmatch(name)
    return None if found is None else target_of(found["name"]) or found["name"]


def settle(folder: Path, owns: Callable[[str], bool] = lambda _: True) -> None:
    """Remove what a killed process left in a folder, and complete or undo its replacements.

    Args:
        folder: the folder; it need not exist. No other process may write into it.
        owns: whether warmstart writes a file or folder of this name; others are not touched.

    Raises:
        OSError: the folder is not writable.
        RunError: likewise.
    """
    if not folder.is_dir():
        return
    for place in list(folder.iterdir()):
        name = target_of(place.name)
        if name is None or not owns(name) or is_in_use(place):
            continue
        if _PREVIOUS.fullmatch(place.name):
            if (folder / name).exists():
                remove(place)
            else:
                place.rename(folder / name)
        elif place.is_dir() and not place.is_symlink():
            _remove_folder(place)
        else:
            place.unlink(missing_ok=True)


def is_left(place: Path) -> bool:
    """Whether a file or folder has a temporary name, and its process no longer runs.

    Args:
        place: any path.
    """
    return target_of(place.name) is not None and not is_in_use(place)


def is_in_use(place: Path) -> bool:
    """Whether a file or folder has a temporary name and is written by a process that still runs.

    A process that started after the last change is another one with the same id. What was renamed
    or removed in the meantime belongs to a process that runs.

    Args:
        place: any path.
    """
    found = _TEMPORARY.fullmatch(place.name)
    if found is None or found["state"] == "old":
        return False
    try:
        started = psutil.Process(int(found["process"], 16)).create_time()
        return bool(started <= place.stat().st_mtime + CLOCKS_DIFFER)
    except (psutil.AccessDenied, OSError):
        return True
    except (psutil.Error, OverflowError):
        return False


def _sweep(target: Path) -> None:
    """Remove what killed processes left when they wrote ``target``."""
    for place in list(target.parent.iterdir()):
        found = _TEMPORARY.fullmatch(place.name)
        if found is None or found["name"] != target.name or is_in_use(place):
            continue
        with suppress(OSError):  # of another user, or removed by another process
            _remove_folder(place) if place.is_dir() else place.unlink()


def refuse_unwritable(path: Path) -> None:
    """Raise an error early if ``path`` cannot be created or, if it is a folder, written to.

    The check creates and deletes a temporary folder, because permission bits are not sufficient.

    Raises:
        RunError: the path is not writable.
    """
    with write_errors(path):
        existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        trial = temporary_path(existing / "warmstart", "partial")
        trial.mkdir()
        trial.rmdir()


def flush_to_disk(path: Path) -> None:
    """Write the cached content of a file or folder to disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
