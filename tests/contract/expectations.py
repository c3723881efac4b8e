"""What the checks of ``battery`` expect of texts, JSON keys and numbers."""

import html
import re
from pathlib import Path
from typing import Any

import transformers

from tests.contract.driven_run import DrivenRun, one_object
from warmstart.tasks.capabilities import Generates

DESIGN = Path(__file__).parents[2] / "docs" / "design.md"

AUTO_CLASSES = {
    "sequence-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "causal-lm": transformers.AutoModelForCausalLM,
    "masked-lm": transformers.AutoModelForMaskedLM,
    "next-sentence": transformers.AutoModelForNextSentencePrediction,
    "pretraining": transformers.AutoModelForPreTraining,
}
"""Transformers' class for each head."""

PYTHON_TEXTS = ("[{'", "TrainedPart(", "mappingproxy", "Score(", "dtype=", "object at 0x", "None")
"""How Python prints its objects; a user must never see this."""


def documented(command: str) -> set[str]:
    """The keys of a command's JSON object, as docs/design.md §4 lists them."""
    page = DESIGN.read_text("utf-8")
    pattern = rf"^\| `{command}` \| `(\{{.*?\}})`"
    if command == "train":
        pattern = r"`train --json`.*?`(\{.*?\})`"
    found = re.search(pattern, page, re.MULTILINE | re.DOTALL)
    assert found, command
    keys = found[1][1:-1]
    while re.search(r"[\[{]", keys):  # only the outermost object's own keys
        keys = re.sub(r"[\[{][^\[\]{}]*[\]}]", "", keys)
    return set(re.findall(r'(?<!: )"(\w+)"', keys))


def shown_text(page: str) -> str:
    """The text that a browser shows for an HTML page, without figures."""
    page = re.sub(r"(?s)<style>.*?</style>|<svg.*?</svg>", " ", page)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def refuse_strangers(text: str, driven: DrivenRun) -> None:
    """Assert that a text contains nothing of another task, and no Python object."""
    assert not [mark for mark in driven.foreign if mark in text]
    assert not [found for found in PYTHON_TEXTS if re.search(rf"(?<!\w){re.escape(found)}", text)]


def close(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, numbers within 1e-4."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-4 * max(1, abs(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == other)


def one_prediction(driven: DrivenRun) -> dict[str, Any]:
    """The prediction for the case's one input, or the text that it generates."""
    generates = isinstance(driven.learned, Generates)
    verb, key = ("generate", "generations") if generates else ("predict", "predictions")
    assert driven.run.is_dir()
    found = one_object(driven.type(verb, "run", *driven.case.predict, "--json"))
    assert found.keys() == documented(verb)
    assert len(found[key]) == 1
    prediction: dict[str, Any] = found[key][0]
    return prediction
