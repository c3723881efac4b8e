"""Encoders: how BERT and its relatives run over a packed batch.

**The last layer for first tokens only.** A classification head reads the first token of each row.
The last layer then needs keys and values of all tokens, but queries, attention output and
feed-forward network of the first tokens only. The other outputs are not used, so their gradient is
zero, and leaving them out changes no result. ``row_vectors`` does this.

Letters: T tokens of a batch, B rows, H hidden width, h heads, d width of a head (h · d = H).

Source: the ``forward`` methods of each family in Transformers.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers.models.modernbert.modeling_modernbert import apply_rotary_pos_emb

from warmstart.models.packed.body import Model
from warmstart.models.packed.packed_attention import packed_attention
from warmstart.models.packed.packing import Packing

_CHUNKED = "config.json sets chunk_size_feed_forward"


@dataclass(frozen=True, slots=True)
class BertBody:
    """BERT, RoBERTa, XLM-RoBERTa, CamemBERT and ELECTRA.

    Args:
        positions_skip_padding: Positions count from ``padding_idx + 1`` and skip pad tokens, also
            inside a text, as in fairseq's RoBERTa.
    """

    positions_skip_padding: bool = False

    causal: ClassVar[bool] = False

    def why_not_packed(self, model: Model) -> str | None:
        """Why the configuration of this model rules out packed execution; None if it does not."""
        config = model.config
        if config.is_decoder or config.add_cross_attention:
            return "it is configured as a decoder"
        # Chunks of the feed-forward network divide the padded length, which does not exist here.
        return _CHUNKED if config.chunk_size_feed_forward else None

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Words, positions and token types, [1, T, H]; ELECTRA may project them to width H."""
        body = model.base_model
        positions = packing.positions
        if self.positions_skip_padding:
            padding = body.embeddings.padding_idx
            real = ids.ne(padding).long()
            # A running count [1, T] over the whole batch, minus the count at the start of each row.
            count = real.cumsum(1)
            before = (count - real)[0, packing.first]  # [B]
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

    def layers(self, model: Model) -> nn.ModuleList:
        """The transformer layers, first to last."""
        layers: nn.ModuleList = model.base_model.encoder.layer
        return layers

    def run(self, model: Model, hidden: Tensor, packing: Packing, start: int, stop: int) -> Tensor:
        """Run layers ``start`` to ``stop - 1`` on all tokens: [1, T, H] to [1, T, H]."""
        return _run(self.layers(model), hidden, packing, start, stop)

    def finished(self, model: Model, hidden: Tensor) -> Tensor:
        """The hidden states themselves, [1, T, H]: there is no further norm."""
        return hidden

    def row_vectors(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """Run the last layer for the first token of each row: [1, T, H] to [B, 1, H].

        Calls Transformers' own modules in the order of ``BertLayer.forward``.
        """
        layer: Any = self.layers(model)[-1]
        first = hidden[:, packing.first]  # [1, B, H]
        attention = layer.attention.self
        states = attention.query(first), attention.key(hidden), attention.value(hidden)
        mixed = _attend_from_first_tokens(attention, states, packing)
        attended = layer.attention.output(mixed, first)
        out: Tensor = layer.output(layer.intermediate(attended), attended)
        return out.transpose(0, 1)  # [1, B, H] to [B, 1, H]: one sequence of one token per row

    @staticmethod
    def _has_projection(model: Model) -> bool:
        config = model.config
        return bool(config.model_type == "electra" and config.embedding_size != config.hidden_size)


@dataclass(frozen=True, slots=True)
class DistilBertBody:
    """DistilBERT: BERT's layers under other names, without token types and pooler."""

    causal: ClassVar[bool] = False

    def why_not_packed(self, model: Model) -> str | None:
        """Why the configuration of this model rules out packed execution; None if it does not."""
        return _CHUNKED if model.config.chunk_size_feed_forward else None

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Words and positions, [1, T, H]."""
        hidden: Tensor = model.base_model.embeddings(ids, position_ids=packing.positions)
        return hidden

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The modules with weights below the first layer."""
        return [model.base_model.embeddings]

    def layers(self, model: Model) -> nn.ModuleList:
        """The transformer layers, first to last."""
        layers: nn.ModuleList = model.base_model.transformer.layer
        return layers

    def run(self, model: Model, hidden: Tensor, packing: Packing, start: int, stop: int) -> Tensor:
        """Run layers ``start`` to ``stop - 1`` on all tokens: [1, T, H] to [1, T, H]."""
        return _run(self.layers(model), hidden, packing, start, stop)

    def finished(self, model: Model, hidden: Tensor) -> Tensor:
        """The hidden states themselves, [1, T, H]: there is no further norm."""
        return hidden

    def row_vectors(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """Run the last layer for the first token of each row: [1, T, H] to [B, 1, H].

        Calls Transformers' own modules in the order of ``TransformerBlock.forward``.
        """
        layer: Any = self.layers(model)[-1]
        first = hidden[:, packing.first]  # [1, B, H]
        attention = layer.attention
        states = attention.q_lin(first), attention.k_lin(hidden), attention.v_lin(hidden)
        mixed = _attend_from_first_tokens(attention, states, packing)
        attended = layer.sa_layer_norm(attention.out_lin(mixed) + first)
        out: Tensor = layer.output_layer_norm(layer.ffn(attended) + attended)
        return out.transpose(0, 1)  # [1, B, H] to [B, 1, H]


@dataclass(frozen=True, slots=True)
class ModernBertBody:
    """ModernBERT: rotary positions, a norm before each block, local attention in most layers."""

    causal: ClassVar[bool] = False

    def why_not_packed(self, model: Model) -> str | None:
        """None: every configuration can run packed."""
        return None

    def embed(self, model: Model, ids: Tensor, types: Tensor | None, packing: Packing) -> Tensor:
        """Words, [1, T, H]; positions enter in the attention of each layer."""
        hidden: Tensor = model.base_model.embeddings(input_ids=ids)
        return hidden

    def embeddings(self, model: Model) -> list[nn.Module]:
        """The modules with weights below the first layer."""
        return [model.base_model.embeddings]

    def layers(self, model: Model) -> nn.ModuleList:
        """The transformer layers, first to last."""
        layers: nn.ModuleList = model.base_model.layers
        return layers

    def run(self, model: Model, hidden: Tensor, packing: Packing, start: int, stop: int) -> Tensor:
        """Run layers ``start`` to ``stop - 1`` on all tokens: [1, T, H] to [1, T, H]."""
        layers: list[Any] = list(self.layers(model)[start:stop])
        # Global and local attention rotate with different base frequencies.
        rotations = {
            kind: model.base_model.rotary_emb(hidden, packing.positions, kind)
            for kind in {layer.attention_type for layer in layers}
        }
        for layer in layers:
            rotation = rotations[layer.attention_type]
            hidden = layer(hidden, position_embeddings=rotation, packing=packing)
        return hidden

    def finished(self, model: Model, hidden: Tensor) -> Tensor:
        """The hidden states after the last norm, [1, T, H]."""
        normed: Tensor = model.base_model.final_norm(hidden)
        return normed

    def row_vectors(self, model: Model, hidden: Tensor, packing: Packing) -> Tensor:
        """Run the last layer and the last norm: [1, T, H] to [B, 1, H].

        The vector of a row is that of its first token, or the mean over its tokens, depending on
        ``classifier_pooling`` in config.json. All tokens run if the mean is requested, if the last
        layer has local attention, or if an adapter replaced the linear layer whose weight
        ``_first_tokens`` splits.
        """
        layer: Any = self.layers(model)[-1]
        norm = model.base_model.final_norm
        first_only = model.config.classifier_pooling == "cls"
        splittable = type(layer.attn.Wqkv) is nn.Linear
        if first_only and splittable and layer.attention_type == "full_attention":
            read: Tensor = norm(self._first_tokens(model, layer, hidden, packing))
            return read.transpose(0, 1)  # [1, B, H] to [B, 1, H]
        layers = len(self.layers(model))
        hidden = norm(self.run(model, hidden, packing, layers - 1, layers))
        if first_only:
            return hidden[:, packing.first].transpose(0, 1)  # [1, B, H] to [B, 1, H]
        sums = hidden.new_zeros(len(packing.first), hidden.shape[-1])  # [B, H]
        sums = sums.index_add(0, packing.row, hidden[0])
        return (sums / packing.bounds.diff()[:, None])[:, None]  # [B, 1, H]

    def _first_tokens(self, model: Model, layer: Any, hidden: Tensor, packing: Packing) -> Tensor:
        """The last layer for first tokens: [1, T, H] to [1, B, H].

        Calls Transformers' own modules in the order of ``ModernBertEncoderLayer.forward``. There
        one linear layer ``Wqkv``, H to 3H, computes queries, keys and values; here its weight is
        split, so that queries are computed for first tokens only.
        """
        attention = layer.attn
        normed, first = layer.attn_norm(hidden), hidden[:, packing.first]
        width, bias = hidden.shape[-1], attention.Wqkv.bias
        weights = attention.Wqkv.weight.split((width, 2 * width))  # [H, H] and [2H, H]
        biases = (None, None) if bias is None else bias.split((width, 2 * width))
        query = nn.functional.linear(normed[:, packing.first], weights[0], biases[0])  # [1, B, H]
        both = nn.functional.linear(normed, weights[1], biases[1])  # [1, T, 2H]
        query, key, value = (  # [1, B, H] or [1, T, H] to [1, h, B, d] or [1, h, T, d]
            x.view(*x.shape[:2], -1, attention.head_dim).transpose(1, 2)
            for x in (query, *both.chunk(2, dim=-1))
        )
        # The function rotates queries and keys together, but here they are at different positions.
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
        first = first + attention.out_drop(attention.Wo(mixed.flatten(2)))  # [1, B, h, d] to H
        out: Tensor = first + layer.mlp(layer.mlp_norm(first))
        return out


def _run(layers: nn.ModuleList, hidden: Tensor, packing: Packing, start: int, stop: int) -> Tensor:
    """Run layers that take hidden states and a mask; attention uses ``packing`` instead of it."""
    for layer in layers[start:stop]:
        hidden = layer(hidden, None, packing=packing)
    return hidden


def _attend_from_first_tokens(
    attention: Any, states: tuple[Tensor, Tensor, Tensor], packing: Packing
) -> Tensor:
    """Queries [1, B, H] of first tokens attend to keys and values [1, T, H]: [1, B, H].

    Args:
        attention: The layer's attention module.
        states: Queries, keys and values.
        packing: Layout of the batch.
    """
    width = attention.attention_head_size
    # [1, B, H] or [1, T, H] to [1, h, B, d] or [1, h, T, d]
    query, key, value = (x.view(*x.shape[:2], -1, width).transpose(1, 2) for x in states)
    out, _ = packed_attention(
        attention,
        query,
        key,
        value,
        None,
        scaling=attention.scaling,
        dropout=attention.dropout.p if attention.training else 0.0,
        packing=packing,
    )
    return out.flatten(2)  # [1, B, h, d] to [1, B, H]
