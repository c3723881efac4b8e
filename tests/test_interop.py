"""A saved ``model/`` can be opened with Transformers alone, with the same predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from tests.quick import EACH_ARCHITECTURE
from tests.runs_in_memory import settings, write_reviews
from tests.tiny import ARCHITECTURES, tiny_checkpoint
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.preparation.prepare import prepare
from warmstart.training.train_run import train_run

TEXTS = [
    "the wonderful cat saw my house",
    "Terrible!",
    "a",
    'and "her" story, was (very) old; 读 it 42 times…',
    "when we read it and her boring story and my old house and the cat and the poor dog again",
]
TOLERANCE = 1e-5

Trained = Callable[[str], Run]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A function from an architecture to a run of it, trained at its first use."""
    runs: dict[str, Run] = {}

    def run_of(architecture: str) -> Run:
        if architecture not in runs:
            folder: Path = tmp_path_factory.mktemp(architecture)
            tiny_checkpoint(folder / "checkpoint", architecture)
            write_reviews(folder / "reviews.csv", rows=48)
            runs[architecture] = train(settings(folder, epochs=1), folder / "run", max_tokens=16)
        return runs[architecture]

    return run_of


def train(config: dict[str, Any], path: Path, max_tokens: int) -> Run:
    config["model"]["max_tokens"] = max_tokens
    train_run(prepare(config_file.load(config)), path)
    return api.load(path)


def assert_same(run: Run, theirs: list[dict[str, float]], texts: list[str]) -> None:
    ours = run.predict(texts)
    assert ours[0]["probabilities"] != ours[1]["probabilities"]
    for answer, shares in zip(ours, theirs, strict=True):
        assert answer["probabilities"].keys() == shares.keys()
        for label, share in shares.items():
            assert answer["probabilities"][label] == pytest.approx(share, abs=TOLERANCE)


def by_pipeline(run: Run, texts: list[str], **options: Any) -> list[dict[str, float]]:
    """Every label's probability from ``transformers.pipeline`` and the folder only."""
    classify: Any = pipeline("text-classification", model=str(run.path / "model"), device="cpu")
    return [
        {answer["label"]: answer["score"] for answer in answers}
        for answers in classify(texts, top_k=None, **options)
    ]


@torch.no_grad()
def by_hand(run: Run, texts: list[str]) -> list[dict[str, float]]:
    """The same from the Auto classes, all texts in one padded batch."""
    folder = run.path / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    batch = AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, return_tensors="pt"
    )
    shares = model(**batch).logits.softmax(dim=-1).tolist()
    return [
        {model.config.id2label[index]: share for index, share in enumerate(row)} for row in shares
    ]


@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
def test_a_bare_pipeline_gives_the_same_probabilities(trained: Trained, architecture: str) -> None:
    run = trained(architecture)
    short = [text for text in TEXTS if not run.predict([text])[0]["truncated"]]
    assert len(short) >= 3
    assert_same(run, by_pipeline(run, short), short)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_longer_texts_are_cut_where_training_cut_them(trained: Trained, architecture: str) -> None:
    run = trained(architecture)
    texts = [*TEXTS, " ".join(TEXTS) * 20]
    assert run.predict(texts)[-1]["truncated"]
    assert_same(run, by_pipeline(run, texts, truncation=True, batch_size=3), texts)
    assert_same(run, by_hand(run, texts), texts)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_folder_says_what_it_is(trained: Trained, architecture: str) -> None:
    run = trained(architecture)
    folder = run.path / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert type(model).__name__ in model.config.architectures
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert model.dtype == torch.float32
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.model_max_length == 16
    assert tokenizer.is_fast


@pytest.mark.slow
def test_the_real_bundled_model_after_a_step(tmp_path: Path) -> None:
    source = write_reviews(tmp_path / "reviews.csv", rows=16)
    config = {
        "model": {"name": "bundled/minilm-l6"},
        "data": {"train": str(source), "validation": 0.5},
        "train": {"epochs": 1, "batch_size": 8, "device": "cpu", "learning_rate": 1e-3},
    }
    run = train(config, tmp_path / "run", max_tokens=32)
    texts = [*TEXTS, " ".join(TEXTS) * 20]
    assert_same(run, by_pipeline(run, texts, truncation=True), texts)
    assert_same(run, by_hand(run, texts), texts)
    assert_same(run, by_pipeline(run, TEXTS[:2]), TEXTS[:2])
