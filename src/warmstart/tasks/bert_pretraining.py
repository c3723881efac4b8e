"""BERT's pretraining: masked words and next sentences, learned together by two heads.

Reads documents and makes pairs of segments as ``next_sentence`` does, and masks tokens of both
segments as ``fill_mask`` does, other ones in every epoch. There are no facts: the result is the
weights, from which a classifier can start, with a trained pooler (``model.name``). Predicts for
pairs of texts whether the second follows the first; masks are filled by ``fill-mask`` models.

Main score: the sum of both losses, as in the paper; the loss and accuracy of each part are next to
it. Intervals are over documents. Known problem: as in ``fill_mask`` and ``next_sentence``, all
scores depend on the tokenizer, the masks and the corpus.
Letters: N rows, B rows of a batch, T tokens.
Source: Devlin et al. 2019, arXiv:1810.04805, section 3.1 and appendix A.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
import pyarrow as pa

from warmstart.config import LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.masked_pairs import MaskedPairBatchTargets, MaskedPairs
from warmstart.data.examples.masking import FIXED, Masking
from warmstart.data.examples.segment_pairs import SegmentPairs
from warmstart.data.examples.targets import NoBatchTargets, of_kind
from warmstart.data.segments import LABELS
from warmstart.data.table import Table
from warmstart.metrics.classification_metrics import row_log_loss
from warmstart.metrics.intervals import Floats, Ints, UnitSums
from warmstart.metrics.pretraining_metrics import (
    PRETRAINING_METRICS,
    pretraining_scores,
    pretraining_sums,
)
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head
from warmstart.tasks.next_sentence import NextSentence, PairLabels
from warmstart.tasks.predictions.class_predictions import ClassPredictions
from warmstart.tasks.predictions.document_predictions import (
    DocumentPredictions,
    masked_predictions,
)
from warmstart.tasks.predictions.pretraining_predictions import PretrainingPredictions
from warmstart.tasks.task import PredictedRows, Usage
from warmstart.tasks.task_settings import FREEZING, MASKS, SEGMENTS
from warmstart.tasks.usage_lines import predict_command

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint
    from warmstart.models.packed.token_logits import TokenAndRowLogits


@final
@dataclass(frozen=True, slots=True)
class BertPretraining:
    """The masked tokens of pairs of segments, and whether the second segment follows the first.

    Args:
        pairs: the task that makes the pairs, and learns and predicts their labels.
    """

    pairs: NextSentence

    name: ClassVar[str] = "bert-pretraining"
    pipeline_tag: ClassVar[str] = "fill-mask"
    other_names: ClassVar[tuple[str, ...]] = ("pretraining", "mlm-nsp", "mlm-and-nsp")
    head: ClassVar[Head] = "pretraining"
    reads: ClassVar[frozenset[str]] = SEGMENTS | MASKS | FREEZING
    losses: ClassVar[tuple[LossName, ...]] = ("cross-entropy",)
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "documents"
    metrics: ClassVar[tuple[Metric, ...]] = PRETRAINING_METRICS
    label_names: ClassVar[tuple[str, ...]] = LABELS
    scores_start: ClassVar[Literal[True]] = True

    @staticmethod
    def defaults() -> Mapping[str, str]:
        """The columns of second segments and of documents, which ``clean`` adds."""
        return NextSentence.defaults()

    @staticmethod
    def clean(data: Any, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """The pairs of successive segments of documents; or pairs of texts to predict."""
        return NextSentence.clean(data, table, labelled=labelled)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """The task; nothing is learned before training."""
        return cls(NextSentence.learn(config, train))

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task; there are no facts."""
        return cls(NextSentence.from_facts(config, facts))

    def drawn(self, table: Table) -> Table:
        """The rows of a split with the second segments and labels of an evaluation."""
        return self.pairs.drawn(table)

    def labels(self, table: Table) -> PairLabels:
        """The label of each row, and its document."""
        return self.pairs.labels(table)

    def encode(
        self, table: Table, labels: PairLabels | None, tokenizer: Any, max_tokens: int
    ) -> Examples:
        """Tokenise pairs to mask tokens in; or pairs of texts to predict.

        Raises:
            DataError: special tokens alone fill ``max_tokens``.
        """
        data = self.pairs.data
        if labels is None:
            return self.pairs.encode(table, None, tokenizer, max_tokens)
        targets = partial(MaskedPairs.of, masking=Masking.of(data.mask_share, tokenizer))
        return SegmentPairs.of(table, data, tokenizer, max_tokens, targets).examples(FIXED)

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with the names of the labels."""
        return self.pairs.model_config(checkpoint)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint's encoder with its family's two pretraining heads."""
        return self.pairs.model(checkpoint, seed)

    def loss(self, logits: "TokenAndRowLogits", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy *summed* over the masked tokens and, weighted, over the labels; in nats.

        Also the number of masked tokens (see ``masked_pairs`` for the weight).
        """
        from torch.nn import functional

        targets = of_kind(batch.targets, MaskedPairBatchTargets)
        of_tokens = logits.of_tokens.loss(targets.tokens.ids)
        classes = targets.labels.values  # int64 [B]
        of_pairs = functional.cross_entropy(logits.of_rows.float(), classes, reduction="sum")
        return of_tokens + targets.label_weight * of_pairs, batch.count

    def predictions(
        self, logits: "TokenAndRowLogits", batch: PredictedRows
    ) -> PretrainingPredictions | ClassPredictions:
        """The label of each pair, and cross-entropy and correct tokens of its masks."""
        pairs = self.pairs.predictions(logits.of_rows, batch)
        if isinstance(batch.targets, NoBatchTargets):
            return pairs
        targets = of_kind(batch.targets, MaskedPairBatchTargets)
        return PretrainingPredictions(
            pairs, masked_predictions(logits.of_tokens, targets.tokens, batch)
        )

    def score(
        self, predictions: PretrainingPredictions | ClassPredictions, labels: PairLabels
    ) -> Scores:
        """Both losses and accuracies with intervals over documents."""
        return pretraining_scores(_sums(predictions, labels), labels.documents)

    def unit_sums(
        self, predictions: PretrainingPredictions | ClassPredictions, labels: PairLabels
    ) -> UnitSums:
        """The sums over units of documents."""
        return pretraining_sums(_sums(predictions, labels), labels.documents)

    def read_back(self, rows: pa.Table) -> tuple[PretrainingPredictions, PairLabels]:
        """The stored labels and sums."""
        pairs, labels = self.pairs.read_back(rows)
        masks = DocumentPredictions.stored(rows, ("nats", "correct", "tokens"))
        return PretrainingPredictions(pairs, masks), labels

    def shown_labels(self, labels: PairLabels) -> pa.Array:
        """The label of each row as text."""
        return self.pairs.shown_labels(labels)

    def remarks(self, labels: PairLabels) -> list[str]:
        """How many documents the pairs are from."""
        return self.pairs.remarks(labels)

    def usage(self) -> Usage:
        """Transformers' model with both heads."""
        return Usage(
            command=predict_command(self.pairs.data),
            python="from transformers import AutoModelForPreTraining, AutoTokenizer\n\n"
            'tokenizer = AutoTokenizer.from_pretrained("model")\n'
            'model = AutoModelForPreTraining.from_pretrained("model")\n'
            'pair = tokenizer("Your text here.", "The second text.", return_tensors="pt")\n'
            "output = model(**pair)  # prediction_logits: the tokens behind masks\n"
            "output.seq_relationship_logits.softmax(-1)[0, 0].item()  # the second text follows",
            note="warmstart predicts whether the second text follows; Transformers' fill-mask "
            "pipeline opens the same folder. To train a classifier that starts from this model, "
            "give its folder as `model.name`",
            limits=(
                "It is meant as a start for other tasks: it predicts single tokens, and whether "
                "two segments are neighbours in a document, which their topic often shows.",
            ),
        )


def _sums(
    predictions: PretrainingPredictions | ClassPredictions, labels: PairLabels
) -> dict[str, Floats | Ints]:
    """The sums of each row, for ``pretraining_scores``."""
    assert isinstance(predictions, PretrainingPredictions)
    pairs = predictions.pairs
    return {
        **predictions.masks.sums,
        "pair_nats": row_log_loss(pairs.probabilities, labels.classes),
        "pair_correct": (pairs.predicted == labels.classes).astype(np.int64),
        "pairs": np.ones(len(pairs), np.int64),
    }
