"""Code for several processes, tested in one: exchanges, launchers, refusals."""

import socket
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runs_in_memory import settings
from warmstart import config_file
from warmstart.devices import processes
from warmstart.devices.processes import ALONE, Processes
from warmstart.errors import RunError
from warmstart.preparation.prepare import prepare
from warmstart.runs.directory import RunDirectory
from warmstart.training.job import job_for
from warmstart.training.train_run import train_run
from warmstart.training.worker import _refuse_differences


def test_alone_every_exchange_gives_back_what_it_was_given() -> None:
    tensor = torch.tensor([1.0, 2.0])
    ALONE.sum([tensor])
    ALONE.copy_first([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    assert ALONE.any(True, False) == [True, False]
    assert ALONE.gather("x") == ["x"]
    assert ALONE.from_first("x") == "x"
    assert ALONE.agreed(lambda: "x") == "x"
    assert ALONE.first
    assert not Processes(1, 2).first


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "8")  # some clusters set it for every job
    assert processes.started() == 1
    assert processes.join() == processes.current() == ALONE


@pytest.mark.parametrize(
    ("rank", "address", "port", "said"),
    [
        ("0", None, "29500", "MASTER_ADDR expected, but not set"),
        ("1", "127.0.0.1", "x", "invalid literal for int"),
        ("0", "127.0.0.1", "free", "1/2 clients joined"),  # the other process does not start
        ("1", "127.0.0.1", "free", "client socket has timed out"),  # rank 0 does not start
    ],
)
def test_processes_that_do_not_find_each_other_end_soon(
    rank: str, address: str | None, port: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = str(free.getsockname()[1])
    given = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": address, "MASTER_PORT": port}
    for name, text in given.items():
        monkeypatch.delenv(name, raising=False)
        if text is not None:
            monkeypatch.setenv(name, text.replace("free", number))
    monkeypatch.setattr(processes, "JOINING", timedelta(milliseconds=500))
    with pytest.raises(RunError, match="the 2 processes .* did not find each other") as caught:
        processes.join()
    assert said in caught.value.found
    assert f"(RANK={rank} MASTER_" in caught.value.found
    assert "within " in caught.value.expected
    assert "torchrun --nproc-per-node 2 -m warmstart train CONFIG" in caught.value.do
    assert processes.current() == ALONE


@pytest.mark.parametrize(("gpus", "backend"), [(True, "cpu:gloo,cuda:nccl"), (False, "gloo")])
def test_gradients_on_a_gpu_go_over_nccl_and_agreements_over_gloo(
    monkeypatch: pytest.MonkeyPatch, gpus: bool, backend: str
) -> None:
    def init_process_group(*arguments: Any, **_: Any) -> None:
        raise RuntimeError(f"asked for {arguments}")

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    joined = iter([(None, 0, 2)])
    module = sys.modules["torch.distributed.rendezvous"]  # the package has a function of this name
    monkeypatch.setattr(module, "rendezvous", lambda *_, **__: joined)
    monkeypatch.setattr(torch.distributed, "init_process_group", init_process_group)
    with pytest.raises(RunError) as caught:
        processes.join()
    assert caught.value.found.endswith(f"asked for ('{backend}',)")


def test_a_process_with_other_files_is_named(tmp_path: Path) -> None:
    train_run(prepare(config_file.load(settings(tmp_path, epochs=1))), tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    run.write_json(
        "environment.json",
        {**run.read_json("environment.json"), "processes": 2, "torch": "1.0", "device": "another"},
    )
    (tmp_path / "reviews.csv").write_text("text,label\n" + "a nice cat,good\na dog,bad\n" * 5)
    prepared = prepare(config_file.load(settings(tmp_path, epochs=1)))
    job = replace(job_for(prepared, run), processes=Processes(index=1, count=2))
    with pytest.raises(RunError) as caught:
        _refuse_differences(job, prepared)
    assert caught.value.found == (
        "rank 1 differs from rank 0 in: torch, vocabulary, the data files, the splits"
    )
    assert "the same files and versions" in caught.value.expected
    assert "on a shared disk under the same path" in caught.value.do


def test_small_tensors_travel_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PACK_BYTES", 40)
    sizes = [4, 4, 4, 100, 1, 1, 20]
    packs = list(processes._packs([torch.zeros(size) for size in sizes]))
    assert [[len(tensor) for tensor in pack] for pack in packs] == [
        [4, 4],
        [4],
        [100],
        [1, 1],
        [20],
    ]
