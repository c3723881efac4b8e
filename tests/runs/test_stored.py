"""A damaged file of a run: one message, which names the file and what can still be done."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.quick import slow_except
from tests.runs_in_memory import prepared_run
from warmstart import api
from warmstart.config import DataConfig, RunConfig
from warmstart.errors import ModelError, RunError, WarmstartError
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import read_events
from warmstart.runs.loaded_run import load_run
from warmstart.runs.run_record import read_record
from warmstart.tasks import TASKS
from warmstart.training.train_run import train_run

FILES = {
    "data.json": "train again",
    "task.json": "train again",
    "environment.json": "warmstart predict RUN",
    "evaluation/validation/scores.json": "warmstart evaluate RUN",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    folder: Path = tmp_path_factory.mktemp("stored")
    return train_run(prepared_run(folder, epochs=1, batch_size=32), folder / "run").directory.path


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> RunDirectory:
    """A copy for damaging."""
    return RunDirectory(Path(shutil.copytree(finished, tmp_path / "run")))


def places(content: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    found = []
    for key, value in items:
        found.append((*where, key))
        if isinstance(value, dict | list):
            found += places(value, (*where, key))
    return found


def with_change(content: Any, place: tuple[Any, ...], value: Any) -> str:
    """The JSON text with another value at a place, or without it if the value is ``...``."""
    changed = json.loads(json.dumps(content))
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return json.dumps(changed)


def use(run: RunDirectory) -> None:
    """Everything that reads these files."""
    load_run(run)
    read_record(run.path)
    run.read_json("environment.json")
    _ = api.load(run.path).scores


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '"text"', "{}", "[" * 5000, "\x00"])
def test_other_content_is_one_message(name: str, text: str, copy: RunDirectory) -> None:
    copy.entry(name).write_text(text)
    with pytest.raises(RunError) as caught:
        use(copy)
    assert caught.value.found.startswith(f"cannot read {copy.entry(name)}: ")
    assert FILES[name] in caught.value.do


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize(
    "value", slow_except([..., None, -1, "many", [], {"a": 1}, 10**400], ..., "many")
)
def test_a_field_of_another_kind_is_tolerated_or_one_message(
    name: str,
    value: Any,
    finished: Path,
    copy: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = json.loads((finished / name).read_text())
    config = copy.read_config()  # it stays the same, and takes longer to read than all the others
    monkeypatch.setattr(RunDirectory, "read_config", lambda _: config)
    for place in places(content):
        copy.entry(name).write_text(with_change(content, place, value))
        try:
            read_record(copy.path)
            copy.read_json("environment.json")
            _ = api.load(copy.path).scores
        except WarmstartError as error:
            assert error.found.startswith(f"cannot read {copy.entry(name)}: ")  # noqa: PT017


@pytest.mark.parametrize(
    ("task", "facts", "said"),
    [
        ("text-classification", {"label_names": ["good", "bad"]}, "label 1 is 'good', and that of"),
        ("text-classification", {"label_names": ["a", "b", "c"]}, "it has 3 labels, and the model"),
        ("text-classification", {"label_names": "ab"}, "label_names is not a list of"),
        ("text-classification", {"label_names": ["bad", "bad"]}, "label_names is not a list of"),
        ("text-classification", {"class_weights": [1.0]}, "class_weights is not a list of 2"),
        ("text-classification", {"class_weights": [1, "x"]}, "class_weights is 'x' and not a"),
        ("text-classification", {"threshold": "0.5"}, "threshold is '0.5' and not a finite"),
        ("text-classification", {"threshold": float("nan")}, "threshold is nan and not a finite"),
        ("text-classification", {"temperature": 0}, "temperature is 0.0 and not above 0"),
        ("text-classification", {"temperature": "2"}, "temperature is '2' and not a finite"),
        ("text-ranking", {}, "task is text-ranking, and config.yaml has text-classification"),
    ],
)
def test_facts_that_do_not_fit_the_run_are_named(
    task: str, facts: dict[str, Any], said: str, copy: RunDirectory
) -> None:
    saved = json.loads(copy.entry("task.json").read_text())
    changed = {"task": task, "facts": saved["facts"] | facts}
    copy.entry("task.json").write_text(json.dumps(changed))
    with pytest.raises(RunError) as caught:
        read_record(copy.path)
    assert caught.value.found.startswith(f"cannot read {copy.entry('task.json')}: {said}")


@pytest.mark.parametrize(
    ("task", "facts", "said"),
    [
        ("multi-label-classification", {"temperature": -1}, "temperature is -1.0 and not above 0"),
        ("multi-label-classification", {"thresholds": [0.5]}, "thresholds is not a list of 2"),
        ("multi-label-classification", {"label_weights": [1] * 3}, "label_weights is not a list"),
        ("token-classification", {"scheme": "BIOX"}, "scheme is 'BIOX' and not one of: "),
        ("text-regression", {"mean": "many"}, "mean is 'many' and not a finite number"),
        ("text-regression", {"deviation": None}, "deviation is None and not a finite number"),
    ],
)
def test_facts_of_other_tasks_are_checked(task: str, facts: dict[str, Any], said: str) -> None:
    names = {} if task == "text-regression" else {"label_names": ["a", "b"]}
    with pytest.raises(ValueError, match=re.escape(said)):
        TASKS[task].from_facts(RunConfig(task=task, data=DataConfig(train="x.csv")), names | facts)


def of_event(kind: str, field: str, value: Any) -> Callable[[str], str]:
    """Change a field of the first event of a kind, or remove it if the value is ``...``."""

    def change(text: str) -> str:
        lines = [json.loads(line) for line in text.splitlines()]
        event = next(event for event in lines if event["event"] == kind)
        event[field] = value
        if value is ...:
            del event[field]
        return "".join(json.dumps(event) + "\n" for event in lines)

    return change


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("step", "step", "first"),
        ("evaluation", "scores", {"m": {}}),
        ("start", "steps", -5),
        ("finish", "seconds", "long"),
        ("checkpoint", "step", None),
        ("step", "event", 7),
    ],
)
def test_an_event_with_a_wrong_field_is_named_with_its_line(
    kind: str, field: str, value: Any, copy: RunDirectory
) -> None:
    log = copy.entry("events.jsonl")
    log.write_text(of_event(kind, field, value)(log.read_text()))
    for read in (lambda: read_events(log), lambda: read_record(copy.path)):
        with pytest.raises(RunError, match=r"cannot read .*events.jsonl:\d+: ") as caught:
            read()
        assert "remove this line" in caught.value.do
    number = int(caught.value.found.partition("events.jsonl:")[2].partition(":")[0])
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[: number - 1] + lines[number:]))
    read_record(copy.path)


def test_an_event_without_a_needed_field_is_named(copy: RunDirectory) -> None:
    log = copy.entry("events.jsonl")
    log.write_text(of_event("step", "loss", ...)(log.read_text()))
    with pytest.raises(RunError, match=r"cannot read .*events.jsonl: 'loss' is missing"):
        read_record(copy.path)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_prediction_table_is_named(damage: str, copy: RunDirectory) -> None:
    table = copy.evaluation("validation") / "predictions.parquet"
    content = {"truncated": table.read_bytes()[:-50], "empty": b"", "text": b"a,b\n1,2\n"}[damage]
    table.write_bytes(content)
    with pytest.raises(RunError, match="cannot read .*predictions.parquet") as caught:
        api.load(copy.path).report()
    assert "remove its folder and score again" in caught.value.do
    shutil.rmtree(table.parent)
    assert api.load(copy.path).report().exists()


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_file_that_the_model_lost_is_named(name: str, copy: RunDirectory) -> None:
    (copy.model / name).unlink()
    with pytest.raises(RunError, match=f"cannot read .*model/{name}: the file is missing"):
        load_run(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", "5", '{"model_type": "nothing"}'])
def test_a_damaged_configuration_of_the_model_is_named(text: str, copy: RunDirectory) -> None:
    (copy.model / "config.json").write_text(text)
    (copy.model / "manifest.json").unlink()
    with pytest.raises(ModelError, match=str(copy.model)):
        load_run(copy)
