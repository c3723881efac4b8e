"""Two processes with gloo make the same run as one; they stop, fail and resume together."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file

from tests.launched import Ended, ended, start
from tests.runs_in_memory import filling_settings, job_of, never, settings, windowed, write_reviews
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart import config_file
from warmstart.errors import RunError
from warmstart.preparation.prepare import prepare
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.training import checkpoint
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run

TOLERANCE = 1e-5
"""Tolerance between one process and two: the order in which float32 numbers are added."""


def losses(run: Path, kind: str = "step") -> list[float]:
    return [event["loss"] for event in events_of(read_events(run / "events.jsonl"), kind)]


def without_times(run: Path) -> list[dict[str, Any]]:
    events = events_of(read_events(run / "events.jsonl"), "step")
    return [{k: v for k, v in e.items() if k not in ("time", "seconds")} for e in events]


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """The content of the newest checkpoint."""
    newest = checkpoint.checkpoints(RunDirectory(run))[-1]
    return {
        f"{kind}/{name}": tensor
        for kind in ("model", "optimizer")
        for name, tensor in load_file(newest / f"{kind}.safetensors").items()
    }


def assert_one_run(one: Path, two: Path) -> None:
    """Two run directories of the same training, equal except for the rounding of sums."""
    for kind in ("step", "evaluation"):
        np.testing.assert_allclose(losses(two, kind), losses(one, kind), atol=TOLERANCE, rtol=0)
    first, second = tensors(one), tensors(two)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, atol=1e-4, rtol=0, msg=name)


Scenes = tuple[Path, dict[str, list[Any]]]
"""The folder of ``processes_session``, and the results of each process in each scene."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    folder = tmp_path_factory.mktemp("processes")
    write_reviews(folder / "reviews.csv", rows=40)
    plain = settings(folder, dropout=0.0, epochs=1, max_gradient_norm=0.5)
    content = {
        "accumulated": changed(plain, batch_size=3, gradient_accumulation=3, epochs=2),
        "memory": changed(plain, batch_size=12),
        "whole": changed({**plain, "model": {**plain["model"], "dropout": 0.1}}, epochs=2),
        "diverged": plain,
    }
    content["stopped"] = content["apart"] = content["whole"]
    content["windows"] = windowed(settings, folder, dropout=0.0, epochs=1)
    content["fill-mask"] = filling_settings(folder, dropout=0.0, epochs=2, max_gradient_norm=0.5)
    return played(folder, content)


@pytest.fixture(scope="module")
def architectures(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    folder = tmp_path_factory.mktemp("architectures")
    write_reviews(folder / "reviews.csv", rows=40)
    plain = settings(folder, dropout=0.0, epochs=1, max_gradient_norm=0.5)
    rows = len(prepare(config_file.load(plain)).examples["train"])
    content = {}
    for architecture in ARCHITECTURES:
        model = str(tiny_checkpoint(folder / architecture, architecture))
        # The second batch has one row, so one of the two processes has none.
        uneven = changed(plain, batch_size=rows - 1, epochs=2)
        content[architecture] = {**uneven, "model": {"name": model, "dropout": 0.0}}
    return played(folder, content)


def played(folder: Path, content: dict[str, dict[str, Any]]) -> Scenes:
    """Scenes by name, with the settings of each, in two processes."""
    (folder / "settings.json").write_text(json.dumps(content))
    both = ended(start("-m", "tests.processes_session", str(folder), cwd=folder))
    assert [one.code for one in both] == [0, 0], both[0].err + both[1].err
    assert both[1].out == ""
    return folder, json.loads(both[0].out)


def changed(base: dict[str, Any], **train: Any) -> dict[str, Any]:
    return {**base, "train": {**base["train"], **train}}


def trained_alone(folder: Path, name: str) -> Path:
    """The same scene in this process."""
    content = json.loads((folder / "settings.json").read_text())[name]
    job = job_of(prepare(config_file.load(content)), folder / "one" / name)
    fit(job, resume=False, stop_requested=never)
    return job.run.path


@pytest.mark.parametrize("scene", ["accumulated", "windows", "fill-mask"])
def test_every_step_is_that_of_one_process(scenes: Scenes, scene: str) -> None:
    assert_steps_of_one_process(*scenes, scene)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_makes_the_same_steps(architectures: Scenes, architecture: str) -> None:
    assert_steps_of_one_process(*architectures, architecture)


def assert_steps_of_one_process(folder: Path, found: dict[str, list[Any]], scene: str) -> None:
    one = trained_alone(folder, scene)
    assert found[scene] == [len(losses(one))] * 2
    assert_one_run(one, folder / "two" / scene)
    for exact in ("rows", "labels", "tokens", "epoch", "learning_rate"):
        here, there = (
            [event[exact] for event in without_times(run)] for run in (one, folder / "two" / scene)
        )
        assert here == there


def test_when_one_runs_out_of_memory_all_make_the_step_again(scenes: Scenes) -> None:
    folder, found = scenes
    assert found["memory"] == [4, 4]
    assert_one_run(trained_alone(folder, "memory"), folder / "two" / "memory")
    notices = events_of(read_events(folder / "two" / "memory" / "events.jsonl"), "notice")
    assert [notice["text"].partition(":")[0] for notice in notices] == [
        "memory ran out at step 1"
    ] * 2


def test_one_is_asked_to_stop_and_all_resume_bit_identically(scenes: Scenes) -> None:
    folder, found = scenes
    stopped = folder / "two" / "stopped"
    assert found["stopped"][0] == found["stopped"][1]
    assert "stopped after step 5;" in found["stopped"][0]
    assert (
        f"torchrun --nproc-per-node 2 -m warmstart train {stopped} --resume"
        in (found["stopped"][0])
    )
    whole, resumed = tensors(folder / "two" / "whole"), tensors(stopped)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert without_times(folder / "two" / "whole") == without_times(stopped)


def test_a_loss_that_is_no_number_in_one_ends_all(scenes: Scenes) -> None:
    _, found = scenes
    assert "the loss of step 4 is not a finite number" in found["diverged"][0]
    assert found["diverged"][1] == found["diverged"][0]


def test_processes_that_see_different_checkpoints_do_not_train(scenes: Scenes) -> None:
    _, found = scenes
    assert (
        found["apart"]
        == ["rank 1 differs from rank 0 in: the newest checkpoint (of step 6; rank 0 has step 7)"]
        * 2
    )


def test_the_first_learns_what_went_wrong_in_another(scenes: Scenes) -> None:
    _, found = scenes
    assert found["alone"] == ["gone does not exist"] * 2


@dataclass(frozen=True)
class Launched:
    """A command under ``torchrun``: its result, and its working directory."""

    ended: Ended
    folder: Path


def config_for(folder: Path) -> Path:
    content = settings(
        folder, dropout=0.0, epochs=2, batch_size=16, gradient_accumulation=2,
        calibrate="temperature",
    )  # fmt: skip
    content["data"]["test"] = str(write_reviews(folder / "test.csv", rows=30, seed=3))
    path = folder / "config.yaml"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Launched:
    """``torchrun --nproc-per-node 2 -m warmstart train …``, and the same without torchrun."""
    folder = tmp_path_factory.mktemp("launched")
    config = config_for(folder)
    train_run(prepare(config_file.load(config)), folder / "one")
    command = (
        f"-m torch.distributed.run --standalone --nproc-per-node 2 -m warmstart train {config}"
    )
    ran = subprocess.run(
        [sys.executable, *command.split(), "--output", "two", "--json"],
        cwd=folder,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        },
        capture_output=True,
        text=True,
        timeout=200,
    )
    return Launched(Ended(ran.returncode, ran.stdout, ran.stderr), folder)


@pytest.mark.slow
def test_one_command_under_torchrun_is_one_run(launched: Launched) -> None:
    assert launched.ended.code == 0, launched.ended.err
    said = json.loads(launched.ended.out)
    assert (said["run"], said["status"]) == ("two", "finished")
    one, two = launched.folder / "one", launched.folder / "two"
    assert_one_run(one, two)
    temperatures = [
        json.loads((run / "task.json").read_text())["facts"]["temperature"] for run in (one, two)
    ]
    assert temperatures[0] == pytest.approx(temperatures[1], rel=TOLERANCE)
    assert temperatures[0] != 1
    for split in ("validation", "test"):
        here, there = (
            json.loads((run / "evaluation" / split / "scores.json").read_text())
            for run in (one, two)
        )
        assert there["loss"] == pytest.approx(here["loss"], abs=TOLERANCE)
        assert there["details"]["confusion_matrix"] == here["details"]["confusion_matrix"]
        assert there["baselines"] == here["baselines"]
        for metric, score in here["scores"].items():
            assert there["scores"][metric]["value"] == pytest.approx(score["value"], abs=TOLERANCE)
            assert said["scores"][split][metric] == there["scores"][metric]
        rows, others = (
            pyarrow.parquet.read_table(run / "evaluation" / split / "predictions.parquet")
            for run in (one, two)
        )
        assert rows.drop_columns(["probability:good", "probability:bad"]) == (
            others.drop_columns(["probability:good", "probability:bad"])
        )


@pytest.mark.slow
def test_only_the_first_process_writes_and_prints(launched: Launched) -> None:
    one, two = launched.folder / "one", launched.folder / "two"
    events, others = (read_events(run / "events.jsonl") for run in (one, two))
    assert [event["event"] for event in events] == [event["event"] for event in others]
    told = launched.ended.err.splitlines()
    assert sum(line.startswith("epoch 2  loss") for line in told) == 1
    # The line contains the path of the model; a narrow terminal wraps it.
    assert " ".join(launched.ended.err.split()).count("output in two") == 1
    assert json.loads((two / "environment.json").read_text())["processes"] == 2
    left = {path.name for path in two.iterdir()}
    assert not [name for name in left if "partial" in name]
    assert {path.name for path in one.iterdir()} - {".lock"} <= left


STOPPING = """
import signal, sys
from warmstart import cli
from warmstart.devices import processes
from warmstart.training import loop

make_step = loop.make_step

def step(parts, positions, progress):
    if progress.step == 3 and processes.current().index == 1:
        {what}
    return make_step(parts, positions, progress)

loop.make_step = step
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_signal_to_one_stops_all_and_the_same_number_resumes(launched: Launched) -> None:
    folder = launched.folder
    stopping = STOPPING.format(what="signal.raise_signal(signal.SIGTERM)")
    words = ("train", str(folder / "config.yaml"), "--output", "three")
    first, other = ended(start("-c", stopping, *words, cwd=folder))
    assert (first.code, other.code) == (130, 130), first.err + other.err
    assert "torchrun --nproc-per-node 2 -m warmstart train three --resume" in first.err
    assert (other.out, other.err) == ("", "")
    resumed = ended(start("-m", "warmstart", "train", "three", "--resume", cwd=folder))
    assert [one.code for one in resumed] == [0, 0], resumed[0].err
    whole, again = tensors(folder / "two"), tensors(folder / "three")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.slow
@pytest.mark.parametrize("dies", [0, 1])
def test_when_one_is_killed_the_other_ends_too(tmp_path: Path, dies: int) -> None:
    killed = STOPPING.replace("index == 1", f"index == {dies}")
    killed = killed.format(what="signal.raise_signal(signal.SIGKILL)")
    words = ("train", str(config_for(tmp_path)), "--output", "run")
    began = time.monotonic()
    first, other = ended(start("-c", killed, *words, cwd=tmp_path))
    assert time.monotonic() - began < 100
    assert (first.code, other.code) == ((-9, 1) if dies == 0 else (1, -9)), first.err + other.err
    if dies == 1:
        assert "another process of this training run cannot be reached" in first.err
        assert "has a checkpoint can be resumed" in first.err
        assert "Traceback" not in first.err
    else:
        assert (other.out, other.err) == ("", "")


def test_an_error_is_reported_once_and_ends_all(scenes: tuple[Path, dict[str, list[Any]]]) -> None:
    folder, found = scenes
    (first,) = found["mistyped"]
    (other,) = json.loads((folder / "mistyped.json").read_text())
    assert (first["rank"], other["rank"]) == (0, 1)
    assert (first["code"], other["code"]) == (1, 0)
    assert "x is not a setting" in first["err"]
    assert (other["out"], other["err"]) == ("", "")


@pytest.mark.slow
def test_a_command_that_trains_nothing_needs_one(tmp_path: Path) -> None:
    first, other = ended(start("-m", "warmstart", "recipes", "--json", cwd=tmp_path))
    assert (first.code, other.code) == (0, 0)
    assert "demo" in json.loads(first.out)["recipes"]
    assert (other.out, other.err) == ("", "")


def test_another_number_of_processes_cannot_resume(tmp_path: Path) -> None:
    prepared = prepare(config_file.load(settings(tmp_path, epochs=1)))
    train_run(prepared, tmp_path / "run")
    facts = RunDirectory(tmp_path / "run").read_json("environment.json")
    RunDirectory(tmp_path / "run").write_json("environment.json", {**facts, "processes": 4})
    with pytest.raises(RunError) as caught:
        train_run(prepared, tmp_path / "run", resume=True)
    assert "was started with 4 processes, but would resume with 1" in caught.value.found
    assert "its own dropout seed" in caught.value.expected
    assert f"torchrun --nproc-per-node 4 -m warmstart train {tmp_path / 'run'} --resume" in (
        caught.value.do
    )
