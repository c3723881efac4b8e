"""Losses that compare the rows of a list with one another.

Letters: B rows of a batch.

Source: Burges et al. 2005, ICML, "Learning to rank using gradient descent" (pairwise); Bruch et al.
2019, ICTIR, "An analysis of the softmax cross entropy loss for learning-to-rank with binary
relevance" (listwise).
"""

from typing import TYPE_CHECKING, Any

from warmstart.data.examples.targets import NO_GROUP
from warmstart.data.examples.tokens import Ints

if TYPE_CHECKING:
    from torch import Tensor


def pairwise(scores: "Tensor", grades: "Tensor", groups: Ints) -> "Tensor":
    """RankNet: -log sigmoid(s_i - s_j) over all pairs of a list in which i is more relevant than j.

    The loss of a list is the mean over its pairs, and the result is the sum over lists.

    Args:
        scores: score of each row, [B].
        grades: relevance grade of each row, [B].
        groups: the list of each row, int64 [B].
    """
    from torch.nn import functional

    same = _same_list(groups, scores.device)
    # [i, j] is 1 if row i is more relevant than row j of the same list; [B, B].
    pairs = (same & (grades[:, None] > grades[None, :])).float()
    losses = functional.softplus(scores[None, :] - scores[:, None]) * pairs
    pairs_in_list = same.float() @ pairs.sum(dim=1)  # [B]
    return (losses.sum(dim=1) / pairs_in_list.clamp(min=1)).sum()


def listwise(scores: "Tensor", grades: "Tensor", groups: Ints) -> "Tensor":
    """Cross-entropy between the relevance grades of a list, as shares, and softmax of its scores.

    Args:
        scores: score of each row, [B].
        grades: relevance grade of each row, [B].
        groups: the list of each row, int64 [B].
    """
    same = _same_list(groups, scores.device)
    log_total = scores[None, :].masked_fill(~same, -float("inf")).logsumexp(dim=1)
    shares = grades / (same.float() @ grades).clamp(min=1e-30)
    return ((log_total - scores) * shares).masked_fill(~same.diagonal(), 0).sum()


def _same_list(groups: Ints, device: Any) -> "Tensor":
    """Which rows are in the same list, bool [B, B]; a row without a list, not even with itself."""
    from torch import from_numpy

    numbers = from_numpy(groups).to(device)
    return (numbers[:, None] == numbers[None, :]) & (numbers != NO_GROUP)
