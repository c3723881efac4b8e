"""The tokens behind masks: adapts an encoder to the user's own kind of text.

Reads the column ``data.text``. A document is ``begin text end`` (``[CLS] … [SEP]``); one that is
longer than the model's limit is truncated or cut into chunks (``data.long_documents``), each with
its own begin and end. In each row ``data.mask_share`` of the tokens are hidden, or of the words
(``data.whole_words``): in training different ones in every epoch, in evaluation always the same.
There are no facts: the result is the weights, from which a classifier can start (``model.name``).

Main score: loss in nats per hidden token; accuracy next to it, and at the end pseudo-perplexity.
Known problem: all of them depend on the tokenizer and on the hidden tokens; compare them only
between models with the same tokenizer and the same ``data.mask_share``.
Letters: B rows of a batch, T tokens, A masks, V vocabulary.
Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1; Gururangan et al. 2020, arXiv:2004.10964
("Don't stop pretraining"), for adapting before fine-tuning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import pyarrow as pa

from warmstart import errors
from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.chunking import Layout, encode_documents
from warmstart.data.examples.masking import Masking
from warmstart.data.examples.overlap import overlap_of
from warmstart.data.examples.targets import of_kind
from warmstart.data.examples.token_targets import HiddenTokens, TokenBatchTargets
from warmstart.data.examples.tokenise import control_in_text, encode_table
from warmstart.data.examples.tokens import Ints
from warmstart.data.labels import rows_with_text
from warmstart.data.table import Table
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.language_metrics import (
    MASKED_METRICS,
    PSEUDO_PERPLEXITY,
    masked_scores,
    ratio_sums,
)
from warmstart.metrics.scores import Metric, Score, Scores
from warmstart.models.checkpoints.configuration import Head
from warmstart.tasks.predictions.document_predictions import (
    DOCUMENTS_AT_ONCE,
    DocumentPredictions,
    masked_predictions,
)
from warmstart.tasks.predictions.mask_predictions import (
    MaskBatchTargets,
    MaskPlaces,
    MaskPredictions,
    most_probable,
)
from warmstart.tasks.task import PredictedRows, Usage
from warmstart.tasks.task_settings import DOCUMENTS, FREEZING, MASKS

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.devices.place import DeviceAndPrecision
    from warmstart.devices.processes import Processes
    from warmstart.models.checkpoints.load import Checkpoint
    from warmstart.models.packed.forward import Forward
    from warmstart.models.packed.token_logits import TokenLogits


@final
@dataclass(frozen=True, slots=True)
class FillMask:
    """The hidden tokens of a document.

    Args:
        data: names the column; contains the settings for masking and for long documents.
    """

    data: DataConfig

    name: ClassVar[str] = "fill-mask"
    pipeline_tag: ClassVar[str] = "fill-mask"
    other_names: ClassVar[tuple[str, ...]] = (
        "mlm",
        "masked-lm",
        "masked-language-modeling",
        "mask-filling",
        "domain-adaptation",
    )
    head: ClassVar[Head] = "masked-lm"
    reads: ClassVar[frozenset[str]] = DOCUMENTS | MASKS | FREEZING
    losses: ClassVar[tuple[LossName, ...]] = ("cross-entropy",)
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "documents"
    metrics: ClassVar[tuple[Metric, ...]] = MASKED_METRICS
    scores_start: ClassVar[Literal[True]] = True
    final_metrics: ClassVar[tuple[Metric, ...]] = (PSEUDO_PERPLEXITY,)
    final_rows: ClassVar[int] = 64
    nothing_to_predict: ClassVar[str] = "no_known_token"

    @staticmethod
    def nothing_left(table: Table, max_tokens: int) -> errors.DataError:
        """The tokenizer knows no character of any text."""
        return errors.unlearnable.no_known_token(table.setting, len(table), table.where(0))

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
        """Tokenise documents to hide tokens in; or texts with masks that are to be filled.

        Raises:
            DataError: a text to be filled has no mask, or chunks would overlap too much.
        """
        if labels is None:
            return self._with_masks(table, tokenizer, max_tokens)
        data, special = self.data, frozenset(tokenizer.all_special_ids)
        overlap = None
        if data.long_documents == "chunk":
            overlap = overlap_of(data.overlap_tokens, max_tokens, framing=2)
        layout = Layout(
            tokenizer.cls_token_id,
            tokenizer.sep_token_id,
            max_tokens,
            overlap,
            framed=True,
            unasked=special,
            words=data.whole_words,
            control=control_in_text(tokenizer, data.control_tokens),
        )
        texts = table.chunks(data.text_columns, DOCUMENTS_AT_ONCE)
        found = encode_documents(tokenizer, texts, table.rows, layout)
        masking = Masking.of(data.mask_share, tokenizer)
        targets = HiddenTokens(found.predict_from, found.text_bytes, masking, found.begins_word)
        return Examples(found.tokens, targets)

    def _with_masks(self, table: Table, tokenizer: Any, max_tokens: int) -> Examples:
        """Texts that contain the tokenizer's mask token (``[MASK]``, ``<mask>``)."""
        mask = tokenizer.mask_token
        for start, texts in enumerate(table.chunks(self.data.text_columns, DOCUMENTS_AT_ONCE)):
            for place, text in enumerate(texts, start * DOCUMENTS_AT_ONCE):
                if mask not in text:
                    raise errors.data.no_mask(table.where(place), text, mask)
        tokens = encode_table(table, self.data, tokenizer, max_tokens, control=(mask,))
        return Examples(tokens, MaskPlaces(tokenizer.mask_token_id, tokenizer))

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration."""
        return checkpoint.config

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's encoder with its family's masked-language-model head."""
        from warmstart.models.checkpoints.load import pretraining_model

        return pretraining_model(checkpoint, seed)

    def loss(self, logits: "TokenLogits", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the hidden tokens, and their number."""
        return logits.loss(of_kind(batch.targets, TokenBatchTargets).ids), batch.count

    def predictions(
        self, logits: "TokenLogits", batch: PredictedRows
    ) -> DocumentPredictions | MaskPredictions:
        """Cross-entropy and correct tokens of each row; or the most probable tokens at masks."""
        if isinstance(batch.targets, MaskBatchTargets):
            return most_probable(logits, batch)
        return masked_predictions(logits, of_kind(batch.targets, TokenBatchTargets), batch)

    def score(self, predictions: DocumentPredictions | MaskPredictions, labels: Ints) -> Scores:
        """Loss and accuracy with intervals over documents."""
        assert isinstance(predictions, DocumentPredictions)
        return masked_scores(predictions.by_document(labels).sums)

    def read_back(self, rows: pa.Table) -> tuple[DocumentPredictions, Ints]:
        """The stored sums of each document."""
        found = DocumentPredictions.stored(rows, ("nats", "correct", "tokens"))
        return found, found.rows

    def unit_sums(
        self, predictions: DocumentPredictions | MaskPredictions, labels: Ints
    ) -> UnitSums:
        """The sums over units of documents."""
        assert isinstance(predictions, DocumentPredictions)
        return ratio_sums(MASKED_METRICS, predictions.by_document(labels).sums)

    def final_scores(
        self,
        forward: "Forward",
        model: "PreTrainedModel",
        examples: Examples,
        place: "DeviceAndPrecision",
        processes: "Processes",
    ) -> Mapping[str, Score]:
        """Pseudo-perplexity, which needs one forward pass per token."""
        from warmstart.tasks.pseudo_perplexity import pseudo_perplexity

        rows = self.final_rows
        score = pseudo_perplexity(model, forward, examples, place, processes, most_rows=rows)
        return {PSEUDO_PERPLEXITY.name: score}

    def usage(self) -> Usage:
        """The fill-mask pipeline."""
        return Usage(
            command='warmstart predict {run} --text "a text with [MASK]"',
            python='fill = pipeline("fill-mask", model="model")\n'
            'fill(f"A text with one {fill.tokenizer.mask_token} in it.")',
            note="warmstart accepts several masks in one text. To train a classifier that starts "
            "from this model, give its folder as `model.name`",
            limits=(
                "It predicts single tokens of its vocabulary, whether the sentence is then true "
                "or not.",
            ),
        )
