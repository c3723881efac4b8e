"""Decoders that can be created in a moment: random weights, a byte-level tokenizer, no network.

They are like a GPT-2 checkpoint: one special token, ``<|endoftext|>``, that begins and ends a text,
and no pad token. GPT-2 has learned positions, the others rotary ones; in Llama and Qwen2 several
query heads share a key head.

PyTorch and Transformers are imported inside the functions, as in ``tests.tiny``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.tiny import WORDS

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

DECODERS = ("gpt2", "gpt_neox", "llama", "qwen2")

END = "<|endoftext|>"
"""The one special token, id 0: it begins a text and ends it."""

_POSITIONS = 64
_VOCABULARY = 320


def tiny_gpt2(folder: Path, *, texts: Sequence[str] = (" ".join(WORDS),), **settings: Any) -> Path:
    """Write a random GPT-2 with a byte-level tokenizer into ``folder``.

    Args:
        folder: created if necessary; files of the same names are replaced.
        texts: texts on which the tokenizer is trained.
        settings: arguments of ``make_decoder``.

    Returns:
        ``folder``, ready for ``AutoModelForCausalLM.from_pretrained``.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    max_positions = settings.get("max_positions", _POSITIONS)
    tokenizer = byte_tokenizer(texts, max_positions=max_positions)
    model = make_decoder(**{"vocabulary": len(tokenizer), **settings})
    # Not model.save_pretrained, which shows a progress bar: the files are the same.
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tensors = {
        name: tensor.clone()
        for name, tensor in model.state_dict().items()
        if name not in (model.all_tied_weights_keys or {})
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder


def make_decoder(
    model_type: str = "gpt2",
    *,
    vocabulary: int = _VOCABULARY,
    hidden: int = 32,
    layers: int = 2,
    max_positions: int = _POSITIONS,
    dropout: float = 0.0,
    seed: int = 0,
) -> "PreTrainedModel":
    """A causal language model with random weights, in float32 and in evaluation mode.

    Args:
        model_type: one of ``DECODERS``.
        vocabulary: V, tokens; ``len(byte_tokenizer())`` fits the default.
        hidden: width H, a multiple of 8; four attention heads.
        layers: transformer layers.
        max_positions: longest input in tokens.
        dropout: share of activations dropped in training; Llama and Qwen2 drop only attention.
        seed: the same seed gives the same weights.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = _config(model_type, vocabulary, hidden, layers, max_positions, dropout)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32, attn_implementation="eager"
        )
    return model.eval()


def byte_tokenizer(
    texts: Sequence[str] = (" ".join(WORDS),),
    *,
    vocabulary: int = _VOCABULARY,
    max_positions: int = _POSITIONS,
) -> "PreTrainedTokenizerFast":
    """Byte-level BPE trained on ``texts``; it begins and ends with ``END`` and has no pad token.

    Args:
        texts: texts from which its merges are learned.
        vocabulary: largest number of tokens: ``END``, the 256 bytes, and merges.
        max_positions: ``model_max_length``.
    """
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        show_progress=False,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, model_max_length=max_positions, bos_token=END, eos_token=END
    )


def _config(
    model_type: str, vocabulary: int, hidden: int, layers: int, max_positions: int, dropout: float
) -> "PreTrainedConfig":
    """The family's configuration with the given size; ``END`` is at the beginning and the end."""
    from transformers import GPT2Config, GPTNeoXConfig, LlamaConfig, Qwen2Config

    shared: dict[str, Any] = {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": 0}
    usual: dict[str, Any] = {
        **shared,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": max_positions,
        "attention_dropout": dropout,
    }
    if model_type == "gpt2":
        return GPT2Config(
            **shared,
            n_embd=hidden,
            n_layer=layers,
            n_head=4,
            n_positions=max_positions,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            resid_pdrop=dropout,
        )
    if model_type == "gpt_neox":
        return GPTNeoXConfig(**usual, hidden_dropout=dropout)
    if model_type == "llama":
        return LlamaConfig(**usual, num_key_value_heads=2)
    if model_type == "qwen2":
        return Qwen2Config(**usual, num_key_value_heads=2)
    raise ValueError(f"{model_type!r} is none of {DECODERS}")
