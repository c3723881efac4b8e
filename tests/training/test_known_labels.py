"""A run that starts from a run with other labels: rows of the head go by the names of labels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import warmstart
from tests.runs_in_memory import settings, tagging_settings, topic_settings, write_reviews
from warmstart import config_file
from warmstart.models.checkpoints.classifier_heads import label_weights
from warmstart.preparation.prepare import prepare
from warmstart.tasks.capabilities import label_names_of

Make = Callable[..., dict[str, Any]]


def renamed(config: dict[str, Any], names: dict[str, str]) -> None:
    """Replace labels in the training file of a config."""
    path = Path(config["data"]["train"])
    text = path.read_text()
    for old, new in names.items():
        text = text.replace(old, new)
    path.write_text(text)


def review_settings(folder: Path, **train: Any) -> dict[str, Any]:
    write_reviews(folder / "reviews.csv")
    return settings(folder, **train)


@pytest.mark.parametrize(
    ("make", "names", "kept", "said"),
    [
        (review_settings, {",bad": ",zzz"}, {"good"}, "kept for good; new for zzz; dropped for"),
        (
            topic_settings,
            {"animals": "zoo"},
            {"places", "stories"},
            "kept for places, stories; new for zoo; dropped for animals",
        ),
        (
            tagging_settings,
            {"-name": "-zone"},
            {"O", "B-judgement", "I-judgement"},
            "kept for O, B-judgement, I-judgement; new for B-zone, I-zone; dropped for B-name",
        ),
    ],
)
def test_a_run_keeps_the_rows_of_the_labels_that_it_knows_and_says_so(
    make: Make, names: dict[str, str], kept: set[str], said: str, tmp_path: Path
) -> None:
    """In every task with label names: the same rule, and the same sentence."""
    config = make(tmp_path, epochs=1)
    first = warmstart.train(config, output=tmp_path / "first", progress=False)
    old = load_file(first.path / "model" / "model.safetensors")
    known = json.loads((first.path / "task.json").read_text())["facts"]["label_names"]
    renamed(config, names)
    config["model"]["name"] = str(first.path)
    prepared = prepare(config_file.load(config))
    labels = label_names_of(prepared.task)
    assert {*labels} & {*known} == kept
    model = prepared.task.model(prepared.checkpoint, seed=3)
    new = model.state_dict()
    head = label_weights(model.config, prepared.checkpoint.head)
    for name in head:
        for row, label in enumerate(labels):
            if label in kept:
                assert torch.equal(new[name][row], old[name][known.index(label)])
    others = [name for name in old if name not in head]
    assert all(torch.equal(new[name], old[name]) for name in others)
    messages = [message.text for message in warmstart.check(config).findings.messages]
    assert sum(said in text for text in messages) == 1
    second = warmstart.train(config, output=tmp_path / "second", progress=False)
    events = (second.path / "events.jsonl").read_text().splitlines()
    notices = [event["text"] for event in map(json.loads, events) if event["event"] == "notice"]
    assert sum(said in text for text in notices) == 1


def test_a_classifier_that_learns_several_labels_gets_a_new_head(tmp_path: Path) -> None:
    """Sigmoids and a softmax do not share rows, although the labels have the same names."""
    config = review_settings(tmp_path, epochs=1)
    first = warmstart.train(config, output=tmp_path / "first", progress=False)
    old = load_file(first.path / "model" / "model.safetensors")
    config["task"], config["model"]["name"] = "multi-label-classification", str(first.path)
    prepared = prepare(config_file.load(config))
    assert label_names_of(prepared.task) == ("bad", "good")
    new = prepared.task.model(prepared.checkpoint, seed=3).state_dict()["classifier.weight"]
    assert not any(torch.equal(row, one) for row in new for one in old["classifier.weight"])
    messages = [message.text for message in warmstart.check(config).findings.messages]
    assert (
        sum(
            "predicts one label per text; this run predicts several labels per text" in text
            for text in messages
        )
        == 1
    )
