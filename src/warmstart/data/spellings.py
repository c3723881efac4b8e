"""Recognise texts that a reader would take for the same label or the same column name.

Texts that differ only in case, in white space, in characters without a visible form (U+200B, a soft
hyphen), in the way a character is composed (é as one or as two code points), in letters of another
script that look the same (Latin a, Cyrillic а) or in the format of a number (1 and 1.0) are
spellings of one text.

Source: Unicode Standard Annex 15 (normalisation forms); Unicode Technical Standard 39 (characters
that look alike), of which only the letters that exist in Latin, Cyrillic and Greek are used.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from decimal import Decimal

from warmstart import errors

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")

_ANOTHER_SCRIPT = str.maketrans(
    "АВЕКМНОРСТУХІЅЈаеорсухіѕј" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο" + "‐‑‒–—−’‘“”",
    "ABEKMHOPCTYXISJaeopcyxisj" + "ABEZHIKMNOPTYXo" + "------''\"\"",
)
"""Characters of other scripts that look like ASCII characters, and these."""

_FILLERS = frozenset("\u034f\u115f\u1160\u3164")
"""Characters without a visible form that Unicode counts as letters or marks."""

_TAGS = range(0xE0020, 0xE0080)
"""Format characters that are visible: they distinguish the flags of England and of Scotland."""

_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def plain(text: str) -> str:
    r"""The text without characters that have no visible form, and with single spaces.

    Args:
        text: any text.

    >>> plain(" na\u200b\u0131ve\u00a0 text"), plain("cafe\u0301") == "caf\u00e9"
    ('naıve text', True)
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if not text.isprintable() or not text.isascii():
        text = " ".join(text.split())
        text = "".join(character for character in text if not _is_invisible(character))
    return " ".join(text.split())


def refuse_two_spellings(texts: Iterable[str], where: Callable[[str], str]) -> None:
    """Raise an error if labels could be spellings of the same label.

    Args:
        texts: distinct labels.
        where: function that returns the ``file:line`` where a label first occurs.

    Raises:
        DataError: two of them could be the same label.
    """
    texts = list(texts)
    for of_meaning in _meanings(texts):
        by_meaning: dict[Hashable, list[str]] = defaultdict(list)
        for text in texts:
            by_meaning[of_meaning(text)].append(text)
        for variants in by_meaning.values():
            if len(variants) > 1:
                clean_first = sorted(variants, key=_oddity)
                numbers = all(NUMBER.fullmatch(plain(text)) for text in variants)
                differ = len({text.strip().lower() for text in variants}) > 1
                raise errors.labels.label_spellings(
                    plain(clean_first[0]),
                    {text: where(text) for text in clean_first},
                    hidden=differ and not numbers,
                    numbers=numbers,
                )


def other_spelling(text: str, known: Sequence[str]) -> str | None:
    """The known text of which ``text`` could be another spelling, if there is one.

    Args:
        text: a text that is not known.
        known: the known texts.
    """
    for of_meaning in _meanings([text, *known]):
        meaning = of_meaning(text)
        for candidate in known:
            if of_meaning(candidate) == meaning:
                return candidate
    return None


def _meanings(texts: Sequence[str]) -> list[Callable[[str], Hashable]]:
    """Functions that are equal for two spellings of a label."""
    if len(texts) > 2 and all(plain(text).casefold() in _TRUTH for text in texts):
        return [_number_or_text, lambda text: _TRUTH[plain(text).casefold()]]
    return [_number_or_text, _in_latin]


def _number_or_text(text: str) -> Hashable:
    shown = plain(text)
    return Decimal(shown) if NUMBER.fullmatch(shown) else shown.casefold()


def _in_latin(text: str) -> Hashable:
    shown = plain(text)
    return shown if NUMBER.fullmatch(shown) else shown.translate(_ANOTHER_SCRIPT).casefold()


def _oddity(text: str) -> tuple[bool, bool]:
    """The smallest for the spelling that a keyboard gives."""
    return text != plain(text), text != text.translate(_ANOTHER_SCRIPT)


def _is_invisible(character: str) -> bool:
    code = ord(character)
    return (
        (unicodedata.category(character) in {"Cf", "Cc"} and code not in _TAGS)
        or 0xFE00 <= code <= 0xFE0F  # variation selectors
        or character in _FILLERS
    )
