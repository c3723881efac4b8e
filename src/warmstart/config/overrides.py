"""Settings that replace those of a config: texts as after ``--set``, or a mapping in Python."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from warmstart import errors
from warmstart.config.config_faults import GROUPS, SETTINGS, in_yaml

Overrides = Sequence[str] | Mapping[str, Any]
"""Texts such as ``train.epochs=2``, or a mapping, ``{"train.epochs": 2}`` or nested."""


def override_texts(overrides: Overrides) -> list[str]:
    """The overrides as texts ``SETTING=VALUE`` with the values in YAML.

    Args:
        overrides: one or several texts, which are kept; or a mapping.

    Raises:
        ConfigError: they are of another type.

    >>> override_texts({"train": {"epochs": 2, "lora": {"rank": 4}}, "data.label": "1"})
    ['train.epochs=2', 'train.lora.rank=4', "data.label='1'"]
    """
    if isinstance(overrides, str):
        return [overrides]
    if isinstance(overrides, Sequence) and all(isinstance(text, str) for text in overrides):
        return list(overrides)
    if not isinstance(overrides, Mapping):
        raise errors.arguments.no_overrides(overrides)
    return [f"{name}={in_yaml(value)}" for name, value in _leaves(overrides, "")]


def _leaves(group: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Each setting of a group and its value; the value of a setting may be a mapping itself."""
    for key, value in group.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in SETTINGS and (value or name in GROUPS):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, _plain(value)


def _plain(value: Any) -> Any:
    """The value with paths as texts and tuples as lists."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
