"""Baselines of a ranking: random order, and BM25.

``bm25`` scores a document by the words that it has in common with the query. Rare words count more,
and long documents are penalised. Word frequencies and the mean document length come from the
training documents. BM25 is not tuned and does not use the relevance labels. In text without spaces,
such as Chinese, characters and pairs of characters are used instead of words.

N: training documents. M: scored pairs. W: words.

Source: Robertson & Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond", section
3; the constants and the non-negative weight of a word are those of ``BM25Similarity`` in Apache
Lucene.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.feature_extraction.text import CountVectorizer

from warmstart.baselines.linear import MAX_ROWS, SEED, Fitted, Floats
from warmstart.baselines.text_features import lacks_spaces, pieces

K1 = 1.2
"""Term-frequency saturation: with a lower value, repeated words count less."""
B = 0.75
"""Length normalisation, from 0 (none) to 1 (full)."""


def bm25(documents: pa.ChunkedArray) -> Fitted:
    """BM25 with the word frequencies and the mean length of these documents.

    Args:
        documents: N texts of the training rows; a document that occurs in several rows counts
            several times. If there are more than ``MAX_ROWS``, a sample is used.

    Returns:
        A model that scores a table of M queries and documents (its two columns): float64 [M, 1].
    """
    note = None
    if len(documents) > MAX_ROWS:
        note = f"word weights are from a sample of {MAX_ROWS:,} of {len(documents):,} documents"
        chosen = np.random.default_rng(SEED).permutation(len(documents))[:MAX_ROWS]
        documents = documents.take(pa.array(np.sort(chosen)))
    texts = documents.to_pylist()
    if lacks_spaces(texts):
        vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, 2))
    else:
        vectorizer = CountVectorizer(token_pattern=r"(?u)\w+")
    counts = vectorizer.fit_transform(texts)
    document_frequency = counts.getnnz(axis=0)  # [W]
    rest = counts.shape[0] - document_frequency
    weights = np.log1p((rest + 0.5) / (document_frequency + 0.5))
    mean_length = counts.sum() / counts.shape[0]

    def score(pairs: pa.Table) -> Floats:
        scores = np.zeros((len(pairs), 1))
        for start, piece in pieces(pairs):
            queries, candidates = (vectorizer.transform(column.to_pylist()) for column in piece)
            saturated = _saturated(candidates, mean_length)
            shared = queries.multiply(saturated).multiply(weights[None, :])  # [piece, W]
            scores[start : start + len(piece), 0] = np.asarray(shared.sum(axis=1)).ravel()
        return scores

    return Fitted(score, note)


def chance() -> Fitted:
    """A random score for each row; the same rows always get the same scores."""
    return Fitted(lambda pairs: np.random.default_rng(SEED).random((len(pairs), 1)), None)


def _saturated(counts: Any, mean_length: float) -> Any:
    """Apply saturation and length normalisation to word counts [M, W]."""
    counts = counts.astype(np.float64)
    length = np.asarray(counts.sum(axis=1)).ravel()
    damping = K1 * (1 - B + B * length / mean_length)
    damping = np.repeat(damping, np.diff(counts.indptr))
    counts.data = counts.data * (K1 + 1) / (counts.data + damping)
    return counts
