"""Leave training rows out whose text occurs elsewhere: ``data.duplicates: drop``.

Rows of the scored splits are never left out, because every scored row counts. N: training rows.
"""

from collections.abc import Mapping

import numpy as np

from warmstart import errors
from warmstart.config import RunConfig
from warmstart.data.checking.check import comparable
from warmstart.data.checking.duplicates import text_ids
from warmstart.data.examples.tokens import Bools, Ints
from warmstart.data.split import codes
from warmstart.data.table import Table
from warmstart.tasks import task_type
from warmstart.tasks.capabilities import ShowsLabels


def distinct(
    config: RunConfig, tables: Mapping[str, Table]
) -> tuple[dict[str, Table], dict[str, dict[str, int]]]:
    """The splits, and for each the number of rows left out for each reason.

    A training row is left out if a validation or test row has the same text, if its text has
    different labels in training, or if an earlier training row has the same text.

    Args:
        config: names the columns, and says whether rows are left out.
        tables: the rows of each split.

    Raises:
        DataError: no training row would remain, or a label of training cannot be used.
    """
    if config.data.duplicates != "drop":
        return dict(tables), {}
    train = tables["train"]
    ids = text_ids(tables, config.data.text_columns)
    of_train, scored = ids["train"], [rows for name, rows in ids.items() if name != "train"]
    repeated = of_train >= 0
    in_scored = repeated & np.isin(of_train, np.concatenate([np.zeros(0, np.int64), *scored]))
    unclear = ~in_scored & _has_several_labels(of_train, _label_codes(config, train))
    _, first = np.unique(of_train, return_index=True)
    later = repeated & ~np.isin(np.arange(len(train)), first) & ~in_scored & ~unclear
    left_out = {"scored_text": in_scored, "contradictory_labels": unclear, "repeated_text": later}
    kept = ~(in_scored | unclear | later)
    if not kept.any():
        raise errors.splits.only_duplicates(len(train))
    counts = {reason: int(rows.sum()) for reason, rows in left_out.items() if rows.any()}
    return {**tables, "train": train.filter(kept)}, {"train": counts}


def _label_codes(config: RunConfig, train: Table) -> Ints:
    """A number from 0 for each distinct label, int64 [N]; all are 0 without labels."""
    task = task_type(config).learn(config, train)
    if not isinstance(task, ShowsLabels):
        return np.zeros(len(train), np.int64)
    shown = {"train": task.shown_labels(task.labels(train))}
    return codes(comparable(shown, config.data)["train"])


def _has_several_labels(texts: Ints, labels: Ints) -> Bools:
    """Whether another row with the same text has another label, bool [N].

    Args:
        texts: id of each row's text, -1 for a text that occurs once.
        labels: number of each row's label.
    """
    rows = np.flatnonzero(texts >= 0)
    pairs = np.unique(np.stack([texts[rows], labels[rows]]), axis=1)
    values, counts = np.unique(pairs[0], return_counts=True)
    return np.isin(texts, values[counts > 1])
