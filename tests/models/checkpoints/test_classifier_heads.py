"""What a classifier keeps of the head of its checkpoint: rows go by the names of the labels."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import warmstart
from tests.cli.conftest import ran
from tests.models.test_refusals import change_weights
from tests.resolved import resolved
from tests.runs_in_memory import settings
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart.config import ModelConfig
from warmstart.models.checkpoints import load
from warmstart.models.checkpoints.classifier_heads import label_weights
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.description import describe_training
from warmstart.models.checkpoints.load import Checkpoint, find, sequence_classifier
from warmstart.models.checkpoints.load import token_classifier as tagger
from warmstart.models.checkpoints.missing_parts import new_parts
from warmstart.models.checkpoints.quiet import quiet

TEXTS: Head = "sequence-classification"


def classifier(
    folder: Path,
    labels: Sequence[str],
    problem: Any = "single_label_classification",
    architecture: str = "bert",
) -> tuple[Path, dict[str, torch.Tensor]]:
    """A checkpoint of a classifier, and its weights."""
    start = find(ModelConfig(name=str(tiny_checkpoint(folder / "base", architecture))), TEXTS)
    model = sequence_classifier(start, labels, seed=1, problem=problem)
    assert new_parts(start, model.config) == []  # a checkpoint without a head needs no words
    with quiet():
        model.save_pretrained(folder / "trained")
    start.tokenizer.save_pretrained(folder / "trained")
    return folder / "trained", model.state_dict()


def found(folder: Path, head: Head = TEXTS) -> Checkpoint:
    return find(ModelConfig(name=str(folder)), head)


@pytest.mark.parametrize(
    ("labels", "problem", "said"),
    [
        (["bad", "good"], "single_label_classification", "for the same labels, which is kept"),
        (["good", "new"], "single_label_classification", "kept for good; new for bad; dropped for"),
        (["no", "yes"], "single_label_classification", "for other labels (no, yes): a new head"),
        (["bad", "good"], "multi_label_classification", "several labels per text; this run"),
    ],
)
def test_check_says_what_happens_to_the_head_without_reading_weights(
    labels: list[str],
    problem: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sentences of the run, in ``check`` and ``train --dry-run``."""
    folder, _ = classifier(tmp_path, labels, problem)
    plain = settings(tmp_path)
    config = {**plain, "model": {"name": str(folder)}}
    with monkeypatch.context() as patched:
        patched.setattr(load, "read_model", None)
        patched.setattr(load, "read_by_label", None)
        prepared = warmstart.check(config)
    messages = [message.text for message in prepared.findings.messages]
    model = prepared.task.model(prepared.checkpoint, seed=3)
    (sentence,) = new_parts(prepared.checkpoint, model.config)
    assert said in sentence
    assert messages.count(sentence) == 1
    assert not warmstart.check(plain).about_model()


@pytest.mark.parametrize(
    ("labels", "problem", "said"),
    [
        (
            ["bad", "good"],
            "single_label_classification",
            "predicts one label per text (bad, good); a run that predicts the same keeps the rows "
            "of the labels that its training rows have",
        ),
        (["a", "b"], "multi_label_classification", "predicts several labels per text (a, b);"),
        (["value"], "regression", "predicts numbers; a run that predicts the same keeps it"),
        ([], None, None),
    ],
)
def test_info_on_a_config_says_what_can_be_kept_of_the_head(
    labels: list[str], problem: Any, said: str | None, tmp_path: Path
) -> None:
    """Its labels are not known before the training rows are read, which ``check`` does."""
    config = settings(tmp_path)
    if labels:
        config["model"] = {"name": str(classifier(tmp_path, labels, problem)[0])}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    head = warmstart.info(tmp_path / "config.yaml").head
    assert head is None if said is None else said in str(head)
    shown = ran("info", str(tmp_path / "config.yaml")).out
    assert (" has a head that predicts " in " ".join(shown.split())) == (said is not None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_go_by_name(architecture: str, tmp_path: Path) -> None:
    folder, old = classifier(tmp_path, ["bad", "good"], architecture=architecture)
    checkpoint = found(folder)
    model = sequence_classifier(checkpoint, ["good", "neutral"], seed=7)
    weights, rows = model.state_dict(), label_weights(model.config, TEXTS)
    assert rows[0].endswith("weight")
    for name in rows:
        assert torch.equal(weights[name][0], old[name][1])
    assert not any(torch.equal(weights[rows[0]][1], row) for row in old[rows[0]])
    # All other weights are the checkpoint's, also those of the head.
    assert all(torch.equal(weights[name], old[name]) for name in old if name not in rows)
    (said,) = new_parts(checkpoint, model.config)
    assert said.endswith("kept for good; new for neutral; dropped for bad")
    assert str(folder) in said


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        (["bad", "good"], [0, 1]),
        (["good", "bad"], [1, 0]),
        (["bad", "good", "neutral"], [0, 1, None]),
        (["Bad", "GOOD"], [None, None]),
    ],
)
def test_equal_numbers_of_labels_prove_nothing(
    labels: list[str], rows: list[int | None], tmp_path: Path
) -> None:
    folder, old = classifier(tmp_path, ["bad", "good"])
    new = sequence_classifier(found(folder), labels, seed=7).state_dict()["classifier.weight"]
    same = [
        next((i for i, one in enumerate(old["classifier.weight"]) if torch.equal(one, row)), None)
        for row in new
    ]
    assert same == rows


def test_new_rows_depend_on_the_seed_alone(tmp_path: Path) -> None:
    folder, _ = classifier(tmp_path, ["bad", "good"])
    before = torch.get_rng_state()
    first, again, other = (
        sequence_classifier(found(folder), ["good", "new"], seed=seed).state_dict()
        for seed in (7, 7, 8)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.weight"][1], other["classifier.weight"][1])


@pytest.mark.parametrize(
    ("labels", "problem", "new_labels", "new_problem", "said"),
    [
        (
            ["a", "b"],
            "single_label_classification",
            ["a", "b"],
            "multi_label_classification",
            "predicts one label per text; this run predicts several labels per text",
        ),
        (["value"], "regression", ["relevance"], None, "numbers; this run predicts scores"),
        (["relevance"], None, ["value"], "regression", "scores; this run predicts numbers"),
    ],
)
def test_another_problem_gets_a_new_head(
    labels: list[str],
    problem: Any,
    new_labels: list[str],
    new_problem: Any,
    said: str,
    tmp_path: Path,
) -> None:
    folder, old = classifier(tmp_path, labels, problem, "roberta")
    checkpoint = found(folder)
    model = sequence_classifier(checkpoint, new_labels, 7, new_problem)
    for name in ("classifier.dense.weight", "classifier.out_proj.weight"):
        assert not torch.equal(model.state_dict()[name], old[name])
    (sentence,) = new_parts(checkpoint, model.config)
    assert said in sentence
    assert sentence.endswith("a new head is trained")


def test_a_head_of_another_size_than_config_json_starts_new_and_this_is_said(
    tmp_path: Path,
) -> None:
    folder, old = classifier(tmp_path, ["bad", "good"])
    content = json.loads((folder / "config.json").read_text())
    content["id2label"] = {"0": "bad", "1": "good", "2": "neutral"}
    content["label2id"] = {"bad": 0, "good": 1, "neutral": 2}
    (folder / "config.json").write_text(json.dumps(content))
    checkpoint = found(folder)
    model = sequence_classifier(checkpoint, ["bad", "good"], seed=7)
    assert not torch.equal(model.state_dict()["classifier.weight"], old["classifier.weight"])
    (said,) = new_parts(checkpoint, model.config)
    assert said.endswith("does not fit the 3 labels of its config.json: a new head is trained")
    assert describe_training(checkpoint, resolved()).head == said


def test_a_head_without_one_of_its_weights_starts_new(tmp_path: Path) -> None:
    folder, old = classifier(tmp_path, ["bad", "good"])
    change_weights(folder, lambda weights: weights.pop("classifier.bias"))
    model = sequence_classifier(found(folder), ["bad", "good"], seed=7)
    assert not torch.equal(model.state_dict()["classifier.weight"], old["classifier.weight"])
    (said,) = new_parts(found(folder), model.config)
    assert said.endswith("does not fit the 2 labels of its config.json: a new head is trained")


def test_a_head_for_tags_is_no_head_for_texts(tmp_path: Path) -> None:
    """In BERT both heads have the same names and shapes."""
    folder, old = classifier(tmp_path, ["a", "b"])
    checkpoint = found(folder, "token-classification")
    model = tagger(checkpoint, ["a", "b"], seed=7)
    assert not torch.equal(model.state_dict()["classifier.weight"], old["classifier.weight"])
    assert "one label per text; this run predicts tags" in new_parts(checkpoint, model.config)[0]


def test_one_output_of_the_same_problem_is_kept(tmp_path: Path) -> None:
    """A cross-encoder of the Hub names its one output LABEL_0."""
    folder, old = classifier(tmp_path, ["LABEL_0"], None)
    model = sequence_classifier(found(folder), ["relevance"], seed=7, problem=None)
    assert torch.equal(model.state_dict()["classifier.weight"], old["classifier.weight"])
    assert new_parts(found(folder), model.config)[0].endswith("the same labels, which is kept")


def test_a_label_without_a_name_is_its_number(tmp_path: Path) -> None:
    folder, old = classifier(tmp_path, ["LABEL_0", "LABEL_1"])
    weights = sequence_classifier(found(folder), ["1", "0"], seed=7).state_dict()
    assert torch.equal(weights["classifier.weight"], old["classifier.weight"].flip(0))


def as_pickle(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def in_shards(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    (folder / "model.safetensors").unlink()
    parts = [dict(list(weights.items())[half::2]) for half in range(2)]
    index: dict[str, Any] = {"metadata": {}, "weight_map": {}}
    for number, part in enumerate(parts):
        save_file(part, folder / f"{number}.safetensors", metadata={"format": "pt"})
        index["weight_map"] |= dict.fromkeys(part, f"{number}.safetensors")

    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("stored", [as_pickle, in_shards])
def test_in_other_files(
    stored: Callable[[Path, dict[str, torch.Tensor]], None], tmp_path: Path
) -> None:
    folder, old = classifier(tmp_path, ["bad", "good"])
    stored(folder, old)
    checkpoint = find(ModelConfig(name=str(folder), allow_pickle=True), TEXTS)
    model = sequence_classifier(checkpoint, ["good", "new", "bad"], seed=7)
    new = model.state_dict()["classifier.weight"]
    assert torch.equal(new[[2, 0]], old["classifier.weight"])
    assert "kept for good, bad; new for new" in new_parts(checkpoint, model.config)[0]
