"""Baseline for word tags: each word gets the tag that it most often has in the training rows.

Words are compared exactly, with their case. If two tags are equally frequent for a word, it gets
the one that has more training words in total; if these are equal too, the alphabetically first. A
word that is not in the training rows gets ``O``, or, if no training word has the tag ``O`` (parts
of speech), the most frequent tag.

It knows no context, so its tags may be invalid (an I- without a B-); ``data.tags.schemes`` repairs
and counts them as it does for every prediction.

Letters: T training words, W words, D distinct words.

Source: Charniak et al. 1993, "Equations for part-of-speech tagging" (the most frequent tag as
baseline); Tjong Kim Sang & De Meulder 2003 use a similar one for names.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.data.tags.spans import Ints

OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class FrequentTags:
    """The most frequent tag of every training word.

    Args:
        words: the distinct training words, D texts.
        tags: tag of each of them, as a position in ``names``, int64 [D].
        names: the training tags, sorted.
        unknown: tag of every other word.
    """

    words: pa.Array
    tags: Ints
    names: tuple[str, ...]
    unknown: str

    def predict(self, words: pa.Array | pa.ChunkedArray) -> list[str]:
        """The tag of each word.

        Args:
            words: W texts.
        """
        places = pc.index_in(words, value_set=self.words).fill_null(-1)
        named = np.array([*self.names, self.unknown], dtype=object)
        # -1, an unknown word, is the last tag of both arrays.
        tags = np.append(self.tags, len(self.names))
        return list(named[tags[places.to_numpy(zero_copy_only=False)]])


def frequent_tags(
    words: pa.Array | pa.ChunkedArray, tags: pa.Array | pa.ChunkedArray
) -> FrequentTags:
    """Learn each word's most frequent tag.

    Args:
        words: T texts.
        tags: the tag of each.

    >>> words = pa.array(["Rome", "is", "Rome", "Paris"])
    >>> learned = frequent_tags(words, pa.array(["B-LOC", "O", "B-LOC", "B-PER"]))
    >>> learned.predict(pa.array(["Paris", "is", "Madrid"]))
    ['B-PER', 'O', 'O']
    """
    encoded_words, encoded_tags = (_encoded(column) for column in (words, tags))
    distinct, word = encoded_words
    found, tag = encoded_tags
    texts = found.to_pylist()
    names = tuple(sorted(texts))
    number = np.array([names.index(name) for name in texts], np.int64)
    tag = number[tag] if len(tag) else tag
    totals = np.bincount(tag, minlength=len(names))
    # Sorted by word, then count, then total, then name (from Z to A): the last of a word wins.
    pairs, counts = np.unique(word * max(1, len(names)) + tag, return_counts=True)
    pair_word, pair_tag = np.divmod(pairs, max(1, len(names)))
    order = np.lexsort((-pair_tag, totals[pair_tag], counts, pair_word))
    best = np.zeros(len(distinct), np.int64)
    best[pair_word[order]] = pair_tag[order]  # of repeated positions, numpy keeps the last value
    unknown = OUTSIDE
    if len(names) and OUTSIDE not in names:
        unknown = names[int(np.argmax(totals))]
    return FrequentTags(distinct, best, names, unknown)


def _encoded(column: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, Ints]:
    """The distinct values, and the position of each value among them, int64."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    encoded = column.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
