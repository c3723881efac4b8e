"""How many tokens a chunk, or a window, of a long text repeats from the one before it."""

from warmstart import errors

DEFAULT = 32
"""Repeated tokens if ``data.overlap_tokens`` is not set and rows are long enough."""


def overlap_of(given: int | None, max_tokens: int, framing: int, least: int = 0) -> int:
    """The number of repeated tokens, checked.

    With more than half of a row, most tokens would be read several times. In the extreme case,
    where all tokens but one are repeated, every token of a text would start a row of its own.

    Args:
        given: ``data.overlap_tokens``; ``None`` for the default, which adapts to short rows.
        max_tokens: longest row.
        framing: tokens of a row that do not belong to the text: 2 for an encoder (CLS and SEP), 0
            for a decoder.
        least: smallest number: 1 for a decoder, which predicts no token without one before it.

    Raises:
        ConfigError: a number is given, and it is less than ``least`` or more than half of what a
            row holds of the text.

    >>> overlap_of(None, max_tokens=128, framing=2), overlap_of(None, max_tokens=10, framing=2)
    (32, 4)
    """
    largest = (max_tokens - framing) // 2
    if given is None:
        return max(min(DEFAULT, largest), least)
    if not least <= given <= largest:
        enough = 2 * max(given, least) + framing
        raise errors.data.overlap_out_of_range(given, least, largest, max_tokens, enough)
    return given
