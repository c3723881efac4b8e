"""The estimators behave as scikit-learn's own do, with texts in place of a matrix.

Most checks of ``sklearn.utils.estimator_checks`` fit the estimator to a matrix of numbers, and
scikit-learn leaves all of them out for one whose tags say that it reads strings. ``WITHOUT_MATRIX``
are those that fit nothing, or are called here by name; the others cannot be used:

- with numbers as input: every ``check_*`` of fits, predictions, data types, missing values, sparse
  matrices, sample order and feature names or counts. What they check for a matrix is checked here
  for texts: refitting, parameters that stay, a result of ``self``, no state before ``fit``.
"""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks as checks

import warmstart
from tests.tiny import tiny_checkpoint
from tests.tiny.decoders import tiny_gpt2
from warmstart.errors import ConfigError, DataError, RunError
from warmstart.sklearn import TextClassifier, TextFeatures, names_of_classes

NOUNS = ("cat", "dog", "house", "story", "film", "book")
TEXTS = [f"the {word} {noun}" for noun in NOUNS for word in ("good", "bad", "nice", "awful")]
LABELS = [int("good" in text or "nice" in text) for text in TEXTS]

WITHOUT_MATRIX = [
    checks.check_estimator_cloneable,
    checks.check_estimator_tags_renamed,
    checks.check_valid_tag_types,
    checks.check_estimator_repr,
    checks.check_no_attributes_set_in_init,
    checks.check_parameters_default_constructible,
    checks.check_get_params_invariance,
    checks.check_set_params,
    checks.check_do_not_raise_errors_in_init_or_set_params,
    checks.check_mixin_order,
    checks.check_n_features_in_after_fitting,
    checks.check_transformer_get_feature_names_out,
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def quick(tiny: Path, **given: Any) -> TextClassifier:
    """A classifier that is trained in a moment."""
    overrides = {"train.device": "cpu", "train.head_start": "random", "data.validation": 0.25}
    return TextClassifier(
        tiny,
        **{"epochs": 2, "batch_size": 4, "learning_rate": 3e-3, "overrides": overrides, **given},
    )


@pytest.mark.parametrize("estimator", [TextFeatures(), TextClassifier()], ids=repr)
@pytest.mark.parametrize("check", WITHOUT_MATRIX, ids=lambda check: check.__name__)
def test_the_checks_that_need_no_matrix(check: Callable[..., None], estimator: Any) -> None:
    check(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize("estimator", [TextFeatures(), TextClassifier()], ids=repr)
def test_scikit_learn_leaves_its_other_checks_out(estimator: BaseEstimator) -> None:
    with pytest.warns(SkipTestWarning, match="Can't test estimator"):
        found = list(checks.estimator_checks_generator(estimator))
    assert [check.func.__name__ for _, check in found] == ["check_estimator_cloneable"]


def test_features_are_vectors(tiny: Path) -> None:
    features = TextFeatures(tiny, normalize=True)
    assert features.fit(TEXTS) is features
    found = features.transform(pd.Series(TEXTS))
    assert np.array_equal(found, warmstart.embed(tiny, TEXTS, normalize=True))
    assert np.array_equal(features.fit_transform(np.array(TEXTS)), found)
    assert list(features.get_feature_names_out())[:2] == ["textfeatures0", "textfeatures1"]
    assert features.set_output(transform="pandas").transform(TEXTS).shape == (24, 32)


def test_what_is_not_fitted_says_so(tiny: Path) -> None:
    with pytest.raises(NotFittedError):
        TextFeatures(tiny).transform(TEXTS)
    for method in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(TextClassifier(tiny), method)(TEXTS)


def test_features_in_a_pipeline(tiny: Path) -> None:
    made = make_pipeline(TextFeatures(tiny, normalize=True), LogisticRegression(C=1000.0))
    grid = GridSearchCV(made, {"textfeatures__layer": [0, -1]}, cv=2, error_score="raise")
    grid.fit(TEXTS, LABELS)
    assert grid.best_score_ > 0.8
    columns = make_column_transformer((TextFeatures(tiny), "text"), ("passthrough", ["n"]))
    table = pd.DataFrame({"text": TEXTS, "n": range(24)})
    assert columns.fit_transform(table).shape == (24, 33)


def test_features_are_pickled_without_the_model(tiny: Path) -> None:
    features = TextFeatures(tiny).fit(TEXTS)
    content = pickle.dumps(features)
    assert len(content) < 2000
    assert np.array_equal(pickle.loads(content).transform(TEXTS), features.transform(TEXTS))


def test_features_refuse_what_is_no_list_of_texts(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="text 1 of 1"):
        TextFeatures(tiny).fit([""])
    with pytest.raises(DataError, match="texts"):
        TextFeatures(tiny).fit(np.zeros((3, 2)))
    with pytest.raises(ConfigError, match="layer is 9"):
        TextFeatures(tiny, layer=9).fit(TEXTS)
    with pytest.raises(ConfigError, match="pooling is first"):
        TextFeatures(tiny_gpt2(tmp_path), pooling="first").fit(TEXTS)


@pytest.fixture(scope="module")
def fitted(tiny: Path) -> TextClassifier:
    return quick(tiny, epochs=12).fit(TEXTS, np.array(LABELS))


def test_a_classifier_predicts_the_labels_it_was_given(fitted: TextClassifier) -> None:
    assert fitted.classes_.tolist() == [0, 1]
    predicted, shares = fitted.predict(TEXTS), fitted.predict_proba(pa.array(TEXTS))
    assert predicted.dtype == np.array(LABELS).dtype
    assert shares.shape == (24, 2)
    assert np.allclose(shares.sum(1), 1)
    assert np.array_equal(shares.argmax(1), predicted)
    assert fitted.score(TEXTS, LABELS) == 1
    assert fitted.predict([]).shape == (0,)
    assert fitted.predict_proba([]).shape == (0, 2)
    own = [one["label"] for one in fitted.run_.predict(TEXTS)]
    assert own == [str(label) for label in predicted]


def test_a_fit_leaves_the_parameters(fitted: TextClassifier, tiny: Path) -> None:
    expected = quick(tiny, epochs=12).get_params()
    assert fitted.get_params() == expected
    fresh = clone(fitted)
    assert fresh.get_params() == expected
    assert not vars(fresh).keys() & {"run_", "classes_"}


def test_a_classifier_is_pickled_with_its_run(tiny: Path) -> None:
    first = quick(tiny, epochs=1).fit(TEXTS, LABELS)
    expected, path = first.predict_proba(TEXTS), first.run_.path
    content = pickle.dumps(first)
    del first
    assert not path.exists()
    again = pickle.loads(content)
    assert again.run_.path.exists()
    assert np.array_equal(again.predict_proba(TEXTS), expected)


@pytest.mark.slow  # its report is drawn
def test_a_run_may_be_kept(tiny: Path, tmp_path: Path) -> None:
    kept = quick(tiny, epochs=1, output=tmp_path / "run").fit(TEXTS, LABELS)
    assert (tmp_path / "run" / "report.html").exists()
    assert len(pickle.dumps(kept)) < 2000
    assert pickle.loads(pickle.dumps(kept)).predict(TEXTS[:1]).shape == (1,)
    with pytest.raises(RunError):
        kept.fit(TEXTS, LABELS)
    assert kept.set_params(overwrite=True).fit(TEXTS, LABELS) is kept


def test_the_settings_reach_the_run(tiny: Path) -> None:
    given = {"epochs": 1, "seed": 7, "overrides": ["train.device=cpu", "model.max_tokens=9"]}
    found = quick(tiny, **given).fit(TEXTS, LABELS)
    config = found.run_.config
    assert (config.train.epochs, config.train.seed, config.model.max_tokens) == (1, 7, 9)


@pytest.mark.slow
def test_numbers_are_labels_in_their_own_order(tiny: Path) -> None:
    """As text, 10 comes before 9; a float that is whole is written without its fraction."""
    labels = [9.0 + label for label in LABELS]
    found = quick(tiny, epochs=12).fit(TEXTS, labels)
    assert found.classes_.tolist() == [9.0, 10.0]
    assert {one["label"] for one in found.run_.predict(TEXTS)} == {"9", "10"}
    assert found.score(TEXTS, labels) == 1


@pytest.mark.parametrize(
    ("classes", "names"),
    [(["a", "b"], ["a", "b"]), ([False, True], ["False", "True"]), ([0.0, 1.0], ["0", "1"])],
)
def test_labels_are_stored_as_text(classes: list[Any], names: list[str]) -> None:
    assert names_of_classes(np.array(classes)) == names


def test_labels_that_look_alike_are_refused() -> None:
    with pytest.raises(DataError, match="the labels 1 and '1', which are both '1'") as error:
        names_of_classes(np.array([1, "1"], dtype=object))
    assert "rename one of them" in error.value.do


def test_texts_and_labels_have_one_length(tiny: Path) -> None:
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick(tiny).fit(TEXTS, LABELS[1:])


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_text_without_a_label_is_refused(tiny: Path, nothing: Any) -> None:
    labels = np.array([*LABELS[1:], nothing], dtype=object)
    with pytest.raises(ValueError, match="y contains NaN or None"):
        quick(tiny).fit(TEXTS, labels)


@pytest.mark.slow
def test_a_classifier_in_a_cross_validation(tiny: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = cross_val_score(quick(tiny, epochs=12), TEXTS, LABELS, cv=2, error_score="raise")
    assert scores.shape == (2,)
    assert scores.mean() > 0.6
