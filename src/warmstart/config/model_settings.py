"""The settings about models: which one to load, how to create one, generation and export.

They are groups of ``config.RunConfig``, which is in ``config/settings.py``. No torch here.

Units: *tokens* are those of the model's tokenizer.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from warmstart import errors

SMALLEST_VOCABULARY = 16
"""Smallest value of ``pretrain.vocabulary``."""

BYTES_AND_END = 257
"""Smallest byte-level vocabulary: the 256 bytes and the end-of-text token."""

CLOSED = ConfigDict(
    extra="forbid",
    frozen=True,
    strict=True,
    allow_inf_nan=False,
    use_attribute_docstrings=True,
)
"""pydantic configuration of every group of settings: unknown keys are errors, values cannot be
changed, and no type is converted into another."""


ControlTokens = Literal["text", "tokens"]
"""How the name of a control token in a text is read: like other text, or as the token itself."""


class _Part(BaseModel):
    """A group of settings."""

    model_config = CLOSED


def refusal(error: errors.ConfigError) -> PydanticCustomError:
    """Wrap ``error`` so that pydantic collects it together with the config's other errors."""
    return PydanticCustomError("contradiction", "{error}", {"error": error})


class SpecialTokens(_Part):
    """Tokens around a document; a token that is not in the vocabulary is added to it."""

    bos: Annotated[str, Field(min_length=1)] | None = None
    """Token at the beginning of every document, such as ``<|startoftext|>``; by default the
    checkpoint's."""
    eos: Annotated[str, Field(min_length=1)] | None = None
    """Token at the end of every document; by default the checkpoint's."""
    pad: Annotated[str, Field(min_length=1)] | None = None
    """Padding token, for other programs that need one; by default the checkpoint's."""


class ModelConfig(_Part):
    """Which pretrained checkpoint to start from, and the longest input to give it."""

    name: Annotated[str, Field(min_length=1)] = "bundled/minilm-l6"
    """Hub id (``google-bert/bert-base-uncased``), folder, or a model that comes with warmstart:
    ``bundled/minilm-l6``, an encoder, or ``bundled/gpt2-mini``, a decoder. ``auto`` chooses a model
    by the language of the training rows, their number, and the device."""
    revision: str | None = None
    """Branch, tag or commit of a hub checkpoint; refused for any other model."""
    max_tokens: Literal["auto"] | Annotated[int, Field(ge=3)] = "auto"
    """Longest input in tokens, special tokens included; ``auto`` is the model's own limit."""
    pooling: Literal["auto", "first", "mean"] = "auto"
    """What the head for whole texts reads: the first token, or the mean of all tokens, which one
    more layer computes (``models.checkpoints.mean_pooling``). ``auto``: the mean if the checkpoint
    was trained with it, according to its ``1_Pooling/config.json``."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Replaces every dropout probability of the checkpoint; ``null`` keeps them."""
    local_files_only: bool = False
    """Use only files in the download cache, never the network."""
    allow_pickle: bool = False
    """Accept ``pytorch_model.bin`` (opened with ``weights_only``) if the checkpoint has no
    safetensors file."""
    special_tokens: SpecialTokens = SpecialTokens()
    """For decoders: special tokens that replace the checkpoint's."""


class PretrainConfig(_Part):
    """The model that ``warmstart pretrain`` creates: a new tokenizer and random weights.

    The new checkpoint is then used instead of ``model.name``. The sizes are in
    ``models.checkpoints.model_sizes``.
    """

    architecture: Literal["gpt2", "bert"] = "gpt2"
    """A decoder with byte-level BPE, or an encoder with WordPiece."""
    size: Literal["tiny", "mini", "small"] = "mini"
    """About 1.5, 5.4 or 23 million parameters with the defaults below."""
    layers: Annotated[int, Field(ge=1, le=1_000)] | None = None
    """Number of transformer layers; by default that of ``size``."""
    hidden: Annotated[int, Field(ge=1)] | None = None
    """Hidden size, a multiple of ``pretrain.heads``; by default that of ``size``."""
    heads: Annotated[int, Field(ge=1)] | None = None
    """Attention heads per layer; by default that of ``size``."""
    context: Annotated[int, Field(ge=3)] = 512
    """Longest input in tokens, special tokens included."""
    vocabulary: Annotated[int, Field(ge=SMALLEST_VOCABULARY)] = 8192
    """Vocabulary size, special tokens included; learned from the training rows only."""

    @field_validator("vocabulary")
    @classmethod
    def _holds_every_byte(cls, vocabulary: int, info: ValidationInfo) -> int:
        if info.data.get("architecture") == "gpt2" and vocabulary < BYTES_AND_END:
            raise refusal(errors.config.vocabulary_too_small(vocabulary, BYTES_AND_END))
        return vocabulary


class GenerateConfig(_Part):
    """How a decoder generates text."""

    max_new_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Largest number of new tokens; generation also ends at the model's longest input."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Logits are divided by it before sampling; 0 always selects the most likely token (greedy)."""
    top_k: Annotated[int, Field(ge=0)] = 50
    """Sample from this number of most likely tokens; 0 for all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Sample from the most likely tokens whose total probability reaches this value; 1 for all."""
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    """Above 1, tokens that the text already contains become less likely; 1 has no effect. The
    end-of-text token is never affected."""
    beams: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Number of beams of a beam search; more than 1 needs ``temperature: 0``."""
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Number of continuations per prompt."""
    stop: list[Annotated[str, Field(min_length=1)]] = []
    """Stop texts: a continuation ends before the first of them. The name of a control token ends it
    at this token, which the text does not show."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Seed of the sampling; it affects nothing else."""

    @field_validator("beams")
    @classmethod
    def _search_or_draw(cls, beams: int, info: ValidationInfo) -> int:
        if beams > 1 and (temperature := info.data.get("temperature", 0)) > 0:
            raise refusal(errors.config.beams_with_sampling(beams, temperature))
        return beams

    @field_validator("count")
    @classmethod
    def _no_more_than_there_are(cls, count: int, info: ValidationInfo) -> int:
        if info.data.get("temperature") == 0 and count > (beams := info.data.get("beams", count)):
            raise refusal(errors.config.too_many_continuations(count, beams))
        return count


class ExportConfig(_Part):
    """ONNX export at the end of ``warmstart train``, as ``warmstart export`` does it."""

    onnx: bool = False
    """Write and verify ``export/model.onnx`` after training."""
    int8: bool = False
    """Also write a model with 8-bit weights; needs ``export.onnx``."""
    max_drop: Annotated[float, Field(ge=0)] = 0.01
    """Largest accepted drop of the main metric for the model with 8-bit weights."""

    @field_validator("int8")
    @classmethod
    def _of_an_export(cls, int8: bool, info: ValidationInfo) -> bool:
        if int8 and not info.data.get("onnx", True):
            raise refusal(errors.config.int8_without_onnx())
        return int8


class LoraConfig(_Part):
    """Low-rank adapters next to frozen weights (``models.tuning.adapters``)."""

    rank: Annotated[int, Field(ge=1)] = 8
    """Rank of the low-rank update."""
    alpha: Annotated[int, Field(ge=1)] = 16
    """Scale of the update: the output of an adapter is multiplied by ``alpha / rank``."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout probability on the input of each adapter."""
    modules: Literal["all"] | Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the linear modules of a layer that get an adapter, or ``all``; by default the query
    and value projections of attention."""
    save: Literal["merged", "adapter"] = "merged"
    """``adapter``: also save the adapters separately, in ``adapter/`` in peft's format. ``model/``
    contains the full merged weights in both cases."""


class AverageConfig(_Part):
    """The mean of the weights at several evaluations, kept if it scores no worse than the best."""

    of: Literal["last", "best"] = "last"
    """Average the weights of the last evaluations, or of the best by ``train.best_metric``."""
    count: Annotated[int, Field(ge=2)] = 3
    """Number of evaluations. Each needs the disk space of one model until the run ends."""
