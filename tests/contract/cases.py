"""The tasks of the contract tests: the user's files, and what must be printed for them.

``CASES`` has an entry for every task of ``TASKS``. Data and models are tiny, so that a run takes
about a second.
"""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.answering_runs import answering_settings, write_squad
from tests.contract.driven_run import Case
from tests.runs_in_memory import (
    BAD,
    GOOD,
    OTHER,
    TOPICS,
    filling_settings,
    number_settings,
    pairing_settings,
    ranking_settings,
    settings,
    topic_settings,
    write_documents,
    write_numbers,
    write_rankings,
    write_reviews,
    write_topics,
    writing_settings,
)
from tests.tiny import tiny_checkpoint
from tests.tiny.decoders import tiny_gpt2

TRAINED, HELD = 48, 12
"""Rows of the training file, and of the file that is evaluated."""

PAIRS = 35
"""Pairs of segments in the ``HELD`` documents of a file."""

TEXT = "Your text here."
"""The text in the snippets of the model cards."""


def small(
    make: Callable[..., dict[str, Any]], write: Callable[..., Path], name: str
) -> Callable[[Path], dict[str, Any]]:
    """Settings of ``runs_in_memory`` with one layer and few rows."""

    def made(folder: Path) -> dict[str, Any]:
        tiny_checkpoint(folder / "checkpoint", layers=1)
        found = make(folder)
        write(folder / name, TRAINED)
        return found

    return made


def labelled(write: Callable[..., Path], rows: int = HELD) -> Callable[[Path], Path]:
    """A file in the format of the training file, with other rows."""
    return lambda folder: write(folder / "held_out.csv", rows, seed=5)


def _rankings(path: Path, queries: int, seed: int = 0) -> Path:
    """Queries with two grades, for losses that use each document separately."""
    write_rankings(path, queries, seed)
    path.write_text(path.read_text("utf-8").replace(",2\n", ",1\n"), "utf-8")
    return path


def _decoder(folder: Path) -> dict[str, Any]:
    tiny_gpt2(folder / "decoder", layers=1, max_positions=160)
    write_reviews(folder / "documents.csv", TRAINED)
    return writing_settings(folder)


def _encoder(folder: Path) -> dict[str, Any]:
    tiny_checkpoint(folder / "checkpoint", layers=1)
    write_reviews(folder / "reviews.csv", TRAINED)
    return filling_settings(folder)


def _masks(folder: Path) -> Path:
    path = folder / "masks.csv"
    rows = [f"a text with [MASK] in row {row}\n" for row in range(HELD)]
    path.write_text("text\n" + "".join(rows))
    return path


def _two_texts(folder: Path) -> Path:
    path = folder / "two_texts.csv"
    rows = [f"the cat saw {row},it was old\n" for row in range(PAIRS)]
    path.write_text("text,next_text\n" + "".join(rows))
    return path


def _pairs(folder: Path) -> dict[str, Any]:
    tiny_checkpoint(folder / "checkpoint", layers=1)
    return pairing_settings(folder)


def _pairs_with_masks(folder: Path) -> dict[str, Any]:
    return {**_pairs(folder), "task": "bert-pretraining"}


def write_tags(path: Path, rows: int, seed: int = 0) -> Path:
    """JSON lines of words and their tags: a judgement of one or two words, and a name."""
    pick = random.Random(seed)
    lines = []
    for number in range(rows):
        words, tags = [], []
        for word in pick.choices(OTHER, k=pick.randint(2, 7)):
            words.append(word)
            tags.append("O")
        judged = pick.choices(GOOD + BAD, k=pick.randint(1, 2))
        words += [*judged, f"Ada{number}"]
        tags += ["B-judgement", "I-judgement"][: len(judged)]
        tags.append("B-name")
        lines.append(json.dumps({"words": words, "tags": tags}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _tags(folder: Path) -> dict[str, Any]:
    data = write_tags(folder / "tags.jsonl", TRAINED)
    config = settings(folder)
    return {
        **config,
        "task": "token-classification",
        "data": {"train": str(data), "validation": 0.2},
    }


def _questions(folder: Path) -> dict[str, Any]:
    tiny_checkpoint(folder / "checkpoint", layers=1)
    return answering_settings(folder)


def _label(value: Any, found: Mapping[str, Any]) -> bool:
    return bool(value[0]["label"] == found["label"])


def _shares(value: Any, found: Mapping[str, Any]) -> bool:
    shares = {one["label"]: one["score"] for one in value[0]}
    return _close(shares, found["probabilities"])


def _number(value: Any, found: Mapping[str, Any]) -> bool:
    return abs(value[0]["score"] - found["value"]) < 1e-4


def _tokens(value: Any, found: Mapping[str, Any]) -> bool:
    """The filled-in texts can differ, so only the form is compared."""
    return len(value) == len(found["masks"][0]) and all(one["token_str"] for one in value)


def _entities(value: Any, found: Mapping[str, Any]) -> bool:
    places = [(one["entity_group"], one["start"], one["end"]) for one in value]
    return places == [(span["type"], span["start"], span["end"]) for span in found["spans"]]


def _follows(value: Any, found: Mapping[str, Any]) -> bool:
    return bool(abs(value - found["probabilities"]["IsNext"]) < 1e-4)


def _answer(value: Any, found: Mapping[str, Any]) -> bool:
    return bool(value == found["text"] == TEXT[found["start"] : found["end"]])


def _continued(value: Any, found: Mapping[str, Any]) -> bool:
    return bool(value[0]["generated_text"].startswith(TEXT))


def _scores(value: Any, found: Mapping[str, Any]) -> bool:
    return abs(float(value[0]) - found["score"]) < 1e-4


def _close(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() == other.keys() and all(abs(one[k] - other[k]) < 1e-4 for k in one)


CASES: dict[str, Case] = {
    "text-classification": Case(
        settings=small(settings, write_reviews, "reviews.csv"),
        labelled=labelled(write_reviews),
        rows=HELD,
        predict=("--text", TEXT),
        prediction=("label", "probabilities"),
        columns=("label", "prediction", "probability:bad", "probability:good"),
        shown=r"(bad|good)  [01]\.\d{3}\n",
        labels=("bad", "good"),
        baselines=("majority", "tfidf"),
        marks=("always predicts one of its labels",),
        same=_label,
    ),
    "multi-label-classification": Case(
        settings=small(topic_settings, write_topics, "topics.csv"),
        labelled=labelled(write_topics),
        rows=HELD,
        predict=("--text", TEXT),
        prediction=("labels", "probabilities"),
        columns=("label", "prediction", *(f"probability:{topic}" for topic in sorted(TOPICS))),
        shown=r"((animals|places|stories)[^\n]*|none[^\n]*|–[^\n]*)\n",
        labels=tuple(sorted(TOPICS)),
        baselines=("shares", "tfidf"),
        marks=("probability that the label applies",),
        same=_shares,
    ),
    "text-regression": Case(
        settings=small(number_settings, write_numbers, "numbers.csv"),
        labelled=labelled(write_numbers),
        rows=HELD,
        predict=("--text", TEXT),
        prediction=("value",),
        columns=("label", "value"),
        shown=r"-?\d+\.?\d*(e-\d+)?\n",
        labels=(),
        baselines=("mean", "ridge"),
        marks=("always predicts a number", "Predicted and true numbers"),
        same=_number,
    ),
    "text-ranking": Case(
        settings=small(ranking_settings, lambda path, rows: _rankings(path, 14), "rankings.csv"),
        labelled=labelled(_rankings, 5),
        rows=15,
        predict=("--text", "Your query here.", "--text-pair", "A document."),
        prediction=("score", "logit"),
        columns=("text_pair", "label", "score", "logit"),
        shown=r"-?\d+\.?\d*(e-\d+)?  logit -?\d+\.?\d*(e-\d+)?\n",
        labels=(),
        baselines=("chance", "bm25"),
        marks=("CrossEncoder", "order the documents of one query"),
        same=_scores,
    ),
    "token-classification": Case(
        settings=small(_tags, write_tags, "tags.jsonl"),
        labelled=lambda folder: write_tags(folder / "held_out.jsonl", HELD, seed=5),
        rows=HELD,
        predict=("--text", TEXT),
        prediction=("spans",),
        columns=("label", "prediction", "words", "tags"),
        shown=r"(no spans\n)|((judgement|name)  [^\n]+  \[\d+:\d+\]  [01]\.\d{3}\n)+",
        labels=("O", "B-judgement", "I-judgement", "B-name", "I-name"),
        baselines=("frequent_tag",),
        marks=("aggregation_strategy", "flat spans"),
        same=_entities,
    ),
    "question-answering": Case(
        settings=_questions,
        labelled=lambda folder: write_squad(folder / "held_out.json", HELD // 2, seed=5),
        rows=HELD,
        predict=("--text", "Who lives here?", "--text-pair", TEXT),
        prediction=("text", "start", "end", "confidence"),
        columns=("text_pair", "label", "prediction", "start", "end", "confidence"),
        shown=r"[^\n]+  \[\d+:\d+\]  [01]\.\d{3}\n",
        labels=(),
        baselines=("nearby_words", "best_sentence"),
        marks=("start_logits", "copies a part of the context", "Per answer type"),
        same=_answer,
    ),
    "text-generation": Case(
        settings=_decoder,
        labelled=labelled(write_reviews),
        rows=HELD,
        predict=("--prompt", TEXT),
        prediction=("prompt", "text", "finish"),
        columns=(),
        shown=r"(?s).*\n",
        labels=(),
        baselines=("untouched",),
        marks=("What the model generates", "names and facts are invented"),
        same=_continued,
    ),
    "fill-mask": Case(
        settings=_encoder,
        labelled=labelled(write_reviews),
        rows=HELD,
        predict=("--text", "A text with one [MASK] in it."),
        prediction=("masks",),
        columns=("tokens", "probabilities"),
        shown=r"(\S+ +[01]\.\d+[^\n]*\n)+",
        labels=(),
        baselines=("untouched",),
        marks=("fill.tokenizer.mask_token", "single tokens of its vocabulary"),
        same=_tokens,
        unlabelled=_masks,
    ),
    "next-sentence": Case(
        settings=_pairs,
        labelled=labelled(write_documents),
        rows=PAIRS,
        predict=("--text", TEXT, "--text-pair", "The second text."),
        prediction=("label", "probabilities"),
        columns=("text_pair", "label", "prediction", "probability:IsNext", "probability:NotNext"),
        shown=r"(IsNext|NotNext)  [01]\.\d{3}\n",
        labels=("IsNext", "NotNext"),
        baselines=("majority", "tfidf"),
        marks=("AutoModelForNextSentencePrediction", "tell the next segment of a document"),
        same=_follows,
        unlabelled=_two_texts,
    ),
    "bert-pretraining": Case(
        settings=_pairs_with_masks,
        labelled=labelled(write_documents),
        rows=PAIRS,
        predict=("--text", TEXT, "--text-pair", "The second text."),
        prediction=("label", "probabilities"),
        columns=("text_pair", "label", "prediction", "probability:IsNext", "probability:NotNext"),
        shown=r"(IsNext|NotNext)  [01]\.\d{3}\n",
        labels=("IsNext", "NotNext"),
        baselines=("untouched",),
        marks=("AutoModelForPreTraining", "meant as a start for other tasks"),
        same=_follows,
        unlabelled=_two_texts,
    ),
}
"""The case of every task."""
