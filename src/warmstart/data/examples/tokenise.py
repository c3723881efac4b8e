"""Tokenise texts, pairs of texts and pre-split words into flat arrays; safe to use in threads.

A ``tokenizers.Tokenizer`` keeps truncation and padding as state, and Transformers may change that
state in every call, so two threads that share one tokenizer can get each other's truncation.
``RowTokeniser`` has a copy that neither truncates nor pads and is never changed; rows are truncated
here, on the token ids, by the rules of the library.

The copy shares the vocabulary with the original; no method here changes it. It takes less than
0.1 ms, whereas a copy with ``Tokenizer.from_str`` takes 40 ms (BERT) to 200 ms (GPT-2).

The user's text is literal: ``[SEP]`` or ``<|endoftext|>`` in it is tokenised like other text and
never becomes the control token of that name, unless ``data.control_tokens`` is ``tokens``. Only
texts with masks to be filled keep the mask token, and words keep the unknown token.

Source: ``tokenizers`` documentation, ``Tokenizer.encode_batch_fast`` (no character offsets, which
are not needed here).
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from warmstart.config import ControlTokens, DataConfig
from warmstart.data.examples.long_texts import batches, border_of, shortened_rows
from warmstart.data.examples.tokens import NO_PIECE, Cut, Ints, Tokens, WordTokens
from warmstart.data.examples.truncation import (
    Truncation,
    removed_slices,
    removed_tokens,
    without_slices,
)
from warmstart.data.mapped import FlatArray
from warmstart.data.table import Table

if TYPE_CHECKING:
    import tokenizers

CHUNK_ROWS = 512
"""Number of rows tokenised in one call: enough for all threads of the library, and few enough for
the processor's cache (4,096 short sentences take 6 to 20 % more time per row)."""


class Tokenizer(Protocol):
    """The part of a Transformers tokenizer that is used here.

    ``runs.loaded_run.RunTokenizer`` has it as well, without importing Transformers or torch.
    """

    @property
    def backend_tokenizer(self) -> "tokenizers.Tokenizer":
        """The tokenizer of the ``tokenizers`` library."""
        ...

    @property
    def model_input_names(self) -> list[str]:
        """Names of the model's inputs: ``input_ids``, ``attention_mask`` and possibly more."""
        ...


@dataclass(frozen=True, slots=True)
class RowTokeniser:
    """Tokenise rows with a private copy of a tokenizer; create it with ``RowTokeniser.of``.

    Every method may be called from any number of threads at once.

    Args:
        backend: a copy that neither truncates nor pads; it is never changed.
        typed: whether the model has type ids.
        border: where a long text can be cut (``border_of``).
    """

    backend: "tokenizers.Tokenizer"
    typed: bool
    border: re.Pattern[str] | None

    @classmethod
    def of(cls, tokenizer: Tokenizer, control: Collection[str] = ()) -> "RowTokeniser":
        """Copy the necessary parts of a tokenizer, which is not changed.

        Args:
            tokenizer: the tokenizer of a checkpoint.
            control: control tokens that a text may contain (``plain_copy``).
        """
        copy = plain_copy(tokenizer.backend_tokenizer, control)
        return cls(copy, "token_type_ids" in tokenizer.model_input_names, border_of(copy))

    def tokenise(
        self,
        chunks: Iterable[list[str]] | Iterable[list[tuple[str, str]]],
        rows: Ints,
        max_tokens: int,
        *,
        truncation: Truncation = "longest_first",
        where: Callable[[int], str] = str,
    ) -> Tokens:
        """Tokenise texts or pairs, truncate them to ``max_tokens``, and count what was removed.

        Args:
            chunks: the N texts, or pairs of texts, in lists of about ``CHUNK_ROWS``.
            rows: row ids, int64 [N].
            max_tokens: longest row in tokens, special tokens included.
            truncation: for pairs, whether the longer text is cut first or only the second one.
            where: returns the file and line of the row at a position, for error messages.

        Raises:
            DataError: special tokens alone fill ``max_tokens``; or the first text of a pair leaves
                no room for the second, and only the second may be truncated.
        """
        input_ids, token_type_ids = FlatArray(np.int32), FlatArray(np.int8)
        lengths, full_lengths = (np.zeros(len(rows), np.int64) for _ in range(2))
        pairs, start = False, 0
        cut = np.zeros((2, 2), dtype=np.int64)
        for texts in (batch for chunk in chunks for batch in batches(chunk)):
            pairs = isinstance(texts[0], tuple)
            starts, beyond = shortened_rows(self.backend, texts, self.border, max_tokens)
            encodings = self.backend.encode_batch_fast(starts)
            here = slice(start, start := start + len(texts))
            full_lengths[here] = list(map(len, encodings)) + beyond.sum(axis=1)
            lengths[here] = np.minimum(full_lengths[here], max_tokens)
            spans: dict[int, list[slice]] = {}
            for row in np.flatnonzero(full_lengths[here] > max_tokens).tolist():
                sides = encodings[row].sequence_ids
                how: Truncation = truncation if pairs else "longest_first"
                place = partial(where, here.start + row)
                removed = removed_tokens(sides, beyond[row], max_tokens, how, place)
                spans[row] = removed_slices(sides, removed - beyond[row])
                cut += np.stack([removed > 0, removed], axis=1)
            tokens = int(lengths[here].sum())
            ids = without_slices((encoding.ids for encoding in encodings), spans)
            input_ids.append(_end_to_end(ids, np.int32, tokens))
            if pairs and self.typed:
                types = without_slices((encoding.type_ids for encoding in encodings), spans)
                token_type_ids.append(_end_to_end(types, np.int8, tokens))
        return Tokens(
            input_ids=input_ids.finished(),
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            rows=rows,
            full_lengths=full_lengths,
            token_type_ids=token_type_ids.finished() if pairs and self.typed else None,
            cut=(Cut(*cut[0].tolist()), Cut(*cut[1].tolist())) if pairs else None,
        )

    def tokenise_words(self, chunks: Iterable[list[list[str]]], rows: Ints) -> WordTokens:
        """Tokenise rows of words; each word is tokenised as it would be after a space in a text.

        For BERT the pieces of a word do not depend on the space before it. A byte-level tokenizer
        (GPT-2, RoBERTa) has different pieces for a word after a space; if its ``add_prefix_space``
        is off, the space is added before every word here, as Transformers does if the option is on.

        Args:
            chunks: the words of the N rows, in lists of about ``CHUNK_ROWS`` rows.
            rows: row ids, int64 [N].
        """
        input_ids, first_pieces = FlatArray(np.int32), FlatArray(np.int64)
        bodies = np.zeros((len(rows), 2), np.int64)
        lengths, words = (np.zeros(len(rows), np.int64) for _ in range(2))
        spaced = _needs_space(self.backend)
        tokens_added = self.backend.get_added_tokens_decoder().values()
        added = {token.content for token in tokens_added if not token.special}
        start = tokens = 0
        for texts in chunks:
            here = slice(start, start := start + len(texts))
            words[here] = list(map(len, texts))
            if spaced:
                texts = [[_after_space(word, added) for word in row] for row in texts]
            # `encode_batch_fast` is not used: its encodings have no word ids.
            encodings = self.backend.encode_batch(texts, is_pretokenized=True)
            lengths[here] = list(map(len, encodings))
            count = int(lengths[here].sum())
            ids = (encoding.ids for encoding in encodings)
            input_ids.append(_end_to_end(ids, np.int32, count))
            firsts, bodies[here] = _pieces(encodings, words[here], tokens)
            first_pieces.append(firsts)
            tokens += count
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return WordTokens(
            tokens=Tokens(input_ids.finished(), offsets, rows, full_lengths=lengths),
            word_offsets=np.concatenate([[0], np.cumsum(words)]),
            first_pieces=first_pieces.finished(),
            bodies=bodies,
        )


def encode_table(
    table: Table,
    data: DataConfig,
    tokenizer: Tokenizer,
    max_tokens: int,
    control: Collection[str] = (),
) -> Tokens:
    """Tokenise the texts of a table, or its pairs of texts.

    Args:
        table: N clean rows.
        data: names the columns, which text of a pair is truncated, and how control tokens are read.
        tokenizer: the checkpoint's tokenizer, which is not changed.
        max_tokens: longest row that the model reads, special tokens included.
        control: control tokens that the texts may always contain (``plain_copy``).

    Raises:
        DataError: a column is missing, or a first text leaves no room for the second.
    """
    control = {*control, *control_in_text(tokenizer, data.control_tokens)}
    return RowTokeniser.of(tokenizer, control).tokenise(
        table.chunks(data.text_columns, CHUNK_ROWS),
        table.rows,
        max_tokens,
        truncation=data.truncation,
        where=table.where,
    )


def is_unicode(text: str) -> bool:
    """Whether a text can be tokenised: it has no half of a surrogate pair.

    Python represents bytes of the command line that are no UTF-8 in this way.

    Args:
        text: any text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def control_tokens(tokenizer: Tokenizer) -> tuple[str, ...]:
    """The names of all control tokens of a tokenizer, in the order of their ids.

    Args:
        tokenizer: the tokenizer of a checkpoint.
    """
    added = sorted(tokenizer.backend_tokenizer.get_added_tokens_decoder().items())
    return tuple(token.content for _, token in added if token.special)


def control_in_text(tokenizer: Tokenizer, read_as: ControlTokens) -> tuple[str, ...]:
    """The control tokens that act as tokens if a text contains their names.

    Args:
        tokenizer: the tokenizer of a checkpoint.
        read_as: value of ``data.control_tokens``.
    """
    return control_tokens(tokenizer) if read_as == "tokens" else ()


def plain_copy(
    backend: "tokenizers.Tokenizer", control: Collection[str] = ()
) -> "tokenizers.Tokenizer":
    """A copy of a tokenizer that neither truncates nor pads, with the same vocabulary in memory.

    A ``tokenizer.json`` may contain padding and truncation (all-MiniLM-L6-v2: both, at 128). The
    copy tokenises the name of a control token in a text like other text.

    Args:
        backend: the tokenizer; it is not changed.
        control: control tokens that the copy still recognises in a text.
    """
    import tokenizers

    copy = tokenizers.Tokenizer(backend.model)
    # The library does not accept None for these, and a new tokenizer has None already.
    if backend.normalizer is not None:
        copy.normalizer = backend.normalizer
    if backend.pre_tokenizer is not None:
        copy.pre_tokenizer = backend.pre_tokenizer
    if backend.post_processor is not None:
        copy.post_processor = backend.post_processor
    if backend.decoder is not None:
        copy.decoder = backend.decoder
    # In the order of their ids, because the library numbers those outside the vocabulary again.
    added = [token for _, token in sorted(backend.get_added_tokens_decoder().items())]
    copy.add_tokens([_kept(token) if token.content in control else token for token in added])
    copy.encode_special_tokens = True  # tokens marked as special are not recognised in a text
    return copy


def _kept(token: "tokenizers.AddedToken") -> "tokenizers.AddedToken":
    """The same token without the mark ``special``, so that it is recognised in a text."""
    import tokenizers

    return tokenizers.AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=False,
    )


def _end_to_end(rows: Iterable[list[int]], dtype: type[np.integer[Any]], numbers: int) -> Any:
    """The numbers of all rows in one array; only one row at a time exists as a list."""
    return np.fromiter(chain.from_iterable(rows), dtype, numbers)


def _pieces(
    encodings: Sequence["tokenizers.Encoding"], words: Ints, start: int
) -> tuple[Ints, Ints]:
    """The positions of the pieces of words.

    Args:
        encodings: the rows.
        words: number of words in each row, int64 [rows].
        start: index of the first token of the first row.

    Returns:
        Index of the first piece of each word, or ``NO_PIECE``, int64 [words of these rows]; and the
        start and stop of the pieces of each row, int64 [rows, 2].
    """
    firsts = np.full(int(words.sum()), NO_PIECE, dtype=np.int64)
    bodies = np.zeros((len(words), 2), dtype=np.int64)
    before = np.concatenate([[0], np.cumsum(words)])  # words in the rows before each row
    for row, encoding in enumerate(encodings):
        # The word of each token: NaN, 0, 0, 1, …, NaN; special tokens belong to no word.
        of_tokens = np.array(encoding.word_ids, dtype=np.float64)
        tokens = start + np.flatnonzero(~np.isnan(of_tokens))
        word = of_tokens[tokens - start].astype(np.int64)
        first = np.diff(word, prepend=-1) != 0
        firsts[before[row] + word[first]] = tokens[first]
        bodies[row] = (tokens[0], tokens[-1] + 1) if len(tokens) else (start, start)
        start += len(encoding)
    return firsts, bodies


def _needs_space(backend: "tokenizers.Tokenizer") -> bool:
    """Whether a tokenizer gives single words other pieces than words after a space in a text.

    Tested on a text of two words, because not every kind of tokenizer with this property has the
    option ``add_prefix_space``.
    """
    in_text = backend.encode("a a", add_special_tokens=False).ids

    def equals_text(word: str) -> bool:
        """Whether the second of two words has the same ids alone as in the text."""
        ids = backend.encode([word, word], is_pretokenized=True, add_special_tokens=False).ids
        second = ids[len(ids) // 2 :]
        return in_text[-len(second) :] == second

    return not equals_text("a") and equals_text(" a")


def _after_space(word: str, added: set[str]) -> str:
    """The word with a space before it, as in a text.

    No space is added before an empty word, before a word that begins with a space, or before an
    added token, because the space would then be a piece by itself.
    """
    return word if not word or word[0] == " " or word in added else f" {word}"
