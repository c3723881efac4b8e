"""The baselines: their predictions, that they are deterministic, and their limits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from warmstart.baselines import linear as baselines
from warmstart.baselines import text_features
from warmstart.baselines.linear import (
    label_shares,
    majority,
    mean,
    ridge,
    tfidf,
    tfidf_labels,
)
from warmstart.config import DataConfig, RunConfig
from warmstart.data.table import SourceFile, Table
from warmstart.evaluation.baseline_scores import baseline_scores
from warmstart.metrics.classification_metrics import classification_scores
from warmstart.tasks import TASKS
from warmstart.tasks.capabilities import HasBaselines
from warmstart.tasks.row_baselines import predicted, texts_of
from warmstart.tasks.task import Split


class Result(NamedTuple):
    """A baseline's probabilities for some rows, float64 [M, C], and its note."""

    probabilities: Any
    note: str | None


def say(subject: str, seed: int, rows: int) -> list[str]:
    """Sentences in which only the subject depends on the class."""
    generator = np.random.default_rng(seed)
    verbs, places = ["ran", "slept", "sang", "waited"], ["home", "there", "outside", "again"]
    return [
        f"the {subject} {generator.choice(verbs)} {generator.choice(places)}" for _ in range(rows)
    ]


def column(texts: list[str] | pa.ChunkedArray) -> pa.Table:
    """The texts in the form of ``texts_of``."""
    return texts_of(table_of(texts), DATA)


DATA = DataConfig(train="a.csv")


def table_of(texts: list[str] | pa.ChunkedArray) -> Table:
    rows = len(texts)
    return Table(
        columns=pa.table({"text": pa.array(texts, pa.string()) if rows == 0 else texts}),
        rows=np.arange(rows),
        files=(SourceFile("a.csv", sha256="", encoding="utf-8", rows=rows),),
        file_index=np.zeros(rows, dtype=np.int32),
        lines=np.arange(rows) + 2,
    )


def fit(
    texts: list[str] | pa.ChunkedArray,
    targets: list[int] | np.ndarray,
    asked: list[str] | pa.ChunkedArray,
    classes: int = 2,
) -> dict[str, Result]:
    """The predictions of each baseline of a classifier for the requested rows."""
    found = {}
    for name, baseline in {"majority": majority, "tfidf": tfidf}.items():
        fitted = baseline(column(texts), np.array(targets), classes)
        found[name] = Result(fitted.predict(column(asked)), fitted.note)
    return found


def test_majority_gives_every_row_the_training_shares() -> None:
    result = fit(["a", "b", "c", "d"], [0, 1, 1, 1], ["x", "y", "z"])["majority"]
    np.testing.assert_array_equal(result.probabilities, [[0.25, 0.75]] * 3)
    assert result.note is None


def test_tfidf_learns_the_word_that_tells_and_generalises_over_the_rest() -> None:
    texts, targets = say("cat", 0, 40) + say("dog", 1, 40), [0] * 40 + [1] * 40
    result = fit(texts, targets, [*say("cat", 2, 10), *say("dog", 3, 10)])["tfidf"]
    probabilities = result.probabilities
    np.testing.assert_array_equal(probabilities.argmax(axis=1), [0] * 10 + [1] * 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert result.note is None


def test_tfidf_reads_pairs_of_words_one_letter_words_and_punctuation() -> None:
    pairs = fit(["a b c", "b a c"] * 10, [0, 1] * 10, ["a b c", "b a c"])["tfidf"]
    assert pairs.probabilities.argmax(axis=1).tolist() == [0, 1]
    signs = fit(["!", "?"] * 10, [0, 1] * 10, ["? ?", "!"])["tfidf"]
    assert signs.probabilities.argmax(axis=1).tolist() == [1, 0]


def test_tfidf_reads_characters_where_there_are_no_spaces() -> None:
    """Every sentence is a different "word", so words give no information about other rows."""
    starts, ends = ["今天", "昨天", "明天", "早上"], ["他说", "我想", "她问", "人们"]
    good = [f"{end}{start}这本书很好看" for start in starts for end in ends]
    bad = [f"{end}{start}这本书不好看" for start in starts for end in ends]
    targets = [1] * 16 + [0] * 16
    result = fit(good + bad, targets, ["我觉得电影不好", "我觉得电影很好"])["tfidf"]
    assert result.probabilities.argmax(axis=1).tolist() == [0, 1]


def test_each_label_has_its_share_and_a_regression_of_its_own() -> None:
    texts = ["good dog", "bad dog", "good cat", "bad cat", "cat", "dog"] * 5
    targets = np.array([["good" in text, "cat" in text] for text in texts])
    rows = column(texts)
    assert label_shares(targets).predict(rows[:2]) == pytest.approx(
        np.array([[1 / 3, 1 / 2], [1 / 3, 1 / 2]])
    )
    fitted = tfidf_labels(rows, targets)
    found = fitted.predict(column(["a good cat", "a bad dog"])) > 0.5
    assert found.tolist() == [[True, True], [False, False]]
    assert fitted.note is None


def test_a_label_that_all_or_none_have_needs_no_regression() -> None:
    targets = np.array([[True, False, True], [True, False, False]] * 3)
    rows = column(["good dog", "bad dog"] * 3)
    found = tfidf_labels(rows, targets).predict(rows)
    assert (found[:, :2] == [1, 0]).all()
    assert found[0, 2] > 0.5 > found[1, 2]


def test_numbers_have_their_mean_and_a_ridge_regression() -> None:
    texts = ["good good good", "good good", "good bad", "bad bad"] * 5
    targets = np.array([text.count("good") - text.count("bad") for text in texts], dtype=float)
    rows = column(texts)
    assert mean(targets).predict(rows[:2]).tolist() == [[targets.mean()]] * 2
    found = ridge(rows, targets).predict(rows)
    assert found.shape == (20, 1)
    assert np.corrcoef(found[:, 0], targets)[0, 1] > 0.9


def test_every_split_is_predicted_and_arrow_columns_do_as_well_as_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text_features, "_PREDICTION_ROWS", 3)
    texts, targets = say("cat", 0, 20) + say("dog", 1, 20), np.array([0] * 20 + [1] * 20)
    asked = [*say("cat", 2, 5), *say("dog", 3, 2)]
    fitted = {
        "majority": majority(column(texts), targets, 2),
        "tfidf": tfidf(column(texts), targets, 2),
    }
    splits = {
        name: Split(table_of(rows), None)
        for name, rows in {"validation": asked, "test": []}.items()
    }
    found = predicted(fitted, splits, DATA, lambda shares, table: (shares, table))
    chunked = fit(
        pa.chunked_array([texts[:7], texts[7:]]), targets, pa.chunked_array([asked[:1], asked[1:]])
    )
    assert list(found) == ["majority", "tfidf"]
    for name, baseline in found.items():
        shares, table = baseline.predictions["validation"]
        assert shares.shape == (7, 2)
        assert table is splits["validation"].table
        assert baseline.predictions["test"][0].shape == (0, 2)
        np.testing.assert_array_equal(shares, chunked[name].probabilities)
    likeliest = found["tfidf"].predictions["validation"][0].argmax(axis=1)
    assert likeliest.tolist() == [0] * 5 + [1] * 2


def test_a_class_the_training_rows_lack_gets_no_probability_and_its_column_stays() -> None:
    result = fit(["red wine", "white wine"] * 5, [0, 2] * 5, ["white wine"], classes=3)
    for baseline in result.values():
        assert baseline.probabilities.shape == (1, 3)
        assert baseline.probabilities[0, 1] == 0.0
    assert result["tfidf"].probabilities.argmax() == 2


@pytest.mark.parametrize(
    ("limit", "value", "rows"),
    [("MAX_ROWS", 50, 50), ("MAX_ROW_CLASSES", 100, 50), ("MAX_CHARACTERS", 1000, 50)],
)
def test_above_a_limit_tfidf_learns_from_a_fixed_sample_and_notes_it(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, rows: int
) -> None:
    texts = [text.ljust(20)[:20] for text in say("cat", 0, 100) + say("dog", 1, 100)]
    targets = [0] * 100 + [1] * 100
    whole = fit(texts, targets, texts[::20])["tfidf"]
    monkeypatch.setattr(baselines, limit, value)
    first, again = (fit(texts, targets, texts[::20]) for _ in range(2))
    assert first["tfidf"].note == f"trained on a sample of {rows} of 200 rows"
    shares = [found["tfidf"].probabilities for found in (first, again)]
    np.testing.assert_array_equal(shares[0], shares[1])
    assert not np.array_equal(shares[0], whole.probabilities)
    assert first["majority"].note is None


def test_a_sample_keeps_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MAX_ROWS", 5)
    texts, targets = ["common"] * 500 + ["rare"], [0] * 500 + [1]
    assert fit(texts, targets, ["rare"])["tfidf"].probabilities[0, 1] > 0.2


def test_a_fit_that_does_not_converge_has_a_note_and_no_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(baselines, "MAX_ITERATIONS", 1)
    note = fit(say("cat", 0, 20) + say("dog", 1, 20), [0] * 20 + [1] * 20, ["a"])["tfidf"].note
    assert note == "stopped after 1 iterations, before it converged"


def test_pairs_are_two_columns() -> None:
    pairs = replace(table_of(["who", "when"]), columns=pa.table({"text": ["who"], "b": ["he"]}))
    data = DataConfig(train="a.csv", text_pair="b")
    assert texts_of(pairs, data).to_pydict() == {"text": ["who"], "text_pair": ["he"]}


def pairs_of(rows: int, seed: int) -> tuple[pa.Table, np.ndarray]:
    """Pairs of texts, and whether they have the same words; no word depends on the label."""
    generator = np.random.default_rng(seed)
    firsts, seconds, same = [], [], []
    for _ in range(rows):
        words = generator.choice(list("abcdefghijklmnopqrst"), 5, replace=False)
        others = generator.choice(list("abcdefghijklmnopqrst"), 5, replace=False)
        same.append(generator.random() < 0.5)
        firsts.append(" ".join(words))
        seconds.append(" ".join(generator.permutation(words) if same[-1] else others))
    return pa.table({"text": firsts, "text_pair": seconds}), np.array(same)


def test_pairs_are_compared() -> None:
    (train, same), (test, expected) = pairs_of(300, 0), pairs_of(100, 1)
    classes = tfidf(train, same.astype(np.int64), 2).predict(test).argmax(axis=1)
    assert np.mean(classes == expected) > 0.95
    numbers = ridge(train, same.astype(np.float64)).predict(test)[:, 0]
    assert np.corrcoef(numbers, expected)[0, 1] > 0.9
    both = tfidf_labels(train, np.column_stack([same, ~same])).predict(test)
    assert np.mean(both.argmax(axis=1) == ~expected) > 0.95


def test_similarities_are_finite_for_texts_without_known_terms() -> None:
    train, same = pairs_of(50, 0)
    asked = pa.table({"text": ["", "?", "a b"], "text_pair": ["", "zzz", "a b"]})
    found = tfidf(train, same.astype(np.int64), 2).predict(asked)
    assert np.isfinite(found).all()
    assert found[2, 1] > 0.9


def test_a_task_without_labels_has_no_baselines() -> None:
    config = RunConfig(task="fill-mask", data=DATA)
    task = TASKS["fill-mask"].from_facts(config, {})
    assert not isinstance(task, HasBaselines)
    rows = Split(table_of(["a", "b"]), np.arange(2))
    assert baseline_scores(task, config, rows, {"validation": rows}) == ({}, [])


def test_on_cola_tfidf_is_above_chance_and_far_below_a_transformer(
    shared_data: Callable[[str], Path],
) -> None:
    def read(name: str) -> tuple[pa.ChunkedArray, np.ndarray]:
        table = pyarrow.csv.read_csv(
            shared_data(f"cola/{name}.tsv"),
            read_options=pyarrow.csv.ReadOptions(column_names=["source", "label", "mark", "text"]),
            parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        )
        return table["text"], table["label"].to_numpy()

    texts, targets = read("in_domain_train")
    asked, true = read("in_domain_dev")
    found = fit(texts, targets, asked)
    matthews, loss = (
        {
            name: classification_scores(result.probabilities, true, ["0", "1"], intervals=False)
            .metrics[metric]
            .value
            for name, result in found.items()
        }
        for metric in ("matthews_correlation", "log_loss")
    )
    assert matthews["majority"] == 0.0
    assert matthews["tfidf"] is not None
    assert 0.1 < matthews["tfidf"] < 0.25
    # The entropy of the training shares would be 0.607; the development rows differ a little.
    assert loss["majority"] == pytest.approx(0.617, abs=0.001)
