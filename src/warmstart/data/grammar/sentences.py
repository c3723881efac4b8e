"""The bundled corpus: English acceptability judgements, generated from a small grammar.

``warmstart demo`` uses it to show all steps without a network, on a real question: does a small
encoder know grammar? Each sentence is labelled acceptable (1) or not (0). The file has the four
columns of CoLA (Warstadt, Singh & Bowman 2019, arXiv:1805.12471), so that the same settings can be
used for CoLA.

**Why minimal pairs.** The two sentences of a minimal pair differ in one place and in their label,
as in BLiMP (Warstadt et al. 2020, arXiv:1912.00582); only that place can explain the label. Single
pairs are not enough: if ``are`` were wrong more often than right, counting it would help. Therefore
the pairs form *squares*, in which each word and each pair of neighbouring words occurs equally
often with both labels::

    The key near the doors is old.     *The key near the doors are old.
    The keys near the doors are old.   *The keys near the doors is old.

A classifier that counts words or pairs of neighbouring words learns nothing from a square. The test
split has no noun, verb, name or adjective in common with the other splits, so memorising words does
not help either.

The paradigms (the first column) test:

- ``agreement_phrase``, ``agreement_clause``: subject and verb agree in number, with another noun
  (Linzen, Dupoux & Goldberg 2016, arXiv:1611.01368) or a relative clause (Marvin & Linzen 2018,
  arXiv:1808.09031) between them;
- ``reflexive``: *herself* and *themselves* match the subject of their clause (Marvin & Linzen);
- ``determiner_noun``: *this* and *these* match the noun after the adjective;
- ``auxiliary``, ``tense``: the form of the verb matches its auxiliary, and its tense the time;
- ``inflection``: irregular verbs have irregular forms (not *bringed*); the only paradigm without
  squares;
- ``transitivity``, ``alternation``, ``complement``: which objects, prepositions and clauses a verb
  allows (classes of Levin 1993, *English Verb Classes and Alternations*);
- ``filler_gap``, ``island``, ``coordination``: a question word needs a gap, which must not be in an
  adjunct, in a relative clause, or in one part of a coordination (Ross 1967, *Constraints on
  Variables in Syntax*);
- ``polarity``, ``correlative``: words that occur together: *never … neither*, *more … than*.

Limits: this is the English of a small grammar and not English in general. The sentences are short,
there are few sentence patterns, and the labels are unambiguous. Training and test use the same
patterns. A score shows which patterns a model can learn and apply to new words, and nothing more.
"""

import re
from dataclasses import dataclass
from random import Random

from warmstart import errors
from warmstart.data.grammar.lexicon import DEVELOPMENT, TEST, Lexicon, Word
from warmstart.data.grammar.paradigms import ISLAND, PAIR, PARADIGMS, SQUARE

SPLITS = ("train", "validation", "test")
"""``train`` and ``validation`` use the same words, ``test`` uses others; no sentence repeats."""

_TRAIN_ROUNDS, _VALIDATION_ROUNDS, _TEST_ROUNDS = 16, 2, 4
"""A round is one block of each template. A block has two sentences for a pair, four for a square
and six for an island."""

_PLACE = re.compile(r"\[([^\[\]]*)\]")
_FREE_CHOICE = re.compile(r"<([^<>|]*)\|([^<>|]*)>")
_SLOT = re.compile(r"\{([a-z]+)(\d*)")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One labelled sentence, with the four columns of CoLA."""

    source: str
    """The paradigm."""
    label: int
    """1 if acceptable, else 0."""
    mark: str
    """Empty if acceptable, else ``*``."""
    text: str


def corpus(split: str, seed: int = 2018) -> list[Sentence]:
    """The sentences of one split; each acceptable sentence is followed by its unacceptable one.

    Args:
        split: one of ``SPLITS``.
        seed: selects the words; the same seed gives the same sentences on every machine.

    Returns:
        3,136 training, 392 validation or 784 test sentences, half of them acceptable.

    Raises:
        DataError: there is no such split.

    >>> for sentence in corpus("train")[:2]:
    ...     print(sentence.label, sentence.source, sentence.text)
    1 agreement_phrase The table near the windows is useful.
    0 agreement_phrase The table near the windows are useful.
    """
    if split not in SPLITS:
        known = [f"bundled/grammar/{name}" for name in SPLITS]
        raise errors.files.unknown_bundled(f"bundled/grammar/{split}", known)
    if split == "test":
        return _rounds(TEST, Random(f"{seed}/test"), 0, _TEST_ROUNDS)
    # Training and validation use one random stream, so that no sentence is in both.
    first, last = (
        (0, _TRAIN_ROUNDS)
        if split == "train"
        else (_TRAIN_ROUNDS, _TRAIN_ROUNDS + _VALIDATION_ROUNDS)
    )
    return _rounds(DEVELOPMENT, Random(f"{seed}/development"), first, last)


def tsv(split: str, seed: int = 2018) -> bytes:
    r"""The split in the file format of CoLA: TSV in UTF-8 without header and without quoting.

    Args:
        split: one of ``SPLITS``.
        seed: selects the words.

    Returns:
        One line per sentence, ending with ``\n``: source, label, mark, text.

    Raises:
        DataError: there is no such split.
    """
    lines = (f"{s.source}\t{s.label}\t{s.mark}\t{s.text}\n" for s in corpus(split, seed))
    return "".join(lines).encode()


def _rounds(lexicon: Lexicon, random: Random, first: int, last: int) -> list[Sentence]:
    """The sentences of the rounds ``first <= round < last``; earlier rounds are skipped."""
    seen: set[str] = set()
    sentences: list[Sentence] = []
    for number in range(last):
        for paradigm, templates in PARADIGMS.items():
            for template in templates:
                block = _new_block(paradigm, template, lexicon, random, seen)
                if number >= first:
                    sentences += block
    return sentences


def _new_block(
    paradigm: str, template: str, lexicon: Lexicon, random: Random, seen: set[str]
) -> list[Sentence]:
    """A block of sentences that are not in ``seen``; adds them to ``seen``."""
    while True:
        block = _block(paradigm, template, lexicon, random)
        texts = {sentence.text for sentence in block}
        if seen.isdisjoint(texts):
            seen |= texts
            return block


def _block(paradigm: str, template: str, lexicon: Lexicon, random: Random) -> list[Sentence]:
    """The sentences of one template with randomly chosen words, pair by pair."""
    template = _FREE_CHOICE.sub(lambda sides: sides[1 + _below(2, random)], template)
    places = [place.split("|") for place in _PLACE.findall(template)]
    words = _sample_words(template, lexicon, random)
    pairs = {1: PAIR, 2: SQUARE, 3: ISLAND}[len(places)]
    block = []
    for number, pair in enumerate(pairs):
        source = "filler_gap" if pairs is ISLAND and number > 0 else paradigm
        for label, sides in zip((1, 0), pair, strict=True):
            chosen = [place[side] for place, side in zip(places, sides, strict=True)]
            text = _fill(template, chosen).format_map(words)
            # An empty alternative leaves two consecutive spaces; split and join remove one.
            block.append(Sentence(source, label, "" if label else "*", " ".join(text.split())))
    return block


def _fill(template: str, alternatives: list[str]) -> str:
    """The template with one alternative for each of its places."""
    remaining = iter(alternatives)
    return _PLACE.sub(lambda _: next(remaining), template)


def _sample_words(template: str, lexicon: Lexicon, random: Random) -> dict[str, Word]:
    """A random word for each slot; all words are different."""
    words: dict[str, Word] = {}
    for kind, number in _SLOT.findall(template):
        if kind + number not in words:
            free = [word for word in lexicon[kind] if word not in words.values()]
            words[kind + number] = free[_below(len(free), random)]
    return words


def _below(limit: int, random: Random) -> int:
    """A random integer ``0 <= n < limit`` that uses only ``random.random()``.

    Python guarantees the same sequence for a seed in all versions only for this method:
    https://docs.python.org/3/library/random.html#notes-on-reproducibility.
    """
    return int(random.random() * limit)
