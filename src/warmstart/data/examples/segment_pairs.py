"""Examples of pairs of segments whose second segments are drawn anew in every epoch.

The first segment of each row, and the segment that follows it, are tokenised once. An epoch's rows
are put together from these tokens: the row's first segment, and the next segment of the row that
was drawn for it (``data.segments.draw_partners``). They are the tokens that the tokenizer gives for
the two texts, with the same special tokens, type ids and truncation.

Letters: N rows, T tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, Self

import numpy as np

from warmstart import errors
from warmstart.config import DataConfig
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.long_texts import border_of, encoded_bodies
from warmstart.data.examples.masking import Draw
from warmstart.data.examples.targets import Targets
from warmstart.data.examples.tokenise import (
    CHUNK_ROWS,
    Tokenizer,
    control_in_text,
    plain_copy,
)
from warmstart.data.examples.tokens import Bools, Cut, Ints, Tokens, joined_ranges
from warmstart.data.mapped import FlatArray
from warmstart.data.segments import FOLLOWING, draw_partners
from warmstart.data.split import groups_of
from warmstart.data.table import Table


class Bodies(NamedTuple):
    """The tokens of N texts without special tokens, end to end; no more than a row can have."""

    ids: np.ndarray[Any, np.dtype[np.int32]]
    """int32 [T]."""
    offsets: Ints
    """Text i is tokens ``offsets[i]`` to ``offsets[i + 1]``, int64 [N + 1]."""
    full_lengths: Ints
    """Number of tokens of each whole text, int64 [N]."""
    begins_word: Bools
    """Whether each token begins a word, bool [T]; empty if words are not needed."""


class Frame(NamedTuple):
    """The special tokens of a pair: before, between and after its texts."""

    ids: tuple[list[int], list[int], list[int]]
    types: tuple[list[int], list[int], list[int], list[int], list[int]]
    """Type ids of: the tokens before, one of the first text, those between, one of the second text,
    those after."""


MakeTargets = Callable[[Tokens, Ints, Bools | None], Targets]
"""Makes the targets of rows from their tokens, their labels [N], and which tokens begin a word."""


@dataclass(frozen=True, slots=True)
class SegmentPairs:
    """Rows of first segments, and the segments that can follow them.

    Args:
        first: the first segment of each row.
        following: its next segment.
        frame: the special tokens of a pair.
        typed: whether the model has type ids.
        rows: row ids, int64 [N].
        documents: the document of each row, a number from 0, int64 [N].
        max_tokens: longest row, special tokens included.
        targets: makes the targets of rows.
    """

    first: Bodies
    following: Bodies
    frame: Frame
    typed: bool
    rows: Ints
    documents: Ints
    max_tokens: int
    targets: MakeTargets

    @classmethod
    def of(
        cls,
        table: Table,
        data: DataConfig,
        tokenizer: Tokenizer,
        max_tokens: int,
        targets: MakeTargets,
    ) -> Self:
        """Tokenise the segments of a table.

        Args:
            table: rows of ``drawn_pairs``.
            data: names the columns.
            tokenizer: the checkpoint's tokenizer.
            max_tokens: longest row, special tokens included.
            targets: makes the targets of rows.

        Raises:
            DataError: special tokens alone fill ``max_tokens``.
        """
        assert data.group is not None, "the task sets it"
        control = control_in_text(tokenizer, data.control_tokens)
        backend = plain_copy(tokenizer.backend_tokenizer, control)
        frame = frame_of(backend)
        special = sum(map(len, frame.ids))
        if special >= max_tokens:
            raise errors.labels.no_room_for_text(table.where(0), special, max_tokens)
        room, words = max_tokens - special, data.whole_words
        return cls(
            _bodies(backend, table, {"data.text": data.text}, room, words),
            _bodies(backend, table, {"data.text_pair": FOLLOWING}, room, words),
            frame,
            "token_type_ids" in tokenizer.model_input_names,
            table.rows,
            groups_of(table, data.group),
            max_tokens,
            targets,
        )

    @property
    def input_ids(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Every token id that the rows of an epoch can have, int32."""
        special = np.concatenate([np.array(ids, np.int32) for ids in self.frame.ids])
        return np.concatenate([special, self.first.ids, self.following.ids])

    def examples(self, draw: Draw) -> Examples:
        """The rows of an epoch.

        Args:
            draw: seed and epoch.
        """
        partners, labels = draw_partners(self.rows, self.documents, draw)
        before, between, after = map(len, self.frame.ids)
        room = self.max_tokens - before - between - after
        one, two = self.first.full_lengths, self.following.full_lengths[partners]
        kept = np.stack(_kept(one, two, room))  # [2, N]
        # The parts of a row in the order of `Frame.types`, as ranges of these tokens end to end:
        # the special tokens, all first segments, all next segments.
        fixed = np.array([before, between, after])
        marks = np.cumsum(fixed) - fixed
        firsts = self.first.offsets[:-1] + fixed.sum()
        seconds = self.following.offsets[partners] + fixed.sum() + len(self.first.ids)
        starts = np.empty((len(one), 5), np.int64)
        lengths = np.empty_like(starts)
        starts[:, 0::2], lengths[:, 0::2] = marks, fixed
        starts[:, 1::2] = np.stack([firsts, seconds], axis=1)
        lengths[:, 1::2] = kept.T
        places, _ = joined_ranges(starts.ravel(), (starts + lengths).ravel())
        removed = np.stack([one, two]) - kept
        tokens = Tokens(
            input_ids=self.input_ids[places],
            offsets=np.concatenate([[0], np.cumsum(lengths.sum(axis=1))]),
            rows=self.rows,
            full_lengths=one + two + fixed.sum(),
            token_type_ids=self._types(lengths) if self.typed else None,
            cut=(_cut(removed[0]), _cut(removed[1])),
        )
        words = (self.first.begins_word, self.following.begins_word)
        begins = np.concatenate([np.ones(fixed.sum(), np.bool_), *words])
        begins_word = begins[places] if len(words[0]) else None
        return Examples(tokens, self.targets(tokens, labels, begins_word), sampled=self)

    def _types(self, lengths: Ints) -> np.ndarray[Any, np.dtype[np.int8]]:
        """Type ids of the rows whose parts have these lengths [N, 5], int8 [T]."""
        of_part = np.array([(types or [0])[0] for types in self.frame.types], np.int8)
        return np.repeat(np.tile(of_part, len(lengths)), lengths.ravel())


def frame_of(backend: Any) -> Frame:
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
    return Frame((ids[0], ids[1], ids[2]), (types[0], types[1], types[2], types[3], types[4]))


def _bodies(backend: Any, table: Table, column: dict[str, str], room: int, words: bool) -> Bodies:
    """The first ``room`` tokens of each text of a column."""
    border = border_of(backend)
    ids, begins = FlatArray(np.int32), FlatArray(np.bool_)
    kept: list[int] = []
    whole: list[int] = []
    for texts in table.chunks(column, CHUNK_ROWS):
        bodies = list(encoded_bodies(backend, texts, border))
        ids.append(np.concatenate([body.ids[:room] for body in bodies]))
        if words:
            starts = [body.begins_word()[:room] for body in bodies]
            begins.append(np.concatenate([np.array(one, np.bool_) for one in starts]))
        whole += [len(body.ids) for body in bodies]
        kept += [min(len(body.ids), room) for body in bodies]
    offsets = np.concatenate([[0], np.cumsum(np.array(kept, np.int64))])
    return Bodies(ids.finished(), offsets, np.array(whole, np.int64), begins.finished())


def _cut(removed: Ints) -> Cut:
    """What truncation removed from a text of N rows."""
    return Cut(int((removed > 0).sum()), int(removed.sum()))


def _kept(first: Ints, second: Ints, room: int) -> tuple[Ints, Ints]:
    """Number of tokens of both texts of each pair that are kept, as in ``removed_tokens``; [N]."""
    shorter = np.minimum(first, second)
    kept = np.where(2 * shorter <= room, shorter, room // 2)
    fits = first + second <= room
    longer = first > second
    one = np.where(fits, first, np.where(longer, room - kept, kept))
    two = np.where(fits, second, np.where(longer, kept, room - kept))
    return one, two
