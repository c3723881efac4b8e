"""Run one task with the command line: each command runs once, when it is first needed.

``DrivenRun`` creates the files of a ``Case`` in a folder and runs the commands there, like a user:
relative paths, a YAML config, and advice copied from the output of an earlier command.
"""

import json
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Ran, ran
from warmstart import config_file
from warmstart.config import RunConfig
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_task
from warmstart.tasks import TASKS
from warmstart.tasks.task import AnyTask

INTERRUPTED_AT = 9
"""The call of ``task.loss`` during which Ctrl-C is simulated: after the first evaluation."""


@dataclass(frozen=True)
class Case:
    """What the tests need to know about a task, and texts that only this task prints.

    Args:
        settings: creates data and a tiny checkpoint in a folder; returns settings of a small run.
        labelled: creates a labelled file in the format of the training file; returns its path.
        rows: number of rows of that file.
        predict: options of ``warmstart predict`` (or ``generate``) for one input.
        prediction: keys of one prediction in JSON, in addition to ``row`` and ``truncated``.
        columns: columns that the task adds to ``predictions.parquet``.
        shown: the output of ``predict`` for one input, a regular expression for the whole text.
        labels: label names, in the order of the logits; empty if there are none.
        baselines: names of the baselines.
        marks: texts in the card or the report of this task that no other task has.
        same: whether the value of the card's snippet equals warmstart's own prediction.
        unlabelled: creates a file of ``rows`` rows to predict; None to predict the labelled file.
    """

    settings: Callable[[Path], dict[str, Any]]
    labelled: Callable[[Path], Path]
    rows: int
    predict: tuple[str, ...]
    prediction: tuple[str, ...]
    columns: tuple[str, ...]
    shown: str
    labels: tuple[str, ...]
    baselines: tuple[str, ...]
    marks: tuple[str, ...]
    same: Callable[[Any, Mapping[str, Any]], bool]
    unlabelled: Callable[[Path], Path] | None = None


@dataclass(frozen=True)
class DrivenRun:
    """A case, and the output of each command.

    Args:
        case: case of the task.
        task: its name.
        folder: the working directory of the commands.
        foreign: texts that belong to other tasks.
    """

    case: Case
    task: str
    folder: Path
    foreign: tuple[str, ...]
    _ran: dict[tuple[str, ...], Ran] = field(default_factory=dict)

    def type(self, *words: str) -> Ran:
        """Run the words after ``warmstart`` in the folder; the same words run only once."""
        if words not in self._ran:
            with chdir(self.folder):
                self._ran[words] = ran(*words)
        return self._ran[words]

    def type_advice(self, command: str) -> Ran:
        """Run a printed command: ``warmstart train run --resume``."""
        name, *words = shlex.split(command.replace(f"{sys.executable} -m warmstart", "warmstart"))
        assert name == "warmstart"
        return self.type(*words)

    @cached_property
    def config(self) -> str:
        """The name of the YAML config in the folder."""
        settings = self.case.settings(self.folder)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(settings), "utf-8")
        return "config.yaml"

    @cached_property
    def trained(self) -> Ran:
        """``train --json`` without interruption, into ``run``."""
        with without_figures():
            return self.type("train", self.config, "--output", "run", "--json")

    @cached_property
    def run(self) -> Path:
        """The run directory of ``trained``."""
        assert self.trained.code == 0, self.trained.err
        return self.folder / "run"

    @cached_property
    def learned(self) -> AnyTask:
        """The task with its facts."""
        return load_task(RunDirectory(self.run))[1]

    @cached_property
    def settings(self) -> RunConfig:
        """The settings of the run."""
        return config_file.load(self.run / "config.yaml")

    @cached_property
    def interrupted(self) -> Ran:
        """``train`` into ``stopped``, with Ctrl-C pressed during a step of the second epoch."""
        kind, calls = TASKS[self.task], 0
        loss = kind.loss

        def interrupting(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == INTERRUPTED_AT:
                signal.raise_signal(signal.SIGINT)
            return loss(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kind, "loss", interrupting)
            return self.type("train", self.config, "--output", "stopped")

    @cached_property
    def resumed(self) -> Ran:
        """The command that ``interrupted`` printed."""
        found = re.search(r"warmstart train \S+ --resume", self.interrupted.err)
        assert found, self.interrupted.err
        with without_figures():
            return self.type_advice(found[0])

    @cached_property
    def labelled(self) -> str:
        """The name of the labelled file in the folder."""
        return self.case.labelled(self.folder).name

    @cached_property
    def card(self) -> tuple[dict[str, Any], str]:
        """The model card: its metadata and its text."""
        _, header, body = (self.run / "README.md").read_text("utf-8").split("---\n", 2)
        return yaml.safe_load(header), body


@contextmanager
def without_figures() -> Iterator[None]:
    """Leave the figures of a report empty: drawing them takes longer than training.

    The check of ``report`` draws them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warmstart.report.html.to_svg", lambda *_: "<svg></svg>")
        patch.setattr("warmstart.report.html.to_png", lambda *arguments: arguments[-1].touch())
        yield


def one_object(printed: Ran) -> dict[str, Any]:
    """The JSON object that is the whole of stdout."""
    assert printed.code == 0, printed.err
    content: dict[str, Any] = json.loads(printed.out)
    assert isinstance(content, dict)
    return content
