"""The probabilities of labels as they are shown: of all labels, or of the most probable ones.

Letters: N rows, C labels, K shown labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from warmstart.data.examples.tokens import Floats, Ints
from warmstart.tasks.predictions.row_order import PredictionsT


def share_of_label(names: Sequence[str], shares: Floats, top: int | None) -> dict[str, float]:
    """The probability of each label, or of the most probable labels, the best first.

    Args:
        names: the labels, C.
        shares: the probability of each, float64 [C].
        top: number of labels; None for all, in their own order.

    >>> share_of_label(["a", "b", "c"], np.array([0.1, 0.6, 0.3]), 2)
    {'b': 0.6, 'c': 0.3}
    """
    order = range(len(names)) if top is None else _best(shares[None], top)[0].tolist()
    return {names[place]: float(shares[place]) for place in order}


def shown_columns(names: Sequence[str], shares: Floats, top: int | None) -> dict[str, pa.Array]:
    """``probability:LABEL`` for each label; or ``label_1``, ``probability_1``, … of the best.

    Args:
        names: the labels, C.
        shares: the probability of each label for each row, float64 [N, C].
        top: number of labels, K; None for all.
    """
    if top is None:
        return {
            f"probability:{name}": pa.array(share)
            for name, share in zip(names, shares.T, strict=True)
        }
    best = _best(shares, top)
    texts = pa.array(names, pa.string())
    columns: dict[str, pa.Array] = {}
    for place in range(top):
        column = best[:, place]
        columns[f"label_{place + 1}"] = texts.take(pa.array(column))
        columns[f"probability_{place + 1}"] = pa.array(shares[np.arange(len(shares)), column])
    return columns


def with_top(predictions: PredictionsT, count: int) -> PredictionsT:
    """The same predictions, shown with the ``count`` most probable labels of each row.

    Args:
        predictions: have a field ``top``.
        count: number of labels.
    """
    return replace(predictions, top=count)


def shown_shares(shares: Mapping[str, float]) -> str:
    """``good 0.912, bad 0.088``."""
    return ", ".join(f"{label} {share:.3f}" for label, share in shares.items())


def _best(shares: Floats, top: int) -> Ints:
    """Index of the ``top`` largest numbers of each row, the largest first, int64 [N, K]."""
    # Stable: of equal ones, the first, as in ``argmax``.
    return np.argsort(-shares, axis=1, kind="stable")[:, :top]
