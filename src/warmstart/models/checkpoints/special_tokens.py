"""Special tokens around a decoder's documents, and embeddings for new tokens.

A document is ``bos … eos``. Most decoders have one or two such tokens; ``model.special_tokens`` can
set others, as GPT-2 tutorials do with ``<|startoftext|>``. A token that is not in the vocabulary is
added to the tokenizer, which is saved with the model, and the model's embedding gets a new row.

Letters: V vocabulary (rows of the embedding), H hidden size.
"""

from typing import TYPE_CHECKING, Any

from warmstart import errors
from warmstart.config import ModelConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def add_special_tokens(tokenizer: "PreTrainedTokenizerBase", model: ModelConfig) -> tuple[int, ...]:
    """Set the special tokens of ``model.special_tokens`` in a tokenizer.

    Args:
        tokenizer: tokenizer of a decoder; changed in place.
        model: the settings.

    Returns:
        Ids of the tokens that the tokenizer did not have, ascending.

    Raises:
        ModelError: there is no end-of-text token.
    """
    named = model.special_tokens.model_dump(exclude_none=True)
    tokens: dict[str, Any] = {f"{name}_token": token for name, token in named.items()}
    before = tokenizer.get_vocab()
    tokenizer.add_special_tokens(tokens)
    if tokenizer.eos_token_id is None:
        raise errors.model.no_end_of_text(model.name)
    vocabulary = tokenizer.get_vocab()
    return tuple(sorted({vocabulary[token] for token in named.values() if token not in before}))


def begin_and_end(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, int]:
    """Ids of the bos and eos token; without a bos token, eos is used for both.

    Args:
        tokenizer: tokenizer of a decoder, after ``add_special_tokens``.
    """
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert isinstance(end, int)
    return (begin if isinstance(begin, int) else end), end


def save_token_ids(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Put the ids of the special tokens into the model's two configurations.

    Without this, Transformers would not stop at the end-of-text token that the model learned.

    Args:
        model: a decoder; its ``config`` and ``generation_config`` are changed.
        tokenizer: its tokenizer, after ``add_special_tokens``.
    """
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        for config in (model.config, model.generation_config):
            setattr(config, name, getattr(tokenizer, name))


def vocabulary_size(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The number of embeddings that a tokenizer needs: its largest id plus one.

    Args:
        tokenizer: any fast tokenizer.
    """
    return max(tokenizer.backend_tokenizer.get_vocab().values(), default=-1) + 1


def missing_for_masking(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Names of the special tokens that masked language modelling needs and the tokenizer lacks.

    Args:
        tokenizer: tokenizer of an encoder.
    """
    required = ("mask_token", "cls_token", "sep_token")
    return [name for name in required if getattr(tokenizer, name) is None]


def grow_vocabulary(model: "PreTrainedModel", tokens: int) -> None:
    """Extend input and output embeddings to ``tokens`` rows; new rows are the mean of the others.

    Args:
        model: model with V rows; changed in place if V is less than ``tokens``.
        tokens: number of tokens of the tokenizer.
    """
    import torch

    body: Any = model
    before = len(body.get_input_embeddings().weight)
    if tokens <= before:
        return
    model.resize_token_embeddings(tokens, mean_resizing=False)
    with torch.no_grad():
        # With tied weights both layers are the same tensor, and the second pass changes nothing.
        for layer in (body.get_input_embeddings(), body.get_output_embeddings()):
            layer.weight[before:] = layer.weight[:before].mean(0)  # [V, H] -> [H], for each new row
