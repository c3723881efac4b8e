"""What packed execution must know of an architecture: its pieces, in the order they run.

A packed batch passes through Transformers' own modules with B = 1: embeddings, layers and head do
the same to every token wherever it stands; only attention looks around, and that is given the
layout (``packed_attention``). What differs between families is written down here: which positions
the embeddings expect, how a layer is run for first tokens alone, which modules make the head.

**Only the rows that are read.** Where the head reads each row's first token, the last layer needs
keys and values of all tokens, but queries, output and feed-forward network of the first tokens
only. The others' outputs are read by nobody, so their gradient is zero, and leaving them out
changes nothing.

Shapes: hidden states are [1, T, H]; what the head reads is [B, 1, H].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from transformers.models.modernbert.modeling_modernbert import apply_rotary_pos_emb

from warmstart.models.packed.packed_attention import packed_attention
from warmstart.models.packed.packing import Packing

Model = Any
"""A ``PreTrainedModel``, whose modules only their names make known."""


class Architecture(Protocol):
    """How the modules of one family of encoders run over a packed batch."""

    def refusal(self, model: Model) -> str | None:
        """Why this model cannot run packed; None where it can."""

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Hidden states [1, T, H] of token ids [1, T] and segments [1, T]."""

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The modules below the first layer that hold weights."""

    def layers(self, model: Model) -> nn.ModuleList:
        """The encoder's layers, first to last."""

    def layer(self, model: Model, index: int, hidden: Tensor, packing: Packing) -> Tensor:
        """Run one layer on all tokens: [1, T, H] to [1, T, H]."""

    def last_layer(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """Run the last layer for what the head reads: [1, T, H] to [B, 1, H]."""

    def head(self, model: Model, read: Tensor) -> Tensor:
        """Logits [B, C] of what the head reads, [B, 1, H]."""


def pooled_head(model: Model, read: Tensor) -> Tensor:
    """BERT's: the body's pooler, dropout, one linear layer."""
    logits: Tensor = model.classifier(model.dropout(model.base_model.pooler(read)))
    return logits


def dense_head(model: Model, read: Tensor) -> Tensor:
    """RoBERTa's and ELECTRA's: a module that takes the first token itself."""
    logits: Tensor = model.classifier(read)
    return logits


@dataclass(frozen=True, slots=True)
class BertLike:
    """BERT, RoBERTa with XLM-RoBERTa and CamemBERT, ELECTRA.

    Args:
        head: the classification head.
        positions_skip_padding: positions count from ``padding_idx + 1`` and pass over pad tokens
            wherever they stand, as fairseq's do.
    """

    head: Callable[[Model, Tensor], Tensor]
    positions_skip_padding: bool = False

    def refusal(self, model: Model) -> str | None:
        """Decoders attend to one side only; chunks of the feed-forward network need rectangles."""
        config = model.config
        if config.is_decoder or config.add_cross_attention:
            return "it is configured as a decoder"
        if config.chunk_size_feed_forward:
            return "config.json sets chunk_size_feed_forward"
        return None

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Words, positions and segments; ELECTRA's small embeddings are projected."""
        body = model.base_model
        positions = packing.positions
        if self.positions_skip_padding:
            padding = body.embeddings.padding_idx
            real = ids.ne(padding).long()
            # A running count over the whole batch, less what stood before the row began.
            count = real.cumsum(1)
            before = (count - real)[0, packing.first]
            positions = (count - before[packing.row]) * real + padding
        hidden: Tensor = body.embeddings(
            input_ids=ids, token_type_ids=types, position_ids=positions
        )
        if self._has_projection(model):
            hidden = body.embeddings_project(hidden)
        return hidden

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The embeddings, and ELECTRA's projection."""
        body = model.base_model
        projection = [body.embeddings_project] if self._has_projection(model) else []
        return [body.embeddings, *projection]

    def _has_projection(self, model: Model) -> bool:
        config = model.config
        return bool(config.model_type == "electra" and config.embedding_size != config.hidden_size)

    def layers(self, model: Model) -> nn.ModuleList:
        """The encoder's layers."""
        layers: nn.ModuleList = model.base_model.encoder.layer
        return layers

    def layer(self, model: Model, index: int, hidden: Tensor, packing: Packing) -> Tensor:
        """Transformers' own layer."""
        return _layer(self.layers(model)[index], hidden, packing)

    def last_layer(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """Transformers' own modules, in the order of ``BertLayer.forward``."""
        layer: Any = self.layers(model)[-1]
        first = hidden[:, packing.first]
        attention = layer.attention.self
        mixed = _attend(
            attention,
            (attention.query(first), attention.key(hidden), attention.value(hidden)),
            packing,
            attention.dropout.p,
        )
        attended = layer.attention.output(mixed, first)
        out: Tensor = layer.output(layer.intermediate(attended), attended)
        return out.transpose(0, 1)


@dataclass(frozen=True, slots=True)
class DistilBert:
    """DistilBERT: BERT's layers under other names, no segments, no pooler."""

    def refusal(self, model: Model) -> str | None:
        """Chunks of the feed-forward network need rectangles."""
        chunked = model.config.chunk_size_feed_forward
        return "config.json sets chunk_size_feed_forward" if chunked else None

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Words and positions."""
        hidden: Tensor = model.base_model.embeddings(ids, position_ids=packing.positions)
        return hidden

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The embeddings."""
        return [model.base_model.embeddings]

    def layers(self, model: Model) -> nn.ModuleList:
        """The encoder's layers."""
        layers: nn.ModuleList = model.base_model.transformer.layer
        return layers

    def layer(self, model: Model, index: int, hidden: Tensor, packing: Packing) -> Tensor:
        """Transformers' own layer."""
        return _layer(self.layers(model)[index], hidden, packing)

    def last_layer(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """Transformers' own modules, in the order of ``TransformerBlock.forward``."""
        layer: Any = self.layers(model)[-1]
        first = hidden[:, packing.first]
        attention = layer.attention
        mixed = _attend(
            attention,
            (attention.q_lin(first), attention.k_lin(hidden), attention.v_lin(hidden)),
            packing,
            attention.dropout.p,
        )
        attended = layer.sa_layer_norm(attention.out_lin(mixed) + first)
        out: Tensor = layer.output_layer_norm(layer.ffn(attended) + attended)
        return out.transpose(0, 1)

    def head(self, model: Model, read: Tensor) -> Tensor:
        """As in ``DistilBertForSequenceClassification.forward``."""
        hidden = nn.functional.relu(model.pre_classifier(read[:, 0]))
        logits: Tensor = model.classifier(model.dropout(hidden))
        return logits


@dataclass(frozen=True, slots=True)
class ModernBert:
    """ModernBERT: rotary positions, norms before each part, windows in most layers.

    Where its head takes the mean over all tokens, or its last layer has a window, all tokens run.
    """

    def refusal(self, model: Model) -> str | None:
        """Nothing in its configuration stands against packing."""
        return None

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Words alone; positions come in at every layer."""
        hidden: Tensor = model.base_model.embeddings(input_ids=ids)
        return hidden

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The embeddings."""
        return [model.base_model.embeddings]

    def layers(self, model: Model) -> nn.ModuleList:
        """The encoder's layers."""
        layers: nn.ModuleList = model.base_model.layers
        return layers

    def layer(self, model: Model, index: int, hidden: Tensor, packing: Packing) -> Tensor:
        """Transformers' own layer, with the rotations of its kind of attention."""
        layer: Any = self.layers(model)[index]
        rotary = model.base_model.rotary_emb(hidden, packing.positions, layer.attention_type)
        out: Tensor = layer(hidden, position_embeddings=rotary, packing=packing)
        return out

    def last_layer(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """The last layer and norm; the first token, or the mean over the row's tokens."""
        layer: Any = self.layers(model)[-1]
        norm = model.base_model.final_norm
        first_only = model.config.classifier_pooling == "cls"
        # An adapted product cannot be taken apart by its weight: there all tokens run.
        whole = type(layer.attn.Wqkv) is not nn.Linear
        if first_only and not whole and layer.attention_type == "full_attention":
            read: Tensor = norm(self._first_tokens(model, layer, hidden, packing))
            return read.transpose(0, 1)
        hidden = norm(self.layer(model, len(self.layers(model)) - 1, hidden, packing))
        if first_only:
            return hidden[:, packing.first].transpose(0, 1)
        sums = hidden.new_zeros(len(packing.first), hidden.shape[-1])
        sums = sums.index_add(0, packing.row, hidden[0])
        return (sums / packing.bounds.diff()[:, None])[:, None]

    def _first_tokens(self, model: Model, layer: Any, hidden: Tensor, packing: Packing) -> Tensor:
        """Transformers' own modules, in the order of ``ModernBertEncoderLayer.forward``.

        Queries, keys and values are one product there; here its rows are taken apart.
        """
        attention = layer.attn
        normed, first = layer.attn_norm(hidden), hidden[:, packing.first]
        width, bias = hidden.shape[-1], attention.Wqkv.bias
        weights = attention.Wqkv.weight.split((width, 2 * width))
        biases = (None, None) if bias is None else bias.split((width, 2 * width))
        query = nn.functional.linear(normed[:, packing.first], weights[0], biases[0])
        both = nn.functional.linear(normed, weights[1], biases[1])
        query, key, value = (
            x.view(*x.shape[:2], -1, attention.head_dim).transpose(1, 2)
            for x in (query, *both.chunk(2, dim=-1))
        )
        cos, sin = model.base_model.rotary_emb(hidden, packing.positions, layer.attention_type)
        _, key = apply_rotary_pos_emb(key, key, cos, sin)
        query, _ = apply_rotary_pos_emb(query, query, cos[:, packing.first], sin[:, packing.first])
        mixed, _ = packed_attention(
            attention,
            query,
            key,
            value,
            None,
            scaling=attention.head_dim**-0.5,
            dropout=attention.attention_dropout if attention.training else 0.0,
            packing=packing,
        )
        first = first + attention.out_drop(attention.Wo(mixed.flatten(2)))
        out: Tensor = first + layer.mlp(layer.mlp_norm(first))
        return out

    def head(self, model: Model, read: Tensor) -> Tensor:
        """As in ``ModernBertForSequenceClassification.forward``."""
        logits: Tensor = model.classifier(model.drop(model.head(read[:, 0])))
        return logits


def _layer(layer: nn.Module, hidden: Tensor, packing: Packing) -> Tensor:
    """A layer that takes hidden states and a mask, which attention has from the packing."""
    out: Tensor = layer(hidden, None, packing=packing)
    return out


def _attend(
    attention: Any, states: tuple[Tensor, Tensor, Tensor], packing: Packing, dropout: float
) -> Tensor:
    """First tokens attend to all: queries [1, B, H], keys and values [1, T, H] to [1, B, H]."""
    width = attention.attention_head_size
    query, key, value = (x.view(*x.shape[:2], -1, width).transpose(1, 2) for x in states)
    out, _ = packed_attention(
        attention,
        query,
        key,
        value,
        None,
        scaling=attention.scaling,
        dropout=dropout if attention.training else 0.0,
        packing=packing,
    )
    return out.flatten(2)


ROBERTA = BertLike(dense_head, positions_skip_padding=True)

ARCHITECTURES: dict[str, Architecture] = {
    "bert": BertLike(pooled_head),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "electra": BertLike(dense_head),
    "distilbert": DistilBert(),
    "modernbert": ModernBert(),
}
"""By ``model_type`` of config.json."""
