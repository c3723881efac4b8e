"""A task that is defined only in this file, with the same tests as the tasks of the package.

``TextParity`` is a complete task with every optional part that a classifier can have. CONTRIBUTING
tells readers to copy it: keep it short, and without anything that a first task does not need.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.contract.battery import CHECKS
from tests.contract.cases import CASES, HELD, TEXT, labelled, small
from tests.contract.driven_run import Case, DrivenRun
from tests.runs_in_memory import settings, write_reviews
from warmstart.config import DataConfig, LossName, RunConfig
from warmstart.data.examples.batches import Batch, Examples
from warmstart.data.examples.targets import NoTargets, RowBatchTargets, RowTargets, of_kind
from warmstart.data.examples.tokenise import Tokenizer, encode_table
from warmstart.data.examples.tokens import Bools, Floats, Ints
from warmstart.data.labels import rows_with_text
from warmstart.data.table import Table
from warmstart.metrics.intervals import UnitSums, assign_units, scores_of_sums, values_per_unit
from warmstart.metrics.scores import Metric, Scores
from warmstart.models.checkpoints.configuration import Head, with_labels
from warmstart.tasks import TASKS
from warmstart.tasks.capabilities import Baseline, ExportKind
from warmstart.tasks.mistakes import Mistakes, mistake, percent, worst_rows
from warmstart.tasks.predictions.numbers import as_numbers, softmax
from warmstart.tasks.predictions.row_order import joined_rows
from warmstart.tasks.row_baselines import texts_of
from warmstart.tasks.task import FloatArray, PredictedRows, Split, Usage
from warmstart.tasks.task_settings import NEW_HEAD

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from warmstart.models.checkpoints.load import Checkpoint

LABELS = ("odd", "even")
RIGHT = Metric("right_parity", higher_is_better=True, title="Parity accuracy")


@dataclass(frozen=True, slots=True)
class ParityPrediction:
    """Whether one text has an even number of words, as predicted by the model."""

    row: int
    even: bool
    confidence: float
    truncated: bool

    def to_json(self) -> dict[str, Any]:
        """``{"row", "even", "confidence", "truncated"}``."""
        return {
            "row": self.row,
            "even": self.even,
            "confidence": self.confidence,
            "truncated": self.truncated,
        }

    def shown(self) -> str:
        """One line: ``even, sure to 61.2 %``."""
        return f"{LABELS[self.even]}, sure to {percent(self.confidence)}"


@dataclass(frozen=True, slots=True)
class ParityPredictions:
    """The predictions for N rows.

    Args:
        probabilities: probability that the number of words is even, float64 [N].
        rows: row ids, int64 [N].
        truncated: whether the model read only the beginning of each row, bool [N].
    """

    probabilities: Floats
    rows: Ints
    truncated: Bools

    @property
    def even(self) -> Bools:
        """The prediction for each row, bool [N]."""
        found: Bools = self.probabilities >= 0.5
        return found

    @classmethod
    def joined(cls, parts: Sequence[Self], positions: Ints) -> Self:
        """The predictions of several batches, in row order."""
        return joined_rows(parts, positions)

    def changed(self, other: Self) -> int:
        """Number of rows for which ``other`` predicts the opposite."""
        return int((self.even != other.even).sum())

    def columns(self, rows: Ints) -> dict[str, pa.Array]:
        """``even``, ``confidence`` and ``truncated``."""
        return {
            "even": pa.array(self.even),
            "confidence": pa.array(np.maximum(self.probabilities, 1 - self.probabilities)),
            "truncated": pa.array(self.truncated),
        }

    def __len__(self) -> int:
        """Number of rows, N."""
        return len(self.rows)

    def __getitem__(self, index: int) -> ParityPrediction:
        """The prediction at position ``index``."""
        share = float(self.probabilities[index])
        even, cut = bool(self.even[index]), bool(self.truncated[index])
        return ParityPrediction(int(self.rows[index]), even, max(share, 1 - share), cut)

    def __iter__(self) -> Iterator[ParityPrediction]:
        """Every prediction, one object at a time."""
        return map(self.__getitem__, range(len(self)))


@final
@dataclass(frozen=True, slots=True)
class TextParity:
    """Whether a text has an even number of words.

    Args:
        data: names the text column.
    """

    data: DataConfig

    name: ClassVar[str] = "text-parity"
    pipeline_tag: ClassVar[str] = "text-classification"
    other_names: ClassVar[tuple[str, ...]] = ()
    head: ClassVar[Head] = "sequence-classification"
    reads: ClassVar[frozenset[str]] = NEW_HEAD
    losses: ClassVar[tuple[LossName, ...]] = ("cross-entropy",)
    loss_unit: ClassVar[str] = "nats"
    scored_unit: ClassVar[str] = "rows"
    metrics: ClassVar[tuple[Metric, ...]] = (RIGHT,)
    export_kind: ClassVar[ExportKind] = "rows"
    label_names: ClassVar[tuple[str, ...]] = LABELS
    baseline_titles: ClassVar[Mapping[str, str]] = {"always_even": "a constant prediction of even"}

    @staticmethod
    def clean(data: DataConfig, table: Table, *, labelled: bool) -> tuple[Table, dict[str, int]]:
        """Rows with a text; number of rows left out."""
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
        """1 if the number of words is even, otherwise 0, int64 [N]."""
        words = pc.list_value_length(pc.utf8_split_whitespace(texts_of(table, self.data)["text"]))
        even: Ints = (words.to_numpy() % 2 == 0).astype(np.int64)
        return even

    def encode(
        self, table: Table, labels: Ints | None, tokenizer: Tokenizer, max_tokens: int
    ) -> Examples:
        """Tokenise the text column."""
        tokens = encode_table(table, self.data, tokenizer, max_tokens)
        return Examples(tokens, NoTargets() if labels is None else RowTargets(labels))

    def model_config(self, checkpoint: "Checkpoint") -> "PreTrainedConfig":
        """The checkpoint's configuration with the labels of the head."""
        return with_labels(checkpoint.config, LABELS)

    def model(self, checkpoint: "Checkpoint", seed: int) -> "PreTrainedModel":
        """The checkpoint with its family's sequence-classification head."""
        from warmstart.models.checkpoints.load import sequence_classifier

        return sequence_classifier(checkpoint, LABELS, seed)

    def loss(self, logits: "Tensor", batch: Batch) -> tuple["Tensor", int]:
        """Cross-entropy in nats, *summed* over the batch, and the number of rows; logits [B, 2]."""
        from torch.nn import functional

        labels = of_kind(batch.targets, RowBatchTargets).values  # int64 [B]
        return functional.cross_entropy(logits.float(), labels, reduction="sum"), batch.count

    def predictions(self, logits: "Tensor | FloatArray", batch: PredictedRows) -> ParityPredictions:
        """The probability of an even number of words; logits [B, 2]."""
        shares = softmax(as_numbers(logits))[:, 1]
        return ParityPredictions(shares, batch.rows, batch.truncated)

    def score(self, predictions: ParityPredictions, labels: Ints) -> Scores:
        """The share of rows with a correct prediction, with an interval over rows."""
        return Scores(scores_of_sums([RIGHT], self.unit_sums(predictions, labels)), {})

    def usage(self) -> Usage:
        """The text-classification pipeline."""
        return Usage(
            command='warmstart predict {run} --text "…"',
            python='parity = pipeline("text-classification", model="model")\n'
            'parity("Your text here.", truncation=True)',
            note="warmstart also reports which texts were truncated",
            limits=("A model of text does not count: expect the score of the baseline.",),
        )

    def baselines(
        self, config: RunConfig, train: Split, splits: Mapping[str, Split]
    ) -> dict[str, Baseline]:
        """Predict an even number of words for every row."""

        def even(table: Table) -> ParityPredictions:
            none = np.zeros(len(table), dtype=np.bool_)
            return ParityPredictions(np.ones(len(table)), table.rows, none)

        return {
            "always_even": Baseline({name: even(split.table) for name, split in splits.items()})
        }

    def unit_sums(self, predictions: ParityPredictions, labels: Ints) -> UnitSums:
        """The correct predictions, and the rows."""
        right = (predictions.even == labels).astype(np.float64)
        sums = values_per_unit([right, np.ones(len(right))], assign_units(len(right)))
        return UnitSums(sums, lambda sums: {RIGHT.name: sums[:, 0] / sums[:, 1]}, len(right))

    def read_back(self, rows: pa.Table) -> tuple[ParityPredictions, Ints]:
        """The stored predictions and labels."""
        even, share = (rows[name].to_numpy() for name in ("even", "confidence"))
        ids, truncated = (rows[name].to_numpy() for name in ("row", "truncated"))
        found = ParityPredictions(np.where(even, share, 1 - share), ids, truncated)
        return found, pc.equal(rows["label"], LABELS[1]).to_numpy().astype(np.int64)

    def shown_labels(self, labels: Ints) -> pa.Array:
        """``odd`` or ``even`` for each row."""
        return pa.array(LABELS, pa.string()).take(pa.array(labels))

    def remarks(self, labels: Ints) -> list[str]:
        """Nothing: the counts of the labels are reported for every task."""
        return []

    def mistakes(self, predictions: Path, most: int) -> Mistakes:
        """The wrong predictions with the highest confidence."""

        def confident(rows: pa.RecordBatch) -> pa.Array:
            wrong = pc.not_equal(pc.equal(rows["label"], LABELS[1]), rows["even"])
            return pc.if_else(wrong, rows["confidence"], None)

        rows, count = worst_rows(predictions, most, confident)
        return Mistakes(
            heading="Miscounted texts",
            note=f"{len(rows)} of {count:,} wrong predictions, the most confident first.",
            columns=("text", "words", "predicted", "confidence"),
            rows=tuple(
                mistake(row, row["label"], LABELS[row["even"]], percent(row["amount"]))
                for row in rows
            ),
            count=count,
        )


CASE = Case(
    settings=small(
        lambda folder: {**settings(folder), "task": "text-parity"}, write_reviews, "reviews.csv"
    ),
    labelled=labelled(write_reviews),
    rows=HELD,
    predict=("--text", TEXT),
    prediction=("even", "confidence"),
    columns=("label", "even", "confidence"),
    shown=r"(odd|even), sure to \d+\.\d %\n",
    labels=LABELS,
    baselines=("always_even",),
    marks=("Miscounted texts", "constant prediction of even", "does not count"),
    same=lambda value, found: bool((value[0]["label"] == "even") == found["even"]),
)


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DrivenRun]:
    foreign = tuple(mark for case in CASES.values() for mark in case.marks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "text-parity", TextParity)
        yield DrivenRun(CASE, "text-parity", tmp_path_factory.mktemp("text-parity"), foreign)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_task_is_one_file_and_one_line(
    driven: DrivenRun, check: Callable[[DrivenRun], None]
) -> None:
    check(driven)


def test_a_csv_file_has_the_tasks_columns(driven: DrivenRun) -> None:
    assert driven.run.is_dir()
    written = driven.type("predict", "run", "--data", driven.labelled, "--output", "p.csv")
    assert written.code == 0, written.err
    head = (driven.folder / "p.csv").read_text("utf-8-sig").splitlines()[0]
    assert head.replace('"', "") == "row,file,line,text,even,confidence,truncated"
