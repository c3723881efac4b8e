"""The next token of a text: fine-tunes a decoder to generate text like the training rows.

Reads the column ``data.text``; with ``data.prompt`` a row has two parts, and only the text after
the prompt is learned. A document is ``begin text end``, so the model learns to stop; one that is
longer than the model's limit is truncated or cut into chunks (``data.long_documents``). There are
no facts: everything that is learned is in the weights.

Main score: bits per byte, which does not depend on how the tokenizer splits text; loss in nats per
token and perplexity are reported next to it, with intervals over documents.
Known problem: a low loss means that the model predicted the text well, not that generated text is
true or new; the novelty report of ``warmstart generate`` shows how much of it is new.
Source: Radford et al. 2019, "Language models are unsupervised multitask learners".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.chunking import Layout, encode_documents
from warmstart.data.examples.overlap import overlap_of
from warmstart.data.examples.targets import of_kind
from warmstart.data.examples.token_targets import NextTokens, TokenBatchTargets
from warmstart.data.examples.tokenise import control_in_text
from warmstart.data.examples.tokens import Ints
from warmstart.data.labels import rows_with_text
from warmstart.data.table import Table
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.language_metrics import LANGUAGE_METRICS, language_scores, ratio_sums
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.special_tokens import begin_and_end
from warmstart.tasks.capabilities import ExportKind
from warmstart.tasks.predictions.document_predictions import (
    DOCUMENTS_AT_ONCE,
    DocumentPredictions,
    summed_by_row,
)
from warmstart.tasks.task import PredictedRows, Usage
from warmstart.tasks.task_settings import DOCUMENTS, GENERATION, ONNX, PROMPTS

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint
    from warmstart.models.packed.token_logits import TokenLogits


@final
@dataclass(frozen=True, slots=True)
class TextGeneration:
    """The next token of a document.

    Args:
        data: names the columns; contains the settings for long documents.
    """

    data: DataConfig

    name: ClassVar[str] = "text-generation"
    pipeline_tag: ClassVar[str] = "text-generation"
    other_names: ClassVar[tuple[str, ...]] = (
        "generation",
        "causal-lm",
        "causal_lm",
        "clm",
        "lm",
        "language-modeling",
        "gpt",
        "text2text-generation",
    )
    head: ClassVar[Head] = "causal-lm"
    reads: ClassVar[frozenset[str]] = PROMPTS | DOCUMENTS | GENERATION | ONNX
    losses: ClassVar[tuple[LossName, ...]] = ("cross-entropy",)
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "documents"
    metrics: ClassVar[tuple[Metric, ...]] = LANGUAGE_METRICS
    export_kind: ClassVar[ExportKind] = "decoder"
    scores_start: ClassVar[Literal[True]] = True
    nothing_to_predict: ClassVar[str] = "prompt_fills_row"

    @staticmethod
    def nothing_left(table: Table, max_tokens: int) -> errors.DataError:
        """Every prompt fills its row."""
        return errors.unlearnable.prompts_fill_rows(
            table.setting, len(table), table.where(0), max_tokens
        )

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text; the other rows are left out and counted."""
        return rows_with_text(table, data)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """The task; nothing is learned before training."""
        return cls(config.data)

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task; there are no facts."""
        return cls(config.data)

    def labels(self, table: Table) -> Ints:
        """The row ids of the documents, int64 [D]: the text itself is what is learned."""
        return table.rows

    def encode(
        self, table: Table, labels: Ints | None, tokenizer: Any, max_tokens: int
    ) -> Examples:
        """Tokenise documents, and their prompts if they have any."""
        begin, end = begin_and_end(tokenizer)
        overlap = None
        if self.data.long_documents == "chunk":
            overlap = overlap_of(self.data.overlap_tokens, max_tokens, framing=0, least=1)
        texts = table.chunks(self.data.text_columns, DOCUMENTS_AT_ONCE)
        control = control_in_text(tokenizer, self.data.control_tokens)
        layout = Layout(begin, end, max_tokens, overlap, control=control)
        found = encode_documents(tokenizer, texts, table.rows, layout)
        return Examples(found.tokens, NextTokens(found.predict_from, found.text_bytes))

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration."""
        return checkpoint.config

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's decoder, with an embedding row for every token of its tokenizer."""
        from warmstart.models.checkpoints.load import language_model

        return language_model(checkpoint)

    def loss(self, logits: "TokenLogits", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the predicted tokens, and their number."""
        return logits.loss(of_kind(batch.targets, TokenBatchTargets).ids), batch.count

    def predictions(self, logits: "TokenLogits", batch: PredictedRows) -> DocumentPredictions:
        """Cross-entropy and bytes of each row, in batch order."""
        targets = of_kind(batch.targets, TokenBatchTargets)
        nats, _ = logits.losses(targets.ids)
        sums = summed_by_row(targets, batch.offsets, {"nats": nats.double().cpu().numpy()})
        sums["bytes"] = targets.text_bytes
        return DocumentPredictions(batch.rows, sums, batch.truncated)

    def score(self, predictions: DocumentPredictions, labels: Ints) -> Scores:
        """Bits per byte, loss and perplexity with intervals over documents."""
        return language_scores(predictions.by_document(labels).sums)

    def read_back(self, rows: pa.Table) -> tuple[DocumentPredictions, Ints]:
        """The stored sums of each document."""
        found = DocumentPredictions.stored(rows, ("nats", "tokens", "bytes"))
        return found, found.rows

    def unit_sums(self, predictions: DocumentPredictions, labels: Ints) -> UnitSums:
        """The sums over units of documents."""
        return ratio_sums(LANGUAGE_METRICS, predictions.by_document(labels).sums)

    def prompts(self, table: Table) -> Iterator[str]:
        """The prompt of every row; empty texts without end if the model learned without prompts."""
        if self.data.prompt is None:
            return repeat("")
        chunks = table.chunks({"data.prompt": self.data.prompt}, DOCUMENTS_AT_ONCE)
        return chain.from_iterable(chunks)

    def usage(self) -> Usage:
        """The text-generation pipeline."""
        return Usage(
            command='warmstart generate {run} --prompt "…"',
            python='generate = pipeline("text-generation", model="model")\n'
            'generate("Your text here.", max_new_tokens=100)',
            note="warmstart can also report how much of the generated text occurs in the training "
            "rows (`--novelty`)",
            limits=(
                "It generates what its training rows made probable, whether true or not; names and "
                "facts are invented.",
                "It may repeat training rows word for word: see the novelty report in "
                "`samples.json`.",
            ),
        )
