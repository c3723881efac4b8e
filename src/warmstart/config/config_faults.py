"""Describe which values each setting accepts, and report the errors of a config.

``SETTINGS`` is built from the fields of ``RunConfig``: their types, limits, defaults and
docstrings. pydantic finds the errors. Its own messages (one per member of a union, with Python type
names) are replaced by ours, with three parts: the value found, the values expected, and what to
try.
"""

import json
import re
import shlex
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import MaxLen, MinLen
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from warmstart import errors
from warmstart.config import RunConfig, config_yaml
from warmstart.config.config_yaml import Place

REQUIRED: Any = PydanticUndefined
"""The default of a setting that has none."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, for help texts and documentation."""

    name: str
    """Full name with dots: ``train.epochs``."""
    type: str
    """The accepted values as text: ``a whole number ≥ 1``."""
    default: Any
    """``REQUIRED`` if there is none."""
    doc: str
    """The docstring, as one line."""
    annotation: Any
    """Its Python type with limits, for pydantic."""

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` has the right type and is within the limits."""
        try:
            TypeAdapter(self.annotation).validate_python(value, strict=True)
        except ValidationError:
            return False
        return True

    @property
    def accepts_only_text(self) -> bool:
        """Whether no number and no boolean is accepted."""
        return not any(word in self.type for word in ("number", "true or false"))


def _settings(part: type[BaseModel], prefix: str) -> Iterator[Setting]:
    """The settings of ``part`` and its groups, in the order of their definition."""
    for name, field in part.model_fields.items():
        # An optional group has the type ``Part | None``.
        members = get_args(field.annotation) or (field.annotation,)
        parts = [one for one in members if isinstance(one, type) and issubclass(one, BaseModel)]
        if parts:
            yield from _settings(parts[0], f"{prefix}{name}.")
        else:
            annotation = field.rebuild_annotation()
            doc = " ".join((field.description or "").split())
            yield Setting(f"{prefix}{name}", in_words(annotation), field.default, doc, annotation)


def in_words(annotation: Any) -> str:
    """Describe the values that a type with limits accepts.

    >>> from pydantic import Field
    >>> in_words(Literal["auto"] | Annotated[int, Field(ge=3)])
    '"auto" or a whole number ≥ 3'
    """
    words = list(dict.fromkeys(_alternatives(annotation, ())))
    return ", ".join(words[:-1]) + " or " * (len(words) > 1) + words[-1]


def _alternatives(annotation: Any, limits: tuple[Any, ...]) -> Iterator[str]:
    """Describe each kind of value that ``annotation`` allows."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extra = get_args(annotation)
        unwrapped = (m for e in extra for m in (e.metadata if isinstance(e, FieldInfo) else [e]))
        yield from _alternatives(inner, (*limits, *unwrapped))
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member, limits)
    elif origin is Literal:
        yield from map(json.dumps, get_args(annotation))
    elif annotation in (int, float):
        bounds = " and ".join(filter(None, map(_bound, limits)))
        yield f"a {'whole ' * (annotation is int)}number {bounds}".rstrip()
    elif origin is list:
        yield "a non-empty list of texts" if MinLen(1) in limits else "a list of texts"
    elif origin is dict:
        yield "a mapping of texts"
    elif annotation is str and MaxLen(1) in limits:
        yield "one character"
    elif annotation is str:
        yield "non-empty text" if MinLen(1) in limits else "text"
    else:
        yield {bool: "true or false", types.NoneType: "null"}[annotation]


def _bound(limit: Any) -> str:
    """A limit of ``annotated_types`` as a sign and a number; empty for other metadata."""
    signs = {"Ge": "≥", "Gt": ">", "Le": "≤", "Lt": "<"}
    sign = signs.get(type(limit).__name__)
    return f"{sign} {getattr(limit, type(limit).__name__.lower())}" if sign else ""


SETTINGS: Mapping[str, Setting] = {s.name: s for s in _settings(RunConfig, "")}


def _groups() -> Iterator[tuple[str, list[str]]]:
    """Every group, nested groups included, with the names of its settings relative to it."""
    prefixes = (
        name.split(".")[:depth] for name in SETTINGS for depth in range(1, name.count(".") + 1)
    )
    for group in dict.fromkeys(map(".".join, prefixes)):
        members = [n.removeprefix(f"{group}.") for n in SETTINGS if n.startswith(f"{group}.")]
        yield group, members


GROUPS: Mapping[str, list[str]] = dict(_groups())


def _is_group(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _may_be_null(group: str) -> bool:
    """Whether a group, such as ``train.lora``, is null by default."""
    model: Any = RunConfig
    for part in group.split("."):
        field = model.model_fields[part]
        kinds = get_args(field.annotation) or (field.annotation,)
        model = next((kind for kind in kinds if _is_group(kind)), None)
    return bool(field.default is None)


OPTIONAL_GROUPS = frozenset(filter(_may_be_null, GROUPS))
"""Groups that may be ``null``."""

ELSEWHERE = {
    "bf16": "train.precision",
    "bs": "train.batch_size",
    "data_dir": "data.dir",
    "do_sample": "generate.temperature",
    "eps": "train.adam_epsilon",
    "fp16": "train.precision",
    "gradient_accumulation_steps": "train.gradient_accumulation",
    "lr": "train.learning_rate",
    "lr_scheduler_type": "train.schedule",
    "max_grad_norm": "train.max_gradient_norm",
    "max_length": "model.max_tokens",
    "max_seq_length": "model.max_tokens",
    "metric_for_best_model": "train.best_metric",
    "model_name_or_path": "model.name",
    "num_beams": "generate.beams",
    "num_return_sequences": "generate.count",
    "num_train_epochs": "train.epochs",
    "per_device_train_batch_size": "train.batch_size",
    "save_steps": "train.checkpoint_every_steps",
    "stop_strings": "generate.stop",
    "warmup_ratio": "train.warmup_share",
}
"""Names of other tools that are too different from ours to be found by similarity."""


def nearest_setting(name: str) -> str | None:
    """The setting or group most similar to ``name``; the part after the last dot counts most.

    >>> nearest_setting("train.learning_rte"), nearest_setting("epochs"), nearest_setting("lr")
    ('train.learning_rate', 'train.epochs', 'train.learning_rate')
    """
    group, _, last = name.rpartition(".")
    if last in ELSEWHERE:
        return ELSEWHERE[last]

    def similarity(known: str) -> float:
        known_group, _, known_last = known.rpartition(".")
        return SequenceMatcher(None, last, known_last).ratio() + 0.1 * (group == known_group)

    best = max((*SETTINGS, *GROUPS), key=similarity)
    return best if similarity(best) >= 0.7 else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was given, and how a setting is written there."""

    where: str = ""
    """Beginning of the message: ``cola.yaml:12``, ``--set train.epochs=0``; empty for Python."""
    form: str = "{name}: {value}"
    """Pattern for writing a setting there, such as ``--set {name}={value}``."""

    def typed(self, name: str, value: Any) -> str:
        """The setting ``name`` with this value, as the user would type it here."""
        text = self.form.format(name=name, value=in_yaml(value))
        option, _, argument = text.partition(" ")
        # Shells read brackets, braces and asterisks, so such an argument needs quotes.
        return f"{option} {shlex.quote(argument)}" if option.startswith("--") else text


def in_yaml(value: Any) -> str:
    """A value as YAML in one line; a value that YAML cannot express is shown with ``repr``."""
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value.isprintable()):
        return config_yaml.write_yaml({"_": value}).removeprefix("_: ").rstrip("\n")
    return json.dumps(value, ensure_ascii=False, default=repr)


def shown(value: Any) -> str:
    """A value in one line of at most 60 characters."""
    text = in_yaml(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def translated(
    error: ValidationError, content: Mapping[str, Any], origins: Mapping[Place, Origin]
) -> list[errors.ConfigError]:
    """Turn pydantic's errors into ours, at most one per setting.

    Args:
        error: raised for ``content``.
        content: the config as nested mappings.
        origins: where each key of ``content`` was written; ``()`` is the config as a whole.
    """
    faults: dict[Place, errors.ConfigError] = {}
    for detail in error.errors(include_url=False):
        loc = tuple(str(key) for key in detail["loc"])
        # After the setting's name, pydantic's location continues with union members and list
        # positions; these are dropped. A name has one to three parts.
        place = next((loc[:n] for n in (1, 2, 3) if ".".join(loc[:n]) in SETTINGS), loc)
        # A key that was not written itself, because it is missing, is reported at its group.
        written = next(p for p in (place, place[:-1], ()) if p in origins)
        fault = _fault(detail, ".".join(place), _at(content, place), origins[written])
        faults[place] = errors.config.located(fault, origins[written].where)
    return list(faults.values())


def _at(content: Any, place: Place) -> Any:
    """The value at ``place``; None if there is none."""
    for key in place:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _fault(detail: Any, name: str, value: Any, origin: Origin) -> errors.ConfigError:
    """Our error for one of pydantic's error details about ``name``, without its location."""
    if detail["type"] == "contradiction":
        return detail["ctx"]["error"]  # type: ignore[no-any-return]
    if detail["type"] == "extra_forbidden":
        return unknown(name, value, origin)
    if name in GROUPS:
        return errors.config.not_a_group(name, shown(value), GROUPS[name][0])
    setting = SETTINGS[name]
    if detail["type"] == "missing":
        return errors.config.missing_setting(name, setting.doc, origin.typed(name, "FILE"))
    do = origin.typed(name, suggestion(setting, value))
    return errors.config.wrong_value(name, shown(value), setting.type, do)


def unknown(name: str, value: Any, origin: Origin) -> errors.ConfigError:
    """The error for a setting that does not exist."""
    nearest = nearest_setting(name)
    do = f"{nearest}:" if nearest in GROUPS else origin.typed(nearest, value) if nearest else ""
    return errors.config.unknown_setting(name, nearest, do)


def suggestion(setting: Setting, value: Any) -> Any:
    """A value that ``setting`` accepts, as close as possible to ``value``; or its default."""
    guesses: list[Any] = []
    if isinstance(value, str):
        literals = re.findall('"(.+?)"', setting.type)
        guesses = [
            config_yaml.scalar(value),
            {"yes": True, "on": True, "no": False, "off": False}.get(value.lower()),
            *get_close_matches(value.lower(), literals, n=1, cutoff=0.4),
            [part.strip() for part in value.split(",")],
            [value],
        ]
    elif isinstance(value, list):
        guesses = [[item if isinstance(item, str) else in_yaml(item) for item in value]]
    elif value is not None:
        guesses = [int(value)] if isinstance(value, float) and value.is_integer() else []
        guesses += [in_yaml(value)] if setting.accepts_only_text else []
    fallback = "FILE" if setting.default is REQUIRED else setting.default
    return next((g for g in guesses if g is not None and setting.accepts(g)), fallback)
