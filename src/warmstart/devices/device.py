"""Choose the device and the precision of the forward pass.

Weights, gradients and optimiser state are always float32. A lower precision means autocast around
the forward pass (torch documentation, "Automatic Mixed Precision"). ``auto`` chooses

- bfloat16 on a GPU with bfloat16 units (compute capability 8.0 or higher);
- float16 with a loss scaler on an older GPU such as the T4 (7.5);
- float32 on a CPU and on an Apple GPU.
"""

import os
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from warmstart import errors
from warmstart.config import TrainConfig
from warmstart.devices.allocator import keep_freed_memory
from warmstart.devices.place import Place
from warmstart.devices.processes import current, started

READ_BY_ACCELERATE = ("ACCELERATE_", "FORK_LAUNCHED", "LOCAL_RANK", "MASTER_")
"""Beginnings of the names of environment variables in which Accelerate finds its settings."""

Precision = Literal["float32", "bfloat16", "float16"]


def build_accelerator(config: TrainConfig) -> Accelerator:
    """The ``Accelerator`` of this process, with its device and autocast.

    On a CPU, it also configures the allocator to keep freed memory (see ``allocator``).

    Raises:
        ConfigError: the device does not support ``train.precision``, or several processes were
            started but ``processes.join`` was not called.
        RunError: Accelerate cannot use the environment variables.
    """
    if started() > current().count:
        raise errors.config.several_processes(started())
    precision = choose_precision(config.precision, device_type(config))
    names = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
    # Accelerate has one global state per process. Without a reset, a second run would get the
    # device and precision of the first. Transformers' ``TrainingArguments`` resets it as well.
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        accelerator = Accelerator(mixed_precision=names[precision], cpu=config.device == "cpu")
    except (ValueError, ImportError) as error:
        given = [name for name in os.environ if name.startswith(READ_BY_ACCELERATE)]
        if not given:
            raise
        raise errors.launch.unusable_by_accelerate(given, error) from error
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    return accelerator


def choose_place(config: TrainConfig) -> Place:
    """Device and precision for predictions with a trained model; without Accelerate.

    The precision is that of training if this machine supports it, otherwise ``auto``: a model that
    was trained on a GPU can be used on any machine. On a CPU, the allocator is configured as for
    training.

    Raises:
        ConfigError: several processes were started but ``processes.join`` was not called.
    """
    if started() > current().count:
        raise errors.config.several_processes(started())
    kind = device_type(config)
    setting = config.precision if can_compute(config) else "auto"
    dtype: torch.dtype = getattr(torch, choose_precision(setting, kind))
    if kind == "cpu":
        keep_freed_memory()
        return Place(torch.device(kind), dtype)
    return Place(torch.device(kind, torch.accelerator.current_device_index()), dtype)


def precision_of(accelerator: Accelerator) -> Precision:
    """The precision of an accelerator."""
    names: dict[str, Precision] = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}
    return names[accelerator.mixed_precision]


def choose_precision(setting: str, device_type: str) -> Precision:
    """Resolve ``train.precision`` for a type of device.

    Args:
        setting: ``auto`` or a precision.
        device_type: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ConfigError: the device does not support this precision, or only with slow emulation.
    """
    fast = _fast_precisions(device_type)
    if setting == "auto":
        return fast[0]
    for precision in fast:
        if setting == precision:
            return precision
    raise errors.config.precision_unsupported(
        setting, device_type, f"it supports {', '.join(fast)}"
    )


def can_compute(config: TrainConfig) -> bool:
    """Whether the device on this machine supports ``train.precision``."""
    return config.precision in ("auto", *_fast_precisions(device_type(config)))


def device_type(config: TrainConfig) -> str:
    """The device type that ``train.device`` means on this machine: ``cpu``, ``cuda`` or ``mps``."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if config.device == "cpu" or accelerator is None:
        return "cpu"
    return accelerator.type


def _fast_precisions(device_type: str) -> tuple[Precision, ...]:
    """The precisions that a device supports without emulation, the best for training first."""
    if device_type == "cuda":
        if torch.cuda.get_device_capability() >= (8, 0):
            return ("bfloat16", "float16", "float32")
        return ("float16", "float32")
    if device_type == "cpu" and torch.cpu._is_amx_tile_supported():
        return ("float32", "bfloat16")
    return ("float32",)
