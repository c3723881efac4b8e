"""Named sizes of new models: number of layers, hidden size and attention heads.

The shapes follow Turc et al. 2019, arXiv:1908.08962, table 1, who pretrained compact BERTs for a
grid of depths and hidden sizes with heads of size 64: ``tiny`` and ``mini`` have the same names
there, ``small`` is their 6 x 512 model. GPT-2 models get the same shapes. The feed-forward layers
are four times as wide as the hidden size (Vaswani et al. 2017, arXiv:1706.03762, section 3.3;
Radford et al. 2019).

Number of parameters with 8,192 tokens and a context of 512 (the defaults of ``PretrainConfig``) and
an output layer tied to the word embedding:

    size    layers x hidden, heads      gpt2          bert
    tiny    2 x 128, 2             1,510,912     1,536,128
    mini    4 x 256, 4             5,387,776     5,462,784
    small   6 x 512, 8            23,371,776    23,644,672

For comparison: GPT-2 has 124 million parameters (12 x 768), BERT-base 110 million. With the
vocabularies of these models, ``mini`` would have 16 and 11 million. Hoffmann et al. 2022,
arXiv:2203.15556, section 3, found that about 20 training tokens per parameter make the best use of
a compute budget. An hour on two CPU cores allows far fewer, so ``mini`` has few layers. For a given
number of parameters the shape has little effect on the loss (Kaplan et al. 2020, arXiv:2001.08361,
section 3.1), and a few wide layers run faster on a CPU than many narrow ones.
"""

from collections.abc import Mapping
from typing import NamedTuple

from warmstart import errors
from warmstart.config import PretrainConfig
from warmstart.models.checkpoints.configuration import Head

HEADS: Mapping[str, tuple[Head, ...]] = {
    "gpt2": ("causal-lm",),
    "bert": (
        "sequence-classification",
        "token-classification",
        "question-answering",
        "masked-lm",
        "next-sentence",
        "pretraining",
    ),
}
"""Heads that a new model of each architecture can have."""


BYTES = 16
"""Memory per parameter in training: weight, gradient, and AdamW's two moments, in float32."""


class ModelShape(NamedTuple):
    """The size of a transformer."""

    layers: int
    hidden: int
    """Hidden size H."""
    heads: int
    """Attention heads per layer; each has size ``hidden / heads``."""


SIZES: Mapping[str, ModelShape] = {
    "tiny": ModelShape(2, 128, 2),
    "mini": ModelShape(4, 256, 4),
    "small": ModelShape(6, 512, 8),
}
"""The sizes by their names in ``pretrain.size``."""


def shape_of(config: PretrainConfig) -> ModelShape:
    """The shape of the size in ``config``; other settings of the shape replace its numbers.

    Args:
        config: settings of the new model.

    Raises:
        ConfigError: the hidden size is not a multiple of the number of heads.

    >>> shape_of(PretrainConfig(size="tiny", layers=4))
    ModelShape(layers=4, hidden=128, heads=2)
    """
    shape = _shape(config)
    if shape.hidden % shape.heads:
        raise errors.config.heads_do_not_divide(shape.hidden, shape.heads)
    return shape


def _shape(config: PretrainConfig) -> ModelShape:
    size = SIZES[config.size]
    return ModelShape(
        config.layers or size.layers, config.hidden or size.hidden, config.heads or size.heads
    )


def parameters(config: PretrainConfig) -> int:
    """About how many parameters a new model has: its matrices, without biases and norms.

    Args:
        config: settings of the new model.

    >>> parameters(PretrainConfig(size="tiny"))
    1507328
    """
    shape = _shape(config)
    # A layer has 4 matrices of H x H for attention and 2 of H x 4H.
    of_layers = 12 * shape.layers * shape.hidden**2
    return (config.vocabulary + config.context) * shape.hidden + of_layers


def refuse_too_large(config: PretrainConfig, available: int) -> None:
    """Raise if a new model cannot be trained in this memory; nothing is made.

    Args:
        config: settings of the new model.
        available: memory in bytes.

    Raises:
        ConfigError: weights, gradients and AdamW's two moments need more memory.
    """
    needed = BYTES * parameters(config)
    if needed <= available:
        return

    def without(name: str) -> int:
        return parameters(config.model_copy(update={name: defaults[name]}))

    defaults = {name: field.default for name, field in PretrainConfig.model_fields.items()}
    # The setting that makes the model large: with its default, the model is the smallest.
    name = min(("hidden", "layers", "vocabulary", "context"), key=without)
    raise errors.checkpoint.too_large_for_memory(
        _gigabytes(needed),
        _gigabytes(available),
        f"pretrain.{name}",
        getattr(config, name),
        defaults[name],
    )


def _gigabytes(count: int) -> str:
    """Bytes as gigabytes in words; a number beyond any machine is only called so."""
    return f"{count / 1e9:,.1f} GB" if count < 1e18 else "more than a billion GB"
