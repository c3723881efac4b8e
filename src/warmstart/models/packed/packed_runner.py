"""Packed execution: a batch runs as its real tokens, without padding.

Fine-tuning on short texts spends most of its arithmetic on padding: CoLA padded to 128 tokens is
91 % padding, and padded to the longest row of a random batch still half of it. Here each linear
layer, norm, activation and dropout runs on the T real tokens of a batch. Only attention needs the
layout of the rows: it gathers them into rectangles, or calls a kernel for rows of unequal length
(``packed_attention``). Loss and gradients equal those of the padded batch up to float32 rounding.

Source: Krell et al. 2021, arXiv:2107.02027, and Portes et al. 2023 (MosaicBERT), arXiv:2312.17482,
who pretrain this way.
"""

from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from warmstart.data.examples.batches import Batch
from warmstart.models.checkpoints.configuration import READS, Head, Reads
from warmstart.models.packed.activations import use_fused_gelu, use_plain_gelu
from warmstart.models.packed.architectures import ARCHITECTURES
from warmstart.models.packed.dropout import Noise, use_fast_dropout, use_plain_dropout
from warmstart.models.packed.packed_attention import PACKED, flash_serves
from warmstart.models.packed.packed_heads import output_layer
from warmstart.models.packed.packing import Packing, pack
from warmstart.models.packed.token_logits import LazyLogits, TokenAndRowLogits


class PackedRunner:
    """Runs one model over packed batches.

    In evaluation mode a forward pass changes nothing in the runner or in the model, so any number
    of threads may call it at the same time. In training mode the random bits for dropout are state
    that all layers share: train in one thread. Construction and ``withdraw`` replace modules of the
    model: call them while no other thread uses it.

    Args:
        model: Its attention, dropout and GELU modules are replaced by equivalent ones; weights and
            their names stay. Called directly, as Transformers documents it, it gives the same
            outputs as before.
        head: Its head; ``(model_type, head)`` must be in ``ARCHITECTURES``.
    """

    def __init__(self, model: PreTrainedModel, head: Head) -> None:
        self._model = model
        self._architecture = ARCHITECTURES[model.config.model_type, head]
        self._reads = READS[head]
        self._noise = Noise()
        self._attention_before: str = model.config._attn_implementation
        try:
            use_fast_dropout(model, self._noise)
            use_fused_gelu(model)
            model.set_attn_implementation(PACKED)
        except BaseException:
            self.withdraw()  # after a failure the model must have its own modules again
            raise

    @property
    def reads(self) -> Reads:
        """Which tokens the head reads."""
        return self._reads

    def withdraw(self) -> None:
        """Restore the model's own modules and attention, so that it can run without this runner."""
        use_plain_dropout(self._model)
        use_plain_gelu(self._model)
        if self._model.config._attn_implementation == PACKED:
            self._model.set_attn_implementation(self._attention_before)

    def logits(
        self, model: PreTrainedModel, batch: Batch, packing: Packing | None = None
    ) -> Tensor | LazyLogits | TokenAndRowLogits:
        """Logits of the tokens that the head reads.

        Args:
            model: The model that the runner was made for.
            batch: On the model's device. If it has ``computed``, the model starts from there.
            packing: The layout of the batch, if it is known; otherwise it follows from the offsets.

        Returns:
            [B, C] for sequence classification, [A, C] for token classification and question
            answering (A tokens at ``batch.asked``), ``TokenLogits`` of all T tokens for language
            models; with BERT's pretraining heads both ``TokenLogits`` and [B, 2].

        Raises:
            ValueError: The model is another one; its attention would ignore the packing.
        """
        if model is not self._model:
            raise ValueError("this packed execution was made for another model")
        if model.training:
            # One seed per forward pass, before the first dropout: a function of the step's seed.
            self._noise.renew()
        head = partial(self._architecture.head, model)
        if self._reads == "first":
            # Poolers and classification heads expect sequences and select their first token.
            return head(self.row_vectors(batch, packing)[:, None])  # [B, H] to [B, 1, H]
        hidden = self.states(batch, self._layers, packing)  # [T, H]
        if self._reads == "asked":
            assert batch.asked is not None, "this head needs batch.asked"
            return head(hidden.index_select(0, batch.asked))  # [T, H] to [A, H]
        of_tokens = LazyLogits(hidden, head, output_layer(model))
        row_head = self._architecture.row_head
        if row_head is None:
            return of_tokens
        first = torch.from_numpy(batch.offsets[:-1]).to(hidden.device)  # [B]
        return TokenAndRowLogits(of_tokens, row_head(model, hidden[first][:, None]))

    def row_vectors(self, batch: Batch, packing: Packing | None = None) -> Tensor:
        """The vectors that a head with one vector per row reads: [B, H].

        Args:
            batch: As for ``logits``.
            packing: As for ``logits``.
        """
        if batch.computed is not None and batch.computed.by_row:
            values: Tensor = batch.computed.values
            return values
        packing = packing or self._pack(batch)
        last_layer = self._architecture.row_vectors
        assert last_layer is not None, "this head reads tokens, not rows"
        hidden = self._run(batch, packing, self._layers - 1)  # [1, T, H]
        return last_layer(self._model, hidden, packing)[:, 0]  # [B, 1, H] to [B, H]

    def states(self, batch: Batch, layers: int, packing: Packing | None = None) -> Tensor:
        """Hidden states of all tokens after the first ``layers`` layers: [T, H].

        Args:
            batch: As for ``logits``.
            layers: From 0 (embeddings only) to all of them.
            packing: As for ``logits``.
        """
        return self._run(batch, packing or self._pack(batch), layers)[0]  # [1, T, H] to [T, H]

    def hidden_states(self, batch: Batch, layer: int) -> Tensor:
        """Hidden states of all tokens as Transformers counts them: [T, H].

        Args:
            batch: As for ``logits``.
            layer: Index into Transformers' ``hidden_states``: 0 for the embeddings; the last one
                has passed the body's last norm.
        """
        hidden = self.states(batch, layer)
        if layer < self._layers:
            return hidden
        return self._architecture.body.finished(self._model, hidden[None])[0]

    def runs_without_rectangles(self, device: torch.device) -> bool:
        """Whether flash attention supports rows of unequal length there, in the current precision.

        Args:
            device: Device of the model. The precision is that of the current autocast context.
        """
        config = self._model.config
        lower = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if lower else self._model.dtype
        # Some decoders have heads whose total width is not the hidden size.
        head_width: int | None = getattr(config, "head_dim", None)
        return flash_serves(
            head_width or config.hidden_size // config.num_attention_heads, dtype, device
        )

    @property
    def _layers(self) -> int:
        return len(self._architecture.body.layers(self._model))

    def _pack(self, batch: Batch) -> Packing:
        device = batch.input_ids.device
        return pack(
            batch.offsets,
            self._model.config.num_attention_heads,
            self._noise,
            device,
            rectangles=not self.runs_without_rectangles(device),
            causal=self._architecture.body.causal,
        )

    def _run(self, batch: Batch, packing: Packing, stop: int) -> Tensor:
        """Hidden states [1, T, H] after the first ``stop`` layers."""
        model, body = self._model, self._architecture.body
        if batch.computed is not None:
            # The frozen layers ran once for all epochs (``tuning.features``).
            hidden, done = batch.computed.values[None], batch.computed.layers  # [T, H] to [1, T, H]
        else:
            types = None if batch.token_type_ids is None else batch.token_type_ids[None]
            hidden, done = body.embed(model, batch.input_ids[None], types, packing), 0
        return body.run(model, hidden, packing, done, stop)
