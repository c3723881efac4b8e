"""Sizes of new models: how many layers, how wide, by one word.

The shapes are those of Turc et al. 2019, arXiv:1908.08962, table 1, who pretrained compact BERTs on
a grid of depths and widths with heads of 64: ``tiny`` and ``mini`` are theirs of the same names,
``small`` is the 6 x 512 of the grid. A GPT-2 gets the same shapes. Every feed-forward layer is four
times as wide as the model (Vaswani et al. 2017, arXiv:1706.03762, section 3.3; Radford et al.
2019).

Parameters with 8,192 tokens and a context of 512, the defaults of ``PretrainConfig``; the output
shares the word embedding:

    size    layers x hidden, heads      gpt2          bert
    tiny    2 x 128, 2             1,510,912     1,536,128
    mini    4 x 256, 4             5,387,776     5,462,784
    small   6 x 512, 8            23,371,776    23,644,672

For comparison: GPT-2 has 124 million (12 x 768), BERT-base 110 million; their vocabularies alone
would make ``mini`` 16 and 11 million. An hour on two CPU cores shows a model far fewer than the 20
tokens a parameter that Hoffmann et al. 2022, arXiv:2203.15556, section 3, found to be the best use
of a budget; so ``mini`` is no deeper than it has to be. At a given number of parameters the shape
matters little (Kaplan et al. 2020, arXiv:2001.08361, section 3.1), and few wide layers keep a
processor busier than many narrow ones.
"""

from collections.abc import Mapping
from typing import NamedTuple

from warmstart import errors
from warmstart.config import PretrainConfig
from warmstart.models.checkpoints.configuration import Head

HEADS: Mapping[str, tuple[Head, ...]] = {
    "gpt2": ("causal-lm",),
    "bert": ("sequence-classification", "token-classification", "masked-lm"),
}
"""Heads that a new model of each architecture can have."""


class ModelShape(NamedTuple):
    """How large a transformer is."""

    layers: int
    hidden: int
    """Width H."""
    heads: int
    """Attention heads of a layer; each is ``hidden / heads`` wide."""


SIZES: Mapping[str, ModelShape] = {
    "tiny": ModelShape(2, 128, 2),
    "mini": ModelShape(4, 256, 4),
    "small": ModelShape(6, 512, 8),
}
"""Every size by its name in ``pretrain.size``."""


def shape_of(config: PretrainConfig) -> ModelShape:
    """The size that ``config`` names, with what it gives in place of the size's own.

    Args:
        config: ``size``, and perhaps ``layers``, ``hidden`` or ``heads``.

    Raises:
        ConfigError: the heads do not divide the width.

    >>> shape_of(PretrainConfig(size="tiny", layers=4))
    ModelShape(layers=4, hidden=128, heads=2)
    """
    size = SIZES[config.size]
    shape = ModelShape(
        config.layers or size.layers, config.hidden or size.hidden, config.heads or size.heads
    )
    if shape.hidden % shape.heads:
        raise errors.config.heads_do_not_divide(shape.hidden, shape.heads)
    return shape
