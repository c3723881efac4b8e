"""Which tokens stand for a whole text, if a model is used for vectors and not for predictions.

``auto`` follows how the checkpoint was trained:

- a decoder: the last token, the only one that has seen the whole text;
- a classifier of texts: what its head reads;
- a checkpoint for sentence embeddings: what its ``1_Pooling/config.json`` says;
- any other encoder: the mean of all tokens. Its first token was never trained to stand for a text,
  or only to recognise the next sentence.

Source: Reimers and Gurevych 2019, arXiv:1908.10084, table 1: without fine-tuning, the mean of
BERT's tokens is far better than its first token (average Spearman correlation 54.8 and 29.2).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from warmstart import errors
from warmstart.models.checkpoints.configuration import CLASSIFIERS, natural_head
from warmstart.models.checkpoints.mean_pooling import declared_pooling, read_by_head

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

VectorPooling = Literal["first", "mean", "last"]
"""The vector of a text: that of its first or last token, or the mean over its tokens."""

_OF_ENCODERS: tuple[VectorPooling, ...] = ("mean", "first")
_OF_DECODERS: tuple[VectorPooling, ...] = ("last", "mean")


def vector_pooling(
    config: "PreTrainedConfig", folder: Path, asked: VectorPooling | Literal["auto"]
) -> VectorPooling:
    """The pooling that was asked for, or the one that suits the checkpoint.

    Args:
        config: configuration of a checkpoint, or of a run's model.
        folder: its folder.
        asked: the pooling, or ``auto``.

    Raises:
        ConfigError: the pooling has no meaning for the model: a decoder's first token has not seen
            the text, and an encoder's last token is a separator.
    """
    decoder = natural_head(config) == "causal-lm"
    known = _OF_DECODERS if decoder else _OF_ENCODERS
    if asked != "auto":
        if asked not in known:
            raise errors.vectors.pooling(asked, config.model_type, known, decoder=decoder)
        return asked
    if decoder:
        return "last"
    ending = CLASSIFIERS["sequence-classification"]
    if any(name.endswith(ending) for name in config.architectures or ()):
        return read_by_head(config)
    return declared_pooling(folder) or "mean"


def hidden_layer(config: "PreTrainedConfig", asked: int) -> int:
    """The index into Transformers' ``hidden_states``, from 0 to the number of layers.

    Args:
        config: configuration of the model.
        asked: the same index; a negative one counts from the end.

    Raises:
        ConfigError: there is no such layer.
    """
    layers: int = config.num_hidden_layers
    if not isinstance(asked, int) or not -layers - 1 <= asked <= layers:
        raise errors.vectors.layer(asked, layers)
    return asked % (layers + 1)
