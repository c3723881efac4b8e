"""What a ranking has to beat: chance, and BM25.

``bm25`` counts the words that a query and a document share, rare ones most, long documents least;
how rare a word is and how long documents are it takes from the training documents. It is not tuned,
and knows no relevance: that is what makes it a strong and honest baseline. Text without spaces, as
in Chinese, is read as characters and pairs of characters.

Letters: N training documents, M pairs scored, W words.

Source: Robertson & Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond", section
3; constants and the never negative weight of a word as in Apache Lucene's ``BM25Similarity``.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.feature_extraction.text import CountVectorizer

from warmstart.baselines.linear import MAX_ROWS, Fitted, Floats, chunks, lacks_spaces

K1 = 1.2
"""How soon a word's further occurrences count no more."""
B = 0.75
"""How much a document's length counts, from not at all to in full."""


def bm25(documents: pa.ChunkedArray, seed: int) -> Fitted:
    """BM25 with word weights and the mean length of these documents.

    Args:
        documents: N texts of the training rows; a document that stands in several counts each time.
        seed: which of them are taken where there are more than ``MAX_ROWS``.

    Returns:
        What scores a table of M queries and documents (its two columns): float64 [M, 1].
    """
    note = None
    if len(documents) > MAX_ROWS:
        note = f"words are weighed by a sample of {MAX_ROWS:,} of {len(documents):,} documents"
        chosen = np.random.default_rng(seed).permutation(len(documents))[:MAX_ROWS]
        documents = documents.take(pa.array(np.sort(chosen)))
    texts = documents.to_pylist()
    if lacks_spaces(texts):
        vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, 2))
    else:
        vectorizer = CountVectorizer(token_pattern=r"(?u)\w+")
    counts = vectorizer.fit_transform(texts)
    found_in = counts.getnnz(axis=0)
    weights = np.log1p((counts.shape[0] - found_in + 0.5) / (found_in + 0.5))
    mean_length = counts.sum() / counts.shape[0]

    def score(pairs: pa.Table) -> Floats:
        scores = np.zeros((len(pairs), 1))
        queries, answers = (pairs.column(index) for index in (0, 1))
        for start, some in chunks(answers):
            asked = vectorizer.transform(queries.slice(start, len(some)).to_pylist())
            found = _saturated(vectorizer.transform(some), mean_length)
            shared = asked.multiply(found).multiply(weights[None, :])
            scores[start : start + len(some), 0] = np.asarray(shared.sum(axis=1)).ravel()
        return scores

    return Fitted(score, note)


def chance(seed: int) -> Fitted:
    """A number drawn for each row: what any order is worth.

    Args:
        seed: of the numbers.
    """
    return Fitted(lambda pairs: np.random.default_rng(seed).random((len(pairs), 1)), None)


def _saturated(counts: Any, mean_length: float) -> Any:
    """Counts [M, W], each word's further occurrences worth less and less."""
    counts = counts.astype(np.float64)
    length = np.asarray(counts.sum(axis=1)).ravel()
    damping = K1 * (1 - B + B * length / mean_length)
    damping = np.repeat(damping, np.diff(counts.indptr))
    counts.data = counts.data * (K1 + 1) / (counts.data + damping)
    return counts
