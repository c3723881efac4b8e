"""Words and characters: split texts into words, and map character spans to words and back.

A word is a sequence of letters, digits and underscores with their combining marks, or any other
single visible character. In scripts without spaces between words (Chinese, Japanese, Thai, Lao,
Khmer, Burmese) every character is a word, with its combining marks. White space and invisible
format characters belong to no word. Offsets count Unicode code points, as Python does.

Character spans are mapped to spans of words. There are three outcomes, whose counts add up to the
number of input spans:

- kept: its borders are borders of words;
- snapped: widened (or, over white space, narrowed) to the borders of all words that it touches;
- refused: it is empty, outside of its text, touches no word, is a duplicate, or shares a word with
  another span. A word can have only one type, so if spans share a word, the one with the most
  words is used; if they are equally long, the first in the text, then the first in the input.

Letters: N texts, W words, S spans.

Source: Unicode Standard Annex 44 (general categories) and 24 (scripts).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np

from warmstart.data.tags.spans import Bools, Ints, Spans

KEPT, SNAPPED, REFUSED = range(3)
"""Outcomes of a span."""

REASONS = ("", "empty", "outside of the text", "no word inside", "repeated", "overlaps another")
"""Why a span was refused, by number; 0 if it was not refused."""

_NO_REASON, _EMPTY, _OUTSIDE, _NO_WORD, _REPEATED, _OVERLAPS = range(6)

_SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration mark, closing mark, zero
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # small Katakana
    (0x3400, 0x4DBF),  # Chinese characters, extension A
    (0x4E00, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),  # compatibility characters
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x20000, 0x323AF),  # Chinese characters, extensions B to H
)
_LONGEST_WORD = 200
"""Characters before a span among which the beginning of its first word is searched."""
_JOINERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner: inside words of Persian and of Indian languages."""


@dataclass(frozen=True, slots=True)
class TextWords:
    """The W words of N texts.

    Args:
        starts: first character of each word in its text, int64 [W].
        ends: index after its last character, int64 [W].
        bounds: text i has the words ``bounds[i]`` to ``bounds[i + 1] - 1``, int64 [N + 1].
        lengths: number of characters of each text, int64 [N].
    """

    starts: Ints
    ends: Ints
    bounds: Ints
    lengths: Ints

    def texts(self, texts: Sequence[str]) -> list[list[str]]:
        """The words themselves, one list for each text.

        Args:
            texts: the N texts that were split.
        """
        pairs = list(zip(self.starts.tolist(), self.ends.tolist(), strict=True))
        bounds = self.bounds.tolist()
        return [
            [text[start:end] for start, end in pairs[bounds[index] : bounds[index + 1]]]
            for index, text in enumerate(texts)
        ]


@dataclass(frozen=True, slots=True)
class Alignment:
    """S character spans, as spans of words.

    Args:
        spans: the spans that were kept or snapped, with borders in words, in the order of the text.
        source: index of each of them among the input spans, which have the original offsets, int64.
        outcomes: ``KEPT``, ``SNAPPED`` or ``REFUSED`` for every input span, int64 [S].
        reasons: index in ``REASONS`` for every input span, int64 [S].
    """

    spans: Spans
    source: Ints
    outcomes: Ints
    reasons: Ints

    def counts(self) -> dict[str, int]:
        """Number of spans that were kept, snapped and refused; the sum is S."""
        kept, snapped, refused = np.bincount(self.outcomes, minlength=3).tolist()
        return {"kept": kept, "snapped": snapped, "refused": refused}

    def refusals(self) -> dict[str, int]:
        """Number of refused spans for each reason that occurs."""
        counts = np.bincount(self.reasons, minlength=len(REASONS)).tolist()
        found = zip(REASONS, counts, strict=True)
        return {reason: count for reason, count in found if reason and count}


def word_offsets(text: str) -> list[tuple[int, int]]:
    """Start and end of each word of a text.

    Args:
        text: any text.

    >>> text = "Don't go to 東京!"
    >>> [text[start:end] for start, end in word_offsets(text)]
    ['Don', "'", 't', 'go', 'to', '東', '京', '!']
    """
    return [match.span() for match in _pattern().finditer(text)]


def split_words(texts: Iterable[str]) -> TextWords:
    """The words of several texts.

    Args:
        texts: N texts.
    """
    offsets, lengths = [], []
    for text in texts:
        offsets.append(word_offsets(text))
        lengths.append(len(text))
    return _text_words(offsets, lengths)


def joined_words(sentences: Iterable[Sequence[str]]) -> tuple[list[str], TextWords]:
    """Make texts from sentences that are already split (CoNLL files): words with spaces between.

    Args:
        sentences: the words of N sentences.

    >>> texts, words = joined_words([["New York", "!"]])
    >>> texts, words.starts.tolist()
    (['New York !'], [0, 9])
    """
    offsets, texts = [], []
    for sentence in sentences:
        texts.append(" ".join(sentence))
        ends = np.cumsum([len(word) + 1 for word in sentence]).tolist()
        starts = [0, *ends][: len(sentence)]
        offsets.append([(start, end - 1) for start, end in zip(starts, ends, strict=True)])
    return texts, _text_words(offsets, [len(text) for text in texts])


def align_spans(words: TextWords, spans: Spans) -> Alignment:
    """Map character spans to words.

    Args:
        words: the words of N texts.
        spans: S spans of the same texts, with borders in characters.

    >>> from warmstart.data.tags.spans import spans_from_lists
    >>> spans = spans_from_lists([[(0, 8, "LOC"), (9, 13, "LOC"), (13, 13, "LOC")]])
    >>> found = align_spans(split_words(["New York Boston"]), spans)
    >>> found.counts(), found.refusals(), found.spans.to_lists(1)
    ({'kept': 1, 'snapped': 1, 'refused': 1}, {'empty': 1}, [[(0, 2, 'LOC'), (2, 3, 'LOC')]])
    """
    reasons = np.full(len(spans), _NO_REASON, np.int64)
    length = words.lengths[spans.rows]
    reasons[spans.ends <= spans.starts] = _EMPTY
    reasons[(spans.starts < 0) | (spans.ends > length) | (spans.starts > length)] = _OUTSIDE
    # One axis for all texts: a text begins where the previous one ends.
    base = np.concatenate([np.zeros(1, np.int64), np.cumsum(words.lengths)])
    text_of = np.repeat(np.arange(len(words.lengths)), np.diff(words.bounds))
    starts, ends = words.starts + base[text_of], words.ends + base[text_of]
    from_character, to_character = spans.starts + base[spans.rows], spans.ends + base[spans.rows]
    # The first word that ends after the span's start, and the last that starts before its end.
    first = np.searchsorted(ends, from_character, "right")
    stop = np.searchsorted(starts, to_character, "left")
    reasons[(reasons == _NO_REASON) & (first >= stop)] = _NO_WORD
    usable = np.flatnonzero(reasons == _NO_REASON)
    reasons[usable] = _conflicts(first[usable], stop[usable], spans.types[usable], len(starts))
    source = np.flatnonzero(reasons == _NO_REASON)
    source = source[np.argsort(first[source], kind="stable")]
    outcomes = np.full(len(spans), REFUSED, np.int64)
    is_exact = starts[first[source]] == from_character[source]
    is_exact &= ends[stop[source] - 1] == to_character[source]
    outcomes[source] = np.where(is_exact, KEPT, SNAPPED)
    rows = spans.rows[source]
    first, stop = (place[source] - words.bounds[rows] for place in (first, stop))
    aligned = Spans(rows, first, stop, spans.types[source], spans.names)
    return Alignment(aligned, source, outcomes, reasons)


def character_spans(words: TextWords, spans: Spans) -> Spans:
    """The same spans with borders in characters, from the first word's start to the last's end.

    Args:
        words: the words of N texts.
        spans: spans of the same texts, with borders in words.
    """
    first = words.bounds[spans.rows] + spans.starts
    last = words.bounds[spans.rows] + spans.ends - 1
    return Spans(spans.rows, words.starts[first], words.ends[last], spans.types, spans.names)


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """A span extended to the whole words of which it has a part.

    Args:
        text: the text.
        start: its first character.
        end: the index after its last character.

    >>> whole_words("Ada Lovelace, in 1843", 8, 12)  # lace
    (4, 12)
    """
    begin = start
    while begin > max(0, start - _LONGEST_WORD) and not text[begin - 1].isspace():
        begin -= 1
    for match in _pattern().finditer(text, begin):
        if match.start() >= end:
            break
        if match.end() > start:
            start, end = min(start, match.start()), max(end, match.end())
    return start, end


def _text_words(offsets: Sequence[Sequence[tuple[int, int]]], lengths: Sequence[int]) -> TextWords:
    flat = np.array(list(chain.from_iterable(offsets)), np.int64).reshape(-1, 2)
    counts = np.array([len(one) for one in offsets], np.int64)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    return TextWords(flat[:, 0].copy(), flat[:, 1].copy(), bounds, np.array(lengths, np.int64))


def _conflicts(first: Ints, stop: Ints, types: Ints, words: int) -> Ints:
    """Why each span is refused because of another span, 0 if it is not, int64 [S].

    Args:
        first: first word of each span, counted over all texts, int64 [S].
        stop: index after its last word, int64 [S].
        types: its type, int64 [S].
        words: number of words, W.
    """
    reasons = np.full(len(first), _NO_REASON, np.int64)
    for position in _contested(first, stop, words):
        reasons[position] = _OVERLAPS
    order = np.flatnonzero(reasons == _OVERLAPS)
    order = order[np.lexsort((order, first[order], first[order] - stop[order]))]
    taken = np.zeros(words, np.bool_)
    seen: set[tuple[int, int, int]] = set()
    for position in order.tolist():
        begin, end, kind = int(first[position]), int(stop[position]), int(types[position])
        if (begin, end, kind) in seen:
            reasons[position] = _REPEATED
        elif not taken[begin:end].any():
            taken[begin:end] = True
            reasons[position] = _NO_REASON
        seen.add((begin, end, kind))
    return reasons


def _contested(first: Ints, stop: Ints, words: int) -> Ints:
    """Positions of the spans that share a word with another span."""
    changes = np.bincount(first, minlength=words + 1) - np.bincount(stop, minlength=words + 1)
    is_shared: Bools = np.cumsum(changes)[:words] > 1
    shared = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_shared)])
    return np.flatnonzero(shared[stop] > shared[first])


@cache
def _pattern() -> re.Pattern[str]:
    """A regular expression for one word; Python's own word class lacks combining marks."""
    planes = chain(range(0x20000), range(0xE0000, 0xE0200))
    categories = [(code, unicodedata.category(chr(code))) for code in planes]
    marks = _class(code for code, category in categories if category.startswith("M"))
    hidden = _class(code for code, category in categories if category in {"Cc", "Cf", "Cs"})
    spaceless = "".join(f"{chr(low)}-{chr(high)}" for low, high in _SPACELESS)
    # Combining marks of Thai are in the range of its letters, and must follow a letter.
    alone = rf"(?![{marks}])[{spaceless}][{marks}]*"
    run = rf"[^\W{spaceless}](?:[^\W{spaceless}]|[{marks}{_JOINERS}])*"
    return re.compile(rf"{alone}|{run}|[^\s{hidden}][{marks}]*")


def _class(codes: Iterable[int]) -> str:
    """The characters as ranges for the inside of a regular expression's brackets."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
