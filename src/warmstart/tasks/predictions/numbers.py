"""From logits to probabilities, in float64, and back.

In float64 the probabilities of a row sum to 1 as closely as JSON can show.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from warmstart.data.examples.tokens import Floats

if TYPE_CHECKING:
    from torch import Tensor


def as_numbers(logits: "Tensor | np.ndarray[Any, np.dtype[np.float32]]") -> Floats:
    """Logits of PyTorch or of ONNX Runtime as a float64 array of the same shape."""
    array = logits if isinstance(logits, np.ndarray) else logits.double().numpy(force=True)
    return array.astype(np.float64, copy=False)


def softmax(logits: Floats) -> Floats:
    """Probabilities of C classes, float64 [N, C].

    Args:
        logits: float64 [N, C].

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    # Subtracting the largest logit of a row changes nothing and avoids overflow.
    shares: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def log_softmax(logits: Floats) -> Floats:
    """Logarithms of the probabilities of C classes, float64 [N, C].

    Args:
        logits: float64 [N, C].
    """
    shares: Floats = logits - logits.max(axis=1, keepdims=True)
    shares -= np.log(np.exp(shares).sum(axis=1, keepdims=True))
    return shares


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-x)) of each number, without overflow.

    Args:
        logits: numbers in any shape.
    """
    # exp(-|x|) never overflows; each half of the axis uses the form that is exact there.
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small))


def log_shares(shares: Floats) -> Floats:
    """Logits whose softmax gives these probabilities: their logarithms, all finite.

    A probability that was rounded to 0 gives -708, whatever the logit was.

    Args:
        shares: probabilities in any shape.
    """
    return np.log(np.maximum(shares, np.finfo(np.float64).tiny))


def log_odds(shares: Floats) -> Floats:
    """Logits whose sigmoid gives these probabilities, all finite.

    A probability that was rounded to 1 gives 36.7, whatever the logit was.

    Args:
        shares: probabilities in any shape.
    """
    return log_shares(shares) - np.log(np.maximum(1 - shares, np.finfo(np.float64).epsneg))
