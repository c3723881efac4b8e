"""An independent, slow implementation: conlleval's rules, one word at a time."""

from collections.abc import Sequence

Chunk = tuple[int, int, str]


def _split(tag: str) -> tuple[str, str]:
    prefix, _, kind = tag.partition("-")
    return {"L": "E", "U": "S", "M": "I"}.get(prefix, prefix), kind


def _ends(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """``endOfChunk`` of conlleval.pl, with seqeval's S."""
    (old, old_type), (new, new_type) = before, now
    if old in {"E", "S"}:
        return True
    if old in {"B", "I"} and new in {"B", "S", "O"}:
        return True
    return old != "O" and old_type != new_type


def _starts(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """``startOfChunk`` of conlleval.pl, with seqeval's S."""
    (old, old_type), (new, new_type) = before, now
    if new in {"B", "S"}:
        return True
    if old in {"E", "S", "O"} and new in {"E", "I"}:
        return True
    return new != "O" and old_type != new_type


def chunks(tags: Sequence[str]) -> list[Chunk]:
    """``(start, end, type)`` of the entities of one sentence, end exclusive."""
    found: list[Chunk] = []
    before, start = ("O", ""), 0
    for index, tag in enumerate([*tags, "O"]):
        now = _split(tag)
        if _ends(before, now):
            found.append((start, index, before[1]))
        if _starts(before, now):
            start = index
        before = now
    return found
