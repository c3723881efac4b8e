"""Parse YAML into plain values with the line of every key, and write YAML.

Configs follow the core schema of YAML 1.2, section 10.3 (https://yaml.org/spec/1.2.2/). PyYAML
resolves values by the older YAML 1.1; here ``2e-5`` is a number, and ``no`` and ``12:30`` are text.
The reader uses PyYAML's parsing events, which contain line numbers, and builds only None, bool,
int, float, str, list and dict. Tags could create other objects and aliases could expand without
limit, so both are refused.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import yaml

from warmstart import errors

Place = tuple[str, ...]
"""The path of a key: ``("train", "epochs")``."""

MAX_DEPTH = 10
"""Largest depth of nesting; no config needs more than three levels."""

_CONSTANTS = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Python's `int` raises above 4300 digits (sys.int_info), so longer digit strings are kept as text.
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def scalar(text: str) -> Any:
    """The value of an unquoted scalar.

    >>> [scalar(text) for text in ("2e-5", "4", "no", "null", "true", "1.2.3")]
    [2e-05, 4, 'no', None, True, '1.2.3']
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and isfinite(number := float(text)):
        return number
    return text


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML document with the line of each key."""

    content: Any
    """None if the document is empty."""
    lines: dict[Place, int]
    """Line of each key, counted from 1."""
    faults: list[errors.ConfigError]
    """An error for each key that was given twice; ``content`` has its first value."""


def read_yaml(text: str, source: str) -> Document:
    """Parse a YAML document.

    Args:
        text: the document.
        source: its name in messages.

    Raises:
        ConfigError: it is not YAML, or uses aliases, tags or several documents.
    """
    reader = _Reader(iter(yaml.parse(text, Loader=yaml.SafeLoader)), source, {}, [])
    try:
        return Document(reader.document(), reader.lines, reader.faults)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise errors.config.bad_yaml(source, line, column, error.problem or "not YAML") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = len(before) - before.rfind("\n")
        problem = f"the character #x{ord(text[error.position]):04x} is not allowed"
        raise errors.config.bad_yaml(source, before.count("\n") + 1, column, problem) from None


@dataclass(frozen=True, slots=True)
class _Reader:
    """Builds values from a stream of parsing events and records lines and errors."""

    events: Iterator[Any]
    source: str
    lines: dict[Place, int]
    faults: list[errors.ConfigError]

    def document(self) -> Any:
        """The one document of the stream."""
        next(self.events)  # StreamStartEvent
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        content = self.value(next(self.events), (), 0)
        next(self.events)  # DocumentEndEvent
        if not isinstance(after := next(self.events), yaml.StreamEndEvent):
            raise self.refusal(after, "a second document (`---`)")
        return content

    def value(self, event: Any, place: Place, depth: int) -> Any:
        """The value that starts with ``event``."""
        if isinstance(event, yaml.AliasEvent):
            raise self.refusal(event, f"an alias (*{event.anchor})")
        if event.tag is not None:
            raise self.refusal(event, f"a tag ({event.tag})")
        if depth > MAX_DEPTH:
            raise self.refusal(event, f"more than {MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent):
            return scalar(event.value) if event.style is None else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                items.append(self.value(event, place, depth + 1))
            return items
        return self.mapping(place, depth)

    def mapping(self, place: Place, depth: int) -> dict[str, Any]:
        """The members of the mapping at ``place``; keys are always text."""
        members: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.refusal(event, "a key that is not a name")
            key, line = (*place, event.value), _line(event)
            # This comes before the value is read: if a group is given twice, `setdefault` then
            # keeps the lines of its first occurrence.
            self.lines.setdefault(key, line)
            value = self.value(next(self.events), key, depth + 1)
            if event.value in members:
                self.faults.append(
                    errors.config.duplicate_key(self.source, line, ".".join(key), self.lines[key])
                )
            else:
                members[event.value] = value
        return members

    def refusal(self, event: yaml.Event, feature: str) -> errors.ConfigError:
        """The error for a YAML feature that is not supported."""
        return errors.config.yaml_feature(self.source, _line(event), feature)


def _line(event: yaml.Event) -> int:
    """The line in which an event starts, counted from 1."""
    return event.start_mark.line + 1 if event.start_mark else 1


def write_yaml(content: Mapping[str, Any]) -> str:
    """Write ``content`` as YAML that ``read_yaml`` parses to equal values; lists are in one line.

    Args:
        content: mappings of strings, numbers, booleans, None, lists of these, and mappings.

    >>> content = {"task": "x", "train": {"rate": 2e-5, "columns": ["a", "no", "1"]}}
    >>> print(write_yaml(content), end="")
    task: x
    train:
      rate: 2.0e-05
      columns: [a, 'no', '1']
    """
    events = [
        yaml.StreamStartEvent(),
        yaml.DocumentStartEvent(explicit=False),
        *_events(content),
        yaml.DocumentEndEvent(explicit=False),
        yaml.StreamEndEvent(),
    ]
    return str(yaml.emit(events, allow_unicode=True, width=1000))


def _events(value: Any) -> Iterator[yaml.Event]:
    """The YAML events for ``value``."""
    if isinstance(value, Mapping):
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=False)
        for key, member in value.items():
            yield from _events(key)
            yield from _events(member)
        yield yaml.MappingEndEvent()
    elif isinstance(value, list):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=True)
        for item in value:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    else:
        text, plain = _scalar_text(value)
        # Only double-quoted YAML has escapes, which U+0085, U+2028 and U+2029 need: YAML would
        # read them as line breaks.
        style = None if text.isprintable() else '"'
        yield yaml.ScalarEvent(None, None, implicit=(plain, True), value=text, style=style)


def _scalar_text(value: Any) -> tuple[str, bool]:
    """The text of a scalar, and whether it can be written without quotes.

    A string is written without quotes if both YAML 1.1 and YAML 1.2 read it as the same string.
    """
    if isinstance(value, str):
        older = yaml.resolver.Resolver()
        tag = older.resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call]
        return value, scalar(value) == value and tag == "tag:yaml.org,2002:str"
    text = json.dumps(value)
    if isinstance(value, float) and "." not in text:
        text = text.replace("e", ".0e")  # YAML 1.1 reads 2e-05 as text, but 2.0e-05 as a number
    return text, True
