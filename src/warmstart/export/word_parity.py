"""Parts of the export checks that heads of tokens need: order, selection, and equal spans.

Letters: N rows, A tokens that the head reads, C classes.
"""

from collections.abc import Sequence

import numpy as np

from warmstart import errors
from warmstart.data.examples.batches import Examples
from warmstart.data.examples.targets import NoTargets
from warmstart.data.examples.token_targets import ReadsTokens
from warmstart.data.examples.tokens import Ints
from warmstart.tasks.predictions.tag_predictions import TagPredictions
from warmstart.tasks.task import FloatArray


def in_example_order(
    examples: Examples, batches: Sequence[Ints], parts: Sequence[FloatArray]
) -> FloatArray:
    """The logits of batches in the order of the examples, float32: rows [N, C], or [A, C].

    Args:
        examples: N rows.
        batches: positions of the rows of each batch; every row is in one of them.
        parts: logits of each batch.
    """
    order = np.concatenate(list(batches))
    if isinstance(examples.targets, ReadsTokens):
        order = examples.targets.read_tokens(examples.tokens, order)[0]
    found = np.empty((len(order), parts[0].shape[1]), dtype=np.float32)
    found[order] = np.concatenate(list(parts))
    return found


def taken(examples: Examples, positions: Ints) -> Examples:
    """Some rows; targets that determine which tokens are read are kept.

    Args:
        examples: N rows.
        positions: positions of the rows, int64 [B].
    """
    targets = examples.targets
    kept = targets.taken(positions) if isinstance(targets, ReadsTokens) else NoTargets()
    return Examples(examples.tokens.taken(positions), kept)


def same_spans(what: str, expected: TagPredictions, found: TagPredictions) -> dict[str, int]:
    """The numbers of words and spans, ``{"words", "spans"}``, if all spans are the same.

    Args:
        what: a name of the rows, for a message.
        expected: PyTorch's predictions.
        found: ONNX Runtime's predictions for the same rows.

    Raises:
        ExportError: the spans of a row differ.
    """
    rows = len(expected.layout.rows)
    lists = [one.character_spans().to_lists(rows) for one in (expected, found)]
    other = sum(before != after for before, after in zip(*lists, strict=True))
    if other:
        raise errors.export.differs(what, f"other spans in {other:,}", "the same spans in each")
    return {"words": len(expected.words), "spans": sum(map(len, lists[0]))}
