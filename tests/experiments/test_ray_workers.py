"""Trials on a Ray cluster of two nodes: the same results, and what dies is resumed elsewhere.

Every process of the clusters listens on 127.0.0.1 only.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import warmstart
from tests.runs_in_memory import settings, write_reviews
from warmstart import config_file, errors
from warmstart.cli.app import app
from warmstart.experiments import ray_connection, ray_workers
from warmstart.experiments.experiment_folder import ExperimentFolder, Outcome
from warmstart.experiments.ray_workers import Needs, RayWorkers, problem_of_this_node, run_on_node
from warmstart.runs.events import events_of, read_events

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="needs ray: pip install 'warmstart[ray]'"
)
CPUS = 1
STORE = 80 * 2**20
"""Bytes of shared memory of a node; the lowest that Ray accepts is 75 MiB."""


def small(folder: Path, **train: Any) -> dict[str, Any]:
    found = settings(folder, **{"epochs": 3, "learning_rate": 1e-2, **train})
    found["data"]["test"] = str(write_reviews(folder / "test.csv", rows=40, seed=9))
    return found


@pytest.fixture(scope="module")
def only_here() -> Iterator[None]:
    """Processes of Ray listen on 127.0.0.1, and soon notice when a node is lost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # 127.0.0.1 instead of its own IP
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        patch.setenv("RAY_health_check_period_ms", "1000")
        patch.setenv("RAY_health_check_timeout_ms", "1000")
        yield


@pytest.fixture(scope="module")
def cluster(only_here: None) -> Iterator[Any]:
    """A cluster of two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    with TemporaryDirectory(dir="/tmp") as folder:
        # Paths of sockets are limited to 107 characters, so the folder of the test is too long.
        node = {"num_cpus": CPUS, "object_store_memory": STORE, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args={**node, "temp_dir": folder})
        made.add_node(**node)
        yield made
        made.shutdown()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread here and on the nodes: otherwise sums are rounded differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(found: warmstart.Experiment) -> dict[str, dict[str, torch.Tensor]]:
    return {
        run.path.name: load_file(run.path / "model" / "model.safetensors") for run in found.runs
    }


def assert_equal(one: warmstart.Experiment, two: warmstart.Experiment) -> None:
    """Scores and weights are the same, bit for bit."""
    assert [t["scores"] for t in one.results["trials"]] == [
        t["scores"] for t in two.results["trials"]
    ]
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    for name, tensors in first.items():
        assert all(torch.equal(tensors[key], second[name][key]) for key in tensors)


def after_checkpoint(log: Path, act: Callable[[], None]) -> threading.Thread:
    """Call ``act`` in a thread once a trial has saved a checkpoint."""

    def watch() -> None:
        until = time.monotonic() + 240
        while time.monotonic() < until:
            if log.exists() and events_of(read_events(log), "checkpoint"):
                act()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def processes_of_trials() -> list[psutil.Process]:
    """The processes on all nodes that run the task of a trial."""
    every = psutil.process_iter(["cmdline"])
    return [one for one in every if "ray::run_on_node" in " ".join(one.info["cmdline"] or [])]


@needs_ray
@pytest.mark.slow
def test_a_killed_process_and_a_lost_node_change_nothing(
    tmp_path: Path, cluster: Any, one_thread: None
) -> None:
    config = small(tmp_path, epochs=12)
    whole = warmstart.repeat(config, seeds=4, output=tmp_path / "whole", progress=False)
    lost: list[str] = []

    def kill() -> None:
        running = processes_of_trials()
        lost.extend(str(one.pid) for one in running)
        running[0].kill()
        for one in running[1:]:
            one.terminate()  # as a machine that is shut down: the trial is saved, and begins again

    def remove() -> None:
        cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
        lost.append("node")

    trials = tmp_path / "out" / "trials"
    threads = [
        after_checkpoint(trials / "seed-42" / "events.jsonl", kill),
        after_checkpoint(trials / "seed-44" / "events.jsonl", remove),
    ]
    found = warmstart.repeat(
        config,
        seeds=4,
        workers=RayWorkers(address=cluster.address),
        output=tmp_path / "out",
        progress=False,
    )
    for thread in threads:
        thread.join()
    assert len(lost) == 3
    assert lost[-1] == "node"
    assert [trial["status"] for trial in found.results["trials"]] == ["finished"] * 4
    assert_equal(found, whole)
    resumed = [
        name
        for name in ("seed-42", "seed-43", "seed-44", "seed-45")
        if events_of(read_events(trials / name / "events.jsonl"), "resume")
    ]
    assert "seed-42" in resumed
    assert {"seed-44", "seed-45"} & set(resumed)
    cluster.add_node(num_cpus=CPUS, object_store_memory=STORE)


@needs_ray
@pytest.mark.slow
def test_ctrl_c_saves_the_trials_and_they_are_resumed_on_this_machine(
    tmp_path: Path, cluster: Any, one_thread: None
) -> None:
    config = small(tmp_path, epochs=20)
    path = tmp_path / "small.yaml"
    path.write_text(config_file.dump(config_file.load(config)), encoding="utf-8")
    command = ["repeat", str(path), "--seeds", "2", "--output", "out", "--engine", "ray"]
    process = subprocess.Popen(
        [sys.executable, "-m", "warmstart", *command],
        cwd=tmp_path,
        env={**os.environ, "RAY_ADDRESS": cluster.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = tmp_path / "out" / "trials" / "seed-42" / "events.jsonl"
    until = time.monotonic() + 240
    while not (log.exists() and events_of(read_events(log), "step")):
        assert time.monotonic() < until
        assert process.poll() is None, process.stderr
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert out == ""
    assert f"warmstart repeat {tmp_path / 'out'} --resume" in error
    assert events_of(read_events(log), "interrupted")
    ended = ExperimentFolder.open(tmp_path / "out").outcomes()
    assert {outcome.status for outcome in ended.values()} == {"interrupted"}
    resumed = warmstart.resume_experiment(tmp_path / "out", progress=False)
    whole = warmstart.repeat(config, seeds=2, output=tmp_path / "whole", progress=False)
    assert_equal(resumed, whole)


@needs_ray
@pytest.mark.slow
def test_a_search_runs_on_a_cluster_that_is_started_for_it_with_so_many_trials_at_once(
    tmp_path: Path, only_here: None
) -> None:
    pytest.importorskip("optuna")
    found = warmstart.search(
        small(tmp_path, epochs=1),
        space={"train.learning_rate": [1e-2, 2e-2, 3e-2]},
        trials=3,
        workers=RayWorkers(1, "local"),
        output=tmp_path / "out",
        progress=False,
    )
    assert [t["status"] for t in found.results["trials"]] == ["finished"] * 4
    times = []
    for run in found.runs:
        log = read_events(run.path / "events.jsonl")
        times.append((log[0]["time"], log[-1]["time"]))
    times.sort()
    assert all(end <= begin for (_, end), (begin, _) in pairwise(times))


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("options", [{"cpus_per_trial": 64}, {"gpus_per_trial": 0.5}])
def test_a_trial_larger_than_every_node_is_refused(
    tmp_path: Path, cluster: Any, options: dict[str, Any]
) -> None:
    workers = RayWorkers(address=cluster.address, **options)
    with pytest.raises(warmstart.WarmstartError, match="the nodes have: 1 CPU, 0 GPUs") as problem:
        warmstart.repeat(small(tmp_path), workers=workers, output=tmp_path / "out")
    assert "--cpus-per-trial" in problem.value.do


@needs_ray
@pytest.mark.slow
def test_a_node_that_does_not_see_the_files_is_named_before_any_trial(
    tmp_path: Path, cluster: Any
) -> None:
    folder = ExperimentFolder.create(tmp_path / "out", {"began": 1}, overwrite=False)
    workers = RayWorkers(address=cluster.address)
    elsewhere = tmp_path / "only" / "here.csv"
    with (
        workers.connected(folder, [elsewhere]) as place,
        pytest.raises(warmstart.WarmstartError, match="does not see") as problem,
    ):
        list(place.run([], lambda: False, lambda: False))
    assert str(elsewhere) in problem.value.found
    assert "shared file system" in problem.value.do


@needs_ray
@pytest.mark.slow
def test_a_node_without_a_package_is_named(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "SAME_VERSIONS", ("none-such",))
    monkeypatch.setattr(ray_workers, "version", lambda _: "1.0")  # here, not on the nodes
    folder = ExperimentFolder.create(tmp_path / "out", {}, overwrite=False)
    with (
        RayWorkers(address=cluster.address).connected(folder, []) as place,
        pytest.raises(warmstart.WarmstartError, match="cannot run a trial") as problem,
    ):
        list(place.run([], lambda: False, lambda: False))
    assert "No package metadata was found for none-such" in problem.value.found
    assert "'warmstart[ray]' in the environment in which that node runs" in problem.value.do


@needs_ray
@pytest.mark.slow
def test_a_script_that_is_connected_stays_so(tmp_path: Path, cluster: Any) -> None:
    import ray

    folder = ExperimentFolder(tmp_path)
    ray.init(cluster.address, log_to_driver=False)
    try:
        with RayWorkers().connected(folder, []) as place:
            assert place.gpus == 0
        assert ray.is_initialized()
        with (
            pytest.raises(warmstart.WarmstartError, match="connected to a Ray cluster") as problem,
            RayWorkers(address=cluster.address).connected(folder, []),
        ):
            pass
        assert "leave out the address" in problem.value.do
    finally:
        ray.shutdown()


def test_options_of_a_cluster_are_refused_for_this_machine() -> None:
    options = ["--address", "auto", "--gpus-per-trial", "0.25"]
    ran = CliRunner().invoke(app, ["repeat", "demo", *options])
    assert isinstance(ran.exception, errors.UsageError)
    assert ran.exception.found == "--address, --gpus-per-trial with --engine local"
    assert ran.exception.do == "--engine ray, or leave them out"


def needs(folder: Path, **changes: Any) -> Needs:
    record = folder / "experiment.json"
    record.write_text("{}", encoding="utf-8")
    versions = {"torch": metadata.version("torch"), "warmstart": warmstart.__version__}
    return Needs(
        **{"record": record, "content": "{}", "files": (), "versions": versions, **changes}
    )


def test_a_node_must_see_the_same_folder_and_have_the_same_versions(tmp_path: Path) -> None:
    assert problem_of_this_node(needs(tmp_path)) is None
    other = problem_of_this_node(needs(tmp_path, content='{"began": 1}'))
    assert other is not None
    assert f"{tmp_path} on node" in other.found
    assert "--output DIR" in other.do
    missing = problem_of_this_node(needs(tmp_path, record=tmp_path / "away" / "experiment.json"))
    assert missing is not None
    assert "away on node" in missing.found
    older = problem_of_this_node(needs(tmp_path, versions={"torch": "1.0"}))
    assert older is not None
    assert f"has torch {metadata.version('torch')}, this machine 1.0" in older.found
    assert "pip install torch==1.0" in older.do


def test_a_node_that_was_added_later_is_asked_too(tmp_path: Path) -> None:
    class Order:
        name = "seed-42"

        def run(self, stopping: Callable[[], bool]) -> Outcome:
            return Outcome(self.name, "finished", 1.0)

    assert run_on_node(Order(), needs(tmp_path)).status == "finished"
    outcome = run_on_node(Order(), needs(tmp_path, files=(tmp_path / "none.csv",)))
    assert (outcome.status, outcome.trial) == ("failed", "seed-42")
    assert "none.csv" in outcome.error


def missing(_: str) -> str:
    raise metadata.PackageNotFoundError


@pytest.mark.parametrize(
    ("version", "found"),
    [(missing, "ray is not installed"), (lambda _: "2.49.1", "ray 2.49.1 is installed")],
)
def test_ray_that_is_missing_or_too_old_is_an_error_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: Any, found: str
) -> None:
    monkeypatch.setattr(ray_connection, "version", version)
    with pytest.raises(warmstart.WarmstartError) as problem:
        warmstart.repeat({}, workers=RayWorkers(), output=tmp_path / "out")  # {}: nothing is read
    assert problem.value.found == found
    assert "'warmstart[ray]'" in problem.value.do
    assert "--engine local" in problem.value.do


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no workers": ({"count": 0}, "--workers 0", "--workers 1"),
    "no CPU": ({"cpus_per_trial": 0}, "--cpus-per-trial 0", "--cpus-per-trial 1"),
    "two GPUs": ({"gpus_per_trial": 2}, "--gpus-per-trial 2", "0.25 for four"),
    "less than no GPU": ({"gpus_per_trial": -0.5}, "--gpus-per-trial -0.5", "0 to train on CPUs"),
    "Ray's client": ({"address": "ray://127.0.0.1:10001"}, "ray://127", "--address auto"),
    "no port": ({"address": "127.0.0.1"}, "the Ray address 127.0.0.1", "--address auto"),
    "nothing there": ({"address": "127.0.0.1:9"}, "no Ray cluster at 127.0.0.1:9", "ray start"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_are_found_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    options, found, advice = BAD[name]
    monkeypatch.setattr(ray_connection, "version", lambda _: "2.50.0")
    with pytest.raises(warmstart.WarmstartError) as problem:
        warmstart.repeat({}, workers=RayWorkers(**options), output=tmp_path / "out")
    assert found in problem.value.found
    assert advice in problem.value.do
