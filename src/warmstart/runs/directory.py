"""The run directory: everything of one training run, in one folder that every later command takes.

    config.yaml        every setting, resolved; training from it repeats the run
    data.json          files with hashes, the row ids of each split, findings, truncations
    task.json          what the task learned from the training split (label names, …)
    environment.json   versions, device, precision
    events.jsonl       one object per step, evaluation, checkpoint, notice
    start/             of a run that pretrains: the tokenizer and the weights it began with
    model/             the best model: loads with ``from_pretrained`` alone
    adapter/           with ``train.lora.save: adapter``: the adapters alone, as peft opens them
    checkpoint/        what a resume needs
    evaluation/SPLIT/  predictions.parquet, scores.json
    report.html, figures/, README.md (model card)

A run directory is never half valid: every file is written under a temporary name, flushed to disk,
then renamed (POSIX ``rename`` replaces atomically), so a reader sees the old file or the new one.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from warmstart import errors

ENTRIES = (
    "config.yaml",
    "data.json",
    "task.json",
    "environment.json",
    "events.jsonl",
    "samples.json",
    "start",
    "model",
    "adapter",
    "average",
    "checkpoint",
    "evaluation",
    "export",
    "figures",
    "tensorboard",
    "report.html",
    "README.md",
)
"""All that warmstart ever writes in a run directory; ``--overwrite`` removes these and no more."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then rename it.

    Args:
        path: the file to make or replace.
        write: called with the temporary path.

    Raises:
        RunError: the disk is full or the folder cannot be written; ``path`` is as it was.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    except OSError as error:
        raise errors.run.cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # not there: moved into place, or never made
            temporary.unlink()


def write_folder(target: Path, fill: Callable[[Path], object]) -> None:
    """Let ``fill`` write files into a folder beside ``target``, flush them, then rename it.

    Args:
        target: the folder to make or replace.
        fill: called with a new, empty folder.

    Raises:
        RunError: the disk is full or the folder cannot be written; other folders are intact.
    """
    partial = target.with_name(".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        fill(partial)
        for file in partial.iterdir():
            flush_to_disk(file)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        flush_to_disk(target.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise errors.run.cannot_write(target, error) from error


def refuse_unwritable(path: Path) -> None:
    """Say early that ``path`` could not be made or, if it is a folder, that nothing could in it.

    Found out by making a folder and taking it away: permissions alone do not tell.

    Raises:
        RunError: it could not.
    """
    try:
        above = next(place for place in (path, *path.absolute().parents) if place.exists())
        with tempfile.TemporaryDirectory(dir=above, prefix=".warmstart-"):
            pass
    except OSError as error:
        raise errors.run.cannot_write(path, error) from error


def flush_to_disk(path: Path) -> None:
    """Wait until the file's (or folder's) content has left the operating system's cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """One run's folder; methods say what is where, and write it safely."""

    path: Path

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False) -> "RunDirectory":
        """Make an empty run directory.

        Args:
            path: a new or empty folder, or an old run directory with ``overwrite``.
            overwrite: remove what an earlier run left (``ENTRIES``, nothing else).

        Raises:
            RunError: the folder holds something, is in use, or cannot be written.
        """
        run = cls(path)
        run.refuse_unusable(overwrite=overwrite)
        try:
            path.mkdir(parents=True, exist_ok=True)
            with run.locked():
                for name in ENTRIES:
                    entry = path / name
                    if entry.is_dir() and not entry.is_symlink():
                        shutil.rmtree(entry)
                    else:
                        entry.unlink(missing_ok=True)
        except OSError as error:
            raise errors.run.cannot_write(path, error) from error
        return run

    def refuse_unusable(self, *, overwrite: bool = False) -> None:
        """Say early, before work is wasted, that ``create`` would not accept this folder.

        Raises:
            RunError: the folder holds something that is not to be overwritten, is in use, or
                cannot be written.
        """
        try:
            if self.path.exists() and not self.path.is_dir():
                raise errors.run.not_a_directory(self.path)
            entries = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise errors.run.cannot_write(self.path, error) from error
        held = sorted(entries - {".lock"})
        if held and not overwrite:
            raise errors.run.not_empty(self.path, self.is_run)
        if held and not self.is_run:
            raise errors.run.not_ours_to_overwrite(self.path, held)
        refuse_unwritable(self.path)
        if ".lock" in entries:
            with self.locked():
                pass

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run directory.

        Raises:
            RunError: the folder is missing or no run directory.
        """
        run = cls(path)
        if not run.is_run:
            raise errors.run.not_a_run(path)
        return run

    @property
    def is_run(self) -> bool:
        """Whether a run was ever started here."""
        return (self.path / "config.yaml").is_file() and (self.path / "task.json").is_file()

    @property
    def model(self) -> Path:
        """The best model's folder."""
        return self.path / "model"

    @property
    def adapter(self) -> Path:
        """The folder of the best model's adapters, where they are kept by themselves."""
        return self.path / "adapter"

    @property
    def average(self) -> Path:
        """The folder of models that are to be averaged, while the run goes on."""
        return self.path / "average"

    @property
    def start(self) -> Path:
        """The checkpoint that a run which pretrains made to start from."""
        return self.path / "start"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoint"

    def evaluation(self, split: str) -> Path:
        """The folder of one split's predictions and scores."""
        return self.path / "evaluation" / split

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one process; the system lets go when the process ends.

        Raises:
            RunError: another process holds it.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise errors.run.locked(self.path) from error
        except OSError as error:
            raise errors.run.cannot_write(self.path, error) from error
        try:
            yield
        finally:
            lock.release()

    def write_text(self, name: str, text: str) -> Path:
        """Write a UTF-8 file; returns its path."""
        path = self.path / name
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return path

    def write_json(self, name: str, content: Any, *, indent: int | None = 1) -> Path:
        """Write a JSON file, one value a line unless ``indent`` is None; returns its path."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=indent)
        return self.write_text(name, text + "\n")

    def read_json(self, name: str) -> Any:
        """The content of a JSON file.

        Raises:
            RunError: the file is missing or no JSON.
        """
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise errors.run.unreadable(path, error) from error
