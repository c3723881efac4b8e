"""The workloads, as data; every engine runs a workload with the same rows.

Three kinds of measurement:

- ``window``: a number of training steps, enough for a fair comparison and few enough to repeat. For
  an engine that pads every row to a fixed width, all steps take the same time, so a few are enough.
  With random batches, any steps are typical; all these engines get the same batches.
- ``run``: a whole training run, from loaded weights to the saved best model. This is for cases in
  which epochs differ: with a frozen backbone, most of the work is done in the first epoch.
- ``predict``: prediction of texts.

Targets are speed ratios between warmstart and other engines in one session on two cores.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks import corpora
from benchmarks.corpora import Rows


@dataclass(frozen=True, slots=True)
class BertShape:
    """A BERT of this shape with random weights, which do not affect its speed."""

    layers: int
    hidden: int
    heads: int


@dataclass(frozen=True, slots=True)
class Gpt2Shape:
    """A GPT-2 of this shape with random weights, dropout 0.1 and a context of 1,024 tokens.

    Its vocabulary is GPT-2's with the two tokens that tutorials add.
    """

    layers: int
    hidden: int
    heads: int


@dataclass(frozen=True, slots=True)
class Steps:
    """Number of steps: first ``warmup`` untimed steps, then ``timed`` steps."""

    warmup: int
    timed: int


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload.

    Args:
        name: name in results.
        corpus: function that reads the rows from the folder of data sets.
        checkpoint: ``model.name``, or the shape of a model with random weights.
        engines: names of its engines, warmstart first.
        max_tokens: longest input.
        task: name of the task; decoders are only measured in windows.
        kind: the kind of measurement.
        rows: number of rows to use, from the first; None for all.
        batch_size: rows per batch.
        epochs: passes over the training rows.
        learning_rate: peak learning rate of AdamW.
        weight_decay: weight decay of AdamW.
        frozen: whether only the head is trained.
        steps: steps of engines that pad to the longest row of a batch, or do not pad.
        fixed_steps: steps of engines that pad every row to the same width.
        targets: for each of these engines, the target ratio of samples per second.
        share_target: target for the share of the machine's limit.
        memory_target: target for warmstart's peak memory ÷ the default ``Trainer``'s.
    """

    name: str
    corpus: Callable[[Path], Rows]
    checkpoint: str | BertShape | Gpt2Shape
    engines: tuple[str, ...]
    max_tokens: int
    task: str = "text-classification"
    kind: Literal["window", "run", "predict"] = "window"
    rows: int | None = None
    batch_size: int = 32
    epochs: int = 4
    learning_rate: float = 1e-4
    weight_decay: float = 0.1
    frozen: bool = False
    steps: Steps = Steps(10, 50)
    fixed_steps: Steps = Steps(2, 10)
    targets: Mapping[str, float] = field(default_factory=dict)
    share_target: float | None = None
    memory_target: float = 1.0


MINILM = "bundled/minilm-l6"
TRAINERS = ("transformers-trainer", "transformers-trainer-grouped")
DYNAMIC = ("warmstart", "warmstart-grouped", *TRAINERS, "sentence-transformers")
GPT2 = Gpt2Shape(layers=12, hidden=768, heads=12)
PADDED_128 = ("transformers-trainer-padded128", "tutorial-loop-128")

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "cola-minilm",
            corpora.cola,
            MINILM,
            engines=(*DYNAMIC, *PADDED_128, "tutorial-loop-64", "setfit"),
            max_tokens=64,  # the longest sentence has 47
            targets={
                "transformers-trainer": 2.3,
                "transformers-trainer-grouped": 1.45,
                "tutorial-loop-128": 13,
            },
            share_target=0.70,
            memory_target=0.8,
        ),
        Workload(
            "cola-bert-base",
            corpora.cola,
            BertShape(layers=12, hidden=768, heads=12),
            engines=(*DYNAMIC, *PADDED_128, "tutorial-loop-64"),
            max_tokens=64,
            learning_rate=2e-5,
            steps=Steps(2, 15),
            fixed_steps=Steps(1, 3),
            targets={
                "transformers-trainer": 2.0,
                "transformers-trainer-grouped": 1.40,
                "tutorial-loop-128": 12,
            },
            share_target=0.80,
        ),
        Workload(
            "wikiqa-minilm",
            corpora.wikiqa,
            MINILM,
            engines=(*DYNAMIC, *PADDED_128),
            max_tokens=128,
            epochs=3,
            steps=Steps(5, 30),
            memory_target=0.8,
        ),
        Workload(
            "documents-512",
            corpora.short_works,
            MINILM,
            engines=DYNAMIC,
            max_tokens=512,
            batch_size=16,
            epochs=3,
            steps=Steps(1, 4),
            memory_target=0.8,
        ),
        Workload(
            "wikiqa-frozen",
            corpora.wikiqa,
            BertShape(layers=4, hidden=512, heads=8),
            engines=("warmstart", *TRAINERS, *PADDED_128, "sentence-transformers"),
            max_tokens=128,
            kind="run",
            rows=1920,
            batch_size=16,
            epochs=3,
            frozen=True,
            targets={
                "transformers-trainer": 5,
                "transformers-trainer-grouped": 4,
                "tutorial-loop-128": 10,
            },
        ),
        Workload(
            "predict-minilm",
            corpora.cola,
            MINILM,
            engines=(
                "warmstart",
                "transformers-pipeline",
                "transformers-pipeline-1",
                "sentence-transformers",
            ),
            max_tokens=64,
            kind="predict",
            rows=10_000,  # the corpus is repeated
            targets={"transformers-pipeline": 2.5},
            share_target=0.75,
        ),
        Workload(
            "gpt2-bios",
            corpora.artist_bios,
            GPT2,
            engines=("warmstart", *TRAINERS, "tutorial-loop-768"),
            max_tokens=768,  # the longest biography has 243
            task="text-generation",
            batch_size=8,
            learning_rate=5e-4,
            weight_decay=0.01,
            steps=Steps(1, 3),
            fixed_steps=Steps(1, 1),
            targets={"transformers-trainer": 1.6, "tutorial-loop-768": 6},
        ),
        Workload(
            "gpt2-short-works",
            corpora.short_works,
            GPT2,
            engines=("warmstart", *TRAINERS),
            max_tokens=512,  # three quarters of the texts are longer and are truncated
            task="text-generation",
            batch_size=4,
            learning_rate=5e-4,
            weight_decay=0.01,
            steps=Steps(1, 3),
            targets={"transformers-trainer": 1.25},
        ),
    )
}
