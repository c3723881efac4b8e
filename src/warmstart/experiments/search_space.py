"""The space of a search: which settings are tried, and with which values.

A YAML file with the dotted name of each setting:

    train.batch_size: [16, 32]                                   one of these
    train.learning_rate: {low: 1e-5, high: 5e-4, log: true}      a number between two ends
    train.epochs: {low: 2, high: 6}                              whole numbers, if both ends are
    model.dropout: {low: 0.0, high: 0.3, step: 0.1}              in steps

Some spaces come with the package; ``SPACES`` has their names. Every value, and both ends of every
range, are checked against the settings before the first trial.
"""

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmstart import config_file, errors
from warmstart.config import config_faults, config_yaml
from warmstart.config.config_faults import SETTINGS, Origin

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = Mapping[str, Any]
"""Dotted names of settings, each with a list of values or a range: ``{"low", "high", …}``."""

SPACES = ("bert-paper", "small-data")
"""The spaces that come with the package."""

SEARCHABLE = (
    "data.long_documents",
    "data.overlap_tokens",
    "data.truncation",
    "data.mask_share",
    "data.whole_words",
)
"""The settings of ``data`` that may be in a space: with others, trials would have other rows."""

FIXED = ("train.best_metric", "train.device", "train.tensorboard", "train.keep_checkpoints")
"""Settings of ``train`` that may not be in a space: they decide how trials are compared or kept."""

RANGE = {"low", "high", "log", "step"}


def read_space(source: str | Path | Mapping[str, Any], settings: Mapping[str, Any]) -> Space:
    """Read and check a space.

    Args:
        source: a YAML file, the name of a space of the package, or a mapping.
        settings: the settings of the experiment, as nested mappings.

    Raises:
        ConfigError: there is no such space, a setting is unknown or cannot be searched, a range is
            empty, or a value is not allowed.
    """
    name, content = _content(source)
    if not isinstance(content, Mapping) or not content:
        raise errors.search.no_space(name)
    space = {str(setting): values for setting, values in content.items()}
    for setting, values in space.items():
        if setting not in SETTINGS:
            raise config_faults.unknown(setting, values, Origin(name))
        group = setting.partition(".")[0]
        if setting not in SEARCHABLE and (group not in ("train", "model") or setting in FIXED):
            raise errors.search.not_searchable(setting, name)
        for value in _tried(setting, values, name):
            config_file.load(settings, {setting: value})
    return space


def _content(source: str | Path | Mapping[str, Any]) -> tuple[str, Any]:
    """The name of the space for messages, and its content."""
    if isinstance(source, Mapping):
        return "the space", dict(source)
    name = str(source)
    if name in SPACES:
        file = resources.files("warmstart") / "experiments" / "spaces" / f"{name}.yaml"
        return f"space {name}", config_yaml.read_yaml(
            file.read_text(encoding="utf-8"), name
        ).content
    try:
        text = Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.search.space_not_found(name, SPACES, error) from None
    return name, config_yaml.read_yaml(text, name).content


def _tried(setting: str, values: Any, name: str) -> list[Any]:
    """Values that show whether the settings accept the whole range."""
    if isinstance(values, list):
        if len(values) < 2:
            raise errors.search.too_few_values(setting, values, name)
        return values
    known = isinstance(values, Mapping) and {"low", "high"} <= values.keys() <= RANGE
    numbers = known and all(
        isinstance(values[key], int | float) and not isinstance(values[key], bool)
        for key in values.keys() - {"log"}
    )
    if not known or not numbers or not isinstance(values.get("log", False), bool):
        raise errors.search.not_a_range(setting, values, name)
    low, high, step = values["low"], values["high"], values.get("step")
    if low >= high or (step is not None and not 0 < step <= high - low):
        raise errors.search.empty_range(setting, values, name)
    if values.get("log") and (low <= 0 or step is not None):
        raise errors.search.not_logarithmic(setting, values, name)
    return [low, high]


def distributions(space: Space) -> "dict[str, BaseDistribution]":
    """The space in the form of Optuna.

    Args:
        space: checked by ``read_space``.
    """
    from optuna import distributions as optuna

    found: dict[str, BaseDistribution] = {}
    for setting, values in space.items():
        if isinstance(values, list):
            found[setting] = optuna.CategoricalDistribution([_choice(value) for value in values])
            continue
        low, high, step = values["low"], values["high"], values.get("step")
        log = values.get("log", False)
        if all(isinstance(end, int) for end in (low, high, step or 1)):
            found[setting] = optuna.IntDistribution(low, high, log=log, step=step or 1)
        else:
            found[setting] = optuna.FloatDistribution(low, high, log=log, step=step)
    return found


def _choice(value: Any) -> Any:
    """A value that Optuna can store: a list or mapping becomes JSON."""
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)


def changes_of(space: Space, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a trial as settings.

    Args:
        space: the space.
        chosen: the values as Optuna has them.
    """
    changes = {}
    for setting, value in chosen.items():
        values = space[setting]
        known = {_choice(one): one for one in values} if isinstance(values, list) else {}
        changes[setting] = known.get(value, value)
    return changes
