"""Scores of a ranking: the positions of the relevant documents among each query's documents.

Every metric is a mean over queries, and its interval is over queries, because the documents of one
query are not independent. Queries without a relevant document are counted but not scored: no order
of their documents is better than another.

Documents with equal scores are put in a random order with a fixed seed, the same for every model.
A model that gives all documents the same score therefore scores like a random ranking, for any
order of the file. A document is *relevant* if its grade is above 0; only nDCG uses the grade.

N: rows. Q: queries.

Source: Järvelin & Kekäläinen 2002, ACM TOIS 20(4) (nDCG), with the gain 2^grade - 1 of Burges et
al. 2005, ICML, section 4; Manning, Raghavan & Schütze 2008, Introduction to Information Retrieval,
section 8.4 (average precision, reciprocal rank, recall).
"""

import numpy as np

from warmstart.metrics.intervals import (
    Floats,
    Ints,
    UnitSums,
    assign_units,
    scores_of_sums,
    values_per_unit,
)
from warmstart.metrics.scores import Metric, Scores

CUTOFF = 10
"""Number of top-ranked documents that nDCG and MRR use."""

METRICS = (
    Metric("ndcg_at_10", True, "nDCG@10"),
    Metric("mrr_at_10", True, "MRR@10"),
    Metric("map", True, "MAP"),
    Metric("recall_at_1", True, "Recall@1"),
    Metric("recall_at_5", True, "Recall@5"),
    Metric("recall_at_10", True, "Recall@10"),
)

_SEED = 0


def ranking_scores(scores: Floats, grades: Floats, queries: Ints) -> Scores:
    """All metrics of a ranking with their 95 % intervals over queries.

    ``details`` contains ``queries``, ``queries_without_relevant`` and ``documents``.

    Args:
        scores: score of each row's document; higher is better, finite, float64 [N].
        grades: relevance of each row's document to its query, 0 or more, float64 [N].
        queries: index of each row's query, from 0, int64 [N].

    Returns:
        The metrics; their ``n`` is the number of queries with a relevant document.

    >>> result = ranking_scores(
    ...     np.array([0.9, 0.5, 0.1]), np.array([0.0, 1.0, 0.0]), np.array([0, 0, 0])
    ... )
    >>> result.metrics["mrr_at_10"].value, result.metrics["recall_at_1"].value
    (0.5, 0.0)
    """
    sums = ranking_sums(scores, grades, queries)
    found = int(queries.max(initial=-1)) + 1
    details = {
        "queries": found,
        "queries_without_relevant": found - sums.n,
        "documents": len(scores),
    }
    return Scores(scores_of_sums(METRICS, sums), details)


def ranking_sums(scores: Floats, grades: Floats, queries: Ints) -> UnitSums:
    """The sums of each unit, from queries with a relevant document, [U, M + 1].

    Columns: the M metrics of ``METRICS``; number of queries.

    Args:
        scores: score of each row's document; higher is better, finite, float64 [N].
        grades: relevance of each row's document to its query, 0 or more, float64 [N].
        queries: index of each row's query, from 0, int64 [N].
    """
    of_query = per_query(scores, grades, queries)
    scored = ~np.isnan(of_query["map"])  # the same queries for every model, bool [Q]
    n = int(scored.sum())
    values = [of_query[metric.name][scored] for metric in METRICS]
    return UnitSums(values_per_unit([*values, np.ones(n)], assign_units(n)), _means, n)


def per_query(scores: Floats, grades: Floats, queries: Ints) -> dict[str, Floats]:
    """All metrics of each query, float64 [Q]; NaN for a query without a relevant document.

    Args:
        scores: score of each row's document; higher is better, float64 [N].
        grades: relevance of each row's document to its query, float64 [N].
        queries: index of each row's query, from 0, int64 [N].
    """
    count = int(queries.max(initial=-1)) + 1
    gains, relevant = _gains(grades, queries, count), (grades > 0).astype(np.float64)
    order, rank = _ranked(scores, queries)
    _, ideal_rank = _ranked(grades, queries)

    def total(values: Floats) -> Floats:
        return np.bincount(queries, weights=values, minlength=count).astype(np.float64, copy=False)

    relevant_total = total(relevant)  # [Q]
    # Relevant documents of the query up to each rank: the cumulative sum over all rows minus the
    # sum over earlier queries.
    hits = np.cumsum(relevant[order])
    before = np.concatenate([[0.0], np.cumsum(relevant_total)])[queries[order]]
    precision = np.empty(len(scores))
    precision[order] = (hits - before) / (rank[order] + 1)
    first = np.full(count, np.inf)
    np.minimum.at(first, queries[relevant > 0], rank[relevant > 0].astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        ideal = total(_discounted(gains, ideal_rank))
        metrics = {
            "ndcg_at_10": total(_discounted(gains, rank)) / ideal,
            "mrr_at_10": np.where(first < CUTOFF, 1 / (first + 1), 0.0),
            "map": total(precision * relevant) / relevant_total,
            **{
                f"recall_at_{k}": total(relevant * (rank < k)) / relevant_total
                for k in (1, 5, CUTOFF)
            },
        }
    return {name: np.where(relevant_total > 0, values, np.nan) for name, values in metrics.items()}


def _gains(grades: Floats, queries: Ints, count: int) -> Floats:
    """2^grade - 1 of each document, float64 [N]; divided by a common factor if grades are enormous.

    float64 ends at 2^1024. nDCG is a ratio within a query, so a common factor does not matter.
    """
    highest = np.zeros(count)
    np.maximum.at(highest, queries, grades)
    excess = np.maximum(np.ceil(highest) - 1000, 0.0)[queries]
    gains: Floats = 2.0 ** (grades - excess) - 2.0**-excess
    return gains


def _discounted(gains: Floats, rank: Ints) -> Floats:
    """Contribution of each document to the discounted cumulative gain, float64 [N]."""
    return np.where(rank < CUTOFF, gains / np.log2(rank + 2.0), 0.0)


def _ranked(scores: Floats, queries: Ints) -> tuple[Ints, Ints]:
    """Rows sorted by query and descending score, and the rank of each row in its query, from 0."""
    ties = np.random.default_rng(_SEED).permutation(len(scores))
    rows = np.lexsort((ties, -scores, queries))
    sizes = np.bincount(queries)
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(scores), dtype=np.int64)
    rank[rows] = np.arange(len(scores)) - starts[queries[rows]]
    return rows, rank


def _means(sums: Floats) -> dict[str, Floats]:
    """The mean of each metric over queries, float64 [R] each; NaN without queries."""
    names = [metric.name for metric in METRICS]
    with np.errstate(invalid="ignore"):
        return dict(zip(names, (sums[:, :-1] / sums[:, -1:]).T, strict=True))
