"""Small corpora with entities, in every input format, and the settings of a small run on them."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.tiny import tiny_checkpoint

PEOPLE = (("John",), ("Mary",), ("John", "Mary"))
THINGS = (("red", "table"), ("blue", "house"), ("green", "letter"))
OTHER = "the cat saw my and her story was very old when we read it".split()

Sentence = tuple[list[str], list[str]]
"""Words and their BIO tags."""
Span = tuple[int, int, str]


def sentences(rows: int = 60, seed: int = 0) -> list[Sentence]:
    """Sentences with zero, one or two entities that a tiny model can learn."""
    pick = random.Random(seed)
    made = []
    for _ in range(rows):
        words, tags = [], []
        for _ in range(pick.randint(1, 3)):
            plain = pick.choices(OTHER, k=pick.randint(1, 4))
            words += plain
            tags += ["O"] * len(plain)
            if pick.random() < 0.7:
                kind = pick.choice(("PER", "THING"))
                entity = pick.choice(PEOPLE if kind == "PER" else THINGS)
                words += entity
                tags += [f"B-{kind}", *[f"I-{kind}"] * (len(entity) - 1)]
        made.append((words, tags))
    return made


def texts(rows: int = 60, seed: int = 0) -> list[tuple[str, list[Span]]]:
    """The same sentences as texts with character spans."""
    made = []
    for words, tags in sentences(rows, seed):
        text, spans = " ".join(words), []
        place = 0
        for word, tag in zip(words, tags, strict=True):
            end = place + len(word)
            if tag.startswith("B-"):
                spans.append((place, end, tag[2:]))
            elif tag.startswith("I-"):
                spans[-1] = (spans[-1][0], end, spans[-1][2])
            place = end + 1
        made.append((text + " .", spans))
    return made


def write_conll(path: Path, rows: int = 60, seed: int = 0, *, every: int | None = None) -> Path:
    """A CoNLL file; ``every``: number of sentences of each document."""
    lines = []
    for number, (words, tags) in enumerate(sentences(rows, seed)):
        if every is not None and number % every == 0:
            lines.append("-DOCSTART- O\n\n")
        lines += [f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True)]
        lines.append("\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def tagging_settings(folder: Path, **train: Any) -> dict[str, Any]:
    """The settings of a small token-classification run; model and data are in ``folder``."""
    if not (folder / "checkpoint").exists():
        tiny_checkpoint(folder / "checkpoint")
    data = folder / "train.conll"
    if not data.exists():
        write_conll(data)
    defaults = {"epochs": 4, "batch_size": 8, "learning_rate": 5e-3, "device": "cpu"}
    return {
        "task": "token-classification",
        "model": {"name": str(folder / "checkpoint")},
        "data": {"train": str(data), "validation": 0.2},
        "train": {**defaults, **train},
    }


def _json(values: Sequence[Any]) -> str:
    return json.dumps(values, ensure_ascii=False)


def _lines(values: Sequence[Any]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _label_studio(rows: Sequence[tuple[str, list[Span]]]) -> str:
    def region(text: str, start: int, end: int, kind: str) -> dict[str, Any]:
        value = {"start": start, "end": end, "text": text[start:end], "labels": [kind]}
        return {"value": value, "to_name": "text", "type": "labels"}

    return _json(
        [
            {"data": {"text": text}, "annotations": [{"result": [region(text, *s) for s in spans]}]}
            for text, spans in rows
        ]
    )


def _doccano(rows: Sequence[tuple[str, list[Span]]]) -> str:
    return _lines([{"text": text, "label": spans} for text, spans in rows])


def _spacy(rows: Sequence[tuple[str, list[Span]]]) -> str:
    return _json([[text, {"entities": spans}] for text, spans in rows])


EXPORTS: dict[str, Callable[[Sequence[tuple[str, list[Span]]]], str]] = {
    "Label Studio JSON": _label_studio,
    "doccano": _doccano,
    "spaCy": _spacy,
}
"""Texts with spans in the export format of each annotation tool."""


def write_brat(folder: Path, rows: Sequence[tuple[str, list[Span]]]) -> Path:
    """A folder with a pair of files for each text."""
    folder.mkdir()
    for number, (text, spans) in enumerate(rows):
        (folder / f"{number:03}.txt").write_text(text, encoding="utf-8")
        lines = [
            f"T{place}\t{kind} {start} {end}\t{text[start:end]}\n"
            for place, (start, end, kind) in enumerate(spans, 1)
        ]
        (folder / f"{number:03}.ann").write_text("".join(lines), encoding="utf-8")
    return folder
