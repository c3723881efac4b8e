"""Small real runs for tests: a tiny checkpoint, a corpus that can be learned, a prepared job."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny import tiny_checkpoint
from tests.tiny.decoders import tiny_gpt2
from warmstart import config_file
from warmstart.config import LIST_LOSSES
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.runs.directory import RunDirectory
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit

GOOD = "wonderful excellent great happy nice".split()
BAD = "terrible awful boring poor bad".split()
OTHER = "the cat saw my house and her story was very old when we read it".split()


def write_reviews(path: Path, rows: int = 120, seed: int = 0) -> Path:
    """A CSV of made-up reviews in which one word decides the label; lengths from 3 to 14 words."""
    pick = random.Random(seed)
    lines = ["text,label"]
    for number in range(rows):
        positive = pick.random() < 0.6
        words = pick.choices(OTHER, k=pick.randint(2, 13))
        words.insert(pick.randrange(len(words)), pick.choice(GOOD if positive else BAD))
        lines.append(f"{' '.join(words)} {number},{'good' if positive else 'bad'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def settings(folder: Path, *, dropout: float | None = None, **train: Any) -> dict[str, Any]:
    """The settings of a small run on a tiny model; both are made in ``folder``."""
    model = folder / "checkpoint"
    if not model.exists():
        tiny_checkpoint(model)
    data = folder / "reviews.csv"
    if not data.exists():
        write_reviews(data)
    defaults = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "device": "cpu"}
    defaults["head_start"] = "random"  # no evaluation before the first step
    defaults["retry"] = False
    return {
        "model": {"name": str(model), "dropout": dropout},
        "data": {"train": str(data), "validation": 0.2},
        "train": {**defaults, **train},
    }


def write_rankings(path: Path, queries: int = 30, seed: int = 0) -> Path:
    """Queries with 2 to 5 documents each; one word decides the grade, 0, 1 or 2."""
    pick = random.Random(seed)
    lines = ["query,document,relevance"]
    for query in range(queries):
        asked = f"which story {query} was {pick.choice(OTHER)}"
        for number in range(pick.randint(2, 5)):
            grade = 0 if number else pick.randint(0, 2)
            words = pick.choices(OTHER, k=pick.randint(2, 9))
            words.insert(1, (BAD, GOOD, GOOD)[grade][grade])
            lines.append(f"{asked},{' '.join(words)} {number},{grade}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ranking_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small ranking run, in which two of the grades mean relevant."""
    config = settings(folder, **train)
    data = write_rankings(folder / "rankings.csv")
    if train.get("loss") not in LIST_LOSSES:
        data.write_text(data.read_text().replace(",2\n", ",1\n"))
    columns = {"text": "query", "text_pair": "document", "label": "relevance"}
    data_config = {"train": str(data), "validation": 0.2, **columns}
    return {**config, "task": "text-ranking", "data": data_config}


def write_numbers(path: Path, rows: int = 120, seed: int = 0) -> Path:
    """Reviews with a number from -1 to 1, computed from the share of positive words."""
    pick = random.Random(seed)
    lines = ["text,score"]
    for number in range(rows):
        good, bad = pick.randint(0, 3), pick.randint(0, 3)
        words = pick.choices(OTHER, k=pick.randint(2, 9))
        words += pick.choices(GOOD, k=good) + pick.choices(BAD, k=bad)
        pick.shuffle(words)
        lines.append(f"{' '.join(words)} {number},{(good - bad) / 3:.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def number_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small regression run."""
    data = write_numbers(folder / "numbers.csv")
    config = settings(folder, **train)
    data_config = {"train": str(data), "validation": 0.2, "label": "score"}
    return {**config, "task": "text-regression", "data": data_config}


TOPICS = {"animals": ("cat",), "places": ("house",), "stories": ("story", "read")}


def write_topics(path: Path, rows: int = 120, seed: int = 0) -> Path:
    """Texts whose topics are those of their words; two thirds have no topic or one."""
    pick = random.Random(seed)
    plain = [word for word in OTHER if not any(word in words for words in TOPICS.values())]
    lines = ["text,topics"]
    for number in range(rows):
        chosen = [topic for topic in TOPICS if pick.random() < 0.35]
        words = pick.choices(plain, k=pick.randint(2, 9))
        words += [pick.choice(TOPICS[topic]) for topic in chosen]
        pick.shuffle(words)
        lines.append(f"{' '.join(words)} {number},{'|'.join(chosen)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def topic_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small multi-label run."""
    data = write_topics(folder / "topics.csv")
    config = settings(folder, **train)
    data_config = {"train": str(data), "validation": 0.2, "label": "topics"}
    return {**config, "task": "multi-label-classification", "data": data_config}


def windowed(make: Callable[..., dict[str, Any]], folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small run whose rows are mostly longer than the model's input."""
    config = make(folder, **train)
    config["model"]["max_tokens"] = 8
    config["data"] |= {"long_documents": "chunk", "overlap_tokens": 2}
    return config


def write_tags(path: Path, rows: int = 60, seed: int = 0) -> Path:
    """JSON lines of words and BIO tags: a judgement of one or two words, then a name."""
    pick = random.Random(seed)
    lines = []
    for number in range(rows):
        words = pick.choices(OTHER, k=pick.randint(2, 7))
        judgement = pick.choices(GOOD + BAD, k=pick.randint(1, 2))
        tags = ["O"] * len(words) + ["B-judgement", "I-judgement"][: len(judgement)] + ["B-name"]
        lines.append(json.dumps({"words": [*words, *judgement, f"Ada{number}"], "tags": tags}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tagging_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small token-classification run."""
    data = write_tags(folder / "tags.jsonl")
    data_config = {"train": str(data), "validation": 0.2}
    return {**settings(folder, **train), "task": "token-classification", "data": data_config}


def writing_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small text-generation run, on a tiny GPT-2; both in ``folder``."""
    model = folder / "decoder"
    if not model.exists():
        tiny_gpt2(model)
    data = folder / "documents.csv"
    if not data.exists():
        write_reviews(data)
    defaults = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "device": "cpu"}
    return {
        "task": "text-generation",
        "model": {"name": str(model)},
        "data": {"train": str(data), "validation": 0.2},
        "train": {**defaults, **train},
        "generate": {"max_new_tokens": 12},
    }


def filling_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small run that adapts an encoder to the texts of ``settings``."""
    adapting = settings(folder, **train)
    for name in ("head_start", "retry"):  # its head is the checkpoint's
        del adapting["train"][name]
    return {**adapting, "task": "fill-mask"}


def write_documents(path: Path, rows: int = 24, seed: int = 0) -> Path:
    """A CSV of made-up documents of 3 to 7 sentences, each with words of its own."""
    pick = random.Random(seed)
    lines = ["text"]
    for number in range(rows):
        own = pick.sample(GOOD + BAD + OTHER, k=5)
        sentences = [" ".join(pick.choices(own, k=pick.randint(2, 6))) for _ in range(6)]
        lines.append(". ".join(sentences[: pick.randint(2, 6)]) + f". End {number}.")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pairing_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small next-sentence run."""
    config = settings(folder, **train)
    for name in ("head_start", "retry"):
        del config["train"][name]
    data = folder / "documents_of_sentences.csv"
    if not data.exists():
        write_documents(data)
    config["data"] = {"train": str(data), "validation": 0.25, "segment_characters": 30}
    return {**config, "task": "next-sentence"}


def pretraining_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small run with masked words and next sentences."""
    return {**pairing_settings(folder, **train), "task": "bert-pretraining"}


def prepared_run(folder: Path, **train: Any) -> Prepared:
    """``settings``, read and checked."""
    return prepare(config_file.load(settings(folder, **train)))


def job_of(prepared: Prepared, path: Path) -> Job:
    """A job for the loop in a new run directory.

    Args:
        prepared: the run.
        path: path of its folder, which does not exist yet.
    """
    return job_for(prepared, RunDirectory.create(path))


def whole_run(prepared: Prepared, path: Path) -> tuple[Prepared, Job]:
    """A run that is never stopped, for tests that compare resumed runs with it.

    Args:
        prepared: the run.
        path: path of its folder, which does not exist yet.
    """
    job = job_of(prepared, path)
    fit(job, resume=False, stop_requested=never)
    return prepared, job


def never() -> bool:
    """For ``stop_requested``."""
    return False
