"""The special tokens that a tokenizer puts around the two texts of a pair, and all type ids."""

from itertools import groupby
from typing import Any, NamedTuple


class PairFrame(NamedTuple):
    """The special tokens of a pair: before, between and after its texts."""

    ids: tuple[list[int], list[int], list[int]]
    types: tuple[list[int], list[int], list[int], list[int], list[int]]
    """Type ids of: the tokens before, one of the first text, those between, one of the second text,
    those after."""

    @property
    def size(self) -> int:
        """Number of special tokens."""
        return sum(map(len, self.ids))


def frame_of(backend: Any) -> PairFrame:
    """The special tokens that a tokenizer puts around the texts of a pair.

    Args:
        backend: a tokenizer of the ``tokenizers`` library.
    """
    pair = backend.encode("a", "a")
    parts = [
        (side, [place for place, _ in group])
        for side, group in groupby(enumerate(pair.sequence_ids), key=lambda one: one[1])
    ]
    if parts[0][0] is not None:
        parts.insert(0, (None, []))
    if parts[2][0] is not None:
        parts.insert(2, (None, []))
    if len(parts) < 5:
        parts.append((None, []))
    ids = [[pair.ids[place] for place in parts[part][1]] for part in (0, 2, 4)]
    types = [[pair.type_ids[place] for place in places] for _, places in parts]
    return PairFrame((ids[0], ids[1], ids[2]), (types[0], types[1], types[2], types[3], types[4]))
