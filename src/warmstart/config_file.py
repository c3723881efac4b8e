"""Read configs from YAML files, recipes, ``--set`` and flags, and write them as YAML.

Every source becomes nested mappings that record where each key was written. These are checked once,
against the types and limits of the settings and against the settings that the task reads, so that
one message lists all faults, each with its place.

A bare name (``cola``: no suffix, no separator) is a recipe, even if there is a file of that name,
and so is the whole name of a recipe in a folder (``glue/mrpc``). Anything else is a path; a file
without a suffix is written ``./cola``. A file named in a config is looked up from the working
directory, not from the folder of the config.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from warmstart import errors
from warmstart.config import GenerateConfig, RunConfig, config_faults, config_yaml
from warmstart.config.config_faults import GROUPS, OPTIONAL_GROUPS, SETTINGS, Origin, Setting
from warmstart.config.config_yaml import Place
from warmstart.config.overrides import Overrides, override_texts
from warmstart.config.recipe_files import recipe_names, recipe_text
from warmstart.data.reading.paths import device_kind
from warmstart.data.reading.python_tables import with_files
from warmstart.tasks import TASKS, task_type
from warmstart.tasks.settings_check import Origins, faults_of_task, leaves, with_defaults
from warmstart.tasks.task_settings import is_read, needed_value

SET = "--set {name}={value}"


def load(
    source: str | Path | Mapping[str, Any] | RunConfig, overrides: Overrides = ()
) -> RunConfig:
    """Load a config from ``source`` and apply ``overrides``.

    Args:
        source: a YAML file, the name of a recipe, nested mappings, or a config. In a mapping,
            sources of data may be tables of Python (see ``data.reading.python_tables``).
        overrides: texts such as ``train.epochs=2``. The right side is parsed as YAML; if it is not
            valid YAML, it is text. Or a mapping: ``{"train.epochs": 2}``.

    Raises:
        ConfigError: there is no such file or recipe, it is not YAML, or the settings are not
            valid or are given twice; one message lists all errors of the settings.
        DataError: a table of Python cannot be used as data.

    >>> load({"data": {"train": "a.csv"}}, ["train.learning_rate=2e-5"]).train.learning_rate
    2e-05
    """
    if isinstance(overrides, Mapping):
        overrides = with_files(overrides)
    overrides = override_texts(overrides)
    if isinstance(source, str | Path):
        name, text = _text_of(source)
        document = config_yaml.read_yaml(text, name)
        if not isinstance(document.content, dict | None):
            raise errors.config.not_a_config(name, config_faults.shown(document.content))
        origins = {key: Origin(f"{name}:{line}") for key, line in document.lines.items()}
        origins[()] = Origin(name)
        return _checked(document.content or {}, origins, overrides, document.faults)
    if not isinstance(source, Mapping | RunConfig):
        raise errors.arguments.no_config(source)
    # Settings that were never given stay out, so that they are not checked as if they were.
    given = source.model_dump(exclude_unset=True) if isinstance(source, RunConfig) else source
    content = _plain(with_files(given))
    return _checked(content, {(): Origin()}, overrides, [])


def from_arguments(
    *,
    train: str | Sequence[str] = (),
    validation: str | None = None,
    test: str | Sequence[str] = (),
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    task: str | None = None,
    model: str | None = None,
    overrides: Sequence[str] = (),
) -> RunConfig:
    """The config of ``warmstart train --train F --text COL --label COL …``; None keeps the default.

    Args:
        train: ``data.train``.
        validation: ``data.validation``; a number is a share.
        test: ``data.test``.
        text: ``data.text``.
        text_pair: ``data.text_pair``.
        label: ``data.label``.
        task: ``task``.
        model: ``model.name``.
        overrides: as for ``load``.

    Raises:
        ConfigError: the settings are not valid; the message names the flags.

    >>> from_arguments(train=["a.csv"], validation="0.2").data.validation
    0.2
    """
    flags: dict[Place, tuple[str, Any]] = {
        ("task",): ("--task", task),
        ("model", "name"): ("--model", model),
        ("data", "train"): ("--train", _one_or_all(train)),
        ("data", "validation"): ("--validation", _number_or_file(validation)),
        ("data", "test"): ("--test", _one_or_all(test)),
        ("data", "text"): ("--text", text),
        ("data", "text_pair"): ("--text-pair", text_pair),
        ("data", "label"): ("--label", label),
    }
    content: dict[str, Any] = {}
    origins: Origins = {(): Origin()}
    for place, (flag, value) in flags.items():
        origins[place] = Origin(flag, flag + " {value}")
        if value is not None:
            _put(content, place, value)
    return _checked(content, origins, overrides, [])


class _Generation(BaseModel):
    """A config with only the group ``generate``, so that errors have the same names as usual."""

    generate: GenerateConfig


def generation(
    base: GenerateConfig, changes: Mapping[str, Any], *, flags: bool = False
) -> GenerateConfig:
    """Replace some generation settings; also for a model without a run, which has no full config.

    Args:
        base: the settings of the run, or the defaults.
        changes: new values by setting name, without the group: ``{"top_p": 0.9}``.
        flags: whether they were given as flags (``--top-p``), so that errors name the flags.

    Raises:
        ConfigError: the settings are not valid; one message lists all errors.

    >>> generation(GenerateConfig(), {"top_p": 0.9}).top_p
    0.9
    """
    origins: Origins = {(): Origin()}
    for name in changes:
        flag = "--" + name.replace("_", "-")
        origin = Origin(flag, flag + " {value}") if flags else Origin("", f"{name}={{value}}")
        origins["generate", name] = origin
    content = {"generate": {**base.model_dump(), **_plain(changes)}}
    try:
        settings = _Generation.model_validate(content).generate
    except ValidationError as error:
        faults = config_faults.translated(error, content, origins)
        raise errors.config.all_of(faults, "generate") from None
    values = leaves(content)
    for name in changes:
        setting = f"generate.{name}"
        is_default = values.get(setting) == SETTINGS[setting].default
        if not is_default and needed_value(setting, values) is not None:
            written = origins["generate", name].typed(name, changes[name])
            raise errors.prompt.nothing_sampled(written)
    return settings


def _one_or_all(files: str | Sequence[str]) -> str | list[str] | None:
    """One file as a string, several as a list, None if there are none."""
    files = [files] if isinstance(files, str) else files
    return list(files) if len(files) > 1 else next(iter(files), None)


def _number_or_file(text: str | None) -> Any:
    """The number that ``text`` spells, otherwise ``text`` itself."""
    value = config_yaml.scalar(text or "")
    return value if isinstance(value, int | float) else text


def _text_of(source: str | Path) -> tuple[str, str]:
    """The name of the config for messages, and its YAML."""
    name = str(source)
    bare = isinstance(source, str) and name and not (set(name) & {".", "/", os.sep})
    if bare or (isinstance(source, str) and name in recipe_names()):
        return f"recipe {name}", recipe_text(name)
    try:
        if (kind := device_kind(Path(source))) is not None:
            raise errors.files.config_is_no_file(name, kind)
        content = Path(source).read_bytes()
    except FileNotFoundError:
        raise errors.config.config_not_found(name, recipe_names()) from None
    except IsADirectoryError:
        raise errors.config.config_is_a_folder(name) from None
    except OSError as error:
        raise errors.config.config_unreadable(name, error.strerror or str(error)) from None
    try:
        return name, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.config.not_text(name, content.count(b"\n", 0, error.start) + 1) from None


def _plain(value: Any) -> Any:
    """Convert mappings, tuples and paths to the dicts, lists and strings that YAML has."""
    if isinstance(value, Mapping):
        # A boolean key is the label `true` or `false` of data.label_names.
        texts = {key: str(key).lower() if isinstance(key, bool) else str(key) for key in value}
        return {texts[key]: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _checked(
    content: dict[str, Any],
    origins: Origins,
    overrides: Sequence[str],
    faults: list[errors.ConfigError],
) -> RunConfig:
    """Apply ``overrides`` and validate; raise one error for ``faults`` and all further errors."""
    # YAML reads a group whose lines are all commented out as null; here it means an empty group.
    needed = GROUPS.keys() - OPTIONAL_GROUPS
    content = {k: {} if v is None and k in needed else v for k, v in content.items()}
    content.setdefault("data", {})
    overridden = [_override(text, content, origins) for text in overrides]
    faults = faults + [fault for fault in overridden if fault]
    content = with_defaults(content)
    config = None
    try:
        config = RunConfig.model_validate(content)
    except ValidationError as error:
        faults += config_faults.translated(error, content, origins)
    faults += faults_of_task(content, config, origins)
    if faults or config is None:
        raise errors.config.all_of(faults, origins[()].where or "the config")
    return config


def _override(text: str, content: dict[str, Any], origins: Origins) -> errors.ConfigError | None:
    """Put ``SETTING=VALUE`` into ``content``, its origin into ``origins``; or return an error."""
    name, equals, right = text.partition("=")
    name = name.strip()
    origin = Origin(f"--set {text}", SET)
    if not equals or not name:
        return errors.config.bad_override(text)
    value = _override_value(right)
    left_out = name in OPTIONAL_GROUPS and value is None  # `pretrain=null`
    if name in GROUPS and not left_out:
        fault = errors.config.not_a_group(name, right, GROUPS[name][0])
        return errors.config.located(fault, origin.where)
    if name not in SETTINGS and not left_out:
        fault = config_faults.unknown(name, value, origin)
        return errors.config.located(fault, origin.where)
    if name in SETTINGS and "mapping" in SETTINGS[name].type:
        value = config_yaml.read_yaml(right, "--set").content
    # `data.text=1` names a column: a setting that accepts only text gets the text "1".
    if isinstance(value, bool | int | float) and SETTINGS[name].accepts_only_text:
        value = right.strip()
    place = tuple(name.split("."))
    earlier = origins.get(place)
    if earlier is not None and earlier.where.startswith("--") and _has(content, place):
        return errors.command.given_twice(name, earlier.where, origin.where)
    _put(content, place, value)
    origins[place] = origin
    return None


def _override_value(text: str) -> Any:
    """Parse ``text`` as YAML; return it unchanged if it is not YAML or is a mapping.

    >>> [_override_value(text) for text in ("2e-5", "[a, b]", "null", "|", ":", "a: b", "x=y")]
    [2e-05, ['a', 'b'], None, '|', ':', 'a: b', 'x=y']
    """
    if text in ("|", ">", " ", "\t"):  # delimiters; YAML would read each of them as empty
        return text
    try:
        value = config_yaml.read_yaml(text, "--set").content
    except errors.ConfigError:
        return text
    return text if isinstance(value, dict) else value


def _put(content: dict[str, Any], place: Place, value: Any) -> None:
    """Set the value at ``place``; create its groups if they are missing."""
    *groups, last = place
    for group in groups:
        if content.get(group) is None:  # missing, or an optional group that is null
            content[group] = {}
        content = content[group]
    # A group that is not a mapping is reported when the config is validated.
    if isinstance(content, dict):
        content[last] = value


def _has(content: Any, place: Place) -> bool:
    """Whether ``content`` has a value at ``place``."""
    for key in place:
        if not isinstance(content, dict) or key not in content:
            return False
        content = content[key]
    return True


def settings_read(config: RunConfig) -> dict[str, Any]:
    """Every setting that has an effect on this run, as nested mappings.

    Args:
        config: of the run.
    """
    content = config.model_dump()
    reads, values = task_type(config).reads, leaves(content)

    def kept(part: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in part.items():
            if isinstance(value, Mapping) and f"{prefix}{key}" not in SETTINGS:
                found |= {key: group} if (group := kept(value, f"{prefix}{key}.")) else {}
            elif is_read(f"{prefix}{key}", reads, values):
                found[key] = value
        return found

    return kept(content, "")


def dump(config: RunConfig) -> str:
    """YAML with every setting that has an effect, in the order of ``config/settings.py``.

    Loading the text from a file gives an equal config.

    >>> dump(load({"data": {"train": "a.csv"}})).splitlines()[:3]
    ['task: text-classification', 'model:', '  name: bundled/minilm-l6']
    """
    return config_yaml.write_yaml(settings_read(config))


def resolve_paths(config: RunConfig, base: Path) -> RunConfig:
    """Make the paths of local files and folders in ``config`` absolute.

    Names that are not existing paths are kept: hub ids, URLs, ``hub:…``, ``bundled/…``, and names
    that are looked up in ``data.dir``. ``~`` is the home folder; ``archive.zip!member`` keeps its
    member.

    Args:
        config: a loaded config.
        base: the folder that relative paths start from, usually the working directory.
    """

    def resolved(name: Any) -> Any:
        if isinstance(name, list):
            return [resolved(item) for item in name]
        if not isinstance(name, str) or "://" in name or name.startswith(("hub:", "bundled/")):
            return name
        path, mark, member = name.partition("!")
        try:
            full = (base / Path(path).expanduser()).absolute()
            return f"{full}{mark}{member}" if path and full.exists() else name
        except (OSError, RuntimeError):  # a name too long for a file; an unknown user: `~nobody`
            return name

    data = config.data
    named = {} if data.dir else data.sources
    splits = {split: resolved(source) for split, source in named.items()}
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"name": resolved(config.model.name)}),
            "data": data.model_copy(update={"dir": resolved(data.dir), **splits}),
        }
    )


def settings_table() -> list[Setting]:
    """Every setting with its type, default and meaning, in the order of their definition.

    The meaning of ``task`` names every task.

    >>> settings_table()[2].name, settings_table()[2].type
    ('model.revision', 'text or null')
    """
    names = ", ".join(f"``{name}``" for name in TASKS)
    task = replace(SETTINGS["task"], doc=f"What is learned: one of {names}.")
    return [task if setting.name == "task" else setting for setting in SETTINGS.values()]
