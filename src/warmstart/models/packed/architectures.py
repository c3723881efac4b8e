"""The architectures that run packed: one table, by model type and head.

An architecture that is not listed here, or a model whose configuration rules out packed execution,
runs padded (``forward``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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
        row_head: Of two heads, the one that reads one vector per row, [B, 1, H].
    """

    body: Body
    head: Callable[[Model, Tensor], Tensor]
    row_vectors: Callable[[Model, Tensor, Packing], Tensor] | None = None
    row_head: Callable[[Model, Tensor], Tensor] | None = None


class _Encoder(NamedTuple):
    """An encoder's body with its heads."""

    body: BertBody | DistilBertBody | ModernBertBody
    classifier: Callable[[Model, Tensor], Tensor]
    transform: Callable[[Model, Tensor], Tensor]
    token_classifier: Callable[[Model, Tensor], Tensor] = heads.plain_token_classifier
    span_head: Callable[[Model, Tensor], Tensor] = heads.plain_span_head

    def by_head(self) -> dict[Head, PackedArchitecture]:
        body = self.body
        return {
            "sequence-classification": PackedArchitecture(body, self.classifier, body.row_vectors),
            "token-classification": PackedArchitecture(body, self.token_classifier),
            "question-answering": PackedArchitecture(body, self.span_head),
            "masked-lm": PackedArchitecture(body, self.transform),
        }


_BERT = BertBody()
_ROBERTA = _Encoder(
    BertBody(positions_skip_padding=True), heads.dense_classifier, heads.roberta_transform
)
_ENCODERS = {
    "bert": _Encoder(_BERT, heads.pooled_classifier, heads.bert_transform),
    "electra": _Encoder(_BERT, heads.dense_classifier, heads.electra_transform),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _Encoder(
        DistilBertBody(),
        heads.distilbert_classifier,
        heads.distilbert_transform,
        span_head=heads.distilbert_span_head,
    ),
    "modernbert": _Encoder(
        ModernBertBody(),
        heads.modernbert_classifier,
        heads.modernbert_transform,
        heads.modernbert_token_classifier,
        heads.modernbert_token_classifier,
    ),
}
_LLAMA = RotaryBody(words="embed_tokens", norm="norm")
_DECODERS: dict[str, Body] = {
    "gpt2": Gpt2Body(),
    "gpt_neox": RotaryBody(words="embed_in", norm="final_layer_norm", dropout="emb_dropout"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
}

ARCHITECTURES: dict[tuple[str, Head], PackedArchitecture] = {
    ("bert", "next-sentence"): PackedArchitecture(_BERT, heads.next_sentence, _BERT.row_vectors),
    ("bert", "pretraining"): PackedArchitecture(
        _BERT, heads.bert_transform, row_head=heads.next_sentence
    ),
    **{
        (name, head): row
        for name, encoder in _ENCODERS.items()
        for head, row in encoder.by_head().items()
    },
    **{
        (name, "causal-lm"): PackedArchitecture(body, heads.no_transform)
        for name, body in _DECODERS.items()
    },
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
