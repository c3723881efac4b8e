"""The bundled corpus: English acceptability judgements from a small grammar written here.

TODO
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from warmstart import errors
from warmstart.data.grammar_lexicon import DEVELOPMENT, TEST, Lexicon, Word
from warmstart.data.grammar_paradigms import ISLAND, PARADIGMS, SQUARE

SPLITS = ("train", "validation", "test")

_TRAIN_BLOCKS, _VALIDATION_BLOCKS, _TEST_BLOCKS = 56, 7, 12
"""Blocks of each paradigm; a block is the four sentences of a square or the six of an island."""

_PLACE = re.compile(r"\[([^\[\]]*)\]")
_FREE_CHOICE = re.compile(r"<([^<>|]*)\|([^<>|]*)>")
_SLOT = re.compile(r"\{([a-z]+)(\d*)")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One judged sentence, in CoLA's four columns."""

    source: str
    """Paradigm that wrote it."""
    label: int
    """1 acceptable, 0 not."""
    mark: str
    """The author's mark: empty, or ``*``."""
    text: str


def corpus(split: str, seed: int = 2018) -> list[Sentence]:
    if split not in SPLITS:
        raise errors.data.unknown_bundled_split(split, SPLITS)
    if split == "test":
        return _interleaved(TEST, f"{seed}/test", 0, _TEST_BLOCKS)
    first, last = {
        "train": (0, _TRAIN_BLOCKS),
        "validation": (_TRAIN_BLOCKS, _TRAIN_BLOCKS + _VALIDATION_BLOCKS),
    }[split]
    return _interleaved(DEVELOPMENT, f"{seed}/development", first, last)


def tsv(split: str, seed: int = 2018) -> bytes:
    return "".join(
        f"{s.source}\t{s.label}\t{s.mark}\t{s.text}\n" for s in corpus(split, seed)
    ).encode()


def _interleaved(lexicon: Lexicon, seed: str, first: int, last: int) -> list[Sentence]:
    """Blocks ``first`` to ``last`` of every paradigm, one of each in turn."""
    seen: set[str] = set()
    streams = [
        _blocks(paradigm, lexicon, Random(f"{seed}/{paradigm}"), seen) for paradigm in PARADIGMS
    ]
    rounds = [[next(stream) for stream in streams] for _ in range(last)]
    return [sentence for blocks in rounds[first:] for block in blocks for sentence in block]


def _blocks(
    paradigm: str, lexicon: Lexicon, random: Random, seen: set[str]
) -> Iterator[list[Sentence]]:
    """Endless blocks of a paradigm, its templates in turn, no sentence ever twice."""
    while True:
        for template in PARADIGMS[paradigm]:
            block = _block(paradigm, template, lexicon, random)
            while not seen.isdisjoint(sentence.text for sentence in block):
                block = _block(paradigm, template, lexicon, random)
            seen.update(sentence.text for sentence in block)
            yield block


def _block(paradigm: str, template: str, lexicon: Lexicon, random: Random) -> list[Sentence]:
    """The sentences of one template for one draw of its words: acceptable, twin, acceptable, …"""
    template = _FREE_CHOICE.sub(lambda sides: sides[1 + _below(2, random)], template)
    places = [place.split("|") for place in _PLACE.findall(template)]
    words = _draw(template, lexicon, random)
    block = []
    for number, pair in enumerate(SQUARE if len(places) == 2 else ISLAND):
        source = "filler_gap" if len(places) == 3 and number else paradigm
        for label, sides in zip((1, 0), pair, strict=True):
            chosen = iter(place[side] for place, side in zip(places, sides, strict=True))
            text = _PLACE.sub(lambda _: next(chosen), template).format_map(words)
            block.append(Sentence(source, label, "" if label else "*", " ".join(text.split())))
    return block


def _draw(template: str, lexicon: Lexicon, random: Random) -> dict[str, Word]:
    """A word for each slot; slots of one kind get different words."""
    words: dict[str, Word] = {}
    for kind, number in _SLOT.findall(template):
        if kind + number not in words:
            free = [word for word in lexicon[kind] if word not in words.values()]
            words[kind + number] = free[_below(len(free), random)]
    return words


def _below(limit: int, random: Random) -> int:
    """A whole number from 0, under ``limit``, from ``random.random()`` alone.

    It is the one method whose sequence Python promises to keep for a seed
    (https://docs.python.org/3/library/random.html#notes-on-reproducibility).
    """
    return int(random.random() * limit)
