"""Leave out rows of which nothing can be learned, which is known only after tokenising.

The prompt of such a row fills the model's input, or its tokenizer knows no character of the text.
They are counted like incomplete rows, so that n in the scores counts only rows that were scored.
"""

import numpy as np

from warmstart.data.examples.batches import Examples
from warmstart.tasks.capabilities import LeavesOutRows
from warmstart.tasks.task import AnyTask, Split


def learnable(
    task: AnyTask, split: Split, examples: Examples, max_tokens: int
) -> tuple[Split, dict[str, int]]:
    """The rows of a split that have an example, and the number of other rows by reason.

    Args:
        task: what is learned.
        split: rows and labels.
        examples: the same rows, tokenised.
        max_tokens: the model's maximum input length.

    Raises:
        DataError: no row has an example.
    """
    kept = np.isin(split.table.rows, examples.rows)
    if kept.all() or not isinstance(task, LeavesOutRows):
        return split, {}
    if not kept.any():
        raise task.nothing_left(split.table, max_tokens)
    table = split.table.filter(kept)
    return Split(table, task.labels(table)), {task.nothing_to_predict: int((~kept).sum())}
