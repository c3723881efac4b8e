"""The architectures that run packed: one table, by model type and head.

An architecture that is not listed here, or a model whose configuration rules out packed execution,
runs padded (``forward``).
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from warmstart.models.checkpoints.configuration import Head
from warmstart.models.packed import packed_heads as heads
from warmstart.models.packed.body import Body, Model
from warmstart.models.packed.decoder_bodies import Gpt2Body, RotaryBody
from warmstart.models.packed.encoder_bodies import BertBody, DistilBertBody, ModernBertBody
from warmstart.models.packed.packing import Packing


@dataclass(frozen=True, slots=True)
class PackedArchitecture:
    """A body and one of its heads.

    Args:
        body: Embeddings and layers.
        head: The modules above them, called on the tokens that the head reads; see
            ``packed_heads`` for shapes.
        row_vectors: For heads that read one vector per row: the last layer, run for these vectors
            only, [1, T, H] to [B, 1, H].
    """

    body: Body
    head: Callable[[Model, Tensor], Tensor]
    row_vectors: Callable[[Model, Tensor, Packing], Tensor] | None = None


_BERT = BertBody()
_ROBERTA = BertBody(positions_skip_padding=True)
_DISTILBERT = DistilBertBody()
_MODERNBERT = ModernBertBody()
_GPT2 = Gpt2Body()
_GPT_NEOX = RotaryBody(words="embed_in", norm="final_layer_norm", dropout="emb_dropout")
_LLAMA = RotaryBody(words="embed_tokens", norm="norm")

ARCHITECTURES: dict[tuple[str, Head], PackedArchitecture] = {
    ("bert", "sequence-classification"): PackedArchitecture(
        _BERT, heads.pooled_classifier, _BERT.row_vectors
    ),
    ("bert", "token-classification"): PackedArchitecture(_BERT, heads.plain_token_classifier),
    ("bert", "masked-lm"): PackedArchitecture(_BERT, heads.bert_transform),
    ("electra", "sequence-classification"): PackedArchitecture(
        _BERT, heads.dense_classifier, _BERT.row_vectors
    ),
    ("electra", "token-classification"): PackedArchitecture(_BERT, heads.plain_token_classifier),
    ("electra", "masked-lm"): PackedArchitecture(_BERT, heads.electra_transform),
    ("roberta", "sequence-classification"): PackedArchitecture(
        _ROBERTA, heads.dense_classifier, _ROBERTA.row_vectors
    ),
    ("roberta", "token-classification"): PackedArchitecture(_ROBERTA, heads.plain_token_classifier),
    ("roberta", "masked-lm"): PackedArchitecture(_ROBERTA, heads.roberta_transform),
    ("xlm-roberta", "sequence-classification"): PackedArchitecture(
        _ROBERTA, heads.dense_classifier, _ROBERTA.row_vectors
    ),
    ("xlm-roberta", "token-classification"): PackedArchitecture(
        _ROBERTA, heads.plain_token_classifier
    ),
    ("xlm-roberta", "masked-lm"): PackedArchitecture(_ROBERTA, heads.roberta_transform),
    ("camembert", "sequence-classification"): PackedArchitecture(
        _ROBERTA, heads.dense_classifier, _ROBERTA.row_vectors
    ),
    ("camembert", "token-classification"): PackedArchitecture(
        _ROBERTA, heads.plain_token_classifier
    ),
    ("camembert", "masked-lm"): PackedArchitecture(_ROBERTA, heads.roberta_transform),
    ("distilbert", "sequence-classification"): PackedArchitecture(
        _DISTILBERT, heads.distilbert_classifier, _DISTILBERT.row_vectors
    ),
    ("distilbert", "token-classification"): PackedArchitecture(
        _DISTILBERT, heads.plain_token_classifier
    ),
    ("distilbert", "masked-lm"): PackedArchitecture(_DISTILBERT, heads.distilbert_transform),
    ("modernbert", "sequence-classification"): PackedArchitecture(
        _MODERNBERT, heads.modernbert_classifier, _MODERNBERT.row_vectors
    ),
    ("modernbert", "token-classification"): PackedArchitecture(
        _MODERNBERT, heads.modernbert_token_classifier
    ),
    ("modernbert", "masked-lm"): PackedArchitecture(_MODERNBERT, heads.modernbert_transform),
    ("gpt2", "causal-lm"): PackedArchitecture(_GPT2, heads.no_transform),
    ("gpt_neox", "causal-lm"): PackedArchitecture(_GPT_NEOX, heads.no_transform),
    ("llama", "causal-lm"): PackedArchitecture(_LLAMA, heads.no_transform),
    ("mistral", "causal-lm"): PackedArchitecture(_LLAMA, heads.no_transform),
    ("qwen2", "causal-lm"): PackedArchitecture(_LLAMA, heads.no_transform),
    ("qwen3", "causal-lm"): PackedArchitecture(_LLAMA, heads.no_transform),
}
"""By ``model_type`` of config.json and head. A model type has the same body with every head."""


def body_of(model_type: str) -> Body | None:
    """The body of a family; None if it is not in the table.

    Args:
        model_type: As in config.json.
    """
    known = (row.body for (name, _), row in ARCHITECTURES.items() if name == model_type)
    return next(known, None)


def known_model_types(*, causal: bool | None = None) -> list[str]:
    """The model types in the table, sorted.

    Args:
        causal: Decoders only (True) or encoders only (False); None for both.
    """
    return sorted(
        {
            name
            for (name, _), row in ARCHITECTURES.items()
            if causal is None or row.body.causal == causal
        }
    )


def why_not_packed(model: Model, head: Head) -> str | None:
    """Why a model cannot run packed; None if it can.

    Args:
        model: A ``PreTrainedModel``.
        head: Its head.
    """
    architecture = ARCHITECTURES.get((model.config.model_type, head))
    if architecture is None:
        return f"no packed execution for {model.config.model_type} models"
    return architecture.body.why_not_packed(model)
