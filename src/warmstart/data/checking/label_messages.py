"""Messages about the labels of a split: too frequent, too rare, or no labels at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from warmstart.data.spellings import NUMBER
from warmstart.errors.counts import counted

FEW_ROWS = 10
"""With fewer rows than this, a label can neither be learned nor scored reliably."""

IMBALANCE = 0.9
"""If the largest class has at least this share, always predicting it gives a high accuracy."""

NAMES = {"train": "training"}
"""Split -> its name in a message, if it differs."""

MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none", "nil"})
"""How programs write a missing value in a text file, in lower case."""

MANY_AMOUNTS = 5
"""From this number of different labels on, numbers with decimals look like amounts."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One message for the user."""

    level: Literal["info", "warning"]
    text: str


def rows_of(count: int, split: str, unit: str = "row") -> str:
    """For example ``1 test row`` or ``1,043 test rows``.

    Args:
        count: how many.
        split: the split, as in a message.
        unit: what is counted.
    """
    return counted(count, f"{split} {unit}")


def about_largest(counts: Mapping[str, int], rows: int, name: str) -> list[Finding]:
    """A message about the most frequent label.

    Args:
        counts: number of rows of each label.
        rows: number of rows of the split.
        name: the split, as in a message.
    """
    largest = max(counts, key=lambda label: counts[label])
    share = counts[largest] / rows
    imbalanced = share >= IMBALANCE
    messages = []
    if imbalanced or name == "training":
        text = (
            f"{share:.1%} of {rows_of(rows, name)} have the label {largest!r}: "
            "this is the accuracy of always predicting it"
        )
        messages.append(Finding("warning" if imbalanced else "info", text))
    return messages


def about_missing(counts: Mapping[str, int], name: str) -> list[Finding]:
    """A message about each label that looks like a missing value.

    Args:
        counts: number of rows of each label.
        name: the split, as in a message.
    """
    return [
        Finding(
            "warning",
            f"{rows_of(rows, name)} have the label {label!r}, which is a class like any other: if "
            "it means that there is no label, leave the cell empty and set data.missing=drop",
        )
        for label, rows in counts.items()
        if rows and label.casefold() in MISSING
    ]


def about_amounts(counts: Mapping[str, int]) -> list[Finding]:
    """A message if the labels are numbers with decimals, each of which would be a class.

    Args:
        counts: number of rows of each label.
    """
    decimals = any("." in label for label in counts)
    if len(counts) < MANY_AMOUNTS or not decimals or not all(map(NUMBER.fullmatch, counts)):
        return []
    text = (
        f"the {len(counts):,} labels are numbers with decimals, and each of them is a class: if "
        "they are amounts, set task=text-regression"
    )
    return [Finding("warning", text)]


def about_rare(counts: Mapping[str, int], name: str, unit: str) -> list[Finding]:
    """A message about labels that are too rare.

    Args:
        counts: number of rows, or spans, of each label.
        name: the split, as in a message.
        unit: what is counted: ``row`` or ``span``.
    """
    messages = []
    rare = [label for label in counts if counts[label] < FEW_ROWS]
    if rare:
        noun = "label" if unit == "row" else "type"
        rarest = min(rare, key=lambda label: counts[label])
        what = (
            f"the {noun} {rarest!r} has {rows_of(counts[rarest], name, unit)}"
            if len(rare) == 1
            else f"{len(rare):,} of {len(counts):,} {noun}s have fewer than {FEW_ROWS} {name} "
            f"{unit}s ({rarest!r} has {counts[rarest]})"
        )
        purpose = "training" if name == "training" else "a reliable score"
        messages.append(Finding("warning", f"{what}: too few for {purpose}"))
    return messages
