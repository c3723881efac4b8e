"""Checkpoints of the Hub for a language, a head and a device (``model.name: auto``)."""

from collections.abc import Mapping

from warmstart.data.checking.language import DECODERS, ENCODERS, SMALL_MULTILINGUAL
from warmstart.models.checkpoints.configuration import OF_PRETRAINING, Head

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


def fitting_model(language: str, head: Head, *, large: bool, few: bool) -> str | None:
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
    if head in OF_PRETRAINING:  # of the others, only Google's checkpoints have a next-sentence head
        return {"en": ENGLISH, "zh": ENCODERS["zh"]}.get(language, MASKED_MULTILINGUAL)
    if not large:
        return SMALL.get(language, SMALL_MULTILINGUAL)
    if few:
        return FOR_FEW_ROWS.get(language, LARGE_MULTILINGUAL)
    return {"en": ENGLISH, **ENCODERS}.get(language, LARGE_MULTILINGUAL)


def bundled_model(head: Head) -> str:
    """The bundled model that can have this head.

    Args:
        head: the head that the task needs.
    """
    return "bundled/gpt2-mini" if head == "causal-lm" else "bundled/minilm-l6"
