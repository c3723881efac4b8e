"""The event log: nothing is lost by a crash, a full disk or a number that JSON lacks."""

import json
import math
from pathlib import Path

import pytest

from warmstart.errors import RunError
from warmstart.runs.events import Event, EventLog, events_of, read_events


def step(number: int) -> Event:
    return {"event": "step", "step": number, "loss": 0.5}


def test_events_are_appended_stamped_and_told_to_every_listener(tmp_path: Path) -> None:
    told: list[Event] = []
    also: list[Event] = []
    log = EventLog(tmp_path / "events.jsonl", [told.append, also.append])
    log.write(step(0), {"event": "step", "step": 1, "time": 5.0})
    log.notice("看")
    found = read_events(log.path)
    assert found == told == also
    assert [event["event"] for event in found] == ["step", "step", "notice"]
    assert found[0]["time"] > 1e9
    assert found[1]["time"] == 5.0
    assert events_of(found, "notice") == [found[2]]
    assert found[2]["text"] == "看"
    assert "看" in log.path.read_text(encoding="utf-8")


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    told: list[Event] = []
    log = EventLog(tmp_path / "events.jsonl", [told.append])
    score = {"value": math.nan, "low": -math.inf, "high": 1.0}
    log.write({"event": "evaluation", "loss": math.inf, "scores": {"m": score}, "step": 1})
    strict = json.loads(log.path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert strict["loss"] is None
    assert strict["scores"] == {"m": {"value": None, "low": None, "high": 1.0}}
    assert told == [strict]


def test_a_last_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    """A crash can truncate the file anywhere, even within a character."""
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write(step(0))
    log.notice("标签")
    whole = path.read_bytes()
    for length in range(len(whole.split(b"\n")[0]) + 1, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert [event["event"] for event in read_events(path)] == ["step"]


def test_a_line_ends_at_a_newline_and_at_no_other_character(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    text = "one\x85two\u2028three\x0bfour\nfive"
    log.notice(text)
    assert [event["text"] for event in read_events(log.path)] == [text]


def test_no_file_holds_no_events(tmp_path: Path) -> None:
    assert read_events(tmp_path / "events.jsonl") == []


def test_rewind_forgets_what_a_resumed_run_records_again(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.write({"event": "start", "steps": 9}, *map(step, range(4)))
    log.notice("stays: it belongs to no step")
    log.write({"event": "evaluation", "step": 3, "loss": 0.4}, {"event": "checkpoint", "step": 3})
    log.write(step(4), step(5), {"event": "evaluation", "step": 5}, {"event": "finish"})
    log.write({"event": "interrupted", "step": 3})
    log.notice("goes: a resumed run gives it again")
    with log.path.open("a") as file:
        file.write('{"event": "step", "st')
    before = read_events(log.path)
    log.rewind(3)
    kept = read_events(log.path)
    assert kept == before[:8]
    assert [event["event"] for event in kept[-3:]] == ["notice", "evaluation", "checkpoint"]
    log.write(step(4))
    assert read_events(log.path)[-1]["step"] == 4
    log.rewind(-1)
    assert [event["event"] for event in read_events(log.path)] == ["start"]


@pytest.mark.parametrize("logged", [True, False])
def test_notices_are_not_given_twice(tmp_path: Path, logged: bool) -> None:
    """A process may be killed after it saved a checkpoint and before it logged it."""
    log = EventLog(tmp_path / "events.jsonl")
    log.write({"event": "start", "steps": 3})
    log.notice("frozen")
    log.write(step(0), *[{"event": "checkpoint", "step": 0}] * logged)
    for _ in range(3):  # resumed, killed in final scoring, resumed again
        log.notice("frozen")  # written before the checkpoint is found
        log.rewind(0)
        log.write({"event": "resume", "step": 0})
        log.notice("baselines")
    texts = [event["text"] for event in events_of(read_events(log.path), "notice")]
    assert texts == ["frozen", "baselines"]
    assert len(events_of(read_events(log.path), "resume")) == 3


def test_a_full_disk_is_an_error_with_advice_and_is_told_to_nobody() -> None:
    told: list[Event] = []
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a device that is always full")
    with pytest.raises(RunError, match="cannot write /dev/full: No space left") as caught:
        EventLog(Path("/dev/full"), [told.append]).write(step(0))
    assert "free some space, and repeat the command" in caught.value.do
    assert not told


def test_a_folder_that_is_gone_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write .*gone") as caught:
        EventLog(tmp_path / "gone" / "events.jsonl").write(step(0))
    assert "--output DIR" in caught.value.do
