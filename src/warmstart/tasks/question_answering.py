"""The answer to a question as a span of its context (extractive question answering).

Reads SQuAD's JSON files (1.1 and 2.0) and files of the same form, or rows with the columns
``data.text`` (question), ``data.text_pair`` (context) and ``data.answers``. Every answer is found
in its context, and repaired or refused if it is not at its offset (``answer_places``).

The head gives each token two logits: whether the answer starts there, and whether it ends there. A
context that is longer than the model's limit is read in windows with overlap, so that no token is
lost, and the answer is the best span of all windows. In a window without the answer, the target is
the first token (CLS), which means *no answer*. If training questions without an answer exist, the
model may predict no answer: if that is more probable than the best span, by a threshold that
``train.choose_threshold`` chooses on the validation rows and that is 0 otherwise.

Rows with one context stay in one split: otherwise the score would be too high.
Main score: SQuAD's F1; exact match, and CMRC's F1 for Chinese, are reported too, with intervals
over questions. With several reference answers, the model learns the first; the best one counts.
Known problem: a question whose answer is elsewhere, or must be computed, gets a wrong span.

Letters: N questions, T tokens of a batch, B windows of a batch.
Source: Devlin et al. 2019, arXiv:1810.04805, sections 4.2 and 4.3; Rajpurkar et al. 2016,
arXiv:1606.05250, and 2018, arXiv:1806.03822 (data and scores).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warmstart import errors
from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.answers.answer_columns import REFERENCES, answer_table
from warmstart.data.answers.answer_places import AnswerPlaces, answer_places, reference_column
from warmstart.data.answers.answer_targets import AnswerBatchTargets, AnswerTargets
from warmstart.data.answers.contexts import contexts_of
from warmstart.data.answers.question_windows import encode_questions
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.targets import NO_LABEL, of_kind
from warmstart.data.examples.tokenise import Tokenizer
from warmstart.data.table import Table
from warmstart.errors.counts import counted, form
from warmstart.metrics.answer_metrics import (
    ANSWER_TYPES,
    METRICS,
    answer_scores,
    answer_sums,
    answer_threshold,
    per_question,
)
from warmstart.metrics.intervals import UnitSums
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import BORDERS, Head, with_labels
from warmstart.tasks.answer_mistakes import answer_mistakes
from warmstart.tasks.answer_usage import answer_usage
from warmstart.tasks.capabilities import Baseline, ExportKind
from warmstart.tasks.mistakes import Mistakes
from warmstart.tasks.predictions.answer_predictions import (
    CANDIDATES,
    AnswerPredictions,
    answer_predictions,
)
from warmstart.tasks.predictions.numbers import as_numbers
from warmstart.tasks.task import FloatArray, PredictedRows, Split, Usage
from warmstart.tasks.task_settings import (
    ANSWERS,
    CONTEXTS,
    FREEZING,
    INT8,
    NEW_WEIGHTS,
    ONNX,
    THRESHOLD,
)

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint


@final
@dataclass(frozen=True, slots=True)
class QuestionAnswering:
    """The answer to a question, a span of its context.

    Args:
        data: names the columns.
        threshold: a question gets no answer if no answer is more probable than its best span by
            more than this difference of logarithms; None if every training question has an answer.
    """

    data: DataConfig
    threshold: float | None = None

    name: ClassVar[str] = "question-answering"
    pipeline_tag: ClassVar[str] = "question-answering"
    other_names: ClassVar[tuple[str, ...]] = (
        "qa",
        "squad",
        "extractive-qa",
        "extractive-question-answering",
        "reading-comprehension",
        "machine-reading-comprehension",
        "mrc",
        "span-extraction",
    )
    head: ClassVar[Head] = "question-answering"
    reads: ClassVar[frozenset[str]] = (
        ANSWERS | CONTEXTS | THRESHOLD | FREEZING | NEW_WEIGHTS | ONNX | INT8
    )
    losses: ClassVar[tuple[LossName, ...]] = ("cross-entropy",)
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "questions"
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    export_kind: ClassVar[ExportKind] = "tokens"
    most_answers: ClassVar[int] = CANDIDATES
    baseline_titles: ClassVar[Mapping[str, str]] = {
        "nearby_words": "the words near those of the question",
        "best_sentence": "the sentence with the best BM25 score",
        "no_answer": "no answer to any question",
    }

    @property
    def facts(self) -> dict[str, Any]:
        """The threshold; null if every training question has an answer."""
        return {"threshold": self.threshold}

    @classmethod
    def check(cls, config: RunConfig) -> list[errors.ConfigError]:
        """Check that the column of contexts is named."""
        return [] if config.data.text_pair else [errors.answers.without_context(cls.name)]

    @staticmethod
    def group(data: DataConfig) -> str:
        """The column whose rows stay together: ``data.group``, or the context."""
        return data.group or data.text_pair or data.text

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a question, a context and, if needed, answers; number of rows left out."""
        return answer_table(table, data, labelled=labelled)

    @classmethod
    def learn(cls, config: RunConfig, train: Table) -> Self:
        """Whether some training questions have no answer.

        Raises:
            DataError: none has an answer.
            ConfigError: all have an answer, and a threshold is to be chosen.
        """
        counts = pc.list_value_length(train.columns.column(REFERENCES)).to_numpy()
        if not counts.any():
            raise errors.answers.nothing_answered(len(train))
        if counts.all():
            if config.train.choose_threshold:
                raise errors.answers.no_unanswerable_question()
            return cls(config.data)
        return cls(config.data, 0.0)

    @classmethod
    def from_facts(cls, config: RunConfig, facts: Mapping[str, Any]) -> Self:
        """The task with the threshold that it had."""
        threshold = facts.get("threshold")
        return cls(config.data, None if threshold is None else float(threshold))

    def labels(self, table: Table) -> AnswerPlaces:
        """The reference answers of each question, found in its context.

        Raises:
            DataError: an answer is not in its context.
        """
        return answer_places(table, contexts_of(table, self.data))

    def encode(
        self, table: Table, labels: AnswerPlaces | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise questions and contexts, and cut long contexts into windows."""
        found = encode_questions(table, self.data, labels, tokenizer, max_tokens)
        return Examples(found.tokens, found.targets, notes=found.notes())

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with two labels: start and end."""
        return with_labels(checkpoint.config, BORDERS, None)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's question-answering head."""
        from warmstart.models.checkpoints.load import span_finder

        return span_finder(checkpoint, seed)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy of start and end, their mean *summed* over the windows; and their number.

        The probabilities are over all tokens of a window, as in Transformers for a batch without
        padding.

        Args:
            logits: [T, 2].
            batch: the windows.
        """
        import torch
        from torch.nn import functional

        targets = of_kind(batch.targets, AnswerBatchTargets)
        lengths = np.diff(batch.offsets)
        real = np.arange(lengths.max()) < lengths[:, None]  # [B, L]
        shape = (*real.shape, 2)
        # Padding has no probability, and no gradient.
        padded = logits.new_full(shape, -torch.inf, dtype=torch.float32)
        padded[torch.from_numpy(real).to(logits.device)] = logits.float()
        total = functional.cross_entropy(
            padded.transpose(1, 2).flatten(0, 1),  # [B, L, 2] to [2 B, L]: start, end, start, …
            targets.values.flatten(),
            ignore_index=NO_LABEL,
            reduction="sum",
        )
        return total / 2, batch.count

    def predictions(self, logits: "Tensor | FloatArray", batch: PredictedRows) -> AnswerPredictions:
        """The best spans of each question over its windows; logits [T, 2]."""
        targets = batch.targets
        assert isinstance(targets, AnswerBatchTargets | AnswerTargets)
        found = answer_predictions(
            as_numbers(logits),
            batch.offsets,
            targets.windows,
            targets.source,
            batch.truncated,
            self.data.max_answer_tokens,
        )
        return self.repeated(found)

    def score(self, predictions: AnswerPredictions, labels: AnswerPlaces) -> Scores:
        """Every metric of ``metrics`` with its interval; scores by answer type in the details."""
        return answer_scores(predictions.texts(), labels.by_question())

    def unit_sums(self, predictions: AnswerPredictions, labels: AnswerPlaces) -> UnitSums:
        """The sums over units of questions."""
        return answer_sums(predictions.texts(), labels.by_question())

    def read_back(self, rows: pa.Table) -> tuple[AnswerPredictions, AnswerPlaces]:
        """The stored answers and reference answers."""
        label = rows["label"].combine_chunks()
        answers = label.flatten()
        starts, texts = answers.field("start").to_numpy(), answers.field("text").to_pylist()
        counts = pc.list_value_length(label).to_numpy()
        bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        ends = starts + np.array([len(text) for text in texts], dtype=np.int64)
        places = AnswerPlaces(bounds, starts.astype(np.int64), ends, tuple(texts))
        return AnswerPredictions.stored(rows), places

    def with_threshold(
        self, predictions: AnswerPredictions, labels: AnswerPlaces, metric: str
    ) -> tuple[Self, str]:
        """The task with the threshold of the best ``metric`` on these rows, and a sentence."""
        references = labels.by_question()
        texts = replace(predictions, threshold=None).texts()
        given = per_question(texts, references)[metric]
        nothing = per_question([""] * len(texts), references)[metric]
        differences = predictions.differences
        # A question without any span gets no answer at any threshold.
        known = np.isfinite(differences)
        threshold = 0.0
        if known.any():
            threshold = answer_threshold(differences[known], given[known], nothing[known])
        times = np.exp(np.clip(threshold, -99, 99))
        sentence = (
            f"a question gets no answer if that is more than {times:.3g} times as probable as its "
            f"best answer, which gives the best {metric.replace('_', ' ')} on the validation rows"
        )
        return replace(self, threshold=threshold), sentence

    def repeated(self, predictions: AnswerPredictions) -> AnswerPredictions:
        """The same predictions with this task's threshold."""
        return replace(predictions, threshold=self.threshold)

    @staticmethod
    def most_probable(predictions: AnswerPredictions, count: int) -> AnswerPredictions:
        """The same predictions, shown with the ``count`` best answers of each question."""
        return replace(predictions, top=count)

    def usage(self) -> Usage:
        """The model's logits and the best span: Transformers 5 has no pipeline for it."""
        return answer_usage(self.threshold, self.data.max_answer_tokens)

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """Words near those of the question; the best sentence; no answer, if some have none."""
        from warmstart.tasks.answer_baselines import answer_baselines

        tables = {name: split.table for name, split in splits.items()}
        never = self.threshold is not None
        found = answer_baselines(self.data, train.table, tables, never=never)
        return {
            name: replace(
                baseline,
                predictions={
                    split: self.repeated(predictions)
                    for split, predictions in baseline.predictions.items()
                },
            )
            for name, baseline in found.items()
        }

    def shown_labels(self, labels: AnswerPlaces) -> pa.Array:
        """Whether each question has an answer, as a list of one of ``ANSWER_TYPES``."""
        types = [
            [ANSWER_TYPES[0] if count else ANSWER_TYPES[1]] for count in np.diff(labels.bounds)
        ]
        return pa.array(types, pa.list_(pa.string()))

    def label_column(self, labels: AnswerPlaces) -> pa.Array:
        """The reference answers of each row, N lists of ``{text, start}``."""
        return reference_column(labels)

    def restored(self, rows: pa.Table) -> dict[str, pa.Array]:
        """The reference answers of each row."""
        return {REFERENCES: rows["label"].combine_chunks()}

    def remarks(self, labels: AnswerPlaces) -> list[str]:
        """Several answers, repaired answers, and offsets that count something else."""
        counts = np.diff(labels.bounds)
        sentences = []
        if several := int((counts > 1).sum()):
            have = form(several, "question has", "questions have")
            sentences.append(
                f"{several:,} {have} several reference answers: the first is learned, and the best "
                "one counts in the scores"
            )
        if labels.unit != "characters":
            sentences.append(
                f"the starts of the answers count {labels.unit} and not characters; they were "
                "converted"
            )
        sentences += [
            f"{counted(count, 'answer')} differed from the context in {reason} and "
            f"{form(count, 'was', 'were')} replaced by the part of the context"
            for reason, count in labels.repaired
        ]
        return sentences

    def mistakes(self, predictions: Path, most: int) -> Mistakes:
        """The most confident answers without a word in common with a reference answer."""
        return answer_mistakes(predictions, most)
