"""Baselines of a classifier or regression: the majority class, and a linear model on TF-IDF.

A score alone says little, so a classifier is compared with these two. A baseline is a function that
fits on the training split and returns a predictor of class probabilities; the task scores them as
it scores those of the model. The task's own file lists its baselines.

``tfidf`` is a strong but cheap and untuned baseline: words and bigrams (for text without spaces,
such as Chinese, Japanese or Thai, characters and pairs of characters), sublinear term frequency,
for pairs also the similarity of the two texts, and L2-regularised logistic regression. Multi-label
rows use one logistic regression per label; numbers use ridge regression. Limits keep the time at
seconds to a minute; a larger training split is sampled, and the baseline's note reports it.

N: training rows. M: predicted rows. C: classes.

Source: scikit-learn user guide, "Text feature extraction" and "Logistic regression"; Wang & Manning
2012, ACL, "Baselines and Bigrams" (why bigrams).
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from warmstart.baselines.text_features import SIMILARITIES, TfidfFeatures, pieces

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

MAX_ROWS = 200_000
MAX_CHARACTERS = 20_000_000
MAX_ROW_CLASSES = 2_000_000
"""Limit of rows times classes: the number of sparse products in one iteration of logistic
regression."""
MAX_COEFFICIENTS = 2**21
"""Limit of terms times classes: 16 MiB of coefficients; the optimiser keeps about 25 copies."""
MAX_ITERATIONS = 1_000
SEED = 0
"""Seed of the sample; constant, so that all runs over the same rows have equal baselines."""
INVERSE_REGULARISATION = 10.0
"""Ten times the default of scikit-learn, whose regularisation is too strong for feature rows of
norm 1. The Matthews correlation on the in-domain development rows of CoLA is 0.17, with the default
0.14."""


class Fitted(NamedTuple):
    """A baseline after training."""

    predict: Callable[[Any], Floats]
    """A table of M texts or pairs -> probabilities [M, C] or numbers [M, 1]; for a ranking, M pairs
    -> scores [M, 1]; float64."""
    note: str | None
    """A note for the reader of the scores, for example that only a sample of the rows was used."""


def majority(train_texts: pa.Table, train_targets: Ints, classes: int) -> Fitted:
    """Predict the class shares of the training rows for every row.

    The most frequent class is therefore always predicted. The probabilities are the shares and not
    1 and 0, so that the log-loss is that of a model that knows only the shares.

    Args:
        train_texts: N texts or pairs, not used.
        train_targets: class of each text, int64 [N].
        classes: number of classes, C.
    """
    shares = np.bincount(train_targets, minlength=classes) / len(train_targets)
    return Fitted(lambda texts: np.tile(shares, (len(texts), 1)), None)


def tfidf(train_texts: pa.Table, train_targets: Ints, classes: int) -> Fitted:
    """Logistic regression on TF-IDF features of words and bigrams, or of characters.

    Args:
        train_texts: N texts, or N pairs in two columns.
        train_targets: class of each text, at least two different classes, int64 [N].
        classes: number of classes, C.
    """
    chosen = _sample(train_texts, train_targets, classes)
    extract, features, notes = _features(train_texts, chosen, MAX_COEFFICIENTS // classes)
    model, warning = _logistic(features, train_targets[chosen])

    def probabilities(rows: Any) -> Floats:
        result = np.zeros((rows.shape[0], classes))
        result[:, model.classes_] = model.predict_proba(rows)
        return result

    return _fitted(extract, classes, probabilities, notes + warning)


def tfidf_similarity(train_texts: pa.Table, train_targets: Ints, classes: int) -> Fitted:
    """Logistic regression on the TF-IDF similarity of the two texts of each pair alone.

    Args:
        train_texts: N pairs in two columns.
        train_targets: class of each pair, at least two different classes, int64 [N].
        classes: number of classes, C.
    """
    chosen = _sample(train_texts, train_targets, classes)
    extract, features, notes = _features(train_texts, chosen, MAX_COEFFICIENTS)
    model, warning = _logistic(features[:, -SIMILARITIES:], train_targets[chosen])

    def probabilities(rows: Any) -> Floats:
        return np.asarray(model.predict_proba(rows[:, -SIMILARITIES:]))

    return _fitted(extract, classes, probabilities, notes + warning)


def label_shares(targets: Bools) -> Fitted:
    """Predict for every row the share of the training rows that have each label.

    Args:
        targets: which labels each row has, bool [N, C].
    """
    shares = targets.mean(axis=0)
    return Fitted(lambda texts: np.tile(shares, (len(texts), 1)), None)


def tfidf_labels(train_texts: pa.Table, targets: Bools) -> Fitted:
    """Logistic regression on TF-IDF features, one for each label.

    Args:
        train_texts: N texts, or N pairs in two columns.
        targets: which labels each row has, bool [N, C].
    """
    classes = targets.shape[1]
    chosen = _sample(train_texts, np.zeros(len(targets), dtype=np.int64), classes)
    extract, features, notes = _features(train_texts, chosen, MAX_COEFFICIENTS // classes)
    # For each label a model, or the constant 0 or 1 if all or no sampled rows have the label.
    models: list[Any] = []
    warning: list[str] = []
    for has_label in targets[chosen].T:
        if has_label.all() or not has_label.any():
            models.append(float(has_label[0]))
            continue
        model, warning = _logistic(features, has_label.astype(np.int64))
        models.append(model)

    def probabilities(rows: Any) -> Floats:
        result = np.empty((rows.shape[0], classes))
        for label, model in enumerate(models):
            constant = isinstance(model, float)
            result[:, label] = model if constant else model.predict_proba(rows)[:, 1]
        return result

    return _fitted(extract, classes, probabilities, notes + warning)


def mean(targets: Floats) -> Fitted:
    """Predict the mean of the training targets for every row.

    Args:
        targets: float64 [N].
    """
    value = float(targets.mean())
    return Fitted(lambda texts: np.full((len(texts), 1), value), None)


def ridge(train_texts: pa.Table, targets: Floats) -> Fitted:
    """Ridge regression on TF-IDF features of words and bigrams, or of characters.

    Args:
        train_texts: N texts, or N pairs in two columns.
        targets: number of each text, float64 [N].
    """
    chosen = _sample(train_texts, np.zeros(len(targets), dtype=np.int64), 1)
    extract, features, notes = _features(train_texts, chosen, MAX_COEFFICIENTS)
    model = Ridge().fit(features, targets[chosen])
    return _fitted(extract, 1, lambda rows: model.predict(rows)[:, None], notes)


def _logistic(features: Any, targets: Ints) -> tuple[LogisticRegression, list[str]]:
    """Logistic regression on features [N, terms], and a note if it did not converge."""
    model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, targets)
    if model.n_iter_.max() < MAX_ITERATIONS:
        return model, []
    return model, [f"stopped after {MAX_ITERATIONS:,} iterations, before it converged"]


def _features(
    texts: pa.Table, chosen: Bools, max_features: int
) -> tuple[TfidfFeatures, Any, list[str]]:
    """What extracts features, those of the chosen texts, and a note if they are a sample."""
    notes = []
    if not chosen.all():
        notes.append(f"trained on a sample of {chosen.sum():,} of {len(texts):,} rows")
    chosen_texts = texts.filter(pa.array(chosen))
    extract = TfidfFeatures(chosen_texts, max_features)
    return extract, extract(chosen_texts), notes


def _fitted(
    extract: TfidfFeatures, width: int, model: Callable[[Any], Floats], notes: Sequence[str]
) -> Fitted:
    """A baseline that predicts [M, width] by applying ``model`` to the features of the texts."""

    def predict(texts: pa.Table) -> Floats:
        predictions = np.empty((len(texts), width))
        for start, piece in pieces(texts):
            predictions[start : start + len(piece)] = model(extract(piece))
        return predictions

    return Fitted(predict, "; ".join(notes) or None)


def _sample(texts: pa.Table, targets: Ints, classes: int) -> Bools:
    """Which rows to fit on, bool [N]: all rows, or a random sample within the limits.

    A sample has at least one row of every class, so that every class can be predicted.
    """
    characters = sum(pc.sum(pc.utf8_length(column)).as_py() or 0 for column in texts.columns)
    rows = len(texts)
    limit = min(MAX_ROWS, MAX_ROW_CLASSES // classes, rows * MAX_CHARACTERS // max(characters, 1))
    if rows <= limit:
        return np.ones(rows, np.bool_)
    order = np.random.default_rng(SEED).permutation(rows)
    _, first_of_each_class = np.unique(targets[order], return_index=True)
    chosen = np.zeros(rows, np.bool_)
    chosen[order[:limit]] = chosen[order[first_of_each_class]] = True
    return chosen
