"""The settings of models: where one comes from, how a new one is made, how a decoder writes.

Parts of ``config.RunConfig``, which has the rest. No torch here.

Units: *tokens* are the model's own.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from warmstart import errors

BYTES_AND_END = 257
"""Tokens of a byte-level vocabulary before it has learned any: each byte, and the end of a text."""

CLOSED = ConfigDict(
    extra="forbid",
    frozen=True,
    strict=True,
    allow_inf_nan=False,
    use_attribute_docstrings=True,
)
"""What every group of settings is: closed, frozen, without coercion of one type into another."""


class _Part(BaseModel):
    """A group of settings."""

    model_config = CLOSED


def refusal(error: errors.ConfigError) -> PydanticCustomError:
    """``error`` in the form that pydantic collects together with a config's other faults."""
    return PydanticCustomError("contradiction", "{error}", {"error": error})


class SpecialTokens(_Part):
    """Tokens around a document; one that the vocabulary lacks is added to it."""

    bos: Annotated[str, Field(min_length=1)] | None = None
    """Begins every document, such as ``<|startoftext|>``; by default the checkpoint's."""
    eos: Annotated[str, Field(min_length=1)] | None = None
    """Ends every document; by default the checkpoint's."""
    pad: Annotated[str, Field(min_length=1)] | None = None
    """Fills up short documents where other programs need that; by default the checkpoint's."""


class ModelConfig(_Part):
    """Which pretrained checkpoint to start from, and how much of a text it reads."""

    name: Annotated[str, Field(min_length=1)] = "bundled/minilm-l6"
    """Hub id (``google-bert/bert-base-uncased``), folder, or one that comes with warmstart:
    ``bundled/minilm-l6``, an encoder, or ``bundled/gpt2-mini``, which writes."""
    revision: str | None = None
    """Branch, tag or commit of a hub checkpoint."""
    max_tokens: Literal["auto"] | Annotated[int, Field(ge=3)] = "auto"
    """Longest input in tokens, special tokens included; ``auto`` is all the model can read."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Replaces every dropout probability of the checkpoint; ``null`` keeps its own."""
    local_files_only: bool = False
    """Use the download cache alone, never the network."""
    allow_pickle: bool = False
    """Accept ``pytorch_model.bin`` (opened with ``weights_only``) where there is no safetensors."""
    special_tokens: SpecialTokens = SpecialTokens()
    """Of a decoder, in place of the checkpoint's own."""


class PretrainConfig(_Part):
    """What ``warmstart pretrain`` makes before it trains: a tokenizer, and weights drawn by chance.

    The folder it makes stands for ``model.name``. Sizes: ``models.checkpoints.model_sizes``.
    """

    architecture: Literal["gpt2", "bert"] = "gpt2"
    """A decoder with byte-level BPE, or an encoder with WordPiece."""
    size: Literal["tiny", "mini", "small"] = "mini"
    """About 1.5, 5.4 or 23 million parameters with the defaults below."""
    layers: Annotated[int, Field(ge=1)] | None = None
    """Transformer layers, in place of the size's."""
    hidden: Annotated[int, Field(ge=1)] | None = None
    """Width, in place of the size's; ``pretrain.heads`` divides it."""
    heads: Annotated[int, Field(ge=1)] | None = None
    """Attention heads of a layer, in place of the size's."""
    context: Annotated[int, Field(ge=3)] = 512
    """Longest input in tokens, special tokens included."""
    vocabulary: Annotated[int, Field(ge=16)] = 8192
    """Tokens, special ones included; learned from the training rows alone."""

    @field_validator("vocabulary")
    @classmethod
    def _holds_every_byte(cls, vocabulary: int, info: ValidationInfo) -> int:
        if info.data.get("architecture") == "gpt2" and vocabulary < BYTES_AND_END:
            raise refusal(errors.config.vocabulary_too_small(vocabulary, BYTES_AND_END))
        return vocabulary


class GenerateConfig(_Part):
    """How a decoder goes on with a text."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 100
    """Longest continuation in tokens; it also ends where the model can read no more."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Scores are divided by it before a token is drawn; 0 takes the likeliest token each time."""
    top_k: Annotated[int, Field(ge=0)] = 50
    """Draw from so many of the likeliest tokens; 0 for all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Draw from the likeliest tokens that together have this probability; 1 for all."""
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    """Above 1, tokens that the text already has become less likely; 1 leaves them as they are."""
    beams: Annotated[int, Field(ge=1)] = 1
    """Continuations followed at once in search of the likeliest; needs ``temperature: 0``."""
    count: Annotated[int, Field(ge=1)] = 1
    """Continuations of each prompt."""
    stop: list[Annotated[str, Field(min_length=1)]] = []
    """A continuation ends before the first of these texts."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """What is drawn, and nothing else."""

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
    """What ``warmstart train`` makes of a finished run: its ONNX model, as ``warmstart export``."""

    onnx: bool = False
    """Write and verify ``export/model.onnx`` once the run is finished."""
    int8: bool = False
    """Also one with weights of 8 bits; needs ``export.onnx_file``."""
    max_drop: Annotated[float, Field(ge=0)] = 0.01
    """How much of the task's main metric 8 bits may cost."""

    @field_validator("int8")
    @classmethod
    def _of_an_export(cls, int8: bool, info: ValidationInfo) -> bool:
        if int8 and not info.data.get("onnx", True):
            raise refusal(errors.config.int8_without_onnx())
        return int8
