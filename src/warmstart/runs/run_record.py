"""What the files of a run directory say about its run, read once and never from memory.

The report and the model card are made from this alone. Both can therefore be made again at any
time, on another machine, from a finished run or from one that was stopped half-way: whatever is not
there yet is empty here, and nothing has to be loaded (no torch, no weights).

Units: losses in nats, times in seconds; a *step* is one optimiser update, counted from 0; ``epoch``
is a real number, the passes over the training rows completed after that step.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart.config import RunConfig
from warmstart.data.checking.check import Findings
from warmstart.data.table import SourceFile
from warmstart.metrics.scores import Score
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Event, events_of, read_events
from warmstart.runs.loaded_run import load_task
from warmstart.tasks.capabilities import Generates, label_names_of
from warmstart.tasks.task import AnyTask

SPLIT_ORDER = ("test", "validation")
"""Splits by how much their scores mean: the rows nothing was chosen on come first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser update, as logged."""

    step: int
    epoch: float
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Check:
    """One evaluation on the validation split during training, as logged."""

    step: int
    epoch: float
    loss: float
    train_loss: float
    """Mean training loss since the evaluation before."""
    train_seconds: float
    """Spent on training since the evaluation before."""
    seconds: float
    """Spent on this evaluation."""
    best: bool
    scores: Mapping[str, Score]


@dataclass(frozen=True, slots=True)
class Sample:
    """A text that the model wrote while it was trained, as logged."""

    step: int
    epoch: float
    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """The scores of one split, with the task's details and the baselines beside them."""

    split: str
    n: int
    scored_unit: str
    """What the n of a score counts: ``rows``, ``queries``, ``documents``."""
    loss: float | None
    scores: Mapping[str, Score]
    """By metric, the task's main metric first."""
    details: Mapping[str, Any]
    baselines: Mapping[str, Mapping[str, Score]]
    """Baseline (``majority``, ``tfidf``) to its scores by metric."""

    @property
    def main_metric(self) -> str:
        """The metric that decides."""
        return next(iter(self.scores))


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Everything a run directory's small files say; prediction tables are read by who needs them.

    Args:
        path: the run directory.
        config: every setting, resolved.
        task: with what it learned.
        labels: the task's label names, in class order; empty before the task has learned them.
        environment: versions, device and precision, by name.
        files: what was read, by split it was read for; with hashes.
        findings: what was counted in the data before training.
        max_tokens: longest input of the model, in tokens.
        start: the latest ``start`` event: planned steps, epochs, rows, batch size.
        steps: the updates that led to the weights, in order.
        checks: evaluations during training, in order.
        samples: what the model wrote on the way, in order.
        written: the content of ``samples.json``: what the kept model writes, and how new it is;
            empty where the task does not write.
        notices: what the run said aloud.
        finish: the ``finish`` event, empty when the run did not get there.
        interrupted: whether the run was stopped and not taken up again.
        evaluations: by split, the most telling first.
    """

    path: Path
    config: RunConfig
    task: AnyTask
    labels: tuple[str, ...]
    environment: Mapping[str, Any]
    files: Mapping[str, tuple[SourceFile, ...]]
    findings: Findings | None
    max_tokens: int | None
    start: Mapping[str, Any]
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    samples: tuple[Sample, ...]
    written: Mapping[str, Any]
    notices: tuple[str, ...]
    finish: Mapping[str, Any]
    interrupted: bool
    evaluations: Mapping[str, EvaluationRecord]

    @property
    def evaluation(self) -> EvaluationRecord | None:
        """The evaluation the run is judged by: the test split's where there is one."""
        return next(iter(self.evaluations.values()), None)

    @property
    def kept(self) -> Check | None:
        """The evaluation whose model was kept: the last that was better than all before."""
        return next((check for check in reversed(self.checks) if check.best), None)

    @property
    def sources(self) -> list[tuple[SourceFile, str]]:
        """Every file that was read, once, and the splits that it went into."""
        splits: dict[SourceFile, list[str]] = {}
        for split, files in self.files.items():
            for file in files:
                splits.setdefault(file, []).append(split)
        return [(file, ", ".join(found)) for file, found in splits.items()]


def read_record(run_path: Path) -> RunRecord:
    """Read a run directory's small files; those that a run writes late may be missing.

    Args:
        run_path: the run directory.

    Raises:
        RunError: this is no run directory, or one of its files is damaged.
        ConfigError: ``config.yaml`` holds a setting that this version does not know.
    """
    run = RunDirectory.open(run_path)
    events = read_events(run.entry("events.jsonl"))
    data = _json_or_empty(run, "data.json")
    start, finish = events_of(events, "start"), events_of(events, "finish")
    config, task = load_task(run)
    return RunRecord(
        path=run_path,
        config=config,
        task=task,
        labels=label_names_of(task),
        environment=_json_or_empty(run, "environment.json"),
        files={
            split: tuple(
                SourceFile(**{**file, "notes": tuple(file.get("notes", ()))}) for file in files
            )
            for split, files in data.get("files", {}).items()
        },
        findings=Findings.from_json(data["findings"]) if "findings" in data else None,
        max_tokens=data.get("max_tokens"),
        start=start[-1] if start else {},
        steps=tuple(_step(event) for event in events_of(events, "step")),
        checks=tuple(_check(event) for event in events_of(events, "evaluation")),
        samples=tuple(
            Sample(event["step"], event["epoch"], event["prompt"], event["text"])
            for event in events_of(events, "sample")
        ),
        written=_json_or_empty(run, "samples.json") if isinstance(task, Generates) else {},
        notices=tuple(event["text"] for event in events_of(events, "notice")),
        finish=finish[-1] if finish else {},
        interrupted=bool(events_of(events, "interrupted")),
        evaluations=_evaluations(run),
    )


def _source_file(content: Mapping[str, Any]) -> SourceFile:
    """A file as ``data.json`` records it; lists become tuples, so that it can be a key."""
    return SourceFile(**{**content, "notes": tuple(content.get("notes", ()))})


def _step(event: Event) -> Step:
    return Step(
        event["step"], event["epoch"], _number(event["loss"]), _number(event["learning_rate"])
    )


def _check(event: Event) -> Check:
    return Check(
        step=event["step"],
        epoch=event["epoch"],
        loss=_number(event["loss"]),
        train_loss=_number(event["train_loss"]),
        train_seconds=event["train_seconds"],
        seconds=event["seconds"],
        best=event["best"],
        scores=_scores(event["scores"]),
    )


def _evaluations(run: RunDirectory) -> dict[str, EvaluationRecord]:
    found = {}
    for path in run.entry("evaluation").glob("*/scores.json"):
        split = path.parent.name
        content = run.read_json(f"evaluation/{split}/scores.json")
        baselines = content.get("baselines", {})
        found[split] = EvaluationRecord(
            split=split,
            n=content["n"],
            scored_unit=content.get("scored_unit", "rows"),
            loss=content.get("loss"),
            scores=_scores(content["scores"]),
            details=content.get("details", {}),
            baselines={name: _scores(scores) for name, scores in baselines.items()},
        )
    known = [split for split in SPLIT_ORDER if split in found]
    return {split: found[split] for split in [*known, *sorted(found.keys() - set(known))]}


def _scores(content: Mapping[str, Any]) -> dict[str, Score]:
    return {name: Score(**score) for name, score in content.items()}


def _number(value: float | None) -> float:
    """A logged number; null stands for one that was not finite."""
    return math.nan if value is None else value


def _json_or_empty(run: RunDirectory, name: str) -> dict[str, Any]:
    content: dict[str, Any] = run.read_json(name) if (run.entry(name)).exists() else {}
    return content
