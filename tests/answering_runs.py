"""A small corpus of questions about short contexts, and the settings of a small run on it."""

import json
import random
from pathlib import Path
from typing import Any

from tests.runs_in_memory import settings

PEOPLE = ("John", "Mary", "Ada", "Tom")
PLACES = ("red house", "blue garden", "old school", "green river")
THINGS = ("cat", "letter", "table", "story")


def articles(count: int, seed: int = 0, *, unanswerable: float = 0.0) -> list[dict[str, Any]]:
    """Articles of SQuAD with one context and two questions each, with their answers."""
    pick = random.Random(seed)
    made = []
    for number in range(count):
        person, place, thing = pick.choice(PEOPLE), pick.choice(PLACES), pick.choice(THINGS)
        context = f"{person} was in the {place} and saw the {thing} {number}."
        pairs = [(f"where was {person}?", place), (f"what did {person} see?", thing)]
        questions = []
        for index, (question, answer) in enumerate(pairs):
            start = context.index(answer)
            answers = [{"text": answer, "answer_start": start}]
            impossible = pick.random() < unanswerable
            content = {
                "id": f"{number}-{index}",
                "question": question.replace("was", "will") if impossible else question,
                "answers": [] if impossible else answers,
            }
            if unanswerable:
                content["is_impossible"] = impossible
            questions.append(content)
        paragraph = {"context": context, "qas": questions}
        made.append({"title": f"t{number}", "paragraphs": [paragraph]})
    return made


def write_squad(path: Path, count: int = 40, seed: int = 0, *, unanswerable: float = 0.0) -> Path:
    """A file in SQuAD's form with two questions for each of ``count`` contexts."""
    content = {"version": "2.0", "data": articles(count, seed, unanswerable=unanswerable)}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def answering_settings(
    folder: Path, *, unanswerable: float = 0.0, max_tokens: int | None = None, **train: Any
) -> dict[str, Any]:
    """The settings of a small run on such a file."""
    data = write_squad(folder / "squad.json", unanswerable=unanswerable)
    config = settings(folder, **train)
    if max_tokens is not None:
        config["model"]["max_tokens"] = max_tokens
    config["train"].pop("head_start")  # the task does not read it
    columns = {"text": "question", "text_pair": "context"}
    return {
        **config,
        "task": "question-answering",
        "data": {"train": str(data), "validation": 0.2, **columns},
    }
