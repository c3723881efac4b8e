"""``model.name: auto``: a checkpoint that suits the language of the rows, their number, the device.

On a CPU small models are chosen, with an accelerator those of 12 layers. Of a few hundred rows, a
checkpoint that was trained for sentence embeddings learns more; so it is preferred for them. If the
Hub cannot be reached, the bundled model is used, with a warning.

The name that was chosen is written to the run's ``config.yaml``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from warmstart import errors
from warmstart.config import RunConfig
from warmstart.data.checking.label_messages import Finding
from warmstart.data.checking.language import (
    DECODERS,
    ENCODERS,
    LANGUAGES,
    SMALL_MULTILINGUAL,
    languages,
)
from warmstart.data.table import Table
from warmstart.data.tags.word_table import WORDS
from warmstart.devices.device import device_type
from warmstart.models.checkpoints.bundled import PREFIX
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.load import find
from warmstart.models.tuning.auto_settings import Choice

AUTO = "auto"

FEW_ROWS = 1000
"""With fewer training rows, a checkpoint for sentence embeddings is preferred."""

SMALL: Mapping[str, str] = {"en": "bundled/minilm-l6", "zh": "BAAI/bge-small-zh-v1.5"}
"""Encoders by language for a CPU; for others ``SMALL_MULTILINGUAL``."""

FOR_FEW_ROWS: Mapping[str, str] = {
    "en": "sentence-transformers/all-distilroberta-v1",
    "zh": "BAAI/bge-base-zh-v1.5",
}
"""Encoders by language for few rows and an accelerator; for others ``LARGE_MULTILINGUAL``."""

LARGE_MULTILINGUAL = "intfloat/multilingual-e5-base"
MASKED_MULTILINGUAL = "google-bert/bert-base-multilingual-cased"
"""Encoders for about a hundred languages; only the second one has a head that fills masks."""

ENGLISH, ENGLISH_DECODER = "google-bert/bert-base-uncased", "openai-community/gpt2"


class Chosen(NamedTuple):
    """The settings with a model.

    Args:
        config: every setting; ``model.name`` is a checkpoint.
        choices: the choice, if it was made here.
        findings: a warning if the model that was chosen cannot be reached.
    """

    config: RunConfig
    choices: list[Choice]
    findings: list[Finding]


def with_model(config: RunConfig, rows: Table, head: Head) -> Chosen:
    """Choose a checkpoint if ``model.name`` is ``auto``.

    Args:
        config: the settings as given.
        rows: the training rows.
        head: the head that the task needs.

    Raises:
        ConfigError: no model is known for text generation in this language, or a revision is set.
        ModelError: the model that was chosen cannot be used.
    """
    if config.model.name != AUTO:
        return Chosen(config, [], [])
    if config.model.revision is not None:
        raise errors.checkpoint.revision_of_auto(config.model.revision)
    found = languages(rows, {*config.data.text_columns.values(), WORDS})
    language = found.most_common(1)[0][0] if found else "en"
    large = device_type(config.train) != "cpu"
    name = fitting(language, head, large=large, few=len(rows) < FEW_ROWS)
    shown = LANGUAGES.get(language, "English" if language == "en" else language)
    if name is None:
        raise errors.checkpoint.no_decoder(shown)
    reason = f"{shown}, {len(rows):,} rows, {'an accelerator' if large else 'a CPU'}"
    findings = []
    if not name.startswith(PREFIX):
        try:
            find(_named(config, name).model, head)
        except errors.ModelError as problem:
            own = f"{PREFIX}{'gpt2-mini' if head == 'causal-lm' else 'minilm-l6'}"
            text = f"model.name=auto chose {name}, but {problem.found}; {own} is used instead"
            findings.append(Finding("warning", text))
            name, reason = own, "the model that was chosen is out of reach"
    return Chosen(_named(config, name), [Choice("model.name", name, reason)], findings)


def fitting(language: str, head: Head, *, large: bool, few: bool) -> str | None:
    """The name of a checkpoint; None if none is known.

    Args:
        language: ISO 639-1 code.
        head: the head that the task needs.
        large: whether there is an accelerator.
        few: whether there are few training rows.
    """
    if head == "causal-lm":
        return {"en": ENGLISH_DECODER, **DECODERS}.get(language)
    if head == "masked-lm":  # a checkpoint for sentence embeddings has no such head
        return {"en": ENGLISH, **ENCODERS}.get(language, MASKED_MULTILINGUAL)
    if not large:
        return SMALL.get(language, SMALL_MULTILINGUAL)
    if few:
        return FOR_FEW_ROWS.get(language, LARGE_MULTILINGUAL)
    return {"en": ENGLISH, **ENCODERS}.get(language, LARGE_MULTILINGUAL)


def _named(config: RunConfig, name: str) -> RunConfig:
    model = config.model.model_copy(update={"name": name})
    return config.model_copy(update={"model": model})
