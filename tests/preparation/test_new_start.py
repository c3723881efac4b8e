"""Pretraining is an ordinary run: checked, interrupted, resumed and repeated like any other."""

import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import warmstart
from tests.runs_in_memory import write_reviews
from warmstart import config_file
from warmstart.api import Run
from warmstart.errors import ConfigError, Interrupted, RunError
from warmstart.preparation.prepare import prepare
from warmstart.report.html import write_report
from warmstart.runs.directory import RunDirectory
from warmstart.training import loop
from warmstart.training import train_run as run
from warmstart.training.checkpoint import Progress


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder of its own, and no report, which takes longer than a small training."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(Run, "report", lambda run: run.path)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return {
        "data": {"train": str(write_reviews(tmp_path / "reviews.csv")), "validation": 0.2},
        "train": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "device": "cpu"},
        "pretrain": {
            "architecture": "bert", "layers": 1, "hidden": 32, "heads": 2,
            "vocabulary": 100, "context": 24,
        },
    }  # fmt: skip


def pretrained(config: Any, path: Path, *overrides: str, **options: Any) -> Run:
    return warmstart.pretrain(config, overrides, output=path, progress=False, **options)


def weights(run: Run) -> bytes:
    return (run.path / "model" / "model.safetensors").read_bytes()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_begins_with_what_it_made(config: dict[str, Any], tmp_path: Path) -> None:
    run = pretrained(config, tmp_path / "run")
    start = run.path / "start"
    assert run.config.model.name == str(start)
    model = AutoModelForSequenceClassification.from_pretrained(run.path / "model")
    assert model.config.vocab_size == 100
    assert model.config.max_position_embeddings == run.config.pretrain.context == 24
    assert AutoTokenizer.from_pretrained(start).get_vocab() == (
        AutoTokenizer.from_pretrained(run.path / "model").get_vocab()
    )
    assert run.predict(["the cat was wonderful"])[0]["label"] in {"good", "bad"}
    assert list((tmp_path / "temporary").iterdir()) == []

    again = pretrained(run.path / "config.yaml", tmp_path / "again")
    assert files(again.path / "start") == files(start)
    assert weights(again) == weights(run)
    other = pretrained(config, tmp_path / "other", "train.seed=7")
    assert files(other.path / "start").keys() == files(start).keys()
    assert files(other.path / "start")["tokenizer.json"] != b""
    assert (other.path / "start" / "model.safetensors").read_bytes() != (
        (start / "model.safetensors").read_bytes()
    )


def test_the_tokenizer_knows_the_training_rows_alone(
    config: dict[str, Any], tmp_path: Path
) -> None:
    seen, held_out = tmp_path / "seen.csv", tmp_path / "held-out.csv"
    rows = [f"{word} {word} cat,{label}\n" for word, label in (("dog", "a"), ("cow", "b"))]
    seen.write_text("text,label\n" + "".join(rows) * 9)
    held_out.write_text("text,label\nzebra zebra zebra,a\nzebra zebra,b\n")
    config["data"] = {"train": str(seen), "validation": str(held_out)}
    with warmstart.api.prepared_for(config_file.load(config, ["pretrain.vocabulary=16"])) as found:
        known = found.checkpoint.tokenizer.get_vocab()
    assert "o" in "".join(known)
    assert "z" not in "".join(known)


def test_checking_writes_nothing(config: dict[str, Any], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = warmstart.check(config)
    assert found.max_tokens == 24
    assert sorted(tmp_path.rglob("*")) == before


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    original = loop.make_step

    def make_step(parts: loop.Parts, positions: list[Any], progress: Progress) -> Progress:
        if progress.step == step:
            signal.raise_signal(signal.SIGINT)
        return original(parts, positions, progress)

    monkeypatch.setattr(loop, "make_step", make_step)


def test_a_resume_uses_the_existing_start(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrained(config, tmp_path / "whole")
    path = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Interrupted):  # noqa: PT012
        stop_at(patch, 4)
        pretrained(config, path)
    start = files(path / "start")
    with pytest.raises(RunError, match="already contains a run that"):
        pretrained(config, path)
    assert files(path / "start") == start
    moved = (tmp_path / "elsewhere").resolve()
    path.rename(moved)
    with monkeypatch.context() as patch:
        patch.setattr("warmstart.preparation.new_start.tokenizer_for", None)  # not learned again
        resumed = warmstart.resume(moved, progress=False)
    assert files(moved / "start") == start == files(whole.path / "start")
    assert weights(resumed) == weights(whole)


def test_a_moved_run_serves_every_command(config: dict[str, Any], tmp_path: Path) -> None:
    config["pretrain"]["context"] = 32
    run = pretrained(config, tmp_path / "run")
    (tmp_path / "folder").mkdir()
    moved = warmstart.load(run.path.rename(tmp_path / "folder" / "moved"))
    assert moved.config.model.name == str(moved.path / "start")
    assert write_report(moved.path).is_file()
    assert warmstart.info(moved.path).to_json()["max_tokens"] == 32
    assert moved.predict(["the cat was wonderful"])[0]["label"] in {"good", "bad"}
    assert moved.evaluate(config["data"]["train"])["accuracy"]["n"] == 120
    assert moved.predict_file(config["data"]["train"]).num_rows == 120
    again = pretrained(moved.path / "config.yaml", tmp_path / "again")
    assert weights(again) == weights(moved)


def test_a_moved_run_generates(config: dict[str, Any], tmp_path: Path) -> None:
    config["task"] = "text-generation"
    config["pretrain"] |= {"architecture": "gpt2", "vocabulary": 300}
    config["generate"] = {"max_new_tokens": 4}
    run = pretrained(config, tmp_path / "run")
    made = run.generate(["the cat"])
    moved = warmstart.load(run.path.rename(tmp_path / "moved"))
    assert moved.generate(["the cat"]) == made
    assert warmstart.generate(moved.path, ["the cat"]) == made
    assert moved.novelty(["the cat"])["samples"] == 1


def test_an_earlier_run_is_replaced_once_all_is_checked(
    config: dict[str, Any], tmp_path: Path
) -> None:
    first = pretrained(config, tmp_path / "run")
    start = files(first.path / "start")
    with pytest.raises(ConfigError):
        pretrained(config, tmp_path / "run", "pretrain.vocabulary=9999", overwrite=True)
    assert files(first.path / "start") == start
    pretrained(config, tmp_path / "run", "pretrain.vocabulary=90", overwrite=True)
    assert files(first.path / "start")["tokenizer.json"] != start["tokenizer.json"]


def test_a_full_disk_leaves_no_half_start(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **_named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(RunError, match="No space left") as caught:
        pretrained(config, tmp_path / "run")
    assert "free some space" in caught.value.do
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {".lock"}


def test_other_processes_find_the_start_where_the_run_keeps_it(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    original = run.Order

    def order(*parts: Any) -> run.Order:
        told.append(original(*parts))
        return told[-1]

    monkeypatch.setattr(run, "Order", order)
    path = pretrained(config, tmp_path / "run").path
    (theirs,) = told
    assert theirs.config == config_file.load(path / "config.yaml")
    assert prepare(theirs.config).checkpoint.folder == RunDirectory(path).start
