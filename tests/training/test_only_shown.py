"""What is only for show never ends a run: samples, baselines, progress, report and card."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import warmstart
from tests.cli.conftest import ran
from tests.quick import slow_except
from tests.runs_in_memory import (
    filling_settings,
    job_of,
    prepared_run,
    settings,
    writing_settings,
)
from tests.tiny.decoders import tiny_gpt2
from warmstart import config_file
from warmstart.evaluation.final_scoring import Scoring, start_scores
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.run import Run
from warmstart.runs.events import events_of, read_events
from warmstart.runs.model_folder import save_head_start
from warmstart.training.job import Job


def notices(run: Path) -> list[str]:
    return [event["text"] for event in events_of(read_events(run / "events.jsonl"), "notice")]


def failing(*_arguments: Any, **_options: Any) -> Any:
    raise ValueError("made up")


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "report", lambda run: run.path)


def prompted(folder: Path, words: Callable[[int], int], **data: Any) -> dict[str, Any]:
    """A generation run with prompts: ``words`` gives the length of the prompt of each row."""
    tiny_gpt2(folder / "decoder", max_positions=64)
    rows = [
        {"prompt": " ".join(["cat"] * words(row)), "text": f"the cat saw my house {row}"}
        for row in range(40)
    ]
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    (folder / "rows.jsonl").write_text(lines, "utf-8")
    made = writing_settings(folder)
    files = {"train": str(folder / "rows.jsonl"), "validation": 0.2, "prompt": "prompt", **data}
    return {**made, "data": files}


@pytest.mark.usefixtures("no_report")
def test_samples_use_the_prompts_that_leave_room(tmp_path: Path) -> None:
    """With chunks a row is learned although its prompt is longer than the model's limit."""
    made = prompted(tmp_path, lambda row: 70 if row % 2 else 2, long_documents="chunk")
    run = warmstart.train(made, output=tmp_path / "run", progress=False)
    written = json.loads((run.path / "samples.json").read_text("utf-8"))
    assert written["samples"]
    assert {one["prompt"] for one in written["samples"]} == {"cat cat"}
    assert not any("left out" in text for text in notices(run.path))


@pytest.mark.usefixtures("no_report")
def test_without_a_prompt_that_leaves_room_there_are_no_samples(tmp_path: Path) -> None:
    made = prompted(tmp_path, lambda row: 70, long_documents="chunk")
    run = warmstart.train(made, output=tmp_path / "run", progress=False)
    assert run.scores["validation"]["bits_per_byte"]["n"] == 8
    assert not (run.path / "samples.json").exists()
    skipped = [text for text in notices(run.path) if "left out" in text]
    assert skipped == [
        "samples.json and the novelty report were left out: all validation prompts fill the "
        "model's limit of 64 tokens"
    ]


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("generate", "samples after 12 steps"),
        pytest.param("novelty", "samples.json and the novelty report", marks=pytest.mark.slow),
    ],
)
def test_a_failed_sample_is_a_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, said: str
) -> None:
    monkeypatch.setattr(f"warmstart.training.monitoring.samples.{fails}", failing)
    run = warmstart.train(writing_settings(tmp_path), output=tmp_path / "run", progress=False)
    assert run.scores["validation"]
    assert f"{said} were left out: ValueError: made up" in notices(run.path)


@pytest.mark.usefixtures("no_report")
def test_failed_baselines_are_a_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmstart.evaluation.final_scoring.baseline_scores", failing)
    run = warmstart.train(settings(tmp_path), output=tmp_path / "run", progress=False)
    assert run.scores["validation"]
    assert run.baselines == {}
    assert "the baselines were left out: ValueError: made up" in notices(run.path)


def scores_before_training(prepared: Prepared, job: Job) -> tuple[dict[str, Any], list[str]]:
    """The scores of the model before the first step, and the notices."""
    said: list[str] = []
    scoring = Scoring(prepared, job.accelerator, job.processes, said.append)
    return start_scores(scoring, job.run, job.task, ("validation",)), said


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "shape"])
def test_a_damaged_head_start_is_a_notice(tmp_path: Path, damage: str) -> None:
    """The model before the first step is only compared with the trained one."""
    prepared = prepared_run(tmp_path, head_start="linear-probe")
    job = job_of(prepared, tmp_path / "run")
    save_head_start(job.run, job.model, job.task.head)
    scores, said = scores_before_training(prepared, job)
    assert scores.keys() == {"linear-probe"}
    assert not said
    file = job.run.entry("head_start") / "head.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    if damage == "missing":
        file.unlink()
    elif damage == "shape":
        save_file({"classifier.weight": torch.zeros(1)}, file)
    else:
        file.write_bytes(content if damage == "flipped" else content[:100])
    scores, said = scores_before_training(prepared, job)
    assert scores == {}
    what = "head.safetensors cannot be read" if damage == "missing" else "has changed"
    assert said[0].startswith("the scores before training were left out: cannot read ")
    assert what in said[0]


def test_a_checkpoint_that_is_gone_is_a_notice(tmp_path: Path) -> None:
    """A checkpoint that can do the task itself is scored at the end, to compare with it."""
    prepared = prepare(config_file.load(filling_settings(tmp_path)))
    job = job_of(prepared, tmp_path / "run")
    assert scores_before_training(prepared, job)[0].keys() == {"untouched"}
    (tmp_path / "checkpoint" / "model.safetensors").unlink()
    scores, said = scores_before_training(prepared, job)
    assert scores == {}
    assert said[0].startswith("the scores before training were left out: ")


@pytest.mark.parametrize(
    "fails",
    slow_except(
        ["report.html.write_report", "runs.model_card.write_card"], "report.html.write_report"
    ),
)
def test_a_failed_report_is_a_notice_and_can_be_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"warmstart.{fails}", failing)
        run = warmstart.train(settings(tmp_path, epochs=1), output=tmp_path / "run", progress=False)
    assert run.scores["validation"]
    assert "report and model card were left out: ValueError: made up" in notices(run.path)
    made = ran("report", str(run.path))
    assert made.code == 0, made.err
    assert (run.path / "report.html").exists()


@pytest.mark.usefixtures("no_report")
def test_a_failed_progress_display_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "warmstart.training.monitoring.listeners.progress_listener", lambda console: failing
    )
    run = warmstart.train(settings(tmp_path), output=tmp_path / "run")
    assert run.scores["validation"]
    said = capsys.readouterr().err
    assert said.split() == (
        "further entries of the progress display were left out: ValueError: made up".split()
    )
