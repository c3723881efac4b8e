"""What each setting takes, in words; and a config's faults, said with those words.

``SETTINGS`` is drawn from the fields of ``RunConfig`` alone: their types, limits, defaults and
docstrings. pydantic finds the faults; its own wording (an error for each member of a union, type
names of Python) is left aside for "found the value, expected what the setting takes, try this".
"""

import json
import re
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
    """One setting, as help and documentation list it."""

    name: str
    """Dotted: ``train.epochs``."""
    type: str
    """What it takes, in words: ``a whole number ≥ 1``."""
    default: Any
    """``REQUIRED`` where there is none."""
    doc: str
    """One or two sentences."""
    annotation: Any
    """Its Python type with limits, for pydantic."""

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` alone has the right type and is within the limits."""
        try:
            TypeAdapter(self.annotation).validate_python(value, strict=True)
        except ValidationError:
            return False
        return True

    @property
    def takes_only_text(self) -> bool:
        """Whether neither a number nor a yes-or-no can be meant."""
        return not any(word in self.type for word in ("number", "true or false"))


def _settings(part: type[BaseModel], prefix: str) -> Iterator[Setting]:
    """The settings of ``part`` and its groups, in the order of their definition."""
    for name, field in part.model_fields.items():
        # A group that may be absent is a union of its part and None.
        members = get_args(field.annotation) or (field.annotation,)
        parts = [one for one in members if isinstance(one, type) and issubclass(one, BaseModel)]
        if parts:
            yield from _settings(parts[0], f"{prefix}{name}.")
        else:
            annotation = field.rebuild_annotation()
            doc = " ".join((field.description or "").split())
            yield Setting(f"{prefix}{name}", in_words(annotation), field.default, doc, annotation)


def in_words(annotation: Any) -> str:
    """What a type with limits takes, in words.

    >>> from pydantic import Field
    >>> in_words(Literal["auto"] | Annotated[int, Field(ge=3)])
    '"auto" or a whole number ≥ 3'
    """
    words = list(dict.fromkeys(_alternatives(annotation, ())))
    return ", ".join(words[:-1]) + " or " * (len(words) > 1) + words[-1]


def _alternatives(annotation: Any, limits: tuple[Any, ...]) -> Iterator[str]:
    """Each kind of value that ``annotation`` allows, in words."""
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
    elif annotation is str and MaxLen(1) in limits:
        yield "one character"
    elif annotation is str:
        yield "non-empty text" if MinLen(1) in limits else "text"
    else:
        yield {bool: "true or false", types.NoneType: "null"}[annotation]


def _bound(limit: Any) -> str:
    """A limit of ``annotated_types``, as a sign and a number."""
    signs = {"Ge": "≥", "Gt": ">", "Le": "≤", "Lt": "<"}
    sign = signs.get(type(limit).__name__)
    return f"{sign} {getattr(limit, type(limit).__name__.lower())}" if sign else ""


SETTINGS: Mapping[str, Setting] = {s.name: s for s in _settings(RunConfig, "")}


def _groups() -> Iterator[tuple[str, list[str]]]:
    """Every group, also those within another, and its settings, named from there."""
    above = (
        name.split(".")[:depth] for name in SETTINGS for depth in range(1, name.count(".") + 1)
    )
    for group in dict.fromkeys(map(".".join, above)):
        members = [n.removeprefix(f"{group}.") for n in SETTINGS if n.startswith(f"{group}.")]
        yield group, members


GROUPS: Mapping[str, list[str]] = dict(_groups())
OPTIONAL_GROUPS = frozenset(
    group
    for group, field in RunConfig.model_fields.items()
    if group in GROUPS and field.default is None
)
"""Groups that a config may do without; there, null is an answer."""

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
"""What other tools call our settings, where the spelling alone would not tell."""


def nearest_setting(name: str) -> str | None:
    """The setting or group most like ``name``, by its last word first and its group second.

    >>> nearest_setting("train.learning_rte"), nearest_setting("epochs"), nearest_setting("lr")
    ('train.learning_rate', 'train.epochs', 'train.learning_rate')
    """
    group, _, last = name.rpartition(".")
    if last in ELSEWHERE:
        return ELSEWHERE[last]

    def likeness(known: str) -> float:
        known_group, _, known_last = known.rpartition(".")
        return SequenceMatcher(None, last, known_last).ratio() + 0.1 * (group == known_group)

    best = max((*SETTINGS, *GROUPS), key=likeness)
    return best if likeness(best) >= 0.7 else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was written, and how to write it there."""

    where: str = ""
    """As messages begin: ``cola.yaml:12``, ``--set train.epochs=0``; empty for Python."""
    form: str = "{name}: {value}"
    """How a setting is typed there: ``--set {name}={value}``."""

    def typed(self, name: str, value: Any) -> str:
        """``value`` for the setting ``name``, as one would type it here."""
        return self.form.format(name=name, value=in_yaml(value))


def in_yaml(value: Any) -> str:
    """A value as YAML writes it in one line; what YAML has no word for, as Python shows it."""
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value.isprintable()):
        return config_yaml.write({"_": value}).removeprefix("_: ").rstrip("\n")
    return json.dumps(value, ensure_ascii=False, default=repr)


def shown(value: Any) -> str:
    """A value in one line, cut to 60 characters."""
    text = in_yaml(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def translated(
    error: ValidationError, content: Mapping[str, Any], origins: Mapping[Place, Origin]
) -> list[errors.ConfigError]:
    """What pydantic found, one error a setting, in words.

    Args:
        error: raised for ``content``.
        content: the config as nested mappings.
        origins: where each key of ``content`` was written; ``()`` is the config as a whole.
    """
    faults: dict[Place, errors.ConfigError] = {}
    for found in error.errors(include_url=False):
        steps = tuple(str(step) for step in found["loc"])
        # Beyond the setting, pydantic's place goes on with members of unions and list positions.
        place = next((steps[:n] for n in (1, 2, 3) if ".".join(steps[:n]) in SETTINGS), steps)
        written = next(p for p in (place, place[:-1], ()) if p in origins)
        fault = _fault(found, ".".join(place), _at(content, place), origins[written])
        faults[place] = errors.config.located(fault, origins[written].where)
    return list(faults.values())


def _at(content: Any, place: Place) -> Any:
    """What stands at ``place``; None where nothing does."""
    for step in place:
        content = content.get(step) if isinstance(content, Mapping) else None
    return content


def _fault(found: Any, name: str, value: Any, origin: Origin) -> errors.ConfigError:
    """One of pydantic's findings about the setting ``name``, without its place."""
    if found["type"] == "contradiction":
        return found["ctx"]["error"]  # type: ignore[no-any-return]
    if found["type"] == "extra_forbidden":
        return unknown(name, value, origin)
    if name in GROUPS:
        return errors.config.not_a_group(name, shown(value), GROUPS[name][0])
    setting = SETTINGS[name]
    if found["type"] == "missing":
        return errors.config.missing_setting(name, setting.doc, origin.typed(name, "FILE"))
    do = origin.typed(name, suggestion(setting, value))
    return errors.config.wrong_value(name, shown(value), setting.type, do)


def unknown(name: str, value: Any, origin: Origin) -> errors.ConfigError:
    """The fault of a setting that there is not."""
    nearest = nearest_setting(name)
    do = f"{nearest}:" if nearest in GROUPS else origin.typed(nearest, value) if nearest else ""
    return errors.config.unknown_setting(name, nearest, do)


def suggestion(setting: Setting, value: Any) -> Any:
    """A value for ``setting`` that it accepts, as near as can be guessed to ``value``."""
    guesses: list[Any] = []
    if isinstance(value, str):
        literals = re.findall('"(.+?)"', setting.type)
        guesses = [
            config_yaml.scalar(value),
            {"yes": True, "on": True, "no": False, "off": False}.get(value.lower()),
            *get_close_matches(value.lower(), literals, n=1, cutoff=0.4),
            [value],
        ]
    elif isinstance(value, list):
        guesses = [[item if isinstance(item, str) else in_yaml(item) for item in value]]
    elif value is not None:
        guesses = [int(value)] if isinstance(value, float) and value.is_integer() else []
        guesses += [in_yaml(value)] if setting.takes_only_text else []
    fallback = "FILE" if setting.default is REQUIRED else setting.default
    return next((g for g in guesses if g is not None and setting.accepts(g)), fallback)
