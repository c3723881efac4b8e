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
    samples.json       of a run that learns to generate: texts of the best model
    report.html, figures/, README.md (model card)

Every path in it comes from ``RunDirectory.entry``, which knows no other names than ``ENTRIES``: so
``--overwrite`` removes all that an earlier run wrote, and a new file cannot be forgotten.

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
from warmstart.config import RunConfig, config_file

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
"""All that warmstart ever writes in a run directory; ``--overwrite`` removes these and no more."""


def unfinished(target: Path) -> Path:
    """Where a file or folder is made before it is renamed to ``target``."""
    return target.with_name(f".{target.name}.partial")


def replaced(target: Path) -> Path:
    """Where an older folder waits until the new one is in its place."""
    return target.with_name(f".{target.name}.old")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then rename it.

    Args:
        path: the file to make or replace.
        write: called with the temporary path.

    Raises:
        RunError: the disk is full or the folder cannot be written; ``path`` is as it was.
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


def _remove(place: Path) -> None:
    """Remove a file, a link or a folder; nothing where there is none."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _forms(path: Path) -> tuple[Path, Path]:
    """The absolute path as it is written, and with every symbolic link followed."""
    return Path(os.path.normpath(path.absolute())), path.resolve()


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
                for entry in map(run.entry, ENTRIES):
                    for place in (entry, unfinished(entry), replaced(entry)):
                        _remove(place)
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
        return self.entry("config.yaml").is_file() and self.entry("task.json").is_file()

    def is_complete(self, *, exported: bool) -> bool:
        """Whether everything that follows the scores of a finished run is there.

        Args:
            exported: whether the settings ask for an ONNX model.
        """
        names = ["README.md", "report.html", *["export"] * exported]
        return all(self.entry(name).exists() for name in names)

    def entry(self, name: str) -> Path:
        """The path of a file or folder of the run; the one place that knows where things are.

        Args:
            name: one of ``ENTRIES``, or below one: ``evaluation/test/scores.json``.

        Raises:
            ValueError: it is not; ``--overwrite`` would leave it behind.
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
    def adapter(self) -> Path:
        """The folder of the best model's adapters, where they are kept by themselves."""
        return self.entry("adapter")

    @property
    def average(self) -> Path:
        """The folder of models that are to be averaged, while the run goes on."""
        return self.entry("average")

    @property
    def start(self) -> Path:
        """The checkpoint that a run which pretrains made to start from."""
        return self.entry("start")

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.entry("checkpoint")

    def evaluation(self, split: str) -> Path:
        """The folder of one split's predictions and scores."""
        return self.entry("evaluation") / split

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
        path = self.entry(name)
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return path

    def write_json(self, name: str, content: Any, *, indent: int | None = 1) -> Path:
        """Write a JSON file, one value a line unless ``indent`` is None; returns its path."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=indent)
        return self.write_text(name, text + "\n")

    def read_config(self) -> RunConfig:
        """The settings of the run.

        ``config.yaml`` has absolute paths. A run that pretrains starts from a checkpoint of its
        own, ``start/``, which moves with the run directory: its path is that of this directory.

        Raises:
            ConfigError: ``config.yaml`` is missing, or holds a setting that this version does not
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
            RunError: the file is missing or no JSON.
        """
        path = self.entry(name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise errors.run.unreadable(path, error) from error
