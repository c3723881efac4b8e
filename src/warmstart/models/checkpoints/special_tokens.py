"""Tokens that a decoder's documents begin and end with, and rows for those that are new.

A document is ``bos … eos``. Most decoders know one such token or two; ``model.special_tokens``
names others, as the GPT-2 tutorials do with ``<|startoftext|>``. What the vocabulary lacks is added
to the tokenizer, which is saved with the model, and the model's table grows by as many rows.

Letters: V rows of the table, H hidden width.
"""

from typing import TYPE_CHECKING, Any

from warmstart import errors
from warmstart.config import ModelConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def add_special_tokens(tokenizer: "PreTrainedTokenizerBase", model: ModelConfig) -> None:
    """Give a tokenizer the tokens that the settings name.

    Args:
        tokenizer: of a decoder; changed in place.
        model: the settings.

    Raises:
        ModelError: there is no token that ends a document.
    """
    named = model.special_tokens.model_dump(exclude_none=True)
    tokens: dict[str, Any] = {f"{name}_token": token for name, token in named.items()}
    tokenizer.add_special_tokens(tokens)
    if tokenizer.eos_token_id is None:
        raise errors.model.no_end_of_text(model.name)


def begin_and_end(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, int]:
    """Ids of the tokens that a document begins and ends with; the same where there is one only.

    Args:
        tokenizer: of a decoder, after ``add_special_tokens``.
    """
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert isinstance(end, int)
    return (begin if isinstance(begin, int) else end), end


def lacking_to_mask(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """Which of the tokens are missing that hide a word, begin a text and end it.

    Args:
        tokenizer: of an encoder.
    """
    wanted = ("mask_token", "cls_token", "sep_token")
    return [name for name in wanted if getattr(tokenizer, name) is None]


def grow_vocabulary(model: "PreTrainedModel", tokens: int) -> None:
    """Give the model's tables a row for every token; new rows are the mean of the old ones.

    Args:
        model: with V rows; changed in place where ``tokens`` is more.
        tokens: of the tokenizer.
    """
    import torch

    body: Any = model
    before = len(body.get_input_embeddings().weight)
    if tokens <= before:
        return
    model.resize_token_embeddings(tokens, mean_resizing=False)
    with torch.no_grad():
        for layer in (body.get_input_embeddings(), body.get_output_embeddings()):
            layer.weight[before:] = layer.weight[:before].mean(0)
