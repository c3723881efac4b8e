"""The comparison on tagged words: the peer has the same words and labels, and the same score."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import tagging
from tests.tagging_runs import tagging_settings
from warmstart import config_file
from warmstart.preparation.prepare import prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return prepare(config_file.load(tagging_settings(tmp_path_factory.mktemp("tags"))))


def output(prepared: Any, *, right: bool) -> Any:
    """The output of a ``Trainer`` for the validation rows: padded labels, and logits for them."""
    rows, _ = tagging.features(prepared, "validation", prepared.checkpoint.tokenizer, 128)
    width = max(len(row["labels"]) for row in rows)
    labels = np.full((len(rows), width), tagging.IGNORED)
    for place, row in enumerate(rows):
        labels[place, : len(row["labels"])] = row["labels"]
    classes = np.maximum(labels, 0) if right else np.zeros_like(labels)
    logits = np.eye(len(prepared.task.label_names))[classes]
    return SimpleNamespace(predictions=logits, label_ids=labels)


def test_the_peer_has_the_labels_of_the_same_words(prepared: Any) -> None:
    found = output(prepared, right=True)
    classes = prepared.splits["validation"].labels.classes
    assert found.label_ids[found.label_ids != tagging.IGNORED].tolist() == classes.tolist()


def test_right_tags_have_an_f1_of_one(prepared: Any) -> None:
    words = np.arange(len(prepared.splits["validation"].labels.classes))
    right, wrong = output(prepared, right=True), output(prepared, right=False)
    assert tagging.entity_f1(prepared, "validation", right, words) == 1
    assert tagging.entity_f1(prepared, "validation", wrong, words) == 0


def test_words_without_a_token_are_predicted_outside(prepared: Any) -> None:
    """Rows truncated to four tokens, including CLS and SEP: later words have no prediction."""
    _, read = tagging.features(prepared, "validation", prepared.checkpoint.tokenizer, 4)
    classes = prepared.splits["validation"].labels.classes
    assert 0 < len(read) < len(classes)
    one_hot = np.eye(len(prepared.task.label_names))[classes[read]][None]
    found = SimpleNamespace(predictions=one_hot, label_ids=classes[read][None])
    assert 0 < tagging.entity_f1(prepared, "validation", found, read) < 1


def test_verdicts_compare_with_one_standard_error_and_twice_the_speed() -> None:
    ours = {"test_f1": 0.60, "samples_per_second": 30.0}
    peer = {"test_f1": 0.61, "test_f1_standard_error": 0.02, "samples_per_second": 16.0}
    quality, speed = tagging.verdicts(ours, peer)
    assert quality.holds
    assert quality.target == pytest.approx(0.59)
    assert not speed.holds
    assert speed.measured == pytest.approx(30 / 16)
    assert tagging.verdicts(ours, {**peer, "test_f1_standard_error": None})[0].holds is None


def test_a_quick_run_has_the_first_sentences(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "data" / "a.conll").write_text("one O\n\n" * 500)
    tagging.shortened(tmp_path / "data", tmp_path / "out")
    assert (tmp_path / "out" / "a.conll").read_text().count("one O") == tagging.QUICK_SENTENCES
