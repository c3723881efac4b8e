"""What the model's tokenizer makes of the texts: unknown tokens, and names of control tokens.

The unknown token stands for every word or character that the vocabulary lacks, so the model cannot
tell these apart. The name of a control token in a text is read as text or as the token
(``data.control_tokens``); this is counted, because the author of a file may have meant the other.

Letters: N rows, V vocabulary.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart.config import ControlTokens
from warmstart.data.checking.label_messages import NAMES, Finding, rows_of
from warmstart.data.examples.tokenise import control_tokens
from warmstart.data.examples.tokens import Bools, Tokens
from warmstart.data.table import Table
from warmstart.errors.counts import counted, form

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MUCH = 0.05
"""From this share of unknown tokens on, the finding is a warning."""

_ROWS_AT_ONCE = 1 << 12
_READ_AS: Mapping[ControlTokens, str] = {
    "text": "read as text; --set data.control_tokens=tokens reads it as the token",
    "tokens": "read as the token (data.control_tokens)",
}
_NAMED = ("bos_token", "eos_token", "cls_token", "sep_token", "pad_token", "mask_token")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a tokenizer that are not text.

    Args:
        unknown: name of the unknown token; None if there is none of its own (byte-level BPE).
        is_unknown: whether each id is the unknown token, bool [V].
        is_text: whether each id is text that the tokenizer knows, bool [V].
        control: names of the control tokens, without the unknown token.
        read_as: how these names in a text are read, the value of ``data.control_tokens``.
    """

    unknown: str | None
    is_unknown: Bools
    is_text: Bools
    control: tuple[str, ...]
    read_as: ControlTokens

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", read_as: ControlTokens) -> Self:
        """The vocabulary of a checkpoint's tokenizer.

        Args:
            tokenizer: it is not changed.
            read_as: value of ``data.control_tokens``.
        """
        named = {getattr(tokenizer, name) for name in _NAMED}
        # GPT-2 names its end-of-text token as the unknown token, which it never needs.
        unknown: Any = None if tokenizer.unk_token in named else tokenizer.unk_token
        special = tokenizer.all_special_ids
        size = max([len(tokenizer), *(number + 1 for number in special)])
        is_unknown, is_text = np.zeros(size, np.bool_), np.ones(size, np.bool_)
        is_text[special] = False
        if unknown is not None:
            is_unknown[tokenizer.unk_token_id] = True
        control = tuple(token for token in control_tokens(tokenizer) if token != unknown)
        return cls(unknown, is_unknown, is_text, control, read_as)


def about_vocabulary(
    tables: Mapping[str, Table],
    tokens: Mapping[str, Tokens],
    columns: Collection[str],
    vocabulary: Vocabulary,
) -> list[Finding]:
    """Findings about unknown tokens and names of control tokens in every split.

    Args:
        tables: split -> its rows.
        tokens: split -> the same rows, tokenised.
        columns: the columns with texts or words; others are left out.
        vocabulary: of the model's tokenizer.
    """
    found = []
    for split, table in tables.items():
        name = NAMES.get(split, split)
        found += _about_unknown(tokens[split], name, vocabulary)
        found += _about_control(table, name, columns, vocabulary)
    return found


def _about_unknown(tokens: Tokens, name: str, vocabulary: Vocabulary) -> list[Finding]:
    """Messages about unknown tokens, and about rows that have no other token."""
    unknown, with_unknown = _counted(tokens, vocabulary.is_unknown)
    known, with_known = _counted(tokens, vocabulary.is_text)
    documents = len(np.unique(tokens.rows))
    messages = []
    if unknown:
        share = unknown / (unknown + known)
        text = (
            f"{share:.1%} of the tokens of the {name} rows are {vocabulary.unknown}, which stands "
            f"for all that the tokenizer does not know (in {with_unknown:,} of "
            f"{counted(documents, 'row')})"
        )
        if share >= MUCH:
            text += ": a model for the language of the texts knows more of them (model.name)"
        messages.append(Finding("warning" if share >= MUCH else "info", text))
    blind = documents - with_known
    if blind:
        text = (
            f"{blind:,} of {rows_of(documents, name)} {form(blind, 'has', 'have')} no token that "
            "the tokenizer knows: the model cannot tell such rows apart"
        )
        messages.append(Finding("warning", text))
    return messages


def _counted(tokens: Tokens, kind: Bools) -> tuple[int, int]:
    """Number of tokens of one kind, and number of table rows that contain one.

    Args:
        tokens: the rows.
        kind: whether each id is of this kind, bool [V].
    """
    count, rows = 0, []
    for start in range(0, len(tokens), _ROWS_AT_ONCE):
        offsets = tokens.offsets[start : start + _ROWS_AT_ONCE + 1]
        ids = tokens.input_ids[offsets[0] : offsets[-1]]
        before = np.concatenate([[0], np.cumsum(kind[ids])])  # tokens of this kind before each
        has_one = np.diff(before[offsets - offsets[0]]) > 0
        rows.append(np.unique(tokens.rows[start : start + _ROWS_AT_ONCE][has_one]))
        count += int(before[-1])
    return count, len(np.unique(np.concatenate(rows)))


def _about_control(
    table: Table, name: str, columns: Collection[str], vocabulary: Vocabulary
) -> list[Finding]:
    """A message if texts contain the name of a control token."""
    if not vocabulary.control:
        return []
    pattern = "|".join(map(re.escape, vocabulary.control))
    hits = np.zeros(len(table), dtype=np.bool_)
    token, first = "", len(table)
    for column in columns:
        if column not in table.columns.column_names:  # words instead of texts
            continue
        found = _matches(table.columns.column(column), pattern)
        hits |= found
        if found.any() and int(found.argmax()) < first:
            first = int(found.argmax())
            value = table.columns.column(column)[first].as_py()
            token = re.findall(pattern, value if isinstance(value, str) else " ".join(value))[0]
    count = int(hits.sum())
    if not count:
        return []
    text = (
        f"{count:,} of {rows_of(len(table), name)} {form(count, 'contains', 'contain')} the name "
        f"of a control token ({token}, first in {table.where(first)}): it is "
        f"{_READ_AS[vocabulary.read_as]}"
    )
    return [Finding("info", text)]


def _matches(values: pa.ChunkedArray, pattern: str) -> Bools:
    """Which rows match, bool [N]; a row is a text, or a list of words."""
    if not pa.types.is_list(values.type):
        found: Bools = pc.fill_null(pc.match_substring_regex(values, pattern), False).to_numpy()
        return found
    found = np.zeros(len(values), dtype=np.bool_)
    start = 0
    for chunk in values.chunks:
        matching = pc.match_substring_regex(pc.list_flatten(chunk), pattern)
        rows = pc.list_parent_indices(chunk).to_numpy()
        found[start + rows[pc.fill_null(matching, False).to_numpy(zero_copy_only=False)]] = True
        start += len(chunk)
    return found
