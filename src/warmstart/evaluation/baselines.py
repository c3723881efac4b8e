"""What a classifier has to beat: the majority class, and TF-IDF with logistic regression.

A score says little alone, so a classifier's stands beside these two. A baseline is a function that
fits on the training split and gives back a predictor of class probabilities; the task then scores
those as it scores the model's. Baselines are listed per task in ``BASELINES``, by the names the
report uses; a task that is not in it has none.

``tfidf`` is meant to be strong for its cost, not tuned: words and pairs of words (for text without
spaces, as in Chinese, Japanese or Thai, characters and pairs of characters), sublinear term
frequency, L2-regularised logistic regression. It has limits so that it takes seconds or a minute
beside hours of training; beyond them it learns from a sample of the rows and its note says so.

Letters: N training rows, M rows predicted, C classes.

Source: scikit-learn user guide, "Text feature extraction" and "Logistic regression"; Wang & Manning
2012, ACL, "Baselines and Bigrams" (why pairs of words).
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

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
    """From M texts to probabilities, float64 [M, C]; of a ranking from pairs to scores [M, 1]."""
    note: str | None
    """What a reader of its scores must know, such as that it saw a sample; mostly ``None``."""


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """What a baseline says of every split."""

    probabilities: Mapping[str, Floats]
    """By split name, float64 [M, C] each."""
    note: str | None


Baseline = Callable[[pa.ChunkedArray, Ints, int, int], Fitted]
"""``(train_texts, train_targets, classes, seed) -> Fitted``, as ``majority`` and ``tfidf`` are."""


def baseline_probabilities(
    task_name: str,
    train_texts: Sequence[str] | pa.ChunkedArray,
    train_targets: Ints,
    splits: Mapping[str, Sequence[str] | pa.ChunkedArray],
    classes: int,
    seed: int,
) -> dict[str, BaselineResult]:
    """Fit the task's baselines once on the training split and predict every other split with them.

    Args:
        task_name: key of ``BASELINES``; a task without baselines gives an empty dict.
        train_texts: N texts, none of them null.
        train_targets: the class of each, at least two classes among them, int64 [N].
        splits: the texts to predict, by split name.
        classes: how many classes there are, C.
        seed: which rows a sample takes where the training split is over the limits.

    >>> texts, targets = ["good", "bad", "bad"], np.array([1, 0, 0])
    >>> found = baseline_probabilities(
    ...     "text-classification", texts, targets, {"test": ["good"]}, classes=2, seed=0
    ... )
    >>> found["majority"].probabilities["test"].round(2).tolist()
    [[0.67, 0.33]]
    >>> found["tfidf"].probabilities["test"].argmax(axis=1).tolist()
    [1]
    """
    train = _as_arrow(train_texts)
    columns = {split: _as_arrow(texts) for split, texts in splits.items()}
    results = {}
    for name, fit in BASELINES.get(task_name, {}).items():
        fitted = fit(train, train_targets, classes, seed)
        probabilities = {split: fitted.predict(texts) for split, texts in columns.items()}
        results[name] = BaselineResult(probabilities, fitted.note)
    return results


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
    notes = []
    if not chosen.all():
        notes.append(f"trained on a sample of {chosen.sum():,} of {len(train_texts):,} rows")
    texts = train_texts.filter(pa.array(chosen)).to_pylist()
    vectorizer = _vectorizer(texts, max_features=MAX_COEFFICIENTS // classes)
    features = vectorizer.fit_transform(texts)
    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, train_targets[chosen])
    if model.n_iter_.max() >= MAX_ITERATIONS:
        notes.append(f"stopped after {MAX_ITERATIONS:,} iterations, before it converged")

    def predict(texts: pa.ChunkedArray) -> Floats:
        probabilities = np.zeros((len(texts), classes))
        for start, chunk in chunks(texts):
            rows = slice(start, start + len(chunk))
            probabilities[rows, model.classes_] = model.predict_proba(vectorizer.transform(chunk))
        return probabilities

    return Fitted(predict, "; ".join(notes) or None)


BASELINES: dict[str, dict[str, Baseline]] = {
    "text-classification": {"majority": majority, "tfidf": tfidf},
}


def _as_arrow(texts: Sequence[str] | pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts as one Arrow type, whatever they came as; an Arrow string column is not copied."""
    if isinstance(texts, pa.ChunkedArray):
        return texts.cast(pa.large_string())
    return pa.chunked_array([pa.array(texts, pa.large_string())])


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
