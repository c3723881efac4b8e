"""The folder of an experiment: its settings, one run directory for each trial, and the results.

    experiment.json      kind and options, and the settings that all trials share
    trials/NAME/         the run directory of each trial
    trials.jsonl         one JSON object for each trial that ended; the last one of a trial counts
    searches/NAME/       of a nested search: the search in each fold, an experiment of its own
    study/               of a search: Optuna's journal of its trials
    predictions.parquet  of a cross-validation: every row, predicted by the trial of its fold
    results.json         the scores over all trials
    experiment.html      the report
    best/                a copy of the best trial's run directory, if the experiment chooses one
    final/               of a cross-validation with ``--final``: the run on all rows
    .lock                held by the process that works on the experiment

``results.json`` is written last: with it, the experiment is finished.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from warmstart import errors
from warmstart.runs.safe_files import (
    locked_by,
    refuse_unwritable,
    remove,
    settle,
    write_atomically,
    write_errors,
)

ENTRIES = (
    "experiment.json",
    "trials",
    "trials.jsonl",
    "searches",
    "study",
    "predictions.parquet",
    "results.json",
    "experiment.html",
    "best",
    "final",
)
"""All entries of an experiment's folder; ``--overwrite`` removes only these."""

LOCK = ".lock"

Status = Literal["finished", "failed", "interrupted", "pruned"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended.

    Args:
        trial: its name.
        status: ``finished``; ``pruned``, stopped early because others were better; ``failed`` with
            an error; or ``interrupted``, to be resumed.
        seconds: duration of this attempt.
        error: the message of the error; empty if there is none.
    """

    trial: str
    status: Status
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class ExperimentFolder:
    """The folder of one experiment, with the paths of its files."""

    path: Path

    @classmethod
    def create(
        cls, path: Path, content: Mapping[str, Any], *, overwrite: bool
    ) -> "ExperimentFolder":
        """Create the folder and write ``experiment.json``.

        Args:
            path: a new or empty folder, or with ``overwrite`` that of an earlier experiment.
            content: content of ``experiment.json``.
            overwrite: replace an earlier experiment.

        Raises:
            RunError: the folder is not empty, is in use, or is not writable.
        """
        folder = cls(path)
        folder.refuse_unusable(overwrite=overwrite)
        with write_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        with folder.locked():
            settle(path, owns=lambda name: name in ENTRIES)
            for name in ENTRIES:
                remove(path / name)
            folder.write_json("experiment.json", content)
        return folder

    def refuse_unusable(self, *, overwrite: bool) -> None:
        """Raise an error early if ``create`` would not accept this folder.

        Args:
            overwrite: as for ``create``.

        Raises:
            RunError: the folder contains other files, is in use, or is not writable.
        """
        if self.path.exists() and not self.path.is_dir():
            raise errors.run.not_a_directory(self.path)
        with write_errors(self.path):
            held = sorted(p.name for p in self.path.iterdir()) if self.path.exists() else []
        held = [name for name in held if name != LOCK]
        if held and not self.is_experiment:
            raise errors.experiment.other_files(self.path, held)
        if held and not overwrite:
            raise errors.experiment.not_empty(self.path, finished=self.is_finished)
        with self.locked() if self.path.exists() else nullcontext():
            pass
        refuse_unwritable(self.path)

    @classmethod
    def open(cls, path: Path) -> "ExperimentFolder":
        """The folder of an experiment that began.

        Raises:
            RunError: there is no experiment.
        """
        if not cls(path).is_experiment:
            raise errors.experiment.no_experiment(path)
        return cls(path)

    @property
    def is_experiment(self) -> bool:
        """Whether an experiment began in this folder."""
        return self.entry("experiment.json").is_file()

    @property
    def is_finished(self) -> bool:
        """Whether the results are complete."""
        return self.entry("results.json").is_file()

    def entry(self, name: str) -> Path:
        """The path of a file or folder of the experiment.

        Args:
            name: one of ``ENTRIES``, or a path below one.

        Raises:
            ValueError: the name is not in ``ENTRIES``; ``--overwrite`` would not remove it.
        """
        if name.partition("/")[0] not in ENTRIES:
            raise ValueError(f"{name} is not among the ENTRIES of an experiment")
        return self.path / name

    def trial(self, name: str) -> Path:
        """The run directory of a trial."""
        return self.entry(f"trials/{name}")

    def record(self, outcome: Outcome) -> None:
        """Append how a trial ended to ``trials.jsonl``."""
        with write_errors(self.path), self.entry("trials.jsonl").open("a", encoding="utf-8") as f:
            f.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")

    def outcomes(self) -> dict[str, Outcome]:
        """How each trial ended, by its name; trials that never ended are missing."""
        try:
            lines = self.entry("trials.jsonl").read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return {}
        found = {}
        for line in lines:
            try:
                outcome = Outcome(**json.loads(line))
            except (ValueError, TypeError):  # empty, or cut off by a crash
                continue
            found[outcome.trial] = outcome
        return found

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        write_atomically(self.entry(name), lambda path: path.write_text(text, encoding="utf-8"))

    def read_json(self, name: str) -> Any:
        """The content of a JSON file.

        Raises:
            RunError: the file is missing or damaged.
        """
        path = self.entry(name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise errors.experiment.damaged(path, error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process.

        Raises:
            RunError: another process works on the experiment.
        """
        with locked_by(self.path / LOCK, errors.experiment.locked(self.path)):
            yield
