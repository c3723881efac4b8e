"""What a classifier has to beat: the majority class, and TF-IDF with a linear model.

A score says little alone, so a classifier's stands beside these two. A baseline is a function that
fits on the training split and returns a predictor of class probabilities; the task then scores
these as it scores the model's. Which baselines a task has is said in the task's own file.

``tfidf`` is meant to be strong for its cost, not tuned: words and pairs of words (for text without
spaces, as in Chinese, Japanese or Thai, characters and pairs of characters), sublinear term
frequency, L2-regularised logistic regression, of several labels to a row one for each; of numbers
ridge regression. It has limits so that it takes seconds or a minute
beside hours of training; beyond them it learns from a sample of the rows and its note says so.

Letters: N training rows, M rows predicted, C classes.

Source: scikit-learn user guide, "Text feature extraction" and "Logistic regression"; Wang & Manning
2012, ACL, "Baselines and Bigrams" (why pairs of words).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

MAX_ROWS = 200_000
MAX_CHARACTERS = 20_000_000
MAX_ROW_CLASSES = 2_000_000
"""Rows times classes: an iteration of logistic regression costs that many sparse products."""
MAX_COEFFICIENTS = 2**21
"""Terms times classes: 16 MiB of coefficients, of which the optimiser keeps some 25 copies."""
MAX_ITERATIONS = 1_000
INVERSE_REGULARISATION = 10.0
"""Ten times scikit-learn's default, which is too strict for rows of length 1: on CoLA's in-domain
development rows it gives a Matthews correlation of 0.17 and the default 0.14."""
SPACELESS_SHARE = 0.05
"""With less whitespace than this among its characters a language does not set its words apart by
spaces: CoLA's English has 0.16, Chinese and Japanese almost none, Thai a little between phrases."""

_PREDICTION_ROWS = 10_000
_WORDS_AND_SIGNS = r"(?u)\w+|[^\w\s]"
"""One-letter words and punctuation count too: ``I``, ``a`` and ``!`` tell classes apart."""


class Fitted(NamedTuple):
    """A baseline after training."""

    predict: Callable[[Any], Floats]
    """From M texts to probabilities, float64 [M, C], or numbers [M, 1]; of a ranking from pairs to
    scores [M, 1]."""
    note: str | None
    """What a reader of its scores must know, such as that it saw a sample; mostly ``None``."""


def majority(train_texts: pa.ChunkedArray, train_targets: Ints, classes: int, seed: int) -> Fitted:
    """Each class's share of the training rows, for every row: the likeliest class always wins.

    The shares and not 1 and 0, so that its log-loss is that of knowing the shares alone.

    Args:
        train_texts: N texts, not looked at.
        train_targets: the class of each, int64 [N].
        classes: how many classes there are, C.
        seed: not needed.
    """
    shares = np.bincount(train_targets, minlength=classes) / len(train_targets)
    return Fitted(lambda texts: np.tile(shares, (len(texts), 1)), None)


def tfidf(train_texts: pa.ChunkedArray, train_targets: Ints, classes: int, seed: int) -> Fitted:
    """Logistic regression on TF-IDF weights of words and pairs of words, or of characters.

    Args:
        train_texts: N texts.
        train_targets: the class of each, at least two classes among them, int64 [N].
        classes: how many classes there are, C.
        seed: which rows a sample takes.
    """
    chosen = _sample(train_texts, train_targets, classes, seed)
    vectorizer, features, notes = _weighed(train_texts, chosen, MAX_COEFFICIENTS // classes)
    model, unfinished = _logistic(features, train_targets[chosen])

    def probabilities(some: Any) -> Floats:
        shares = np.zeros((some.shape[0], classes))
        shares[:, model.classes_] = model.predict_proba(some)
        return shares

    return _fitted(vectorizer, classes, probabilities, notes + unfinished)


def label_shares(targets: Bools) -> Fitted:
    """The share of the training rows that each label has, for every row.

    Args:
        targets: which labels each row has, bool [N, C].
    """
    shares = targets.mean(axis=0)
    return Fitted(lambda texts: np.tile(shares, (len(texts), 1)), None)


def tfidf_labels(train_texts: pa.ChunkedArray, targets: Bools, seed: int) -> Fitted:
    """Logistic regression on TF-IDF weights, one for each label.

    Args:
        train_texts: N texts.
        targets: which labels each row has, bool [N, C].
        seed: which rows a sample takes.
    """
    classes = targets.shape[1]
    chosen = _sample(train_texts, np.zeros(len(targets), dtype=np.int64), classes, seed)
    vectorizer, features, notes = _weighed(train_texts, chosen, MAX_COEFFICIENTS // classes)
    models: list[Any] = []  # or the share itself, where all rows of the sample are alike
    unfinished: list[str] = []
    for with_it in targets[chosen].T:
        if with_it.all() or not with_it.any():
            models.append(float(with_it[0]))
            continue
        model, unfinished = _logistic(features, with_it.astype(np.int64))
        models.append(model)

    def probabilities(some: Any) -> Floats:
        shares = np.empty((some.shape[0], classes))
        for label, model in enumerate(models):
            alike = isinstance(model, float)
            shares[:, label] = model if alike else model.predict_proba(some)[:, 1]
        return shares

    return _fitted(vectorizer, classes, probabilities, notes + unfinished)


def mean(targets: Floats) -> Fitted:
    """The mean of the training rows' numbers, for every row.

    Args:
        targets: float64 [N].
    """
    value = float(targets.mean())
    return Fitted(lambda texts: np.full((len(texts), 1), value), None)


def ridge(train_texts: pa.ChunkedArray, targets: Floats, seed: int) -> Fitted:
    """Ridge regression on TF-IDF weights of words and pairs of words, or of characters.

    Args:
        train_texts: N texts.
        targets: the number of each, float64 [N].
        seed: which rows a sample takes.
    """
    chosen = _sample(train_texts, np.zeros(len(targets), dtype=np.int64), 1, seed)
    vectorizer, features, notes = _weighed(train_texts, chosen, MAX_COEFFICIENTS)
    model = Ridge().fit(features, targets[chosen])
    return _fitted(vectorizer, 1, lambda some: model.predict(some)[:, None], notes)


def _logistic(features: Any, targets: Ints) -> tuple[LogisticRegression, list[str]]:
    """Logistic regression on weights [N, terms], and what a reader of its scores must know."""
    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, targets)
    if model.n_iter_.max() < MAX_ITERATIONS:
        return model, []
    return model, [f"stopped after {MAX_ITERATIONS:,} iterations, before it converged"]


def _weighed(
    texts: pa.ChunkedArray, chosen: Bools, max_features: int
) -> tuple[TfidfVectorizer, Any, list[str]]:
    """The vectorizer of the chosen texts, their weights, and a note where they are a sample."""
    notes = []
    if not chosen.all():
        notes.append(f"trained on a sample of {chosen.sum():,} of {len(texts):,} rows")
    some = texts.filter(pa.array(chosen)).to_pylist()
    vectorizer = _vectorizer(some, max_features=max_features)
    return vectorizer, vectorizer.fit_transform(some), notes


def _fitted(
    vectorizer: TfidfVectorizer, width: int, model: Callable[[Any], Floats], notes: Sequence[str]
) -> Fitted:
    """What answers texts by what a model makes of their weights, [M, width]."""

    def predict(texts: pa.ChunkedArray) -> Floats:
        found = np.empty((len(texts), width))
        for start, chunk in chunks(texts):
            found[start : start + len(chunk)] = model(vectorizer.transform(chunk))
        return found

    return Fitted(predict, "; ".join(notes) or None)


def chunks(texts: pa.ChunkedArray) -> Iterator[tuple[int, list[str]]]:
    """The position of each chunk's first text, and its texts."""
    for start in range(0, len(texts), _PREDICTION_ROWS):
        yield start, texts.slice(start, _PREDICTION_ROWS).to_pylist()


def _sample(texts: pa.ChunkedArray, targets: Ints, classes: int, seed: int) -> Bools:
    """Which rows to learn from, bool [N]: all of them, or a sample within the limits.

    A sample keeps one row at least of every class, so that no class is impossible.
    """
    characters = int(pc.sum(pc.utf8_length(texts)).as_py())
    rows = len(texts)
    limit = min(MAX_ROWS, MAX_ROW_CLASSES // classes, rows * MAX_CHARACTERS // max(characters, 1))
    if rows <= limit:
        return np.ones(rows, np.bool_)
    order = np.random.default_rng(seed).permutation(rows)
    _, first_of_each_class = np.unique(targets[order], return_index=True)
    chosen = np.zeros(rows, np.bool_)
    chosen[order[:limit]] = chosen[order[first_of_each_class]] = True
    return chosen


def lacks_spaces(texts: Sequence[str]) -> bool:
    """Whether words of these texts are not set apart by spaces."""
    characters = sum(map(len, texts))
    printed = sum(len("".join(text.split())) for text in texts)
    return characters - printed < SPACELESS_SHARE * characters


def _vectorizer(texts: Sequence[str], max_features: int) -> TfidfVectorizer:
    """Words and pairs of words, or of characters where spaces are rare.

    Every term counts, be it seen once; where there are more than ``max_features``, the commonest.
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
