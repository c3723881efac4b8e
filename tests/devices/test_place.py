"""Device and precision of predictions, without any global state."""

import pytest
import torch

from warmstart.config import TrainConfig
from warmstart.devices import device
from warmstart.devices.device import choose_place
from warmstart.devices.place import Place
from warmstart.errors import ConfigError


def product(place: Place) -> torch.dtype:
    with place.autocast():
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize(
    ("setting", "amx", "dtype"),
    [
        ("auto", True, torch.float32),
        ("bfloat16", True, torch.bfloat16),
        ("bfloat16", False, torch.float32),
        ("float16", True, torch.float32),
    ],
)
def test_the_precision_of_training_is_used_if_the_machine_supports_it(
    monkeypatch: pytest.MonkeyPatch, setting: str, amx: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    config = TrainConfig.model_validate({"precision": setting, "device": "cpu"})
    place = choose_place(config)
    assert place == Place(torch.device("cpu"), dtype)
    assert product(place) == dtype
    assert product(Place(torch.device("cpu"), torch.float32)) == torch.float32


def test_a_gpu_is_named_by_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """The current GPU is a setting of each thread: in a new one it is number 0."""
    found = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: found)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    assert choose_place(TrainConfig()) == Place(torch.device("cuda", 3), torch.bfloat16)
    assert choose_place(TrainConfig(device="cpu")).device.type == "cpu"


def test_on_a_cpu_freed_memory_is_kept_to_predict_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(device, "keep_freed_memory", lambda: asked.append(True))
    choose_place(TrainConfig(device="cpu"))
    assert asked == [True]


def test_processes_that_have_not_joined_cannot_predict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(ConfigError, match="4 processes were started") as caught:
        choose_place(TrainConfig(device="cpu"))
    assert caught.value.do == "torchrun --nproc-per-node 4 -m warmstart train CONFIG"
