"""Device and precision: what arithmetic the forward pass uses, and why.

Weights, gradients and optimiser state are float32 always; a lower precision means autocast around
the forward pass (torch documentation, "Automatic Mixed Precision"). ``auto`` chooses

- on a GPU with bfloat16 units (compute capability 8.0 and newer): bfloat16;
- on an older GPU such as the T4 (7.5): float16 with a loss scaler;
- on a CPU and on Apple's GPU: float32.
"""

from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from warmstart import errors
from warmstart.config import TrainConfig
from warmstart.devices.allocator import keep_freed_memory
from warmstart.devices.processes import current, started

Precision = Literal["float32", "bfloat16", "float16"]


def build_accelerator(config: TrainConfig) -> Accelerator:
    """Accelerate's view of the machine: this process's device, and autocast.

    On a CPU this process keeps the memory it frees from here on, to train or to predict with.

    Raises:
        ConfigError: the device cannot compute in ``train.precision``, or several processes were
            started and have not joined.
    """
    if started() > current().count:
        raise errors.config.several_processes(started())
    precision = choose_precision(config.precision, _device_type(config))
    names = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
    # Accelerate keeps one state for the whole process and would hold a second run to the device and
    # precision of the first. Transformers' ``TrainingArguments`` begins anew in the same way.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(mixed_precision=names[precision], cpu=config.device == "cpu")
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    return accelerator


def precision_of(accelerator: Accelerator) -> Precision:
    """The precision an accelerator computes in, in our word for it."""
    names: dict[str, Precision] = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}
    return names[accelerator.mixed_precision]


def choose_precision(setting: str, device_type: str) -> Precision:
    """What ``train.precision`` means on this kind of device.

    Args:
        setting: ``auto`` or a precision.
        device_type: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ConfigError: the device cannot compute in that precision, or only more slowly.
    """
    fast = _fast_precisions(device_type)
    if setting == "auto":
        return fast[0]
    for precision in fast:
        if setting == precision:
            return precision
    raise errors.config.precision_unsupported(setting, device_type, f"it has {', '.join(fast)}")


def can_compute(config: TrainConfig) -> bool:
    """Whether this machine has the arithmetic that ``train.precision`` names."""
    return config.precision in ("auto", *_fast_precisions(_device_type(config)))


def _device_type(config: TrainConfig) -> str:
    """``cpu``, ``cuda`` or ``mps``: where ``train.device`` leads on this machine."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if config.device == "cpu" or accelerator is None:
        return "cpu"
    return accelerator.type


def _fast_precisions(device_type: str) -> tuple[Precision, ...]:
    """What a device computes without emulation, the best for training first."""
    if device_type == "cuda":
        if torch.cuda.get_device_capability() >= (8, 0):
            return ("bfloat16", "float16", "float32")
        return ("float16", "float32")
    if device_type == "cpu" and torch.cpu._is_amx_tile_supported():
        return ("float32", "bfloat16")
    return ("float32",)
