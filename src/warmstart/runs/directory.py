"""The run directory: one folder with all files of a training run, the input of all later commands.

    config.yaml        all settings, resolved; training from it repeats the run
    data.json          files with hashes, row ids of each split, findings, truncation
    task.json          facts that the task learned from the training split (label names, …)
    environment.json   versions, device, precision
    events.jsonl       one JSON object per step, evaluation, checkpoint and notice
    start/             only with pretraining: the new tokenizer and the initial weights
    model/             the best model; can be loaded with ``from_pretrained``
    adapter/           with ``train.lora.save: adapter``: the adapters in the format of peft
    checkpoint/        the state that is needed to resume
    evaluation/SPLIT/  predictions.parquet, scores.json
    samples.json       for a run of text generation: texts of the best model
    report.html, figures/, README.md (model card)

Every path in it comes from ``RunDirectory.entry``, which accepts only the names in ``ENTRIES``; so
``--overwrite`` removes everything that an earlier run wrote, and no new file can be forgotten.

The files are always complete: every file is written under a temporary name, flushed to disk and
then renamed (POSIX ``rename`` replaces atomically). A reader sees either the old or the new file.
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

from warmstart import config_file, errors
from warmstart.config import RunConfig

ENTRIES = (
    "config.yaml",
    "data.json",
    "task.json",
    "environment.json",
    "events.jsonl",
    "start",
    "model",
    "adapter",
    "average",
    "checkpoint",
    "evaluation",
    "export",
    "samples.json",
    "figures",
    "tensorboard",
    "report.html",
    "README.md",
)
"""All entries that warmstart writes into a run directory; ``--overwrite`` removes only these."""


def unfinished(target: Path) -> Path:
    """The path at which a file or folder is made before it is renamed to ``target``."""
    return target.with_name(f".{target.name}.partial")


def replaced(target: Path) -> Path:
    """The path of an older folder until the new one is in its place."""
    return target.with_name(f".{target.name}.old")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file next to ``path`` with ``write``, flush it to disk, then rename it.

    Args:
        path: the file to create or replace.
        write: function that is called with the temporary path.

    Raises:
        RunError: the disk is full or the folder is not writable; ``path`` is not changed.
    """
    temporary = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    except OSError as error:
        raise errors.run.cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # it does not exist: it was renamed, or never created
            temporary.unlink()


def write_folder(target: Path, fill: Callable[[Path], object]) -> None:
    """Write a temporary folder next to ``target`` with ``fill``, flush its files, then rename it.

    Args:
        target: the folder to create or replace.
        fill: function that is called with a new, empty folder.

    Raises:
        RunError: the disk is full or the folder is not writable; other folders are not changed.
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


def _remove(place: Path) -> None:
    """Remove a file, a link or a folder, if it exists."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _forms(path: Path) -> tuple[Path, Path]:
    """The absolute path as it is written, and with every symbolic link resolved."""
    return Path(os.path.normpath(path.absolute())), path.resolve()


def refuse_unwritable(path: Path) -> None:
    """Raise an error early if ``path`` cannot be created or, if it is a folder, written to.

    The check creates and deletes a temporary folder, because permission bits are not sufficient.

    Raises:
        RunError: the path is not writable.
    """
    try:
        existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        with tempfile.TemporaryDirectory(dir=existing, prefix=".warmstart-"):
            pass
    except OSError as error:
        raise errors.run.cannot_write(path, error) from error


def flush_to_disk(path: Path) -> None:
    """Write the cached content of a file or folder to disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The folder of one run, with the paths of its files and methods that write them safely."""

    path: Path

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False) -> "RunDirectory":
        """Create an empty run directory.

        Args:
            path: a new or empty folder, or with ``overwrite`` an existing run directory.
            overwrite: remove the files of an earlier run (only ``ENTRIES``).

        Raises:
            RunError: the folder is not empty, is in use, or is not writable.
        """
        run = cls(path)
        run.refuse_unusable(overwrite=overwrite)
        try:
            path.mkdir(parents=True, exist_ok=True)
            with run.locked():
                for entry in map(run.entry, ENTRIES):
                    for place in (entry, unfinished(entry), replaced(entry)):
                        _remove(place)
        except OSError as error:
            raise errors.run.cannot_write(path, error) from error
        return run

    def refuse_unusable(self, *, overwrite: bool = False) -> None:
        """Raise an error early, before any work, if ``create`` would not accept this folder.

        Raises:
            RunError: the folder contains files that must not be overwritten, is in use, or is not
                writable.
        """
        try:
            if self.path.exists() and not self.path.is_dir():
                raise errors.run.not_a_directory(self.path)
            entries = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise errors.run.cannot_write(self.path, error) from error
        existing = sorted(entries - {".lock"})
        if existing and not overwrite:
            raise errors.run.not_empty(self.path, self.is_run)
        if existing and not self.is_run:
            raise errors.run.overwrites_no_run(self.path, existing)
        refuse_unwritable(self.path)
        if ".lock" in entries:
            with self.locked():
                pass

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run directory.

        Raises:
            RunError: the folder does not exist or is not a run directory.
        """
        run = cls(path)
        if not run.is_run:
            raise errors.run.not_a_run(path)
        return run

    @property
    def is_run(self) -> bool:
        """Whether a run was started in this folder."""
        return self.entry("config.yaml").is_file() and self.entry("task.json").is_file()

    def is_complete(self, *, exported: bool) -> bool:
        """Whether everything that is written after the scores of a finished run exists.

        Args:
            exported: whether the settings request an ONNX model.
        """
        names = ["README.md", "report.html", *["export"] * exported]
        return all(self.entry(name).exists() for name in names)

    def entry(self, name: str) -> Path:
        """The path of a file or folder of the run.

        Args:
            name: one of ``ENTRIES``, or a path below one: ``evaluation/test/scores.json``.

        Raises:
            ValueError: the name is not in ``ENTRIES``; ``--overwrite`` would not remove it.
        """
        if name.partition("/")[0] not in ENTRIES:
            raise ValueError(f"{name} is not among the ENTRIES of a run directory")
        return self.path / name

    def would_lose(self, path: Path) -> bool:
        """Whether ``--overwrite`` would remove this file or folder.

        Args:
            path: absolute, or relative to the working directory.
        """
        removed = [form for name in ENTRIES for form in _forms(self.entry(name))]
        return any(place.is_relative_to(entry) for place in _forms(path) for entry in removed)

    @property
    def model(self) -> Path:
        """The best model's folder."""
        return self.entry("model")

    @property
    def start(self) -> Path:
        """The initial checkpoint of a pretraining run."""
        return self.entry("start")

    def evaluation(self, split: str) -> Path:
        """The folder of one split's predictions and scores."""
        return self.entry("evaluation") / split

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the directory for this process; the lock is released when the process ends.

        Raises:
            RunError: another process has locked it.
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
        path = self.entry(name)
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return path

    def write_json(self, name: str, content: Any, *, indent: int | None = 1) -> Path:
        """Write a JSON file, on one line if ``indent`` is None; returns its path."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=indent)
        return self.write_text(name, text + "\n")

    def read_config(self) -> RunConfig:
        """The settings of the run.

        ``config.yaml`` has absolute paths. A pretraining run starts from a checkpoint of its own,
        ``start/``, which moves with the run directory, so its path is taken from this directory.

        Raises:
            ConfigError: ``config.yaml`` is missing, or has a setting that this version does not
                know.
        """
        config = config_file.load(self.entry("config.yaml"))
        if config.pretrain is None:
            return config
        model = config.model.model_copy(update={"name": str(self.start.absolute())})
        return config.model_copy(update={"model": model})

    def read_json(self, name: str) -> Any:
        """The content of a JSON file.

        Raises:
            RunError: the file is missing or not valid JSON.
        """
        path = self.entry(name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise errors.run.unreadable(path, error) from error
