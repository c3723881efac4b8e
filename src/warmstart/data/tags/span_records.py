"""Read one JSON record of an annotation tool's export: its text and its raw spans.

===================  ==============================================================================
Label Studio JSON    ``{"data": {"text": …}, "annotations": [{"result": [{"value": …}]}]}``
Label Studio         ``{"text": …, "label": [{"start": 0, "end": 4, "text": …, "labels": […]}]}``
JSON-MIN
doccano              ``{"text": …, "label": [[0, 4, "PER"]]}``, or ``entities`` with
                     ``start_offset`` and ``end_offset``
spaCy                ``["text", {"entities": [[0, 4, "PER"]]}]``, also ``{"annotations": [those]}``,
                     and ``{"text": …, "ents": […]}`` of ``Doc.to_json``
JSON with spans      ``{"text": …, "spans": […]}`` or ``entities``; of Prodigy among others
===================  ==============================================================================

Offsets count Unicode code points in all of them except doccano, which counts UTF-16 code units (an
emoji is two), as early versions of Label Studio did. ``UNITS`` has the unit of each format; if a
file repeats the text of each span, the unit that agrees with these texts is used
(``span_formats``).

Source: labelstud.io/guide/export; Label Studio issue 1347 and doccano issue 2290 (units); spaCy
documentation ("Data formats"); Prodigy documentation ("Annotation interfaces").
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from warmstart import errors
from warmstart.data.tags.spans import offset_of, offset_of_text

LABEL_STUDIO = "Label Studio JSON"
LABEL_STUDIO_MIN = "Label Studio JSON-MIN"
DOCCANO = "doccano"
SPACY = "spaCy"
PLAIN = "JSON with spans"
BRAT = "brat"

CODE_POINTS = "code points"
UTF16 = "UTF-16 code units"

UNITS = {
    LABEL_STUDIO: CODE_POINTS,
    LABEL_STUDIO_MIN: CODE_POINTS,
    DOCCANO: UTF16,
    SPACY: CODE_POINTS,
    PLAIN: CODE_POINTS,
    BRAT: CODE_POINTS,
}
"""The unit of the offsets in each format."""

_STARTS = ("start", "start_offset", "begin")
_ENDS = ("end", "end_offset")
_TYPES = ("labels", "label", "type", "entity_type", "tag")
_LISTS = ("spans", "entities", "ents", "label", "labels", "annotations")
_REJECTED = {"reject", "ignore"}
"""Values of Prodigy's ``answer`` for examples that are not used for training."""


@dataclass(frozen=True, slots=True)
class RawSpan:
    """A span as written in the file.

    Args:
        start: offset of its first character, in the unit of the file.
        end: offset after its last character.
        kind: its type.
        text: the text that the span covers, if the file repeats it.
        refusal: why it cannot be used, ``""`` if it can.
    """

    start: int
    end: int
    kind: str
    text: str | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A text with its raw spans.

    Args:
        text: the text.
        spans: all of them, including those that cannot be used.
        line: line in the file, or number of the record in a JSON array, from 1.
        skipped: number of annotations that are not used, by kind.
        is_finished: whether an annotator finished it; if not, a text without spans means nothing.
    """

    text: str
    spans: tuple[RawSpan, ...]
    line: int
    skipped: Mapping[str, int]
    is_finished: bool = True


def format_of(value: Any) -> str | None:
    """The format of a record, or ``None`` if it cannot be recognised (a text without spans).

    Args:
        value: a parsed record.
    """
    if _is_spacy(value):
        return SPACY
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("data"), dict) and ("annotations" in value or "completions" in value):
        return LABEL_STUDIO
    for key, found in value.items():
        if not isinstance(found, list) or not found:
            continue
        first = found[0]
        if key == "ents":
            return SPACY
        if isinstance(first, dict) and isinstance(first.get("labels"), list) and "start" in first:
            return LABEL_STUDIO_MIN
        if key in {"label", "labels"} and isinstance(first, list):
            return DOCCANO
        if key in _LISTS and isinstance(first, dict) and "start_offset" in first:
            return DOCCANO
        if key in {"spans", "entities"}:
            return PLAIN
    return None


def is_rejected(value: Any) -> bool:
    """Whether an annotator rejected or ignored the record in Prodigy.

    Args:
        value: a parsed record.
    """
    return isinstance(value, dict) and value.get("answer") in _REJECTED


def record_of(value: Any, kind: str, line: int, where: str, text_key: str | None) -> Record:
    """The text and the spans of a record.

    Args:
        value: a parsed record.
        kind: its format.
        line: its line, or its number in an array, from 1.
        where: its file and place, for messages.
        text_key: key of the text; by default ``text``, or the key named in Label Studio's spans.

    Raises:
        DataError: no text under that key, or a span that does not have the format.
    """
    if _is_spacy(value):
        spans = [s for one in value[1]["entities"] for s in _spans(one, where)]
        return Record(_text({"text": value[0]}, "text", where), tuple(spans), line, {})
    if not isinstance(value, dict):
        raise errors.tags.unknown_record(where, value)
    if kind == LABEL_STUDIO:
        return _label_studio(value, line, where, text_key)
    text = _text(value, text_key or "text", where)
    lists = [key for key in _LISTS if isinstance(value.get(key), list)]
    if kind == LABEL_STUDIO_MIN:  # its key is the name of the control in the labelling interface
        lists = [key for key, found in value.items() if format_of({key: found}) == kind]
    elif not lists:
        raise errors.tags.unknown_record(where, value)
    # spaCy's ``Doc.to_json`` writes an empty list ``spans`` next to ``ents``.
    key = "ents" if "ents" in lists else lists[0] if lists else ""
    spans = [s for one in value.get(key, []) for s in _spans(one, where)]
    return Record(text, tuple(spans), line, {})


def _is_spacy(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], dict)
        and isinstance(value[1].get("entities"), list)
    )


def _text(value: Mapping[str, Any], key: str, where: str) -> str:
    text = value.get(key)
    if not isinstance(text, str):
        texts = {key: found for key, found in value.items() if isinstance(found, str)}
        longest_first = sorted(texts, key=lambda key: -len(texts[key]))
        raise errors.tags.no_text(where, key, longest_first)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise errors.tags.half_character(where) from None
    return text


def _spans(value: Any, where: str) -> Iterator[RawSpan]:
    """The spans of one entry of a list: one for each of its types."""
    start: Any = None
    end: Any = None
    kinds: Any = None
    text: Any = None
    if isinstance(value, list) and len(value) >= 3:
        start, end, kinds = value[:3]
    elif isinstance(value, dict):
        start, end, kinds = (_first(value, keys) for keys in (_STARTS, _ENDS, _TYPES))
        text = value.get("text")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    first, last = offset_of(start), offset_of(end)
    if (
        first is None
        or last is None
        or any(not isinstance(kind, str | int) or kind == "" for kind in kinds)
    ):
        raise errors.tags.bad_span(where, value)
    for kind in kinds:
        yield RawSpan(first, last, str(kind), text if isinstance(text, str) else None)


def _first(value: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """The value of the first of the keys that exists."""
    return next((value[key] for key in keys if key in value), None)


def _label_studio(value: Mapping[str, Any], line: int, where: str, text_key: str | None) -> Record:
    """A task of Label Studio: the first annotation that was not cancelled."""
    data = value.get("data")
    if not isinstance(data, dict):
        raise errors.tags.unknown_record(where, value)
    every = value.get("annotations", value.get("completions")) or []
    done = [one for one in every if isinstance(one, dict) and not one.get("was_cancelled")]
    results = done[0].get("result") or [] if done else []
    regions = [one for one in results if _kinds(_value(one))]
    spans: list[RawSpan] = []
    for region in regions:
        found = _value(region)
        places = {name: offset_of_text(found.get(name)) for name in ("start", "end")}
        if places["start"] is not None:
            spans += _spans({**found, **places}, where)
        else:  # hypertext: the places refer to the markup
            kinds = _kinds(found)
            spans += [RawSpan(0, 0, str(kind), refusal="marked in HTML") for kind in kinds]
    names = [text_key, *(one.get("to_name") for one in regions), "text"]
    texts = [key for key, found in data.items() if isinstance(found, str)]
    known = [name for name in names if name in texts] + (texts if len(texts) == 1 else [])
    text = _text(data, text_key or (known[0] if known else "text"), where)
    skipped = {
        "annotations by other annotators": max(0, len(done) - 1),
        "cancelled annotations": len(every) - len(done),
        "annotations that are no spans": len(results) - len(regions),
    }
    return Record(text, tuple(spans), line, skipped, is_finished=bool(done))


def _kinds(value: Mapping[str, Any]) -> list[Any]:
    """The types of a region; none if it is not a span."""
    found = value.get("labels", value.get("hypertextlabels"))
    return found if isinstance(found, list) else []


def _value(region: Any) -> Mapping[str, Any]:
    """The value of a region; empty if it has none."""
    found = region.get("value") if isinstance(region, dict) else None
    return found if isinstance(found, dict) else {}
