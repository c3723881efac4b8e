"""Open the tokenizer of a checkpoint, and check that it fits the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from warmstart import errors
from warmstart.data.examples.tokenise import plain_copy
from warmstart.models.checkpoints.configuration import FILLS_MASKS, Head
from warmstart.models.checkpoints.quiet import quiet
from warmstart.models.checkpoints.special_tokens import missing_for_masking
from warmstart.models.checkpoints.weight_files import VOCABULARIES

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

SHORTEST = 3
"""Smallest limit of an input in tokens: two special tokens, and one token of the text."""


def open_tokenizer(folder: Path, config: "PreTrainedConfig") -> "PreTrainedTokenizerBase":
    """Open the tokenizer in a folder, without outputs that its model does not accept.

    Transformers opens DistilBERT with BERT's tokenizer, which returns ``token_type_ids``. A model
    with fewer than two token types must not get them.

    Args:
        folder: folder of a checkpoint or a run's ``model/``.
        config: the model's configuration.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(
            folder, config=config, trust_remote_code=False, local_files_only=True
        )
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    if getattr(config, "type_vocab_size", 0) < 2:
        names = tokenizer.model_input_names
        tokenizer.model_input_names = [name for name in names if name != "token_type_ids"]
    return tokenizer


def checked_tokenizer(
    name: str, folder: Path, files: Sequence[str], config: "PreTrainedConfig", head: Head
) -> "PreTrainedTokenizerBase":
    """Open the tokenizer and check that it fits the model.

    Args:
        name: the checkpoint's name for messages.
        folder: folder with the tokenizer's files.
        files: names of all files of the checkpoint.
        config: the model's configuration.
        head: the head that the task needs.

    Raises:
        ModelError: the tokenizer is missing, cannot be read, or does not fit the model.
    """
    if not set(files) & set(VOCABULARIES):
        raise errors.model.no_tokenizer(name, files)
    try:
        tokenizer = open_tokenizer(folder, config)
    except Exception as error:  # the Rust library raises bare Exceptions
        raise errors.model.unreadable_tokenizer(name, str(error).split("\n")[0]) from error
    if not tokenizer.is_fast:
        raise errors.model.slow_tokenizer(name, type(tokenizer).__name__)
    if tokenizer.pad_token_id is None and head != "causal-lm":
        raise errors.model.no_padding_token(name)
    if head in FILLS_MASKS and (missing := missing_for_masking(tokenizer)):
        raise errors.model.no_mask_token(name, missing)
    limit = tokenizer.model_max_length
    if not isinstance(limit, int | float) or not limit >= SHORTEST:  # NaN is not, either
        raise errors.checkpoint.tokenizer_limit(name, limit, SHORTEST)
    refuse_ids_beyond(name, tokenizer, config.vocab_size)
    return tokenizer


def refuse_ids_beyond(name: str, tokenizer: "PreTrainedTokenizerBase", rows: int) -> None:
    """Raise if a tokenizer has an id without a row in the word embedding.

    Args:
        name: the checkpoint's name for the message.
        tokenizer: a fast tokenizer.
        rows: number of rows of the embedding.

    Raises:
        ModelError: there is such an id.
    """
    backend = plain_copy(tokenizer.backend_tokenizer)
    # A text can also get ids that the vocabulary lacks, from the template with special tokens.
    vocabulary = tokenizer.backend_tokenizer.get_vocab()
    largest = max((*vocabulary.values(), *backend.encode("a", "a").ids), default=-1)
    if largest >= rows:
        raise errors.model.tokenizer_too_large(name, largest + 1, rows)
