"""The precision of each device, and that runs in one process do not affect each other's."""

from types import SimpleNamespace

import pytest
import torch

from warmstart.config import TrainConfig
from warmstart.devices import device
from warmstart.devices.device import build_accelerator, can_compute, choose_precision, precision_of
from warmstart.errors import ConfigError

CUDA = {"T4": (7, 5), "A100": (8, 0), "H100": (9, 0)}
ALL = {"float32", "bfloat16", "float16"}


def have(monkeypatch: pytest.MonkeyPatch, machine: str) -> str:
    """Simulate this machine; returns its device type."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: machine == "cpu with AMX")
    if machine not in CUDA:
        return machine.partition(" ")[0]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: CUDA[machine])
    return "cuda"


@pytest.mark.parametrize(
    ("machine", "auto", "possible"),
    [
        ("cpu", "float32", {"float32"}),
        ("cpu with AMX", "float32", {"float32", "bfloat16"}),
        ("mps", "float32", {"float32"}),
        ("T4", "float16", {"float32", "float16"}),
        ("A100", "bfloat16", ALL),
        ("H100", "bfloat16", ALL),
    ],
)
def test_what_each_device_computes(
    monkeypatch: pytest.MonkeyPatch, machine: str, auto: str, possible: set[str]
) -> None:
    kind = have(monkeypatch, machine)
    assert choose_precision("auto", kind) == auto
    for setting in ALL:
        if setting in possible:
            assert choose_precision(setting, kind) == setting
        else:
            with pytest.raises(ConfigError, match=f"train.precision is {setting} on {kind}"):
                choose_precision(setting, kind)


def test_float16_on_a_cpu_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, "cpu")
    config = TrainConfig(precision="float16", device="cpu")
    assert not can_compute(config)
    with pytest.raises(ConfigError) as caught:
        build_accelerator(config)
    assert "it supports float32" in caught.value.found
    assert caught.value.do == "--set train.precision=auto"


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_what_every_machine_can_compute(precision: str) -> None:
    assert can_compute(TrainConfig.model_validate({"precision": precision, "device": "cpu"}))


def test_a_second_run_in_one_process_has_its_own_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate alone raises here: its state is per process and is set by the first run."""
    have(monkeypatch, "cpu with AMX")
    for precision in ("float32", "bfloat16", "float32"):
        config = TrainConfig.model_validate({"precision": precision, "device": "cpu"})
        accelerator = build_accelerator(config)
        assert precision_of(accelerator) == precision
        assert accelerator.device.type == "cpu"
        with accelerator.autocast():
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == getattr(torch, precision)


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_on_a_cpu_freed_memory_is_kept(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The same for prediction and training: all code that computes on a CPU uses this."""
    asked: list[bool] = []
    monkeypatch.setattr(device, "keep_freed_memory", lambda: asked.append(True))
    accelerator = SimpleNamespace(device=torch.device(kind))
    monkeypatch.setattr(device, "Accelerator", lambda **_: accelerator)
    build_accelerator(TrainConfig(device="cpu"))
    assert asked == [True] * (kind == "cpu")


def test_processes_that_have_not_joined_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own script under ``torchrun``: each process would train by itself."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(ConfigError, match="4 processes were started") as caught:
        build_accelerator(TrainConfig(device="cpu"))
    assert caught.value.do == "torchrun --nproc-per-node 4 -m warmstart train CONFIG"


def test_the_device_type_is_the_accelerators_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = torch.device("cuda", 0)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: found)
    assert device.device_type(TrainConfig()) == "cuda"
    assert device.device_type(TrainConfig(device="cpu")) == "cpu"
