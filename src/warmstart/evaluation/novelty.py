"""How much of what a model writes it read in training: the longest copies, and how often.

A model that repeats its training rows word for word has learned them by heart, and its samples say
nothing about what it can write. So the samples are held against all training rows:

- the longest passage of a sample that stands verbatim in a training row;
- the share of the samples' 8-grams (8 words in a row) that stand in a training row;
- whole samples, and sentences of 8 words or more, that stand verbatim in a training row;
- distinct-1, -2, -3: different n-grams ÷ n-grams of all samples, low where they repeat themselves
  (Li et al. 2016, arXiv:1510.03055, section 5).

**Word**: what stands between white space; in scripts that write no spaces (Chinese, Japanese, Thai,
Lao, Khmer, Burmese) and in full-width punctuation every character is a word. Upper and lower case
differ, punctuation belongs to the word it touches, one white space is like another.

The samples are few and the training rows many, so the samples are indexed and the rows stream past
once: a suffix automaton of the samples' words (Blumer et al. 1985) reads the rows and notes of each
of its states the longest passage that was met. From that comes, of each word of a sample, how long
the passage is that ends there and stands in a row ("matching statistics", Chang & Lawler 1994);
everything above is read off that one list. Memory grows with the samples alone, time with the rows.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

WORDS = 8
"""A run of so many words is told apart from chance: the n of the n-grams, the least sentence."""

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao; Burmese; Khmer
    "\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Chinese characters
    "\uff00-\uffef\U00020000-\U0003ffff"  # full-width forms, rare Chinese characters
)
_WORD = re.compile(rf"[{_SPACELESS}]|[^\s{_SPACELESS}]+")
_SENTENCE_END = re.compile(r"""[.!?…]["'”’»)\]]*$|[。！？]$""")


@dataclass(frozen=True, slots=True)
class Novelty:
    """Samples held against training rows. Shares are None where there is nothing to share.

    Args:
        samples: how many.
        words: in all of them.
        longest_words: length of the longest passage that stands in a training row, in words.
        longest_characters: its length in characters.
        longest_passage: itself, as the sample has it.
        ngrams: 8-grams in all samples, repeated ones counted.
        seen_ngrams: share of these that stand in a training row.
        distinct_1: different words ÷ words.
        distinct_2: different pairs of words in a row ÷ such pairs.
        distinct_3: the same for three.
        regurgitated: samples, and sentences of 8 words or more of the others, that stand in a
            training row; each once, in order.
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
    """Hold samples against training rows.

    Args:
        samples: what a model wrote.
        training: the texts it was trained on; read once, one at a time.

    >>> found = novelty(["I saw the cat today"], ["he saw the cat run", "I saw a dog"])
    >>> found.longest_passage, found.longest_words, found.distinct_1
    ('saw the cat', 3, 1.0)
    """
    texts = [[(m[0], m.start(), m.end()) for m in _WORD.finditer(sample)] for sample in samples]
    automaton = _Automaton()
    states = [automaton.add([word for word, _, _ in text]) for text in texts]
    for row in training:
        automaton.read(match[0] for match in _WORD.finditer(row))
    met = automaton.longest_met()
    # Of each sample, for each of its words: words of the longest passage ending there and met.
    lengths = [[met[state] for state in ends] for ends in states]

    words, start, sample = max(
        ((n, i, s) for s, ends in enumerate(lengths) for i, n in enumerate(ends)),
        key=lambda found: found[0],
        default=(0, 0, 0),
    )
    passage = (
        _passage(samples[sample], texts[sample], start + 1 - words, start + 1) if words else ""
    )
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
"""The words of a sample, each with the characters it stands at: from, up to."""


def _passage(sample: str, text: Spans, start: int, stop: int) -> str:
    """The words from ``start`` up to ``stop``, as the sample has them."""
    return sample[text[start][1] : text[stop - 1][2]]


def _distinct(texts: Sequence[Spans], n: int) -> float | None:
    """Different n-grams ÷ n-grams."""
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
    """Samples that stand in a row as a whole, and long enough sentences of the others."""
    for sample, text, met in zip(samples, texts, lengths, strict=True):
        if text and met[-1] >= len(text):
            yield _passage(sample, text, 0, len(text))
            continue
        for start, stop in _sentences(sample, text):
            if stop - start >= WORDS and met[stop - 1] >= stop - start:
                yield _passage(sample, text, start, stop)


def _sentences(sample: str, text: Spans) -> Iterator[tuple[int, int]]:
    """Where sentences begin and end, in words: at a full stop or its like, or at the line's end."""
    start = 0
    for i, (word, _, end) in enumerate(text):
        last = i + 1 == len(text)
        if last or _SENTENCE_END.search(word) or "\n" in sample[end : text[i + 1][1]]:
            yield start, i + 1
            start = i + 1


class _Automaton:
    """The suffix automaton of several texts: a state for each set of passages that end alike.

    State 0 is the empty passage. ``link`` leads from a state to the state of its passages' longest
    endings that also end elsewhere; ``length`` is that of a state's longest passage.
    """

    def __init__(self) -> None:
        self._next: list[dict[Hashable, int]] = [{}]
        self._link = [-1]
        self._length = [0]
        self._met = [0]
        self._last = 0

    def add(self, words: Sequence[str]) -> list[int]:
        """Take a text in; the state of each of its beginnings."""
        states = [self._extend(word) for word in words]
        self._extend(None)  # a word that no row has: no passage runs from one text to the next
        return states

    def _extend(self, word: str | None) -> int:
        """Put a word behind all that was taken in."""
        current = self._state({}, self._length[self._last] + 1, 0)
        state, self._last = self._last, current
        while state >= 0 and word not in self._next[state]:
            self._next[state][word] = current
            state = self._link[state]
        if state < 0:
            return current
        target = self._next[state][word]
        if self._length[target] > self._length[state] + 1:
            # Shorter passages of the target end here too, its longer ones do not: they part.
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
        self._met.append(0)
        return len(self._next) - 1

    def read(self, words: Iterable[str]) -> None:
        """Let a training row pass, noting the longest passage met at each state."""
        following, link, lengths, met = self._next, self._link, self._length, self._met
        state = length = 0
        for word in words:
            target = following[state].get(word)
            while target is None and state:
                state = link[state]
                length = lengths[state]
                target = following[state].get(word)
            if target is None:
                continue
            state = target
            length += 1
            if length > met[state]:
                met[state] = length

    def longest_met(self) -> list[int]:
        """Of each state, the longest of its passages, or of their endings, that any row had."""
        met = list(self._met)
        by_length = sorted(range(1, len(met)), key=self._length.__getitem__)
        for state in reversed(by_length):
            if met[state] and self._link[state] > 0:
                met[self._link[state]] = self._length[self._link[state]]
        for state in by_length:
            met[state] = met[state] or met[self._link[state]]
        return met
