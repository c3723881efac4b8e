"""TF-IDF features of texts; for pairs also how similar their two texts are.

The words of both texts together cannot tell whether the texts agree, so the rows of pairs get a
few more features: the cosine of the TF-IDF vectors of the two texts, the shares of the terms of
each text that the other one has, and the relation of their lengths.

M: texts or pairs. W: terms.

Source: scikit-learn user guide, "Text feature extraction"; Wang & Manning 2012, ACL, "Baselines and
Bigrams" (why bigrams).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

SPACELESS_SHARE = 0.05
"""If the share of white space among the characters is lower than this, the language does not put
spaces between words. CoLA (English) has 0.16; Chinese and Japanese have almost none; Thai has a few
spaces between phrases."""

SIMILARITIES = 4
"""Number of the last features of pairs, which say how similar their two texts are."""

_PREDICTION_ROWS = 10_000
_WORDS_AND_SIGNS = r"(?u)\w+|[^\w\s]"
"""Includes one-letter words and punctuation, because ``I``, ``a`` and ``!`` are informative."""


class TfidfFeatures:
    """Features of texts or pairs: sparse float64 [M, W], for pairs [M, W + 4].

    Args:
        texts: table with a column of texts, or with two for pairs, whose words are learned.
        max_features: largest W; the most frequent terms are used.
    """

    def __init__(self, texts: pa.Table, max_features: int) -> None:
        joined = [" ".join(row) for row in zip(*texts.to_pydict().values(), strict=True)]
        self._vectorizer = _vectorizer(joined, max_features).fit(joined)

    def __call__(self, texts: pa.Table) -> Any:
        """Features of a table with the same columns."""
        columns = list(texts.to_pydict().values())
        words = self._vectorizer.transform([" ".join(row) for row in zip(*columns, strict=True)])
        if len(columns) == 1:
            return words
        return hstack([words, csr_matrix(self._similarities(*columns))], format="csr")

    def _similarities(self, firsts: Sequence[str], seconds: Sequence[str]) -> Any:
        """How similar the two texts of each pair are, numbers from 0 to 1, float64 [M, 4]."""
        one, two = (self._vectorizer.transform(texts) for texts in (firsts, seconds))
        cosine = _sums(one.multiply(two))  # the rows of both have norm 1
        counts = [np.diff(terms.indptr) for terms in (one, two)]
        common = _sums((one > 0).multiply(two > 0))
        lengths = [np.array([len(text) for text in texts]) for texts in (firsts, seconds)]
        relation = np.minimum(*lengths) / np.maximum(np.maximum(*lengths), 1)
        return np.column_stack([cosine, *(common / np.maximum(n, 1) for n in counts), relation])


def _sums(values: Any) -> Any:
    """The sum of each row of a sparse matrix, float64 [M]."""
    return np.asarray(values.sum(axis=1), dtype=np.float64).ravel()


def pieces(texts: Any) -> Iterator[tuple[int, Any]]:
    """Split a table or a column: the index of the first row of each piece, and the piece.

    Args:
        texts: an Arrow table or column.
    """
    for start in range(0, len(texts), _PREDICTION_ROWS):
        yield start, texts.slice(start, _PREDICTION_ROWS)


def lacks_spaces(texts: Sequence[str]) -> bool:
    """Whether the words of these texts are not separated by spaces."""
    characters = sum(map(len, texts))
    visible = sum(len("".join(text.split())) for text in texts)
    return characters - visible < SPACELESS_SHARE * characters


def _vectorizer(texts: Sequence[str], max_features: int) -> TfidfVectorizer:
    """TF-IDF of words and bigrams, or of characters and their pairs if spaces are rare.

    All terms are used, including those that occur once; if there are more than ``max_features``,
    only the most frequent terms.
    """
    if lacks_spaces(texts):
        return TfidfVectorizer(
            analyzer="char", ngram_range=(1, 2), sublinear_tf=True, max_features=max_features
        )
    return TfidfVectorizer(
        token_pattern=_WORDS_AND_SIGNS,
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=max_features,
    )
