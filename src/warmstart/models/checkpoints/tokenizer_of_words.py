"""Save a byte-level tokenizer so that Transformers tokenises words of a text as in training.

A byte-level tokenizer (GPT-2, RoBERTa) has different tokens for a word after a space and for the
same word at the beginning of a text, and the space is a part of the word's first token. A token
classifier is trained with a space before every word (``RowTokeniser.tokenise_words``). Two options
of the saved tokenizer make Transformers do the same:

- ``add_prefix_space``: the first word of a text is tokenised as if there were a space before it;
- ``trim_offsets``: the offsets of a token exclude its space, so an entity begins with its word.

Source: Tokenizers documentation, ``pre_tokenizers.ByteLevel`` and ``processors.ByteLevel``.
"""

import json
from pathlib import Path
from typing import Any

_TRIM = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
"""A post-processor that changes only offsets."""


def fit_tokenizer_to_words(folder: Path) -> bool:
    """Set the two options in a saved tokenizer, if it is byte-level.

    Args:
        folder: folder with ``tokenizer.json`` and ``tokenizer_config.json``, which are changed.

    Returns:
        Whether the tokenizer is byte-level, and its files were therefore changed.
    """
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    splitter = content.get("pre_tokenizer") or {}
    # After another pre-tokenizer, the option would add a space before every part of a word.
    if splitter.get("type") == "Sequence":
        splitter = (splitter["pretokenizers"] or [{}])[0]
    if splitter.get("type") != "ByteLevel":
        return False
    splitter["add_prefix_space"] = True
    content["post_processor"] = _trimming(content.get("post_processor"))
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    # Some classes of Transformers build the pre-tokenizer again, from their own settings.
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings |= {"add_prefix_space": True, "trim_offsets": True}
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=2), encoding="utf-8")
    return True


def _trimming(processor: dict[str, Any] | None) -> dict[str, Any]:
    """The post-processor, with offsets trimmed before special tokens are added."""
    parts: list[dict[str, Any]] = []
    if processor is not None:
        parts = processor["processors"] if processor["type"] == "Sequence" else [processor]
    for part in parts:
        if "trim_offsets" in part:  # ByteLevel or RobertaProcessing
            part["trim_offsets"] = True
            return {"type": "Sequence", "processors": parts} if len(parts) > 1 else part
    return {"type": "Sequence", "processors": [_TRIM, *parts]}
