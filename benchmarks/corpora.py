"""The texts of the workloads, read from a folder of public data sets.

All engines get the same rows, so the readers here are as simple as possible. The suite
``preparation`` measures how fast warmstart reads files. Every tenth row is used for validation.

Sources: CoLA, Warstadt, Singh & Bowman 2019, arXiv:1805.12471. WikiQA, Yang, Yih & Meek 2015,
"WikiQA: a challenge dataset for open-domain question answering".
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HELD_OUT_EVERY = 10


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled texts, or pairs of texts.

    Args:
        texts: the text of each row.
        labels: the label of each row, 0 or 1.
        pairs: the second text of each row; None for single texts.
    """

    texts: Sequence[str]
    labels: Sequence[int]
    pairs: Sequence[str] | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.texts)

    def at(self, positions: Sequence[int]) -> "Rows":
        """The rows at these positions, in this order."""
        return Rows(
            [self.texts[i] for i in positions],
            [self.labels[i] for i in positions],
            None if self.pairs is None else [self.pairs[i] for i in positions],
        )

    @property
    def columns(self) -> tuple[Sequence[str], ...]:
        """The text columns: one, or two for pairs."""
        return (self.texts,) if self.pairs is None else (self.texts, self.pairs)


def cola(data: Path) -> Rows:
    """Sentences that are acceptable (1) or not (0); 8,551 rows."""
    lines = (data / "cola" / "in_domain_train.tsv").read_text(encoding="utf-8").splitlines()
    fields = [line.split("\t") for line in lines]
    return Rows([row[3] for row in fields], [int(row[1]) for row in fields])


def wikiqa(data: Path) -> Rows:
    """Question, sentence, and whether the sentence answers the question; 20,347 rows, 5 % do.

    The 13 lines with seven fields are dropped.
    """
    text = (data / "wikiqa" / "WikiQA-train.tsv").read_text(encoding="utf-8")
    fields = [line.split("\t") for line in text.splitlines()[1:]]
    kept = [row for row in fields if len(row) == 5]
    return Rows([row[1] for row in kept], [int(row[4]) for row in kept], [row[3] for row in kept])


def artist_bios(data: Path) -> Rows:
    """Biographies of 110 tokens on average, 3,050 rows, for text generation; labels are unused."""
    with (data / "artist_bios" / "artist_bios.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    return Rows(texts, [0] * len(texts))


def short_works(data: Path) -> Rows:
    """Prose of 150 to 1,500 words, 880 rows.

    The label is 1 for texts with more words than the median. It has no meaning: a classifier needs
    a label, and these workloads only measure speed.
    """
    with (data / "short_works" / "short_works.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words = [int(row["words"]) for row in rows]
    middle = median(words)
    return Rows([row["text"] for row in rows], [int(count > middle) for count in words])


def held_out(rows: Rows, limit: int | None = None) -> tuple[Rows, Rows]:
    """Training rows and validation rows: every tenth row is held out.

    Args:
        rows: the rows of one corpus.
        limit: number of rows to use, from the first; None for all.
    """
    used = range(min(len(rows), limit or len(rows)))
    last = HELD_OUT_EVERY - 1
    return (
        rows.at([i for i in used if i % HELD_OUT_EVERY != last]),
        rows.at([i for i in used if i % HELD_OUT_EVERY == last]),
    )
