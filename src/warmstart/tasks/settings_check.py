"""Check the given settings against the task that they name."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from warmstart import errors
from warmstart.config import RunConfig
from warmstart.config.config_faults import SETTINGS, Origin, in_yaml, shown
from warmstart.config.config_yaml import Place
from warmstart.config.file_formats import NO_ROWS
from warmstart.tasks import TASKS
from warmstart.tasks.capabilities import ChecksSettings, KeepsGroups
from warmstart.tasks.made_rows import SetsDefaults
from warmstart.tasks.task_settings import is_read, needed_value

Origins = dict[Place, Origin]
"""Where each setting was written; ``()`` is the config as a whole."""


def with_defaults(content: dict[str, Any]) -> dict[str, Any]:
    """The given settings, and those that have a default of their own for their task.

    Args:
        content: the settings that were given, not checked yet.
    """
    name, data = content.get("task"), content.get("data")
    task = TASKS.get(name) if isinstance(name, str) else None
    if task is None or not issubclass(task, SetsDefaults) or not isinstance(data, dict):
        return content
    given = {setting: value for setting, value in data.items() if value is not None}
    return {**content, "data": {**task.defaults(), **given}}


def faults_of_task(
    content: Mapping[str, Any], config: RunConfig | None, origins: Origins
) -> list[errors.ConfigError]:
    """The errors for this task: its name, settings that it does not read, contradictions.

    Args:
        content: the settings that were given.
        config: the same settings after validation; None if a value is invalid.
        origins: where each setting was written.
    """
    name = content.get("task", RunConfig.model_fields["task"].default)
    if not isinstance(name, str):
        return []  # already reported
    if name not in TASKS:
        origin = origins.get(("task",), origins[()])
        fault = errors.config.unknown_task(shown(name), TASKS, origin.typed("task", _meant(name)))
        return [errors.config.located(fault, origin.where)]
    task = TASKS[name]
    given = leaves(content)
    values = {setting: known.default for setting, known in SETTINGS.items()} | given
    faults = []
    for setting in given:
        if setting not in SETTINGS or is_read(setting, task.reads, values):
            continue
        needed, default = needed_value(setting, values), SETTINGS[setting].default
        readers = [other for other, kind in TASKS.items() if setting in kind.reads]
        if needed is None or (readers and name not in readers):
            fault = errors.config.other_task_reads(setting, name, readers)
        elif given[setting] != default:  # the default is how to leave a recipe's setting out
            fault = errors.config.without_effect(setting, in_yaml(default), *needed)
        else:
            continue
        place = tuple(setting.split("."))
        written = next(p for p in (place, place[:-1], ()) if p in origins)
        faults.append(errors.config.located(fault, origins[written].where))
    if config is None:
        return faults
    loss = config.train.loss
    contradictions: list[errors.ConfigError] = []
    if issubclass(task, ChecksSettings):
        contradictions += task.check(config)
    if loss is not None and loss not in task.losses and "train.loss" in task.reads:
        contradictions = [errors.config.other_loss(loss, name, task.losses), *contradictions]
    data = config.data
    group = task.group(data) if issubclass(task, KeepsGroups) else data.group
    if data.duplicates == "together" and group in data.text_columns.values():
        contradictions.append(errors.splits.always_together(str(group)))
    if data.validation == NO_ROWS and config.train.average is not None:
        fault = errors.config.without_effect("train.average", "null", "data.validation", "ROWS")
        contradictions.append(fault)
    where = origins[()].where
    return faults + [errors.config.located(fault, where) for fault in contradictions]


def _meant(name: str) -> str:
    """The task that an unknown name means: the name in other tools, or the most similar one."""
    known = {
        one.replace("_", "-"): task for task, kind in TASKS.items() for one in kind.other_names
    }
    known |= {task: task for task in TASKS}
    written = name.lower().replace("_", "-").replace(" ", "-")
    nearest = get_close_matches(written, known, n=1, cutoff=0.6)
    nearest = nearest or get_close_matches(written, TASKS, n=1, cutoff=0.4)
    return known[nearest[0]] if nearest else next(iter(TASKS))


def leaves(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every setting in nested mappings by its dotted name; nulls are left out.

    >>> leaves({"task": "fill-mask", "data": {"train": "a.csv", "test": None}})
    {'task': 'fill-mask', 'data.train': 'a.csv'}
    """
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" not in SETTINGS:
            found |= leaves(value, f"{prefix}{key}.")
        elif value is not None:
            found[f"{prefix}{key}"] = value
    return found
