"""The language of the texts, compared with that of a bundled model, which knows English only.

A model learns little from a language that it has not seen: its tokenizer cuts the words into
letters, and its layers have no knowledge of them, although no token is unknown.
"""

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.data.checking.label_messages import Finding
from warmstart.data.table import Table

ROWS, CHARACTERS = 1000, 1000
"""The language is recognised in this number of rows, in the first characters of each."""

LETTERS = 60
"""Letters of a piece of text: the language of a shorter one is often not recognised."""

ENGLISH_ONLY = "was trained on English only"
"""Part of the warning about texts in another language."""

NO_LANGUAGE = "zxx"
"""The code for text without a language, such as source code (ISO 639-2)."""

LANGUAGES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "es": "Spanish",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean",
    "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian",
    "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip

ENCODERS = {
    "ar": "aubmindlab/bert-base-arabertv02", "de": "google-bert/bert-base-german-cased",
    "es": "dccuchile/bert-base-spanish-wwm-cased", "fi": "TurkuNLP/bert-base-finnish-cased-v1",
    "fr": "almanach/camembert-base", "it": "dbmdz/bert-base-italian-cased",
    "ko": "klue/bert-base", "nl": "GroNLP/bert-base-dutch-cased",
    "pt": "neuralmind/bert-base-portuguese-cased", "ru": "DeepPavlov/rubert-base-cased",
    "sv": "KBLab/bert-base-swedish-cased", "tr": "dbmdz/bert-base-turkish-cased",
    "zh": "google-bert/bert-base-chinese",
}  # fmt: skip
"""Encoders of the Hugging Face Hub for one language, with 12 layers and a width of 768."""

SMALL_MULTILINGUAL = "intfloat/multilingual-e5-small"
MULTILINGUAL = {
    SMALL_MULTILINGUAL: 118,
    "google-bert/bert-base-multilingual-cased": 178,
}
"""Encoders for about a hundred languages -> millions of parameters."""

DECODERS = {"zh": "uer/gpt2-chinese-cluecorpussmall"}
"""GPT-2 models for one language."""


def about_language(
    table: Table, columns: Collection[str], model: str, *, generates: bool
) -> list[Finding]:
    """A warning if most of the training texts are not English and the model is bundled.

    Args:
        table: the training rows.
        columns: the columns with texts or words; others are left out.
        model: name of the checkpoint.
        generates: whether the task needs a decoder.
    """
    if not model.startswith("bundled/"):
        return []
    found = languages(table, columns)
    foreign = {code: count for code, count in found.items() if code != "en"}
    if not foreign or 2 * sum(foreign.values()) < sum(found.values()):
        return []
    code = max(foreign, key=lambda one: foreign[one])
    name = LANGUAGES.get(code, f"the language {code!r}")
    own = (DECODERS if generates else ENCODERS).get(code)
    others = {} if generates else MULTILINGUAL
    named = [f"{own} ({name})"] if own else []
    named += [f"{one} ({millions} million parameters)" for one, millions in others.items()]
    advice = f"; models that know it are {', '.join(named)} (model.name)" if named else ""
    if not named:
        advice = f"; choose a model for {name} on huggingface.co (model.name)"
    text = f"the training texts look like {name}, but {model} {ENGLISH_ONLY}{advice}"
    return [Finding("warning", text)]


def languages(table: Table, columns: Collection[str]) -> Counter[str]:
    """For each language, as an ISO 639-1 code, the number of pieces of text written in it.

    Args:
        table: any rows; at most ``ROWS`` of them are used, at equal distances.
        columns: the columns with texts or words.
    """
    from py3langid import classify  # reads its model, half a second

    found = Counter(classify(piece)[0] for piece in _pieces(table, columns))
    del found[NO_LANGUAGE]
    return found


def _pieces(table: Table, columns: Collection[str]) -> Iterator[str]:
    """Texts with at least ``LETTERS`` letters; shorter ones are joined with the next."""
    names = [name for name in table.columns.column_names if name in columns]
    rows = table.columns.select(names).take(np.arange(0, len(table), -(-len(table) // ROWS)))
    piece = ""
    for row in zip(*(_texts(rows.column(name)) for name in names), strict=True):
        piece = f"{piece} {' '.join(row)}"[-CHARACTERS:]
        if _letters(piece) >= LETTERS:
            yield piece
            piece = ""


def _texts(values: pa.ChunkedArray) -> list[str]:
    """The beginning of each text; of a list of words, the words."""
    if pa.types.is_list(values.type):
        return [" ".join(words or ()) for words in values.to_pylist()]
    return [text or "" for text in pc.utf8_slice_codeunits(values, 0, CHARACTERS).to_pylist()]


def _letters(text: str) -> int:
    """Number of letters; a Chinese character says as much as three letters of an alphabet."""
    return sum(3 if one > "\u2e80" else 1 for one in text if one.isalpha())
