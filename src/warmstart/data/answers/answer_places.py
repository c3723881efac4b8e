"""Find the answers of a table in their contexts, and repair offsets that are a little wrong.

An offset should count characters (code points) from 0. It may also count UTF-8 bytes or UTF-16
units: the unit of a table is the one with which most of its answers are at their offsets (at least
two), and characters if two units are equally good.

An answer that is not at its offset is *repaired* if the difference is explained: white space
(other white space in the answer than in the context, offsets of a context whose white space was
collapsed, a shift of at most two characters) or Unicode normalisation (the answer, or the text that
the offset counts, was normalised to NFC, NFD, NFKC or NFKD). The repaired answer is the part of the
context. Everything else is an error: a place that is only similar could be another one.

Letters: N rows, A answers of all rows, K different contexts.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from warmstart import errors
from warmstart.data.answers.answer_columns import REFERENCES
from warmstart.data.answers.contexts import Contexts
from warmstart.data.table import Table
from warmstart.data.tags.spans import Ints

UNITS = ("characters", "UTF-8 bytes", "UTF-16 units")
"""What offsets may count; the first is the one that is meant."""

WHITE_SPACE, UNICODE = "white space", "Unicode normalisation"
"""Why an answer was repaired."""

_SHIFT = 2
"""Largest difference of an offset, in characters, that is not explained by anything else."""

_EVIDENCE = 2
"""Smallest number of answers that prove another unit: one alone may be shifted."""

_SHOWN_PLACES = 3
_FORMS: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")


@dataclass(frozen=True, slots=True)
class AnswerPlaces:
    """The reference answers of N questions, A in all.

    Args:
        bounds: question i has the answers ``bounds[i]`` to ``bounds[i + 1] - 1``; none if it has no
            answer, int64 [N + 1].
        starts: first character of each answer in its context, int64 [A].
        ends: the index after its last character, int64 [A].
        texts: the answers, A texts; after a repair, the part of the context.
        unit: what the offsets of the file count, one of ``UNITS``.
        repaired: number of answers that were repaired, by reason.
    """

    bounds: Ints
    starts: Ints
    ends: Ints
    texts: tuple[str, ...]
    unit: str = UNITS[0]
    repaired: tuple[tuple[str, int], ...] = ()

    def by_question(self) -> list[tuple[str, ...]]:
        """The reference answers of each question, N lists; an empty one without an answer."""
        return [self.texts[start:stop] for start, stop in pairwise(self.bounds.tolist())]


def answer_places(table: Table, contexts: Contexts) -> AnswerPlaces:
    """The answers of a table, found in their contexts.

    Args:
        table: N rows with the column ``reference_answers``.
        contexts: their contexts.

    Raises:
        DataError: an answer is not in its context.
    """
    given = table.columns.column(REFERENCES).to_pylist()
    bounds = np.concatenate([[0], np.cumsum([len(answers) for answers in given])]).astype(np.int64)
    unit = _unit(given, contexts)
    starts, ends, texts = [], [], []
    repairs: Counter[str] = Counter()
    for row, (answers, text) in enumerate(zip(given, contexts, strict=True)):
        for answer in answers:
            start = _characters(text, answer["start"], unit)
            place = _found(text, answer["text"], start)
            if place is None:
                raise _not_found(table.where(row), text, answer["text"], start)
            begin, end, reason = place
            starts.append(begin)
            ends.append(end)
            texts.append(answer["text"] if reason is None else text[begin:end])
            if reason is not None:
                repairs[reason] += 1
    first, last = (np.array(values, dtype=np.int64) for values in (starts, ends))
    return AnswerPlaces(bounds, first, last, tuple(texts), unit, tuple(sorted(repairs.items())))


def _unit(given: Sequence[list[dict[str, Any]]], contexts: Contexts) -> str:
    """The unit with which most answers are at their offsets.

    In an ASCII context the offsets are the same in every unit, so it proves nothing.
    """
    right = dict.fromkeys(UNITS, 0)
    for answers, text in zip(given, contexts, strict=True):
        if text.isascii():
            continue
        for answer in answers:
            for unit in UNITS:
                place = _characters(text, answer["start"], unit)
                right[unit] += text.startswith(answer["text"], place)
    best = max(UNITS, key=lambda unit: right[unit])  # the first of equally good ones
    return best if right[best] >= _EVIDENCE else UNITS[0]


def _characters(text: str, offset: int, unit: str) -> int:
    """An offset in characters."""
    if unit == UNITS[0] or offset < 0 or text.isascii():
        return max(offset, 0)
    code, width = ("utf-8", 1) if unit == UNITS[1] else ("utf-16-le", 2)
    return len(_encoded(text, code)[: offset * width].decode(code, "ignore"))


@lru_cache(maxsize=4)
def _encoded(text: str, code: str) -> bytes:
    return text.encode(code)


def _found(text: str, answer: str, start: int) -> tuple[int, int, str | None] | None:
    """Start and end of an answer in its context, and why it was repaired; None if not found."""
    if text.startswith(answer, start):
        stripped = answer.strip()
        begin = start + answer.index(stripped)
        return begin, begin + len(stripped), None
    form = _compared(answer)
    sought = form.strip()
    clusters = _clusters(text)
    tried: set[int] = set()
    for guess in clusters.places(start):
        for shift in sorted(range(-_SHIFT, _SHIFT + 1), key=abs):
            place = guess + shift
            if place in tried or not 0 <= place < len(clusters.forms):
                continue
            tried.add(place)
            if clusters.joined.startswith(sought, clusters.offsets[place]):
                begin, end = clusters.span(place, len(sought))
                if end is not None and begin < end:
                    same = " ".join(answer.split()) == " ".join(text[begin:end].split())
                    return begin, end, WHITE_SPACE if same else UNICODE
    return None


@dataclass(frozen=True, slots=True)
class _Clusters:
    """A context as clusters: a character with the combining marks after it, or white space.

    Args:
        starts: first character of each cluster, and the length of the context.
        forms: each cluster as it is compared: NFKC, and one space for white space.
        offsets: where each form begins in ``joined``, and its length.
        joined: all forms end to end.
        counted: for each way to count offsets, where each cluster begins.
    """

    starts: list[int]
    forms: list[str]
    offsets: list[int]
    joined: str
    counted: list[list[int]]

    def places(self, offset: int) -> Iterator[int]:
        """The cluster at an offset, for each way to count."""
        for begins in self.counted:
            yield int(np.searchsorted(begins, offset, side="right")) - 1

    def span(self, first: int, length: int) -> tuple[int, int | None]:
        """Start and end in the context of ``length`` compared characters, without white space.

        The end is None if it would be inside a cluster.
        """
        stop = self.offsets[first] + length
        last = int(np.searchsorted(self.offsets, stop))
        end = self.starts[last] if self.offsets[last] == stop else None
        return self.starts[first], end


@lru_cache(maxsize=4)
def _clusters(text: str) -> _Clusters:
    bounds = [0]
    for place in range(1, len(text)):
        spaces = text[place].isspace() and text[place - 1].isspace()
        if not (spaces or _continues(text[place])):
            bounds.append(place)
    parts = [text[start:stop] for start, stop in pairwise([*bounds, len(text)])]
    forms = [_compared(part) for part in parts]
    counted = [_totals(map(len, parts))]
    for form in _FORMS:
        lengths = [len(unicodedata.normalize(form, part)) for part in parts]
        counted.append(_totals(lengths))
    collapsed = [1 if part.isspace() else len(part) for part in parts]
    before = len(parts[0]) if parts[0].isspace() else 0
    counted += [_totals(collapsed), [one - bool(before) for one in _totals(collapsed)]]
    starts = [*bounds, len(text)]
    return _Clusters(starts, forms, _totals(map(len, forms)), "".join(forms), counted)


def _continues(character: str) -> bool:
    """Whether a character belongs to the one before it: a combining mark, a Korean vowel."""
    return unicodedata.combining(character) > 0 or "\u1160" <= character <= "\u11ff"


def _compared(text: str) -> str:
    """A text in NFKC, with one space for white space."""
    return _one_space(unicodedata.normalize("NFKC", text))


def _one_space(text: str) -> str:
    inside = " ".join(text.split())
    if not inside:
        return " " if text else ""
    return " " * text[0].isspace() + inside + " " * text[-1].isspace()


def _totals(lengths: Any) -> list[int]:
    """Where each part begins, and the total."""
    return list(accumulate(lengths, initial=0))


def _not_found(where: str, text: str, answer: str, start: int) -> errors.DataError:
    elsewhere: list[int] = []
    place = text.find(answer)
    while place >= 0 and len(elsewhere) < _SHOWN_PLACES:
        elsewhere.append(place)
        place = text.find(answer, place + 1)
    found = text[start : start + len(answer)]
    return errors.answers.not_in_context(where, answer, start, found, elsewhere)


def reference_column(places: AnswerPlaces) -> pa.Array:
    """The answers in the form of ``reference_answers``, N lists."""
    answers = [
        {"text": text, "start": start}
        for text, start in zip(places.texts, places.starts.tolist(), strict=True)
    ]
    flat = pa.array(answers, pa.struct([("text", pa.string()), ("start", pa.int64())]))
    return pa.ListArray.from_arrays(pa.array(places.bounds, pa.int32()), flat)
