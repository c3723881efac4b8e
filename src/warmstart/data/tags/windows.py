"""Windows: cut sentences that are too long for the model, so that every word is predicted once.

A model accepts a limited number of pieces (sub-word tokens). A longer sentence becomes several
windows, each of which repeats the last words of the previous window. A word in the overlap is
predicted in the window in which its smaller side of context, counted in pieces, is larger; in a
tie, in the earlier window.

Example, with words of one piece each, ``max_pieces=6`` and ``overlap_pieces=2``::

    words        0 1 2 3 4 5 6 7 8 9
    window 0     0 1 2 3 4 5               predicts 0 to 4
    window 1             4 5 6 7 8 9       predicts 5 to 9

Letters: N sentences, W words, V windows.
"""

from dataclasses import dataclass

import numpy as np

from warmstart.data.tags.spans import Ints


@dataclass(frozen=True, slots=True)
class Windows:
    """V windows of W words, in the order of the words.

    Word positions count all words of all sentences from 0; a range ends before its ``stop``. The
    ranges from ``first`` to ``last`` follow one another and cover every word exactly once.

    Args:
        sentences: sentence of each window, int64 [V].
        starts: first word in the window, int64 [V].
        stops: index after its last word, int64 [V].
        first: first word that is predicted in the window, int64 [V].
        last: index after the last word that is predicted in it, int64 [V].
        pieces: number of pieces of each word that are used, at least 1, int64 [W].
        cut: indices of the words of which only the first ``max_pieces`` pieces are used, int64.
        long: number of sentences that became several windows.
    """

    sentences: Ints
    starts: Ints
    stops: Ints
    first: Ints
    last: Ints
    pieces: Ints
    cut: Ints
    long: int

    def __len__(self) -> int:
        """Number of windows, V."""
        return len(self.sentences)


def cut_windows(pieces: Ints, bounds: Ints, max_pieces: int, overlap_pieces: int) -> Windows:
    """The windows of all sentences. A sentence without words has none.

    Args:
        pieces: number of pieces of each word, int64 [W]; 0 (an empty word) counts as 1, because
            the unknown token is used for it.
        bounds: sentence i has the words ``bounds[i]`` to ``bounds[i + 1] - 1``, int64 [N + 1].
        max_pieces: largest number of pieces in a window without special tokens, at least 1.
        overlap_pieces: largest number of pieces that a window repeats from the one before it, at
            most half of ``max_pieces``.

    >>> found = cut_windows(np.ones(10, np.int64), np.array([0, 10]), 6, 2)
    >>> found.starts.tolist(), found.stops.tolist(), found.first.tolist(), found.last.tolist()
    ([0, 4], [6, 10], [0, 5], [5, 10])
    """
    kept = np.clip(pieces, 1, max_pieces).astype(np.int64)
    # ends[w]: pieces of all words before w, so words a to b have ends[b] - ends[a] pieces.
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
    filled = np.flatnonzero(np.diff(bounds) > 0)
    is_long = ends[bounds[filled + 1]] - ends[bounds[filled]] > max_pieces
    whole = filled[~is_long]
    parts = [np.stack([whole, *([bounds[whole], bounds[whole + 1]] * 2)])]
    for sentence in filled[is_long].tolist():
        start, stop = int(bounds[sentence]), int(bounds[sentence + 1])
        parts.append(_windows_of(ends, sentence, start, stop, max_pieces, overlap_pieces))
    columns = np.concatenate(parts, axis=1)
    sentences, starts, stops, first, last = columns[:, np.argsort(columns[1], kind="stable")]
    cut = np.flatnonzero(pieces > max_pieces).astype(np.int64)
    return Windows(sentences, starts, stops, first, last, kept, cut, int(is_long.sum()))


def _windows_of(
    ends: Ints, sentence: int, start: int, stop: int, max_pieces: int, overlap: int
) -> Ints:
    """The windows of one long sentence, int64 [5, windows]: the columns of ``Windows``."""
    begins, behind = [start], [_last_fitting(ends, start, stop, max_pieces)]
    while behind[-1] < stop:
        end = behind[-1]
        # The first word for which the overlap is small enough and the next word still fits.
        least = max(ends[end] - overlap, ends[end + 1] - max_pieces)
        begins.append(int(np.searchsorted(ends, least)))
        behind.append(_last_fitting(ends, begins[-1], stop, max_pieces))
    starts, stops = np.array(begins), np.array(behind)
    # Word w has at least as much context to the right in the earlier window as to the left in the
    # later if ends[stop of the earlier] - ends[w + 1] >= ends[w] - ends[start of the later]. Both
    # sides are monotonic in w, so the overlap is divided at a single border, in its middle.
    middle = ends[stops[:-1]] + ends[starts[1:]]
    borders = start + np.searchsorted(
        ends[start:stop] + ends[start + 1 : stop + 1], middle, "right"
    )
    first, last = np.append(start, borders), np.append(borders, stop)
    return np.stack([np.full(len(starts), sentence), starts, stops, first, last]).astype(np.int64)


def _last_fitting(ends: Ints, start: int, stop: int, max_pieces: int) -> int:
    """The index after the last word of the longest window that begins at ``start``."""
    return min(stop, int(np.searchsorted(ends, ends[start] + max_pieces, "right")) - 1)
