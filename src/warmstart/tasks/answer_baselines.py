"""The baselines of question answering as predictions: one span for each question, or none."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from warmstart.baselines.answer_spans import (
    Span,
    WordWeights,
    best_sentences,
    nearby_words,
    sentence_scores,
)
from warmstart.config import DataConfig
from warmstart.data.answers.answer_targets import QuestionTokens
from warmstart.data.answers.contexts import Contexts, contexts_of
from warmstart.data.table import Table
from warmstart.tasks.capabilities import Baseline
from warmstart.tasks.predictions.answer_predictions import AnswerPredictions

_ALWAYS = -50.0
"""Logarithm of the probability of no answer of a baseline: it answers unless a threshold is set."""


def answer_baselines(
    data: DataConfig, train: Table, tables: Mapping[str, Table], *, never: bool
) -> dict[str, Baseline]:
    """Fit each baseline on the training contexts and predict every table with it.

    Args:
        data: names the columns.
        train: the training rows.
        tables: the rows to predict, by split.
        never: whether one baseline never gives an answer.
    """
    known = contexts_of(train, data).texts.to_pylist()
    weights, fitted = WordWeights.of(known), sentence_scores(known)

    def nearby(table: Table, contexts: Contexts) -> Iterable[Span]:
        questions = table.column(data.text, "data.text").to_pylist()
        pairs = zip(questions, contexts, strict=True)
        return (nearby_words(question, context, weights) for question, context in pairs)

    def sentence(table: Table, contexts: Contexts) -> Iterable[Span]:
        return best_sentences(table.column(data.text, "data.text"), contexts, fitted)

    def nothing(table: Table, contexts: Contexts) -> Iterable[Span]:
        return ()

    kinds: dict[str, Callable[[Table, Contexts], Iterable[Span]]] = {
        "nearby_words": nearby,
        "best_sentence": sentence,
        **({"no_answer": nothing} if never else {}),
    }
    found = {}
    for name, kind in kinds.items():
        predictions = {}
        for split, table in tables.items():
            contexts = contexts_of(table, data)
            predictions[split] = _predictions(table, contexts, kind(table, contexts))
        found[name] = Baseline(predictions, fitted.note if name == "best_sentence" else None)
    return found


def _predictions(table: Table, contexts: Contexts, spans: Iterable[Span]) -> AnswerPredictions:
    """One span for each row, or none at all."""
    found = np.array(list(spans), dtype=np.float64).reshape(-1, 3)
    nothing = np.zeros(0, np.int32)
    return AnswerPredictions(
        QuestionTokens(table.rows, contexts, nothing, nothing),
        np.arange(len(found)),
        found[:, 0].astype(np.int64),
        found[:, 1].astype(np.int64),
        np.log(np.maximum(found[:, 2], 1e-9)),
        np.arange(len(table)),
        np.full(len(table), _ALWAYS),
        np.zeros(len(table), dtype=np.bool_),
    )
