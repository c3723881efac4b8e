"""Folds for a cross-validation: every row is held out exactly once.

scikit-learn's splitters, with what warmstart knows of the rows: strata keep their shares in every
fold, and rows of one group stay together.

N: rows. K: folds.
"""

import warnings

import numpy as np

from warmstart import errors
from warmstart.data.split import Ints, connected, groups_of
from warmstart.data.table import Table


def folds_of_rows(
    table: Table,
    folds: int,
    seed: int,
    *,
    strata: Ints | None = None,
    group_by: str | None = None,
    same: Ints | None = None,
) -> Ints:
    """The fold in which each row is held out, from 0 to ``folds`` - 1, int64 [N].

    Args:
        table: N rows.
        folds: number of folds, K.
        seed: chooses the rows; the same seed gives the same folds.
        strata: a number from 0 for each row, whose shares every fold keeps, int64 [N].
        group_by: column whose equal values stay together.
        same: a number from 0 for each row; rows with the same number stay together, int64 [N].

    Raises:
        DataError: there are fewer rows or groups than folds, or a row has no group.
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    groupings = [groups_of(table, group_by)] if group_by is not None else []
    groupings += [same] if same is not None else []
    groups = connected(groupings) if groupings else None
    count = len(table) if groups is None else len(np.unique(groups))
    if count < folds:
        raise errors.splits.more_folds_than(folds, count, "row" if groups is None else "group")
    shuffled = {"n_splits": folds, "shuffle": True, "random_state": seed}
    if groups is None:
        splitter = KFold(**shuffled) if strata is None else StratifiedKFold(**shuffled)
    elif strata is None:
        splitter = GroupKFold(**shuffled)
    else:
        splitter = StratifiedGroupKFold(**shuffled)
    found = np.empty(len(table), dtype=np.int64)
    with warnings.catch_warnings():
        # A stratum with fewer rows than folds: the task has checked what it needs.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        held_out = splitter.split(np.zeros(len(table)), strata, groups)
        for fold, (_, rows) in enumerate(held_out):
            found[rows] = fold
    return found
