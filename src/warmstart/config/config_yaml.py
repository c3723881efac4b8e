"""YAML text to plain values with the line of every key, and back.

Configs are read by the core schema of YAML 1.2, section 10.3 (https://yaml.org/spec/1.2.2/), and
not by the older rules of PyYAML: ``2e-5`` is a number, ``no`` is a word, ``12:30`` is text. The
reader takes PyYAML's parsing events, which carry lines, and builds nothing but None, bool, int,
float, str, list and dict from them; tags and aliases, which could build objects or expand without
bound, are refused.
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
"""Where a key stands: ``("train", "epochs")``."""

MAX_DEPTH = 10
"""Levels of nesting a config may have; none needs more than three."""

_CONSTANTS = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# The bound on digits keeps below Python's own, beyond which `int` raises (sys.int_info).
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def scalar(text: str) -> Any:
    """What an unquoted scalar means.

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
    """A YAML document and where its keys stand."""

    content: Any
    """None where the document is empty."""
    lines: dict[Place, int]
    """Of each key, from 1."""
    faults: list[errors.ConfigError]
    """Keys that were given twice (the first one counts)."""


def read(text: str, source: str) -> Document:
    """The content of a YAML document, with the line of each key.

    Args:
        text: the document.
        source: what to call it in messages.

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
    """Takes values from a stream of parsing events, noting lines and faults as it goes."""

    events: Iterator[Any]
    source: str
    lines: dict[Place, int]
    faults: list[errors.ConfigError]

    def document(self) -> Any:
        """The one document of the stream."""
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return None
        content = self.value(next(self.events), (), 0)
        next(self.events)  # the document's end
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
        """The members of the mapping at ``place``; a key is the text it is written as."""
        members: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.refusal(event, "a key that is not a name")
            key, line = (*place, event.value), _line(event)
            # Before the value: the members of a group given twice keep the lines of the first.
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
        """The error for YAML that configs do without."""
        return errors.config.yaml_feature(self.source, _line(event), feature)


def _line(event: yaml.Event) -> int:
    """The line an event starts in, from 1."""
    return event.start_mark.line + 1 if event.start_mark else 1


def write(content: Mapping[str, Any]) -> str:
    """YAML text that ``read`` turns back into ``content``: groups as blocks, lists in one line.

    Args:
        content: strings, numbers, booleans, None and lists of them, in mappings.

    >>> print(write({"task": "x", "train": {"rate": 2e-5, "columns": ["a", "no", "1"]}}), end="")
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
    """The events that write ``value``."""
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
        # Double quotes alone have escapes, as line breaks beyond \n need: U+0085, U+2028, U+2029.
        style = None if text.isprintable() else '"'
        yield yaml.ScalarEvent(None, None, implicit=(plain, True), value=text, style=style)


def _scalar_text(value: Any) -> tuple[str, bool]:
    """How a scalar is written, and whether it may stand without quotes.

    A string stands without quotes where neither we nor readers of YAML 1.1 would take it for
    something else.
    """
    if isinstance(value, str):
        older = yaml.resolver.Resolver()
        tag = older.resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call]
        return value, scalar(value) == value and tag == "tag:yaml.org,2002:str"
    text = json.dumps(value)
    if isinstance(value, float) and "." not in text:
        text = text.replace("e", ".0e")  # to readers of YAML 1.1, 2e-05 is text
    return text, True
