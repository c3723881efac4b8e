"""Scores of predicted entities: precision, recall and F1 over whole entities.

A predicted entity is correct if a target entity has the same row, borders and type. Micro scores
count all types together; macro F1 is the mean of F1 over the types that occur among targets or
predictions. For the same tags these are the numbers of conlleval and of seqeval's default mode,
because tags are converted to spans with conlleval's rule (``data.tags.schemes``). They differ only
if a ratio has the denominator 0: it is ``None`` here and 0 there.

Every metric is a function of sums over rows, so its value and its 1,000 bootstrap resamples come
from one function. Rows are resampled or, if they are known, documents: sentences of one document
are not independent.

There are four kinds of errors, and each target or prediction that is not correct has one of them:

- wrong type: the same borders, another type (one target and one prediction);
- wrong border: the same type, overlapping borders (one target and one prediction);
- missed: any other target;
- invented: any other prediction.

So targets = correct + wrong type + wrong border + missed, and predictions = correct + wrong type +
wrong border + invented. A prediction with a different type and different borders counts as
invented, and its target as missed. Overlapping spans are paired in order of the size of their
overlap, the largest first, and then from left to right.

Letters: N rows, U units (rows or documents), K types, R resamples, S and P spans.

Source: Tjong Kim Sang & De Meulder 2003, CoNLL-2003 shared task, section 2.4; conlleval.pl;
seqeval 1.2.2.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from warmstart.data.tags.spans import Ints, Spans
from warmstart.metrics.intervals import (
    Floats,
    UnitSums,
    assign_units,
    defined,
    percentile_interval,
    resampled_sums,
    scores_of_sums,
    values_per_unit,
)
from warmstart.metrics.scores import Metric, Scores

METRICS = (
    Metric("entity_f1", True, "Entity F1"),
    Metric("entity_precision", True, "Entity precision"),
    Metric("entity_recall", True, "Entity recall"),
    Metric("entity_macro_f1", True, "Entity macro F1"),
    Metric("word_accuracy", True, "Word accuracy"),
)

CORRECT, WRONG_TYPE, WRONG_BORDER, UNPAIRED = range(4)
"""Outcomes. ``UNPAIRED`` is a missed target or an invented prediction."""


_Key = tuple[int, int, int, str]
"""Row, start, end and type of a span."""


@dataclass(frozen=True, slots=True)
class SpanOutcomes:
    """The outcome of every target and every prediction.

    Args:
        targets: outcome of each target, int64 [S].
        predictions: outcome of each prediction, int64 [P].
        partner: for each prediction, the position of its target, or -1 if it has none, int64 [P].
    """

    targets: Ints
    predictions: Ints
    partner: Ints


@dataclass(frozen=True, slots=True)
class RowWords:
    """Number of words of each row, for word accuracy.

    Args:
        total: number of words, int64 [N].
        correct: number of words with the correct tag, int64 [N].
    """

    total: Ints
    correct: Ints


def entity_scores(
    targets: Spans,
    predictions: Spans,
    rows: int,
    *,
    documents: Ints | None = None,
    words: RowWords | None = None,
    repaired: int = 0,
) -> Scores:
    """Every metric with its 95 % interval.

    ``details`` contains ``per_type`` (precision, recall, F1 with interval, support and number of
    predictions of each type), ``errors`` (the counts of the four kinds and of correct entities),
    ``confusions`` (pairs of types in wrong-type errors, the most frequent first), ``resampled``
    (``rows`` or ``documents``), ``units`` (their number) and ``repaired``.

    Args:
        targets: the entities of N rows; borders in words or characters.
        predictions: predicted entities of the same rows, with borders of the same kind.
        rows: number of rows, N.
        documents: document of each row, int64 [N]; if given, documents are resampled, not rows.
        words: words of each row; without them word accuracy is ``None``.
        repaired: number of predicted entities whose tags were invalid, copied to ``details``.

    Returns:
        The metrics, micro F1 first.

    >>> from warmstart.data.tags.spans import spans_from_lists
    >>> targets = spans_from_lists([[(0, 2, "PER")], [(0, 1, "LOC")]])
    >>> predictions = spans_from_lists([[(0, 2, "PER")], [(0, 2, "LOC"), (3, 4, "LOC")]])
    >>> scores = entity_scores(targets, predictions, rows=2)
    >>> round(scores.metrics["entity_f1"].value, 3), scores.metrics["entity_recall"].value
    (0.4, 0.5)
    >>> [scores.details["errors"][kind] for kind in ("wrong_border", "invented")]
    [1, 1]
    """
    names = tuple(sorted(set(_used(targets)) | set(_used(predictions))))
    outcomes = match_spans(targets, predictions)
    sums = _sums(targets, predictions, outcomes, names, rows, documents, words)
    found = scores_of_sums(METRICS, sums)
    details = {
        "per_type": _per_type(sums.values, names),
        "errors": error_counts(outcomes),
        "confusions": _confusions(targets, predictions, outcomes),
        "resampled": "rows" if documents is None else "documents",
        "units": rows if documents is None else len(np.unique(documents)),
        "repaired": repaired,
    }
    return Scores(found, details)


def entity_sums(
    targets: Spans,
    predictions: Spans,
    rows: int,
    *,
    documents: Ints | None = None,
    words: RowWords | None = None,
) -> UnitSums:
    """The sums of each unit from which all metrics follow, [U, 3 K + 2].

    In this order: targets, predictions and correct predictions of each type; words, correct words.
    The K types are those that ``targets`` and ``predictions`` can have, so that two models with the
    same tags have the same columns.

    Args:
        targets: the entities of N rows; borders in words or characters.
        predictions: predicted entities of the same rows, with borders of the same kind.
        rows: number of rows, N.
        documents: document of each row, int64 [N]; if given, documents are resampled, not rows.
        words: words of each row; without them word accuracy is undefined.
    """
    names = tuple(sorted({*targets.names, *predictions.names}))
    outcomes = match_spans(targets, predictions)
    return _sums(targets, predictions, outcomes, names, rows, documents, words)


def match_spans(targets: Spans, predictions: Spans) -> SpanOutcomes:
    """Pair targets with predictions: equal ones first, then equal borders, then equal types.

    Args:
        targets: S spans.
        predictions: P spans of the same rows.
    """
    of_target = np.full(len(targets), UNPAIRED, np.int64)
    of_prediction = np.full(len(predictions), UNPAIRED, np.int64)
    partner = np.full(len(predictions), -1, np.int64)
    left, right = _keys(targets), _keys(predictions)
    passes = (
        (CORRECT, _equal_pairs(left, right, with_type=True)),
        (WRONG_TYPE, _equal_pairs(left, right, with_type=False)),
        (WRONG_BORDER, _overlapping_pairs(left, right)),
    )
    # Each pass removes what it pairs from ``left`` and ``right``, so their order matters.
    for outcome, pairs in passes:
        for target, prediction in pairs:
            of_target[target] = of_prediction[prediction] = outcome
            partner[prediction] = target
    return SpanOutcomes(of_target, of_prediction, partner)


def error_counts(outcomes: SpanOutcomes) -> dict[str, int]:
    """Counts of correct entities and of the four kinds of errors.

    Args:
        outcomes: outcomes of all spans.
    """

    def count(side: Ints, outcome: int) -> int:
        return int(np.count_nonzero(side == outcome))

    return {
        "correct": count(outcomes.targets, CORRECT),
        "wrong_type": count(outcomes.targets, WRONG_TYPE),
        "wrong_border": count(outcomes.targets, WRONG_BORDER),
        "missed": count(outcomes.targets, UNPAIRED),
        "invented": count(outcomes.predictions, UNPAIRED),
    }


def _keys(spans: Spans) -> dict[int, _Key]:
    """Row, start, end and type of each span, by its position."""
    names = [spans.names[kind] for kind in spans.types.tolist()]
    columns = (spans.rows.tolist(), spans.starts.tolist(), spans.ends.tolist(), names)
    return dict(enumerate(zip(*columns, strict=True)))


def _equal_pairs(
    left: dict[int, _Key], right: dict[int, _Key], *, with_type: bool
) -> Iterator[tuple[int, int]]:
    """Pairs of spans with equal row and borders (and type); they are removed from both sides."""
    size = 4 if with_type else 3
    waiting: dict[tuple[int | str, ...], deque[int]] = defaultdict(deque)
    for position, key in left.items():
        waiting[key[:size]].append(position)
    for other, key in list(right.items()):
        if found := waiting.get(key[:size]):
            one = found.popleft()
            del left[one], right[other]
            yield one, other


def _overlapping_pairs(left: dict[int, _Key], right: dict[int, _Key]) -> Iterator[tuple[int, int]]:
    """Pairs of overlapping spans of one row and type; they are removed from both sides."""
    groups: dict[tuple[int, str], list[tuple[int, int, int]]] = defaultdict(list)
    for position, (row, start, end, kind) in left.items():
        groups[row, kind].append((start, end, position))
    possible = []
    for other, (row, start, end, kind) in right.items():
        for first, last, one in groups.get((row, kind), ()):
            if (overlap := min(end, last) - max(start, first)) > 0:
                possible.append((-overlap, row, first, start, one, other))
    for *_, one, other in sorted(possible):
        if one in left and other in right:
            del left[one], right[other]
            yield one, other


def _used(spans: Spans) -> list[str]:
    """The types that occur."""
    return [spans.names[kind] for kind in np.unique(spans.types).tolist()]


def _units(rows: int, documents: Ints | None) -> Ints:
    """The unit with which each row is resampled, int64 [N]."""
    if documents is None:
        return assign_units(rows)
    # Renumbered from 0, because documents without rows are not units.
    distinct, document = np.unique(documents, return_inverse=True)
    return assign_units(len(distinct))[document]


def _sums(
    targets: Spans,
    predictions: Spans,
    outcomes: SpanOutcomes,
    names: Sequence[str],
    rows: int,
    documents: Ints | None,
    words: RowWords | None,
) -> UnitSums:
    """The sums of ``entity_sums`` with a column for each type in ``names``, K."""
    units = _units(rows, documents)
    height = int(units.max(initial=-1)) + 1
    parts = []
    for spans in (targets, predictions, predictions.select(outcomes.predictions == CORRECT)):
        number = {name: index for index, name in enumerate(names)}
        known = np.array([number.get(name, -1) for name in spans.names], np.int64)
        columns = known[spans.types] if len(spans) else np.empty(0, np.int64)
        counts = np.bincount(
            units[spans.rows] * len(names) + columns, minlength=height * len(names)
        )
        parts.append(counts.reshape(height, len(names)).astype(np.float64))
    word_counts = (words.total, words.correct) if words else (np.zeros(len(units), np.int64),) * 2
    sums = np.hstack([*parts, values_per_unit(word_counts, units)])
    return UnitSums(sums, partial(_metrics, kinds=len(names)), rows)


def _metrics(sums: Floats, kinds: int) -> dict[str, Floats]:
    """Every metric from each row of sums, float64 [R] each; NaN if undefined.

    Args:
        sums: totals of the columns of ``entity_sums``, float64 [R, 3 K + 2].
        kinds: number of types, K.
    """
    _, _, f1 = _shares(sums, kinds)
    every = sums[:, : 3 * kinds].reshape(len(sums), 3, kinds).sum(axis=2)  # [R, 3]
    precision, recall, micro = (share[:, 0] for share in _shares(every, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "entity_f1": micro,
            "entity_precision": precision,
            "entity_recall": recall,
            "entity_macro_f1": np.nansum(f1, axis=1) / np.sum(~np.isnan(f1), axis=1),
            "word_accuracy": sums[:, -1] / sums[:, -2],
        }


def _shares(sums: Floats, kinds: int) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each type, float64 [R, K] each; NaN if undefined."""
    target, given, correct = np.split(sums[:, : 3 * kinds], 3, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return correct / given, correct / target, 2 * correct / (target + given)


def _per_type(sums: Floats, names: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 with its interval, support and predictions of each type."""
    kinds = len(names)
    totals = sums.sum(axis=0, keepdims=True)
    precision, recall, f1 = (share[0] for share in _shares(totals, kinds))
    samples = resampled_sums(sums) if len(sums) else np.empty((0, sums.shape[1]))
    resampled = _shares(samples, kinds)[2]
    found = []
    for index, name in enumerate(names):
        low, high = percentile_interval(resampled[:, index])
        found.append(
            {
                "type": name,
                "precision": defined(precision[index]),
                "recall": defined(recall[index]),
                "f1": defined(f1[index]),
                "f1_low": low,
                "f1_high": high,
                "support": int(totals[0, index]),
                "predicted": int(totals[0, kinds + index]),
            }
        )
    return found


def _confusions(targets: Spans, predictions: Spans, outcomes: SpanOutcomes) -> list[dict[str, Any]]:
    """Pairs of types in wrong-type errors, the most frequent first."""
    wrong = np.flatnonzero(outcomes.predictions == WRONG_TYPE)
    pairs = Counter(
        (targets.names[targets.types[one]], predictions.names[predictions.types[other]])
        for one, other in zip(outcomes.partner[wrong], wrong, strict=True)
    )
    return [
        {"target": target, "predicted": predicted, "count": count}
        for (target, predicted), count in sorted(pairs.items(), key=lambda x: (-x[1], x[0]))
    ]
