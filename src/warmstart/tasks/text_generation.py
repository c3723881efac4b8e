"""Predict the next token of a document: what a model that writes is made of.

Reads the column ``data.text``; with ``data.prompt`` also a prompt, and then only the text after it
is learned. A document is ``begin text end``, so the model learns to stop; one that is longer than
the model reads is truncated or cut into chunks (``data.long_documents``). Learns no facts: what the
model writes is in its weights.

Main score: bits per byte, which does not depend on how the tokenizer cuts text; loss in nats a
token and perplexity are reported beside it, with intervals over documents.
Known problem: a low loss says that the text was expected, not that what is written is true or new;
``warmstart generate`` with its novelty report shows the second.
Letters: B rows of a batch, T tokens, D documents.
Source: Radford et al. 2019, "Language models are unsupervised multitask learners".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa

from warmstart.config import DataConfig
from warmstart.data.batches import Batch
from warmstart.data.documents import Layout, encode_documents
from warmstart.data.encode import NO_LABEL, Bools, Examples, Floats, Ints
from warmstart.data.labels import rows_with_text
from warmstart.data.table import Table
from warmstart.metrics.language import LANGUAGE_METRICS, language_scores
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.configuration import Head
from warmstart.models.special_tokens import begin_and_end

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from warmstart.models.load import Checkpoint
    from warmstart.models.token_logits import TokenLogits

DOCUMENTS_AT_ONCE = 64
"""Documents tokenised in one call; they may be long."""


@dataclass(frozen=True, slots=True)
class DocumentPrediction:
    """How well one row of a document was predicted."""

    row: int
    """Row id in its table."""
    nats: float
    """Cross-entropy, summed over the predicted tokens."""
    tokens: int
    """Predicted."""
    text_bytes: int
    """UTF-8 bytes that they spell."""
    truncated: bool
    """Whether the model saw only the beginning of the document."""

    def to_json(self) -> dict[str, Any]:
        """``{"row", "nats", "tokens", "bytes", "truncated"}``."""
        return {
            "row": self.row,
            "nats": self.nats,
            "tokens": self.tokens,
            "bytes": self.text_bytes,
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class DocumentPredictions:
    """How well N rows were predicted; a document that was cut into chunks has several.

    Args:
        rows: row ids, int64 [N].
        nats: cross-entropy of each row, float64 [N].
        tokens: predicted in each, int64 [N].
        text_bytes: that they spell, int64 [N].
        truncated: whether only the beginning of the document was seen, bool [N].
    """

    rows: Ints
    nats: Floats
    tokens: Ints
    text_bytes: Ints
    truncated: Bools

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, put in order.

        Args:
            parts: one batch at least.
            positions: of each of their rows in the whole, each once, int64 [N].
        """
        order = np.argsort(positions)
        return cls(
            np.concatenate([part.rows for part in parts])[order],
            np.concatenate([part.nats for part in parts])[order],
            np.concatenate([part.tokens for part in parts])[order],
            np.concatenate([part.text_bytes for part in parts])[order],
            np.concatenate([part.truncated for part in parts])[order],
        )

    def by_document(self, rows: Ints) -> Self:
        """One for each document, its chunks added up.

        Args:
            rows: row ids of the documents, rising, int64 [D]; one of which no token could be
                predicted counts none.
        """
        place = np.searchsorted(rows, self.rows)

        def summed(values: Any) -> Any:
            return np.bincount(place, weights=values, minlength=len(rows))

        return type(self)(
            rows,
            summed(self.nats),
            summed(self.tokens).astype(np.int64),
            summed(self.text_bytes).astype(np.int64),
            summed(self.truncated) > 0,
        )

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """What ``predictions.parquet`` says of each document: nats, tokens, bytes, truncated."""
        found = self.by_document(rows)
        return {
            "nats": pa.array(found.nats),
            "tokens": pa.array(found.tokens),
            "bytes": pa.array(found.text_bytes),
            "truncated": pa.array(found.truncated),
        }

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> DocumentPrediction:
        """The row at position ``index``."""
        return DocumentPrediction(
            int(self.rows[index]),
            float(self.nats[index]),
            int(self.tokens[index]),
            int(self.text_bytes[index]),
            bool(self.truncated[index]),
        )

    def __iter__(self) -> Iterator[DocumentPrediction]:
        """Every row, one alive at a time."""
        return map(self.__getitem__, range(len(self)))


@final
@dataclass(frozen=True, slots=True)
class TextGeneration:
    """The next token of a document.

    Args:
        data: names the columns, and says how long documents are read.
    """

    data: DataConfig

    name: ClassVar[str] = "text-generation"
    head: ClassVar[Head] = "causal-lm"
    stratifies: ClassVar[bool] = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What ``score`` reports, the main metric first."""
        return LANGUAGE_METRICS

    @property
    def facts(self) -> dict[str, Any]:
        """None: what is learned is in the weights."""
        return {}

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text; those without are left out and counted, whatever ``data.missing``."""
        return rows_with_text(table, data)

    @classmethod
    def learn(cls, data: DataConfig, train: Table) -> Self:
        """Nothing has to be known before training."""
        return cls(data)

    @classmethod
    def from_facts(cls, data: DataConfig, facts: Mapping[str, Any]) -> Self:
        """The task; there are no facts."""
        return cls(data)

    def targets(self, table: Table) -> Ints | None:
        """No row has a class."""
        return None

    def examples(
        self, table: Table, tokenizer: Any, max_tokens: int, *, labelled: bool
    ) -> Examples:
        """Tokenise documents; the text is what is learned, so there is nothing to ignore."""
        begin, end = begin_and_end(tokenizer)
        overlap = None
        if self.data.long_documents == "chunk":
            overlap = min(self.data.overlap_tokens, max_tokens - 1)
        texts = table.chunks(self.data.text_columns, DOCUMENTS_AT_ONCE)
        layout = Layout(begin, end, max_tokens, overlap)
        return encode_documents(tokenizer, texts, table.rows, layout)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's decoder, with a row for every token of its tokenizer."""
        from warmstart.models.load import language_model

        return language_model(checkpoint)

    def loss(self, logits: "TokenLogits", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the predicted tokens, and how many there are."""
        assert batch.targets is not None
        return logits.loss(batch.targets), batch.count

    def predictions(self, logits: "TokenLogits", batch: Batch) -> DocumentPredictions:
        """What each row cost, in batch order."""
        assert batch.targets is not None
        assert batch.text_bytes is not None
        predicted = (batch.targets != NO_LABEL).cpu().numpy()
        row = np.repeat(np.arange(len(batch)), np.diff(batch.offsets))[predicted]
        nats = logits.losses(batch.targets).double().cpu().numpy()
        return DocumentPredictions(
            batch.rows,
            np.bincount(row, weights=nats, minlength=len(batch)).astype(np.float64),
            np.bincount(row, minlength=len(batch)),
            batch.text_bytes,
            batch.truncated,
        )

    def score(self, predictions: DocumentPredictions, table: Table) -> Scores:
        """Bits per byte, loss and perplexity with intervals over the table's documents."""
        found = predictions.by_document(table.rows)
        return language_scores(found.nats, found.tokens, found.text_bytes)
