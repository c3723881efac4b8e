"""Novelty: how much of a model's generated text is copied from its training rows.

A model that repeats its training rows word for word has memorised them, and its samples do not show
what it can generate. So the samples are compared with all training rows:

- the longest passage of a sample that occurs verbatim in a training row;
- the share of the samples' 8-grams (8 words in sequence) that occur in a training row;
- whole samples, and sentences of 8 words or more, that occur verbatim in a training row;
- distinct-1, -2, -3: the number of different n-grams divided by the number of n-grams of all
  samples; low if the samples repeat themselves (Li et al. 2016, arXiv:1510.03055, section 5).

**Word**: the text between white space. In scripts without spaces (Chinese, Japanese, Thai, Lao,
Khmer, Burmese) and in full-width punctuation, every character is a word. Case matters, punctuation
belongs to the word that it touches, and all white space is equal.

There are few samples and many training rows, so the samples are indexed and the rows are read once.
A suffix automaton of the samples' words (Blumer et al. 1985) processes the rows and records, for
each state, the longest passage that occurred. This gives, for each word of a sample, the length of
the longest passage that ends there and occurs in a row ("matching statistics", Chang & Lawler
1994), from which all values above follow. Memory depends only on the samples, time on the rows.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

WORDS = 8
"""Size of the n-grams and of the shortest sentence to report: 8 equal words are hardly a
coincidence."""

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao; Burmese; Khmer
    "\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Chinese characters
    "\uff00-\uffef\U00020000-\U0003ffff"  # full-width forms, rare Chinese characters
)
_WORD = re.compile(rf"[{_SPACELESS}]|[^\s{_SPACELESS}]+")
_SENTENCE_END = re.compile(r"""[.!?…]["'”’»)\]]*$|[。！？]$""")


@dataclass(frozen=True, slots=True)
class Novelty:
    """Comparison of samples with training rows. A share is None if its denominator is 0.

    Args:
        samples: number of samples.
        words: number of words in all samples.
        longest_words: length of the longest passage that occurs in a training row, in words.
        longest_characters: its length in characters.
        longest_passage: the passage itself, as in the sample.
        ngrams: number of 8-grams in all samples, with repetitions.
        seen_ngrams: share of the 8-grams that occur in a training row.
        distinct_1: number of different words divided by the number of words.
        distinct_2: the same for pairs of neighbouring words.
        distinct_3: the same for three words in sequence.
        regurgitated: samples that occur in a training row as a whole, and sentences of at least 8
            words of other samples that do; each once, in order.
    """

    samples: int
    words: int
    longest_words: int
    longest_characters: int
    longest_passage: str
    ngrams: int
    seen_ngrams: float | None
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    regurgitated: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Every field by its name."""
        return {**asdict(self), "regurgitated": list(self.regurgitated)}


def novelty(samples: Sequence[str], training: Iterable[str]) -> Novelty:
    """Compare samples with training rows.

    Args:
        samples: generated texts.
        training: the texts of the training rows; iterated once.

    >>> result = novelty(["I saw the cat today"], ["he saw the cat run", "I saw a dog"])
    >>> result.longest_passage, result.longest_words, result.distinct_1
    ('saw the cat', 3, 1.0)
    """
    texts = [[(m[0], m.start(), m.end()) for m in _WORD.finditer(sample)] for sample in samples]
    automaton = _Automaton()
    states = [automaton.add([word for word, _, _ in text]) for text in texts]
    for row in training:
        automaton.read(match[0] for match in _WORD.finditer(row))
    matched = automaton.longest_matches()
    # For each word of each sample: the length of the longest passage that ends there and occurs in
    # a training row, in words.
    lengths = [[matched[state] for state in ends] for ends in states]

    words, last, sample = max(
        ((n, i, s) for s, ends in enumerate(lengths) for i, n in enumerate(ends)),
        key=lambda candidate: candidate[0],
        default=(0, 0, 0),
    )
    passage = _passage(samples[sample], texts[sample], last + 1 - words, last + 1) if words else ""
    # An 8-gram occurs in a row if the passage that ends at its last word has 8 words or more.
    seen = [n >= WORDS for ends in lengths for n in ends[WORDS - 1 :]]
    return Novelty(
        samples=len(samples),
        words=sum(map(len, texts)),
        longest_words=words,
        longest_characters=len(passage),
        longest_passage=passage,
        ngrams=len(seen),
        seen_ngrams=sum(seen) / len(seen) if seen else None,
        distinct_1=_distinct(texts, 1),
        distinct_2=_distinct(texts, 2),
        distinct_3=_distinct(texts, 3),
        regurgitated=tuple(dict.fromkeys(_regurgitated(samples, texts, lengths))),
    )


Spans = Sequence[tuple[str, int, int]]
"""The words of a sample, each with its start and end as character positions."""


def _passage(sample: str, text: Spans, start: int, stop: int) -> str:
    """The text of the words from ``start`` to ``stop`` (excluded)."""
    return sample[text[start][1] : text[stop - 1][2]]


def _distinct(texts: Sequence[Spans], n: int) -> float | None:
    """Number of different n-grams divided by the number of n-grams."""
    different: set[tuple[str, ...]] = set()
    count = 0
    for text in texts:
        words = [word for word, _, _ in text]
        for i in range(len(words) - n + 1):
            different.add(tuple(words[i : i + n]))
            count += 1
    return len(different) / count if count else None


def _regurgitated(
    samples: Sequence[str], texts: Sequence[Spans], lengths: Sequence[Sequence[int]]
) -> Iterator[str]:
    """Samples that occur in a row as a whole, and long enough sentences of the other samples."""
    for sample, text, matched in zip(samples, texts, lengths, strict=True):
        if text and matched[-1] >= len(text):
            yield _passage(sample, text, 0, len(text))
            continue
        for start, stop in _sentences(sample, text):
            if stop - start >= WORDS and matched[stop - 1] >= stop - start:
                yield _passage(sample, text, start, stop)


def _sentences(sample: str, text: Spans) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, in words; it ends at ``.!?…。！？`` or a line end."""
    start = 0
    for i, (word, _, end) in enumerate(text):
        last = i + 1 == len(text)
        if last or _SENTENCE_END.search(word) or "\n" in sample[end : text[i + 1][1]]:
            yield start, i + 1
            start = i + 1


class _Automaton:
    """The suffix automaton of several texts.

    A state represents all passages that end at the same positions; state 0 is the empty passage.
    ``length`` is the length of a state's longest passage. ``link`` (the suffix link) leads to the
    state of the longest suffix that also ends at other positions.
    """

    def __init__(self) -> None:
        self._next: list[dict[Hashable, int]] = [{}]
        self._link = [-1]
        self._length = [0]
        self._matched = [0]  # per state: longest of its passages that occurred in a row
        self._last = 0

    def add(self, words: Sequence[str]) -> list[int]:
        """Add a text, and return the state of each of its prefixes."""
        states = [self._extend(word) for word in words]
        # A separator that no row contains, so that no passage continues into the next text.
        self._extend(None)
        return states

    def _extend(self, word: str | None) -> int:
        """Append a word to the automaton, and return the state of the whole text so far."""
        current = self._state({}, self._length[self._last] + 1, 0)
        state, self._last = self._last, current
        while state >= 0 and word not in self._next[state]:
            self._next[state][word] = current
            state = self._link[state]
        if state < 0:
            return current
        target = self._next[state][word]
        if self._length[target] > self._length[state] + 1:
            # Only the shorter passages of the target also end here: split them off as a new state.
            longer = target
            target = self._state(
                dict(self._next[longer]), self._length[state] + 1, self._link[longer]
            )
            self._link[longer] = target
            while state >= 0 and self._next[state].get(word) == longer:
                self._next[state][word] = target
                state = self._link[state]
        self._link[current] = target
        return current

    def _state(self, following: dict[Hashable, int], length: int, link: int) -> int:
        self._next.append(following)
        self._length.append(length)
        self._link.append(link)
        self._matched.append(0)
        return len(self._next) - 1

    def read(self, words: Iterable[str]) -> None:
        """Process a training row, and record the longest passage that occurs at each state."""
        following, link, lengths, matched = self._next, self._link, self._length, self._matched
        state = length = 0
        for word in words:
            target = following[state].get(word)
            while target is None and state:  # drop words at the front until `word` can follow
                state = link[state]
                length = lengths[state]
                target = following[state].get(word)
            if target is None:
                continue
            state = target
            length += 1
            if length > matched[state]:
                matched[state] = length

    def longest_matches(self) -> list[int]:
        """For each state, the longest of its passages, or of their suffixes, that any row has."""
        matched = list(self._matched)
        by_length = sorted(range(1, len(matched)), key=self._length.__getitem__)
        # If a passage occurred, all its suffixes did: pass this on to the suffix links.
        for state in reversed(by_length):
            if matched[state] and self._link[state] > 0:
                matched[self._link[state]] = self._length[self._link[state]]
        # If no passage of a state occurred, its longest match is that of its suffix link.
        for state in by_length:
            matched[state] = matched[state] or matched[self._link[state]]
        return matched
