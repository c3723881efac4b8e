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
    evaluation/SPLIT/  predictions.parquet, baseline-NAME.parquet, scores.json
    samples.json       for a run of text generation: texts of the best model
    report.html, figures/, README.md (model card)

Every path in it comes from ``RunDirectory.entry``, which accepts only the names in ``ENTRIES``; so
``--overwrite`` removes everything that an earlier run wrote, and no new file can be forgotten.

The files are always complete: see ``safe_files``. With ``--overwrite`` the earlier run is in
``.previous/`` until the new one is finished, and put back if the new one stopped before it began.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from warmstart import config_file, errors
from warmstart.config import RunConfig
from warmstart.data.reading.paths import local_path
from warmstart.runs.safe_files import (
    entries_of,
    is_left,
    locked_by,
    previous,
    refuse_unwritable,
    remove,
    settle,
    target_of,
    write_atomically,
)
from warmstart.runs.stored import read_stored, refuse_devices

ENTRIES = (
    "config.yaml",
    "data.json",
    "task.json",
    "environment.json",
    "events.jsonl",
    "start",
    "model",
    "adapter",
    "head_start",
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

BEGINNING = ("config.yaml", "data.json", "task.json", "environment.json", "start")
"""The entries that are written before the first step; the others are worth keeping."""

LOCK = ".lock"

EARLIER, MOVING = ".previous", ".previous.partial"
"""Folders with the entries of the run that is replaced: all of them, or some while they move."""


def _forms(path: Path) -> tuple[Path, Path]:
    """The absolute path as it is written, and with every symbolic link resolved."""
    return Path(os.path.normpath(path.absolute())), path.resolve()


def _is_own(name: str) -> bool:
    """Whether warmstart writes a file or folder of this name into a run directory."""
    return (target_of(name) or name) in {*ENTRIES, EARLIER, MOVING, "warmstart"}


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The folder of one run, with the paths of its files and methods that write them safely."""

    path: Path

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False) -> "RunDirectory":
        """Create an empty run directory.

        Args:
            path: a new or empty folder, or with ``overwrite`` an existing run directory.
            overwrite: replace an earlier run. It is moved to ``.previous/``, and ``complete``
                removes it.

        Raises:
            RunError: the folder is not empty, is in use, or is not writable.
        """
        run = cls(path)
        run.refuse_unusable(overwrite=overwrite)
        try:
            path.mkdir(parents=True, exist_ok=True)
            with run.locked():
                run.settle()
                if run.is_run and not (path / EARLIER).exists():
                    run._move_entries(path, path / MOVING)
                    (path / MOVING).rename(path / EARLIER)
                run._remove_entries()
        except OSError as error:
            raise errors.run.cannot_write(path, error) from error
        return run

    def refuse_unusable(self, *, overwrite: bool = False) -> None:
        """Raise an error early, before any work, if ``create`` would not accept this folder.

        Raises:
            RunError: the folder contains files that must not be overwritten, is in use, or is not
                writable.
            DataError: no folder can have this name, or a folder on the way cannot be opened.
        """
        self.recover()
        try:
            if self.path.exists() and not self.path.is_dir():
                raise errors.run.not_a_directory(self.path)
            entries = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise errors.run.cannot_write(self.path, error) from error
        if self.in_use:
            raise errors.run.locked(self.path)
        existing = sorted(entries - {LOCK})
        began = self._only_began
        if existing and not began and not overwrite:
            finished = self.entry("model/manifest.json").is_file() and self.is_complete(
                exported=False
            )
            raise errors.run.not_empty(self.path, is_run=self.is_run, is_finished=finished)
        if existing and not began and not self.is_run:
            raise errors.run.overwrites_no_run(self.path, existing)
        refuse_unwritable(self.path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """An existing run directory.

        Raises:
            RunError: the folder is not a run directory, or one of its files is a pipe or device.
            DataError: no folder can have this name, or a folder on the way cannot be opened.
        """
        run = cls(path)
        run.recover()
        if not run.is_run:
            raise errors.run.never_began(path) if run._only_began else errors.run.not_a_run(path)
        refuse_devices(path)
        return run

    def recover(self) -> None:
        """Remove what a killed process left, and complete or undo its replacement.

        Afterwards the run, and its export, are either the old or the new one. Nothing is done while
        another process trains or exports here.

        Raises:
            DataError: no folder can have this name, or a folder on the way cannot be opened.
        """
        local_path(str(self.path))
        left = (self.path / EARLIER, self.path / MOVING, previous(self.entry("export")))
        folders = (self.path, *map(self.entry, ENTRIES), *entries_of(self.entry("evaluation")))
        hidden = any(is_left(place) for folder in folders for place in entries_of(folder))
        if any(place.exists() for place in left) or (self.is_run and hidden):
            with suppress(errors.RunError), self.locked():
                self.settle()

    def settle(self) -> None:
        """Remove what killed processes left, and complete or undo their replacements.

        Call it while the directory is locked.

        Raises:
            RunError: the directory is not writable.
        """
        moving, earlier = self.path / MOVING, self.path / EARLIER
        try:
            settle(self.path, _is_own)
            for entry in map(self.entry, ENTRIES):
                if entry.is_dir() and not entry.is_symlink():
                    settle(entry)
            for folder in self.entry("evaluation").glob("*/"):
                settle(folder)
            if earlier.exists() and not self.is_run and not self.entry("events.jsonl").exists():
                # Stopped before the new run began.
                self._remove_entries()
                earlier.rename(moving)
            if moving.exists():
                self._move_entries(moving, self.path)
                moving.rmdir()
        except OSError as error:
            raise errors.run.cannot_write(self.path, error) from error

    def complete(self) -> None:
        """Remove the run that this finished run replaced.

        Raises:
            RunError: the directory is not writable.
        """
        remove(self.path / EARLIER)

    def _move_entries(self, source: Path, target: Path) -> None:
        """Move the entries of a run to another folder on the same disk; ``config.yaml`` last."""
        target.mkdir(exist_ok=True)
        for name in reversed(ENTRIES):
            if os.path.lexists(source / name):
                (source / name).rename(target / name)

    def _remove_entries(self) -> None:
        for name in reversed(ENTRIES):  # the settings last: until then, this is a run
            remove(self.entry(name))

    @property
    def _only_began(self) -> bool:
        """Whether a run was stopped here before it began, and left nothing of value.

        The lock shows that the files are not the user's own.
        """
        if self.is_run or not (self.path / LOCK).exists():
            return False
        names = {place.name for place in self.path.iterdir()} - {LOCK}
        return all(map(_is_own, names)) and not self._holds_results

    @property
    def _holds_results(self) -> bool:
        """Whether the directory has an entry that is written after the first step."""
        return any(self.entry(name).exists() for name in set(ENTRIES) - set(BEGINNING))

    @property
    def is_run(self) -> bool:
        """Whether a run was started in this folder."""
        return self.entry("config.yaml").is_file() and self.entry("task.json").is_file()

    @property
    def is_exported(self) -> bool:
        """Whether the run was exported, also while a new export replaces the old one."""
        export = self.entry("export")
        return export.exists() or previous(export).exists()

    def is_complete(self, *, exported: bool) -> bool:
        """Whether everything that follows the scores of a finished run was done.

        Args:
            exported: whether the settings request an ONNX model.
        """
        names = ["README.md", "figures", "report.html", *["export"] * exported]
        left = (self.entry("average"), self.path / EARLIER)
        return all(self.entry(name).exists() for name in names) and not any(
            place.exists() for place in left
        )

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
        with locked_by(self.path / LOCK, errors.run.locked(self.path)):
            yield

    @property
    def in_use(self) -> bool:
        """Whether another process has locked the directory: it trains or exports."""
        if not (self.path / LOCK).exists():
            return False
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return True
        except OSError:  # the directory is not writable
            return False
        lock.release()
        return False

    @property
    def identity(self) -> str | None:
        """What another run in the same folder does not have: the line that begins the log."""
        try:
            with self.entry("events.jsonl").open(encoding="utf-8", errors="replace") as log:
                return log.readline()
        except OSError:
            return None

    @contextmanager
    def holding(self, identity: str | None) -> Iterator[None]:
        """Make sure that within the block the folder holds one run, and always the same.

        Commands that do not lock the directory may work while ``--overwrite`` replaces the run.

        Args:
            identity: that of the run.

        Raises:
            RunError: the run was replaced; an error in the block is then a consequence.
        """
        if self.identity != identity:
            raise errors.run.replaced(self.path)
        try:
            yield
        except errors.WarmstartError:
            if self.identity != identity:
                raise errors.run.replaced(self.path) from None
            raise
        if self.identity != identity:
            raise errors.run.replaced(self.path)

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
            RunError: the file is missing, not valid JSON, or lacks a field.
        """
        return read_stored(self.entry(name))
