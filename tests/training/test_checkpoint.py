"""Exact resume: stopped anywhere, in any way, a run ends with bit-identical weights."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.limits import file_size
from tests.quick import slow_except
from tests.runs_in_memory import job_of, never, prepared_run, settings, whole_run
from warmstart.errors import Interrupted, RunError
from warmstart.preparation.prepare import Prepared
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.runs.manifest import write_manifest
from warmstart.training import checkpoint
from warmstart.training.checkpoint import Progress
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.optimizer import build_optimizer
from warmstart.training.train_run import train_run


def last_weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.checkpoints(run)[-1] / "model.safetensors")


def assert_same_bits(one: RunDirectory, other: RunDirectory) -> None:
    for name in ("model.safetensors", "optimizer.safetensors"):
        first = load_file(checkpoint.checkpoints(one)[-1] / name)
        second = load_file(checkpoint.checkpoints(other)[-1] / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), name
    best = [load_file(run.model / "model.safetensors") for run in (one, other)]
    assert all(torch.equal(best[0][key], best[1][key]) for key in best[0])


def step_records(run: RunDirectory) -> list[dict[str, float]]:
    """Step events without times, which may differ."""
    events = events_of(read_events(run.path / "events.jsonl"), "step")
    return [{k: v for k, v in e.items() if k not in ("time", "seconds")} for e in events]


Whole = tuple[Prepared, Job]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The same run as below, without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    prepared = prepared_run(folder, batch_size=8, gradient_accumulation=1)
    return whole_run(prepared, folder / "run")


@pytest.mark.parametrize("stop_after", slow_except([1, 5, 11, 12, 17], 12))
def test_stopped_and_resumed_is_bit_identical(
    whole: Whole, tmp_path: Path, stop_after: int
) -> None:
    prepared, unbroken = whole
    calls = iter(range(10**6))
    broken = job_of(prepared, tmp_path / "broken")
    with pytest.raises(Interrupted, match="--resume"):
        fit(broken, resume=False, stop_requested=lambda: next(calls) + 1 >= stop_after)
    assert len(step_records(broken.run)) == stop_after

    # A new process would build its model again; other weights show that all of them are restored.
    again = job_of(prepared, tmp_path / "again")
    for parameter in again.model.parameters():
        torch.nn.init.normal_(parameter)
    Path(broken.run.path).rename(tmp_path / "moved")
    (tmp_path / "again").rename(tmp_path / "spare")
    Path(tmp_path / "moved").rename(tmp_path / "again")
    fit(again, resume=True, stop_requested=never)
    assert_same_bits(unbroken.run, again.run)
    assert step_records(unbroken.run) == step_records(again.run)


TRAIN = """
import sys, json
from pathlib import Path
from warmstart import api
if __name__ == "__main__":
    folder, resume = Path(sys.argv[1]), sys.argv[2] == "resume"
    if resume:
        api.resume(folder, progress=False)
    else:
        api.train(json.loads(sys.argv[3]), output=folder, progress=False)
"""


def start(run: Path, mode: str, config: dict[str, object]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", TRAIN, str(run), mode, json.dumps(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_again_and_again_is_bit_identical(tmp_path: Path, how: signal.Signals) -> None:
    config = settings(tmp_path, epochs=12, checkpoint_every_steps=5, keep_checkpoints=2)
    with start(tmp_path / "whole", "train", config) as process:
        assert process.wait() == 0
    events = tmp_path / "broken" / "events.jsonl"
    mode, kills = "train", 0
    for goal in (20, 60, 61, 100):
        process = start(tmp_path / "broken", mode, config)
        while process.poll() is None and goal > len(events_of(read_events(events), "step")):
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(how)
            kills += 1
        process.communicate()
        mode = "resume"
    assert kills >= 2, "the runs ended before they could be killed"
    last = start(tmp_path / "broken", "resume", config)
    message = last.communicate()[1]
    assert last.returncode == 0 or b"is finished" in message
    whole, broken = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "broken")
    assert_same_bits(whole, broken)
    assert step_records(whole) == step_records(broken)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, checkpoint_every_steps=5, keep_checkpoints=2)
    job = job_of(prepared, tmp_path / "run")
    fit(job, resume=False, stop_requested=never)
    names = [path.name for path in checkpoint.checkpoints(job.run)]
    assert names == ["step-00000019", "step-00000023"]


def test_the_newest_is_restored(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path), tmp_path / "run")
    optimizer = build_optimizer(job.model, job.config)
    bias = job.model.classifier.bias
    for step in (2, 9, 10):
        torch.nn.init.constant_(bias, step)
        checkpoint.save(job.run, job.model, optimizer, {}, Progress(step=step), keep=3)
    torch.nn.init.constant_(bias, 0.0)
    progress, _, damaged = checkpoint.restore(job.run, job.model, optimizer)
    assert progress.step == 10
    assert not damaged
    assert bias.tolist() == [10.0, 10.0]


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path, checkpoint_every_steps=4), tmp_path / "run")
    calls = iter(range(10**6))
    with pytest.raises(Interrupted):
        fit(job, resume=False, stop_requested=lambda: next(calls) == 6)
    before = last_weights(job.run)

    with file_size(4096), pytest.raises(RunError) as caught:
        fit(job, resume=True, stop_requested=never)
    assert "free some space" in caught.value.do
    after = last_weights(job.run)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not (job.run.entry("checkpoint") / ".partial").exists()


def test_nothing_to_resume(tmp_path: Path) -> None:
    job = job_of(prepared_run(tmp_path), tmp_path / "run")
    with pytest.raises(RunError, match="contains no checkpoint"):
        fit(job, resume=True, stop_requested=never)


Damage = Callable[[Path], object]


def flipped(name: str) -> Damage:
    """Change one bit in the middle of a file."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return damage


def rewritten(change: Callable[[Path], object]) -> Damage:
    """Change a folder and its manifest, as a program with another idea of the format would."""

    def damage(folder: Path) -> None:
        change(folder)
        (folder / "manifest.json").unlink()
        write_manifest(folder)

    return damage


def other_shapes(folder: Path) -> None:
    moments = load_file(folder / "optimizer.safetensors")
    small = {name: tensor.flatten()[:1].clone() for name, tensor in moments.items()}
    save_file(small, folder / "optimizer.safetensors")


def other_state(**changes: object) -> Damage:
    def change(folder: Path) -> None:
        state = json.loads((folder / "state.json").read_text())
        state["progress"] |= changes
        (folder / "state.json").write_text(json.dumps(state))

    return change


DAMAGES: dict[str, Damage] = {
    "weights": flipped("model.safetensors"),
    "moments": flipped("optimizer.safetensors"),
    "truncated": lambda folder: os.truncate(folder / "model.safetensors", 1000),
    "empty": lambda folder: (folder / "optimizer.safetensors").write_bytes(b""),
    "missing": lambda folder: (folder / "optimizer.safetensors").unlink(),
    "changed state": other_state(best=0.999),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "broken manifest": lambda folder: (folder / "manifest.json").write_text("[1, 2"),
    "other shapes": rewritten(other_shapes),
    "other step": rewritten(other_state(step=7)),
    "other types": rewritten(other_state(best="high")),
    "other fields": rewritten(lambda folder: (folder / "state.json").write_text("[]")),
}


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run that keeps two checkpoints; tests copy it."""
    folder = tmp_path_factory.mktemp("two")
    prepared = prepared_run(folder, batch_size=16, keep_checkpoints=2)
    return whole_run(prepared, folder / "run")


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_of_damaged_checkpoints_the_next_older_one_is_used(
    damage: str, two_checkpoints: Whole, tmp_path: Path
) -> None:
    prepared, unbroken = two_checkpoints
    shutil.copytree(unbroken.run.path, tmp_path / "run")
    job = job_for(prepared, RunDirectory(tmp_path / "run"))
    older, newest = checkpoint.checkpoints(job.run)
    DAMAGES[damage](newest)
    fit(job, resume=True, stop_requested=never)
    assert_same_bits(unbroken.run, job.run)
    assert step_records(unbroken.run) == step_records(job.run)
    notice = events_of(read_events(job.log.path), "notice")[-1]["text"]
    assert f"the checkpoint {newest.name} is damaged (" in notice
    assert notice.endswith(f"the older one after step {int(older.name[5:])}")


def test_without_an_intact_checkpoint_the_run_is_refused(
    two_checkpoints: Whole, tmp_path: Path
) -> None:
    prepared, unbroken = two_checkpoints
    shutil.copytree(unbroken.run.path, tmp_path / "run")
    job = job_for(prepared, RunDirectory(tmp_path / "run"))
    for folder in checkpoint.checkpoints(job.run):
        DAMAGES["weights"](folder)
    with pytest.raises(RunError, match="cannot read .*: the content of model.safe") as caught:
        fit(job, resume=True, stop_requested=never)
    assert "; step-00000005: the content of" in caught.value.found
    assert f"warmstart train {job.run.path}/config.yaml --output" in caught.value.do


def test_resume_refuses_other_data(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, epochs=1)
    train_run(prepared, tmp_path / "run")
    data = tmp_path / "reviews.csv"
    data.write_text(data.read_text() + "a very nice story 999,good\n")
    changed = prepared_run(tmp_path, epochs=1)
    with pytest.raises(RunError, match="was started: the data files"):
        train_run(changed, tmp_path / "run", resume=True)


def test_a_run_that_stopped_early_makes_no_further_step(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, epochs=9, early_stopping=1, learning_rate=1e-9)
    first = job_of(prepared, tmp_path / "run")
    ended = fit(first, resume=False, stop_requested=never)
    assert ended.step < 9 * 12
    assert fit(first, resume=True, stop_requested=never).step == ended.step
