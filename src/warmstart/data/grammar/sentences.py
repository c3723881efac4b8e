"""The bundled corpus: English acceptability judgements, generated from a small grammar of ours.

It lets ``warmstart demo`` show the whole path, offline, on a question worth asking: does a small
encoder know grammar? Each sentence is judged acceptable (1) or not (0), in the four columns of CoLA
(Warstadt, Singh & Bowman 2019, arXiv:1805.12471), so that its settings carry over to the real one.

**Why minimal pairs.** Two sentences that differ in one place and in their judgement, as in BLiMP
(Warstadt et al. 2020, arXiv:1912.00582), leave nothing but that place to judge by. A pair alone
still leaks: where ``are`` is wrong more often than right, counting it suffices. So pairs come as
*squares*, in which each word and each two neighbours occur equally often on both sides::

    The key near the doors is old.     *The key near the doors are old.
    The keys near the doors are old.   *The keys near the doors is old.

A classifier that counts words, or pairs of neighbours, learns nothing from a square. No noun, verb,
name or adjective of the test split occurs in the others: remembering those does not help either.

What the paradigms (the first column) test:

- ``agreement_phrase``, ``agreement_clause``: verb and subject agree in number, past a nearer noun
  (Linzen, Dupoux & Goldberg 2016, arXiv:1611.01368) and past a relative clause (Marvin & Linzen
  2018, arXiv:1808.09031);
- ``reflexive``: *herself*, *themselves* match the subject of their own clause (the same);
- ``determiner_noun``: *this* and *these* match the noun behind the adjective;
- ``auxiliary``, ``tense``: the verb's form fits its auxiliary, its tense the time named;
- ``inflection``: irregular verbs have the forms they have (*bringed*); the only paradigm without
  squares;
- ``transitivity``, ``alternation``, ``complement``: which objects, prepositions and clauses a verb
  takes (classes of Levin 1993, *English Verb Classes and Alternations*);
- ``filler_gap``, ``island``, ``coordination``: a question word needs a gap, which must not lie in
  an adjunct, in a relative clause, or in one half of a coordination (Ross 1967, *Constraints on
  Variables in Syntax*);
- ``polarity``, ``correlative``: words that come in twos: *never … neither*, *more … than*.

Limits: this is a grammar's English, not English at large. Its sentences are short, their number of
shapes is small and its judgements are clear-cut; training and test share those shapes. A score here
says which patterns a model can pick up and carry to new words, and stands for nothing beyond that.
"""

import re
from dataclasses import dataclass
from random import Random

from warmstart import errors
from warmstart.data.grammar.lexicon import DEVELOPMENT, TEST, Lexicon, Word
from warmstart.data.grammar.paradigms import ISLAND, PAIR, PARADIGMS, SQUARE

SPLITS = ("train", "validation", "test")
"""``validation`` is made of the words of ``train``, ``test`` of others; no sentence comes twice."""

_TRAIN_ROUNDS, _VALIDATION_ROUNDS, _TEST_ROUNDS = 16, 2, 4
"""A round is one block of each template: two sentences of a pair, four of a square, six of an
island."""

_PLACE = re.compile(r"\[([^\[\]]*)\]")
_FREE_CHOICE = re.compile(r"<([^<>|]*)\|([^<>|]*)>")
_SLOT = re.compile(r"\{([a-z]+)(\d*)")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One judged sentence, in CoLA's four columns."""

    source: str
    """Paradigm it tests."""
    label: int
    """1 acceptable, 0 not."""
    mark: str
    """The author's mark: empty, or ``*`` where not acceptable."""
    text: str


def corpus(split: str, seed: int = 2018) -> list[Sentence]:
    """The sentences of one split, each acceptable one followed by its unacceptable twin.

    Args:
        split: one of ``SPLITS``.
        seed: which words are drawn; the same seed gives the same sentences on every machine.

    Returns:
        Half acceptable, half not: 3,136 to train on, 392 for validation, 784 for test.

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
    # One stream feeds both, so that what comes later cannot repeat what came before.
    first, last = (
        (0, _TRAIN_ROUNDS)
        if split == "train"
        else (_TRAIN_ROUNDS, _TRAIN_ROUNDS + _VALIDATION_ROUNDS)
    )
    return _rounds(DEVELOPMENT, Random(f"{seed}/development"), first, last)


def tsv(split: str, seed: int = 2018) -> bytes:
    r"""The split as a file like CoLA's: no header, tabs between columns, no quoting, UTF-8.

    Args:
        split: one of ``SPLITS``.
        seed: which words are drawn.

    Returns:
        One line per sentence, ended by ``\n``: source, label, mark, text.

    Raises:
        DataError: there is no such split.
    """
    lines = (f"{s.source}\t{s.label}\t{s.mark}\t{s.text}\n" for s in corpus(split, seed))
    return "".join(lines).encode()


def _rounds(lexicon: Lexicon, random: Random, first: int, last: int) -> list[Sentence]:
    """The sentences of rounds ``first`` to ``last``, the earlier ones drawn and left out."""
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
    """A block none of whose sentences was seen; they are from now on."""
    while True:
        block = _block(paradigm, template, lexicon, random)
        texts = {sentence.text for sentence in block}
        if seen.isdisjoint(texts):
            seen |= texts
            return block


def _block(paradigm: str, template: str, lexicon: Lexicon, random: Random) -> list[Sentence]:
    """The sentences of one template for one draw of its words, pair by pair."""
    template = _FREE_CHOICE.sub(lambda sides: sides[1 + _below(2, random)], template)
    places = [place.split("|") for place in _PLACE.findall(template)]
    words = _draw(template, lexicon, random)
    pairs = {1: PAIR, 2: SQUARE, 3: ISLAND}[len(places)]
    block = []
    for number, pair in enumerate(pairs):
        source = "filler_gap" if pairs is ISLAND and number > 0 else paradigm
        for label, sides in zip((1, 0), pair, strict=True):
            chosen = [place[side] for place, side in zip(places, sides, strict=True)]
            text = _fill(template, chosen).format_map(words)
            # An empty alternative leaves two spaces behind.
            block.append(Sentence(source, label, "" if label else "*", " ".join(text.split())))
    return block


def _fill(template: str, alternatives: list[str]) -> str:
    """The template with one alternative for each of its places."""
    remaining = iter(alternatives)
    return _PLACE.sub(lambda _: next(remaining), template)


def _draw(template: str, lexicon: Lexicon, random: Random) -> dict[str, Word]:
    """A word for each slot, all different."""
    words: dict[str, Word] = {}
    for kind, number in _SLOT.findall(template):
        if kind + number not in words:
            free = [word for word in lexicon[kind] if word not in words.values()]
            words[kind + number] = free[_below(len(free), random)]
    return words


def _below(limit: int, random: Random) -> int:
    """A whole number from 0, under ``limit``, from ``random.random()`` alone.

    That method's sequence is the one Python promises to keep for a seed:
    https://docs.python.org/3/library/random.html#notes-on-reproducibility.
    """
    return int(random.random() * limit)
