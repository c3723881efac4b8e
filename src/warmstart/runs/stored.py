"""What the JSON files of a run directory contain: checked in one place, whenever they are read.

A file may have been truncated, edited, or written by another version. Only what other code relies
on is checked here; further fields are allowed.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from warmstart import errors
from warmstart.data.reading.paths import device_kind
from warmstart.data.table import SourceFile
from warmstart.metrics.scores import Score

Count = Annotated[int, Field(ge=0)]
Metrics = Annotated[dict[str, Score], Field(min_length=1)]


class _Split(BaseModel):
    source: str
    rows: Any
    left_out: dict[str, Count] = {}
    given: str | None = None


class _Data(BaseModel):
    files: dict[str, list[SourceFile]]
    splits: dict[str, _Split]
    max_tokens: Annotated[int, Field(ge=1)]
    rows_given: bool = False
    findings: dict[str, Any] = {}


class _Task(BaseModel):
    task: str
    facts: dict[str, Any]


class _Part(BaseModel):
    name: str
    parameters: Count
    trained: Count
    from_epoch: int | None = None


class _Environment(BaseModel):
    processes: Annotated[int, Field(ge=1)]
    threads: int | None = None
    trains: list[_Part] = []
    settings: dict[str, Any] = {}
    base: dict[str, str] = {}
    features: str | None = None


class _Evaluation(BaseModel):
    n: Count
    scores: Metrics
    scored_unit: str = "rows"
    loss: float | None = None
    details: dict[str, Any] = {}
    baselines: dict[str, Metrics] = {}
    files: list[str] = []
    overrides: list[str] = []


class _Sample(BaseModel):
    prompt: str
    text: str
    finish: str


class _Samples(BaseModel):
    settings: dict[str, Any]
    samples: list[_Sample]
    novelty: dict[str, Any]


class _File(BaseModel):
    sha256: str


class _Int8(BaseModel):
    reduce_range: bool


class _Parity(BaseModel):
    files: dict[str, _File]
    model_sha256: str
    max_tokens: Annotated[int, Field(ge=1)]
    int8: _Int8 | None = None


_CONTENT: Mapping[str, type[BaseModel]] = {
    "data.json": _Data,
    "task.json": _Task,
    "environment.json": _Environment,
    "scores.json": _Evaluation,
    "samples.json": _Samples,
    "parity.json": _Parity,
}


class _Event(BaseModel):
    """What the fields of events are, if they are there; which of them are needed, readers know."""

    event: str
    time: float | None = None
    step: int = -1
    epoch: float = 0


class _Start(_Event):
    steps: Count = 0
    rows: Count = 0
    epochs: Count = 0
    batch_size: Count = 0


class _Notice(_Event):
    text: str = ""


class _Step(_Event):
    loss: float | None = None
    learning_rate: float | None = None


class _Check(_Event):
    loss: float | None = None
    train_loss: float | None = None
    train_seconds: float = 0
    seconds: float = 0
    best: bool = False
    scores: dict[str, Score] = {}


class _Generated(_Event):
    prompt: str = ""
    text: str = ""


class _Finish(_Event):
    status: str = ""
    steps: Count = 0
    seconds: float = 0


_EVENTS: Mapping[str, type[_Event]] = {
    "start": _Start,
    "extended": _Start,
    "notice": _Notice,
    "step": _Step,
    "evaluation": _Check,
    "sample": _Generated,
    "finish": _Finish,
}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within the block, an error caused by the content of a file becomes one message about it.

    Args:
        path: the file.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise errors.run.unreadable(path, f"{place}: {first['msg']}") from error
    except KeyError as error:
        raise errors.run.unreadable(path, f"{error} is missing") from error
    except (
        OSError, ValueError, TypeError, AttributeError, IndexError, RecursionError
    ) as error:  # fmt: skip
        raise errors.run.unreadable(path, str(error) or type(error).__name__) from error


def refuse_devices(folder: Path) -> None:
    """Fail if a file of a run is a pipe or a device: reading it could wait for ever.

    Args:
        folder: the run directory.

    Raises:
        RunError: one of its files is neither a regular file nor a folder.
    """
    # Not `rglob`, which fails if a folder disappears while it lists them: a run may be training.
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            kind = None
            with suppress(FileNotFoundError):
                kind = device_kind(path)
            if kind is not None:
                raise errors.run.unreadable(path, f"it is {kind}, not a file")


def read_stored(path: Path) -> Any:
    """The content of a JSON file of a run directory, with the fields that other code relies on.

    Args:
        path: the file; its name determines the fields.

    Raises:
        RunError: the file is missing or damaged.
    """
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        if path.name in _CONTENT:
            TypeAdapter(_CONTENT[path.name]).validate_python(content)
    return content


def read_event(path: Path, number: int, line: str) -> dict[str, Any] | None:
    """The event in one line of the log; None for a line that a crash has truncated.

    Args:
        path: the log.
        number: number of the line.
        line: its text.

    Raises:
        RunError: one of its fields is of another kind.
    """
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    with reading(path.with_name(f"{path.name}:{number}")):
        kind = event.get("event") if isinstance(event, dict) else None
        TypeAdapter(_EVENTS.get(str(kind), _Event)).validate_python(event)
    return dict(event)
