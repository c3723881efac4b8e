"""A run directory with missing or damaged files: a message that names them, never a traceback."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Trained, Warmstart


def lost(name: str) -> Callable[[Path], object]:
    return lambda run: (run / name).unlink()


def holding(name: str, text: str) -> Callable[[Path], object]:
    return lambda run: (run / name).write_text(text)


def pipe(name: str) -> Callable[[Path], object]:
    def make(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return make


PREDICT = ("predict", "run", "--text", "nice")


@pytest.mark.parametrize(
    ("damage", "words", "said"),
    [
        (holding("task.json", "{"), PREDICT, "cannot read run/task.json"),
        (holding("task.json", "{}"), PREDICT, "cannot read run/task.json"),
        (holding("task.json", "[]"), PREDICT, "cannot read run/task.json"),
        (holding("config.yaml", "a: ["), PREDICT, "run/config.yaml:1:5"),
        (lost("data.json"), PREDICT, "cannot read run/data.json"),
        (
            lost("model/config.json"),
            PREDICT,
            "config.json cannot be read",
        ),
        (lost("model/tokenizer.json"), PREDICT, "cannot read run/model/tokenizer.json"),
        (holding("model/tokenizer.json", "{}"), PREDICT, "content of tokenizer.json has changed"),
        (
            holding("model/model.safetensors", "x"),
            PREDICT,
            "model.safetensors has changed",
        ),
        (lost("model/model.safetensors"), PREDICT, "run has no finished model"),
        (holding("evaluation/test/scores.json", "{"), ("report", "run"), "test/scores.json"),
        (lost("config.yaml"), ("report", "run"), "run contains no run"),
        (pipe("environment.json"), ("info", "run"), "environment.json: it is a pipe, not a file"),
        (pipe("events.jsonl"), ("report", "run"), "events.jsonl: it is a pipe, not a file"),
        (pipe("model/config.json"), PREDICT, "config.json: it is a pipe, not a file"),
    ],
)
def test_what_is_broken_is_named(
    damage: Callable[[Path], object],
    words: tuple[str, ...],
    said: str,
    trained: Trained,
    warmstart: Warmstart,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    damage(Path(shutil.copytree(trained.path, "run")))
    ran = warmstart(*words)
    assert ran.code == 1, ran.err
    assert not ran.out
    assert said in ran.err.partition("\n  expected: ")[0]
    assert "Traceback" not in ran.err


def test_a_run_without_unneeded_files_still_predicts(
    trained: Trained, warmstart: Warmstart, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained.path, tmp_path / "moved"))
    for name in ("events.jsonl", "report.html", "README.md", "evaluation", "checkpoint"):
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    words = ("--text", "so nice", "--json")
    here = warmstart("predict", str(run), *words)
    assert here.out == warmstart("predict", str(trained.path), *words).out
    assert warmstart("report", str(run)).code == 0
