"""The events of a run: an append-only JSON-lines file, and listeners that get every event.

Every event is one object with ``event`` (its kind), ``time`` (seconds since 1970) and further
fields. The report, the progress display and TensorBoard use only these events. Events only record
what happened; training does not depend on them.

    start       steps, steps_per_epoch, epochs, rows, batch_size, precision, device, attempt
    step        step, epoch, loss, learning_rate, gradient_norm, rows, labels, tokens, seconds
    evaluation  step, epoch, split, loss, train_loss, train_seconds, seconds, metric, best, scores
    extended    step, steps, epochs
    checkpoint  step            resume  step            notice  text
    sample      step, epoch, prompt, text, finish
    average     of, steps, metric, value, best, loss, best_loss, kept
    interrupted step            finish  status, steps, seconds, best_step, out_of_time

Units: losses are means in nats per label, times are in seconds, ``step`` is counted from 0, and
``epoch`` is the number of epochs (a fraction) completed after that step.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart import errors
from warmstart.runs.safe_files import write_atomically
from warmstart.runs.stored import read_event, reading

Event = dict[str, Any]
Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class EventLog:
    """Appends events to a file and passes each event to the listeners.

    Args:
        path: the file.
        listeners: functions that are called with each event, in this order.
        silent: do neither of the two; with several processes, only rank 0 writes the log.
    """

    path: Path
    listeners: Sequence[Listener] = ()
    silent: bool = False

    def write(self, *events: Event) -> None:
        """Append events, one line each, and pass each to all listeners.

        NaN and infinity are written as null, because JSON cannot represent them.

        Raises:
            RunError: the disk is full or the folder is not writable.
        """
        if self.silent:
            return
        stamped = [_finite({**event, "time": event.get("time", time.time())}) for event in events]
        text = "".join(
            json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n" for event in stamped
        )
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise errors.run.cannot_write(self.path, error) from error
        for event in stamped:
            for listener in self.listeners:
                listener(event)

    def notice(self, text: str) -> None:
        """Write a notice for the user, which is printed and shown in the report."""
        self.write({"event": "notice", "text": text})

    def rewind(self, step: int) -> None:
        """Remove all events after the checkpoint of ``step``: a resumed run records them again.

        A process that was killed between saving a checkpoint and logging it leaves no event of the
        checkpoint; the last event of a step up to ``step`` is then the end. Earlier resumes stay.
        """
        if self.silent:
            return
        events = read_events(self.path)
        end = 0
        for place, event in enumerate(events):
            of_step = event["event"] in ("step", "evaluation", "extended", "sample", "checkpoint")
            if event["event"] == "start" or (of_step and event.get("step", -1) <= step):
                end = place + 1
        # Another process has resumed this run before, and given the notices after this place again.
        kept = events[:end] + [e for e in events[end:] if e["event"] == "resume"]
        kept = [e for e in kept if e.get("step", -1) <= step and e["event"] != "interrupted"]
        saved = {"event": "checkpoint", "step": step}
        if step >= 0 and not any(saved.items() <= event.items() for event in kept):
            kept.append({**saved, "time": time.time()})
        text = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in kept)
        write_atomically(self.path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_events(path: Path) -> list[Event]:
    """All events of a file; a line that was truncated by a crash is skipped.

    Raises:
        RunError: the file cannot be read, or a field of an event is of another kind.
    """
    if not path.exists():
        return []
    with reading(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    # Not ``splitlines``: it also splits at characters that JSON does not escape, such as U+2028.
    found = (read_event(path, n, line) for n, line in enumerate(text.split("\n"), start=1))
    return [event for event in found if event is not None]


def is_unfinished(path: Path) -> bool:
    """Whether a run began and did not end, judged by its events; False if they are not there.

    Faster than ``read_events``, and a damaged line is no error.

    Args:
        path: the file of the events.
    """
    try:
        content = path.read_bytes()
    except OSError:  # a copy of the run for serving may leave it out
        return False
    return bool(content) and b'"event": "finish"' not in content


def is_finished(path: Path) -> bool:
    """Whether a run is trained and scored, judged by its events; its report may be missing.

    Args:
        path: the file of the events.

    Raises:
        RunError: the file cannot be read, or a field of an event is of another kind.
    """
    return bool(events_of(read_events(path), "finish"))


def events_of(events: Iterable[Event], kind: str) -> list[Event]:
    """The events of one kind, in order."""
    return [event for event in events if event["event"] == kind]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
