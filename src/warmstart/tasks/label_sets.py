"""The labels of the rows of one split, for multi-label classification.

Letters: N rows, C labels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from warmstart.config import DataConfig
from warmstart.data.examples.tokens import Bools
from warmstart.data.label_lists import SEPARATOR
from warmstart.errors.counts import counted, form

SHOWN = 10
"""Maximum number of labels to name in a sentence; the others are only counted."""


class LabelSets(NamedTuple):
    """The labels of the rows of one split."""

    matrix: Bools
    """Whether each label applies to each row, bool [N, C]."""
    lacks_separator: bool
    """Whether labels are texts, and none of them contains the separator."""
    multi_hot: bool
    """Whether labels are lists of 0 and 1, with one value for each label."""

    def remarks(self, names: Sequence[str], data: DataConfig) -> list[str]:
        """Number of labels per row, and a separator that does not occur.

        Args:
            names: the labels, C.
            data: may name the separator.
        """
        matrix = self.matrix
        counts, absent = matrix.sum(axis=1), ~matrix.any(axis=0)
        none = int((counts == 0).sum())
        sentences = [
            f"{counts.mean():.2f} labels per row; {none:,} of {counted(len(matrix), 'row')} "
            f"{form(none, 'has', 'have')} none "
            f"({none / len(matrix):.1%})"
        ]
        if absent.any():
            missing = [repr(names[index]) for index in np.flatnonzero(absent).tolist()]
            more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
            sentences.append(f"no row has the label {', '.join(missing[:SHOWN])}{more}")
        if self.lacks_separator:
            separator = data.label_separator or SEPARATOR
            sentences.append(
                f"no row has {separator!r} between labels, so none has more than one: "
                "if that is wrong, set data.label_separator"
            )
        if self.multi_hot:
            first = data.name_of_label.get("0", "0")
            sentences.append(
                f"lists of 0 and 1 have one value for each label: the label {first!r} is first"
            )
        return sentences
