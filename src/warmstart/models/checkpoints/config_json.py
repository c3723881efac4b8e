"""Read ``config.json`` without the settings that switch on features of Transformers.

Some keys of ``config.json`` do not describe the model. They choose how Transformers runs it (a
kernel that is downloaded and imported, feed-forward layers in chunks, outputs as tuples) or which
other files it reads. warmstart decides this itself: these keys are left out, and the user is told.
Adapters and quantized weights change what is computed, so they are refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warmstart import errors

CONFIG = "config.json"
ADAPTER = "adapter_config.json"
"""The file for which Transformers injects an adapter into the model."""

LEFT_OUT: Mapping[str, tuple[Any, ...]] = {
    "attn_implementation": (None, "eager", "sdpa"),
    "_attn_implementation": (None, "eager", "sdpa"),
    "_attn_implementation_internal": (None, "eager", "sdpa"),
    "auto_map": (None, {}),
    "chunk_size_feed_forward": (None, 0),
    "configuration_files": (None, []),
    "experts_implementation": (None, "eager", "grouped_mm"),
    "_experts_implementation": (None, "eager", "grouped_mm"),
    "fusion_config": (None, {}),
    "gradient_checkpointing": (None, False),
    "output_attentions": (None, False),
    "output_hidden_states": (None, False),
    "return_dict": (None, True),
    "torchscript": (None, False),
    "transformers_weights": (None, "model.safetensors"),
}
"""Keys that are left out -> the values without an effect, of which nothing is said."""

QUANTIZED = ("quantization_config", "compression_config")
"""Keys of checkpoints with quantized weights."""

LARGEST: Mapping[str, int] = {"layer": 1_000, "group": 1_000, "expert": 10_000, "label": 1_000_000}
"""A part of the name of a number -> its largest value; building the model takes time for each."""

DEEPEST = 20
"""Number of levels of nested values; configurations have two or three."""


def read_content(name: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The content of ``config.json`` without the keys that are left out, and the names of these.

    Args:
        name: the checkpoint's name for messages.
        folder: folder of the checkpoint.

    Raises:
        ModelError: the file is missing, cannot be read or has an impossible number, the weights are
            quantized, or there is an adapter next to them.
    """
    path, adapter = folder / CONFIG, (folder / ADAPTER).is_file()
    if not path.is_file():
        raise (
            errors.checkpoint.only_an_adapter(name, folder)
            if adapter
            else errors.model.no_config(folder)
        )
    if adapter:
        raise errors.checkpoint.adapter_beside(name, folder)
    try:
        content: dict[str, Any] = dict(
            json.loads(path.read_text("utf-8"), parse_constant=_refuse_constant)
        )
    except (OSError, ValueError, TypeError) as error:
        raise errors.model.unreadable_config(path, str(error)) from error
    except RecursionError as error:
        raise errors.model.unreadable_config(path, "its values are nested too deeply") from error
    _refuse_impossible(path, content)
    if any(content.get(key) for key in QUANTIZED):
        raise errors.checkpoint.quantized(name)
    ignored = [key for key in LEFT_OUT if key in content and content[key] not in LEFT_OUT[key]]
    return _without_left_out(content), ignored


def _refuse_constant(name: str) -> None:
    """Raise for ``NaN`` and ``Infinity``, which Python reads although they are no JSON."""
    raise ValueError(f"it contains {name}")


def _refuse_impossible(path: Path, content: dict[str, Any]) -> None:
    """Raise if values are nested too deeply, or a number would make a model that is never built."""
    level: list[Any] = [content]
    for _ in range(DEEPEST):
        for values in level:
            for key, value in values.items() if isinstance(values, dict) else ():
                limit = next((LARGEST[part] for part in LARGEST if part in str(key)), None)
                if limit is not None and isinstance(value, int) and value > limit:
                    raise errors.checkpoint.too_large_number(path, key, value, limit)
        level = [inner for values in level for inner in _inside(values)]
        if not level:
            return
    raise errors.model.unreadable_config(path, "its values are nested too deeply")


def _inside(values: Any) -> list[Any]:
    """The mappings and lists directly inside a mapping or a list."""
    members = values.values() if isinstance(values, dict) else values
    return [value for value in members if isinstance(value, dict | list)]


def _without_left_out(content: dict[str, Any]) -> dict[str, Any]:
    """Leave the keys out, also in the configurations of parts of a model."""
    return {
        key: _without_left_out(value) if isinstance(value, dict) else value
        for key, value in content.items()
        if key not in LEFT_OUT
    }
