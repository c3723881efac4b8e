"""Predict the next token of a document: what a model that writes is made of.

Reads the column ``data.text``; with ``data.prompt`` also a prompt, and then only the text after it
is learned. A document is ``begin text end``, so the model learns to stop; one that is longer than
the model reads is truncated or cut into chunks (``data.long_documents``). Learns no facts: what the
model writes is in its weights.

Main score: bits per byte, which does not depend on how the tokenizer cuts text; loss in nats a
token and perplexity are reported beside it, with intervals over documents.
Known problem: a low loss says that the text was expected, not that what is written is true or new;
``warmstart generate`` with its novelty report shows the second.
Source: Radford et al. 2019, "Language models are unsupervised multitask learners".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from warmstart.config import DataConfig, RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.chunking import Layout, encode_documents, overlap_of
from warmstart.data.examples.encode import Examples, Ints
from warmstart.data.labels import rows_with_text
from warmstart.data.table import Table
from warmstart.metrics.language_metrics import LANGUAGE_METRICS, language_scores
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.special_tokens import begin_and_end
from warmstart.tasks.predictions.document_predictions import (
    DOCUMENTS_AT_ONCE,
    DocumentPredictions,
    summed_by_row,
)

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint
    from warmstart.models.packed.token_logits import TokenLogits


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
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Nothing has to be known before training."""
        return cls(config.data)

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task; there are no facts."""
        return cls(config.data)

    def targets(self, table: Table) -> Ints | None:
        """No row has a class."""
        return None

    def examples(
        self, table: Table, tokenizer: Any, max_tokens: int, *, labelled: bool
    ) -> Examples:
        """Tokenise documents; the text is what is learned, so there is nothing to ignore."""
        begin, end = begin_and_end(tokenizer)
        overlap = overlap_of(self.data, max_tokens, framing=0)
        texts = table.chunks(self.data.text_columns, DOCUMENTS_AT_ONCE)
        layout = Layout(begin, end, max_tokens, overlap)
        return encode_documents(tokenizer, texts, table.rows, layout)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's decoder, with a row for every token of its tokenizer."""
        from warmstart.models.checkpoints.load import language_model

        return language_model(checkpoint)

    def loss(self, logits: "TokenLogits", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the predicted tokens, and how many there are."""
        assert batch.targets is not None
        return logits.loss(batch.targets), batch.count

    def predictions(self, logits: "TokenLogits", batch: Batch) -> DocumentPredictions:
        """What each row cost, in batch order."""
        assert batch.targets is not None
        assert batch.text_bytes is not None
        nats, _ = logits.losses(batch.targets)
        sums = summed_by_row(batch, {"nats": nats.double().cpu().numpy()})
        sums["bytes"] = batch.text_bytes
        return DocumentPredictions(batch.rows, sums, batch.truncated)

    def score(self, predictions: DocumentPredictions, table: Table) -> Scores:
        """Bits per byte, loss and perplexity with intervals over the table's documents."""
        return language_scores(predictions.by_document(table.rows).sums)
