"""A run that has learned nothing is repeated once with the next seed."""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.quick import slow_except
from tests.runs_in_memory import job_of, never, prepared_run, settings, tagging_settings
from tests.training.test_loop import assert_close
from warmstart import config_file, errors
from warmstart.errors import Interrupted
from warmstart.preparation.prepare import prepare
from warmstart.runs.directory import RunDirectory
from warmstart.runs.run_record import read_record
from warmstart.training import second_try
from warmstart.training.loop import fit
from warmstart.training.second_try import why_again
from warmstart.training.train_run import train_run

TINY_RATE = {"learning_rate": 1e-9, "epochs": 3, "retry": True}
"""With such a rate the model learns nothing."""


def train(folder: Path, name: str, **given: Any) -> RunDirectory:
    return train_run(prepare(config_file.load(settings(folder, **given))), folder / name).directory


def test_it_is_repeated_once(tmp_path: Path) -> None:
    run = train(tmp_path, "run", **TINY_RATE)
    record = read_record(run.path)
    texts = [text for text in record.notices if "learned nothing" in text]
    assert len(texts) == 1
    assert texts[0].startswith("with the seed 42 the model learned nothing: its training loss")
    assert texts[0].endswith("This is the second try, with the seed 43")
    assert len(record.steps) == record.start["steps"]  # those of the first try are removed
    assert record.config.train.seed == 42


def test_the_second_try_is_a_run_with_the_next_seed(tmp_path: Path) -> None:
    found = train(tmp_path, "two", **TINY_RATE)
    alone = train(tmp_path, "one", **{**TINY_RATE, "retry": False, "seed": 43})
    files = [run.model / "model.safetensors" for run in (found, alone)]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("stop_after", slow_except([20, 40, 60], 40))
def test_a_resumed_run_is_bit_identical(tmp_path: Path, stop_after: int) -> None:
    """Stopped in the first try of 36 steps, and in the second one."""
    whole = train(tmp_path, "whole", **TINY_RATE)
    calls = count(1)
    content = settings(tmp_path, **TINY_RATE)
    prepared = prepare(config_file.load(content))
    with pytest.raises(Interrupted):
        train_run(prepared, tmp_path / "broken", stop_requested=lambda: next(calls) == stop_after)
    resumed = train_run(prepared, tmp_path / "broken", resume=True).directory
    files = [run.model / "model.safetensors" for run in (whole, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()
    texts = read_record(resumed.path).notices
    assert sum("second try" in text for text in texts) == 1


def test_a_crash_before_the_second_checkpoint_begins_with_the_first_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path, "whole", **TINY_RATE)
    prepared = prepare(config_file.load(settings(tmp_path, **TINY_RATE)))

    def crash(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(second_try, "job_for", crash)
    with pytest.raises(MemoryError):
        train_run(prepared, tmp_path / "broken")
    monkeypatch.undo()
    resumed = train_run(prepared, tmp_path / "broken", resume=True).directory
    files = [run.model / "model.safetensors" for run in (whole, resumed)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_model_that_learns_is_not_repeated(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, epochs=6, learning_rate=1e-2, retry=True), tmp_path / "run")
    progress = fit(job, resume=False, stop_requested=never)
    assert why_again(job, progress) is None


@pytest.mark.parametrize("given", [{"seed": 7}, {"seed": 42}, {"retry": False}])
def test_a_seed_that_was_set_stays(tmp_path: Path, given: dict[str, Any]) -> None:
    train_config = {name: value for name, value in TINY_RATE.items() if name != "retry"}
    run = train(tmp_path, "run", **{**train_config, **given})
    assert not any("learned nothing" in text for text in read_record(run.path).notices)


def test_tags_are_compared_with_a_constant_as_well(tmp_path: Path) -> None:
    content = tagging_settings(tmp_path, **TINY_RATE)
    run = train_run(prepare(config_file.load(content)), tmp_path / "run").directory
    assert any("learned nothing" in text for text in read_record(run.path).notices)


def test_tasks_without_a_new_head_do_not_read_the_setting(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="retry"):
        config_file.load(
            {"task": "text-generation", "data": {"train": "a.txt"}, "train": {"retry": True}}
        )


def test_the_weights_of_the_two_tries_differ(tmp_path: Path) -> None:
    """Otherwise the test of the next seed would prove nothing."""
    states = [
        job_of(prepared_run(tmp_path, seed=seed), tmp_path / f"{seed}").model.state_dict()
        for seed in (42, 43)
    ]
    with pytest.raises(AssertionError):
        assert_close(*states, tolerance=0.0)
    assert all(torch.isfinite(value).all() for value in states[0].values())


def test_the_time_of_the_first_try_counts(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, **TINY_RATE, budget_minutes=60), tmp_path / "run")
    progress = fit(job, resume=False, stop_requested=never)
    assert progress.used_seconds > 0
    assert why_again(job, progress) is not None
    assert why_again(job, replace(progress, out_of_time=True)) is None
    again = fit(job, resume=False, stop_requested=never, earlier=progress)
    assert again.used_seconds > progress.used_seconds
    assert again.attempt == 2


def test_a_label_that_only_validation_rows_have_does_not_hide_a_failure(tmp_path: Path) -> None:
    """The best constant of the training rows then has a large validation loss."""
    content = settings(tmp_path, **TINY_RATE)
    lines = (tmp_path / "reviews.csv").read_text().splitlines()
    rows = [line.rpartition(",")[0] for line in lines[1:]]
    names = ["common"] * 90 + ["rare", "other"]
    train_rows = [f"{text},{name}" for text, name in zip(rows, names, strict=False)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *train_rows]) + "\n")
    held_out = [
        f"{text} again,{name}" for text, name in zip(rows, ["rare", "other"] * 9, strict=False)
    ]
    (tmp_path / "held_out.csv").write_text("\n".join(["text,label", *held_out]) + "\n")
    content["data"] = {
        "train": str(tmp_path / "train.csv"),
        "validation": str(tmp_path / "held_out.csv"),
    }
    run = train_run(prepare(config_file.load(content)), tmp_path / "run").directory
    assert any("learned nothing" in text for text in read_record(run.path).notices)
