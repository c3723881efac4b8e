"""Say what stands behind a mask: how an encoder is adapted to a person's own kind of text.

Reads the column ``data.text``. A document is ``begin text end`` (``[CLS] … [SEP]``); one that is
longer than the model reads is truncated or cut into chunks (``data.long_documents``), each with its
own begin and end. Of each row ``data.mask_share`` of the tokens are hidden, or of the words
(``data.whole_words``): in training others in every epoch, in evaluation always the same. Learns no
facts: what is learned is in the weights, which a classifier can then start from (``model.name``).

Main score: loss in nats a hidden token; accuracy beside it, and at the end pseudo-perplexity.
Known problem: all depend on the tokenizer and on what was hidden; compare them between models of
one tokenizer and one ``data.mask_share``.
Letters: B rows of a batch, T tokens, V vocabulary.
Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1; Gururangan et al. 2020, arXiv:2004.10964
("Don't stop pretraining"), for adapting before fine-tuning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np

from warmstart.config import DataConfig, RunConfig
from warmstart.data.examples.batches import Batch
from warmstart.data.examples.chunking import Layout, encode_documents, overlap_of
from warmstart.data.examples.encode import Examples, Ints
from warmstart.data.examples.masking import Masking
from warmstart.data.labels import rows_with_text
from warmstart.data.table import Table
from warmstart.metrics.language_metrics import MASKED_METRICS, masked_scores
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head
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
class FillMask:
    """The tokens of a document that are hidden.

    Args:
        data: names the column, and says what is hidden and how long documents are read.
    """

    data: DataConfig

    name: ClassVar[str] = "fill-mask"
    head: ClassVar[Head] = "masked-lm"
    stratifies: ClassVar[bool] = False

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What ``score`` reports, the main metric first."""
        return MASKED_METRICS

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
        data = self.data
        special = frozenset(tokenizer.all_special_ids)
        overlap = overlap_of(data, max_tokens, framing=2)
        layout = Layout(
            tokenizer.cls_token_id,
            tokenizer.sep_token_id,
            max_tokens,
            overlap,
            framed=True,
            unasked=special,
            words=data.whole_words,
        )
        texts = table.chunks(data.text_columns, DOCUMENTS_AT_ONCE)
        askable = np.ones(len(tokenizer), dtype=np.bool_)
        askable[sorted(special)] = False
        masking = Masking(data.mask_share, tokenizer.mask_token_id, askable)
        rows = encode_documents(tokenizer, texts, table.rows, layout)
        return replace(rows, masking=masking)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's encoder with its family's masked-language-model head."""
        from warmstart.models.checkpoints.load import mask_filler

        return mask_filler(checkpoint, seed)

    def loss(self, logits: "TokenLogits", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the hidden tokens, and how many there are."""
        assert batch.targets is not None
        return logits.loss(batch.targets), batch.count

    def predictions(self, logits: "TokenLogits", batch: Batch) -> DocumentPredictions:
        """What each row cost and how much of it was right, in batch order."""
        assert batch.targets is not None
        nats, right = logits.losses(batch.targets)
        found = {"nats": nats.double().cpu().numpy(), "correct": right.long().cpu().numpy()}
        return DocumentPredictions(batch.rows, summed_by_row(batch, found), batch.truncated)

    def score(self, predictions: DocumentPredictions, table: Table) -> Scores:
        """Loss and accuracy with intervals over the table's documents."""
        return masked_scores(predictions.by_document(table.rows).sums)
