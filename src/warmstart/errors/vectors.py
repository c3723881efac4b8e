"""Error messages about vectors of texts: ``warmstart embed`` and ``warmstart.sklearn``."""

from collections.abc import Sequence

from warmstart.errors.base import ConfigError, DataError
from warmstart.errors.counts import counted


def pooling(asked: str, model_type: str, known: Sequence[str], *, decoder: bool) -> ConfigError:
    """A pooling that has no meaning for the model, or that does not exist."""
    reasons = {
        ("first", True): ", but the first token of a decoder has not seen the text after it",
        ("last", False): ", but the last token of an encoder is a separator, not a summary",
    }
    kind = "a decoder" if decoder else "an encoder"
    return ConfigError(
        found=f"pooling is {asked}{reasons.get((asked, decoder), '')}",
        expected=f"for {model_type}, which is {kind}: auto, {' or '.join(known)}",
        do=f"--pooling {known[0]} (in Python: pooling='{known[0]}')",
    )


def layer(asked: int, layers: int) -> ConfigError:
    """A hidden layer that the model does not have."""
    return ConfigError(
        found=f"layer is {asked}, and the model has {counted(layers, 'layer')}",
        expected=f"a whole number from 0 (the embeddings) to {layers} (the last layer), "
        f"or from -1 (the last layer) to {-layers - 1}",
        do="--layer -1 (in Python: layer=-1)",
    )


def labels_look_alike(first: object, second: object, text: str) -> DataError:
    """Two labels in ``y`` that have the same text."""
    return DataError(
        found=f"y has the labels {first!r} and {second!r}, which are both {text!r} as text",
        expected="labels that differ as text",
        do="rename one of them: texts and labels are stored in a file",
    )
