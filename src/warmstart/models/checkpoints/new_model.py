"""Create a new checkpoint: a tokenizer learned from texts, and randomly initialised weights.

Pretraining is then an ordinary run that starts from this checkpoint. Equal texts, settings and seed
give an identical checkpoint, byte by byte.

*GPT-2* gets byte-level BPE: its alphabet is the 256 bytes, so every text can be encoded and decoded
without loss and without unknown tokens (Radford et al. 2019, section 2.2). ``<|endoftext|>`` is at
the beginning and the end of a text. *BERT* gets lower-cased WordPiece with BERT's five special
tokens (Devlin et al. 2019, arXiv:1810.04805, section 3); a rare character becomes ``[UNK]``. In
both, a pair of pieces must occur at least twice to be merged into a token.

Weights are initialised as in Transformers: normally distributed with a standard deviation of 0.02,
and smaller in GPT-2 for layers whose output is added to the residual stream.

Source: https://huggingface.co/docs/tokenizers (``BpeTrainer``, ``WordPieceTrainer``).
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from warmstart import errors
from warmstart.config import PretrainConfig
from warmstart.config.model_settings import SMALLEST_VOCABULARY
from warmstart.models.checkpoints.configuration import OF_PRETRAINING, Head, auto_class
from warmstart.models.checkpoints.model_sizes import shape_of
from warmstart.models.checkpoints.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
"""GPT-2's only special token, at the beginning and the end of a text."""
PAD, UNKNOWN, FIRST, SEPARATOR, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""BERT's special tokens, in the order of their ids."""
SPECIAL_TOKENS = {"gpt2": (END_OF_TEXT,), "bert": SPECIAL}
"""The special tokens of each architecture."""
INSIDE = "##"
"""Prefix of a WordPiece token that continues a word."""

_MIN_FREQUENCY = 2


def tokenizer_for(texts: Iterable[str], config: PretrainConfig) -> "PreTrainedTokenizerFast":
    """Learn a tokenizer with ``config.vocabulary`` tokens.

    Args:
        texts: texts of the training rows only; iterated several times.
        config: architecture, vocabulary and context.

    Raises:
        ConfigError: the texts are too few for this number of tokens.
    """
    from transformers import PreTrainedTokenizerFast

    learn = {"gpt2": _byte_level_bpe, "bert": _word_piece}[config.architecture]
    backend = learn(texts, config.vocabulary)
    if (learned := backend.get_vocab_size()) < config.vocabulary:
        works = _vocabulary_that_works(lambda size: learn(texts, size), learned)
        raise errors.config.vocabulary_too_large(config.vocabulary, learned, works)
    roles = {
        "gpt2": {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT, "unk_token": END_OF_TEXT},
        "bert": {
            "pad_token": PAD,
            "unk_token": UNKNOWN,
            "cls_token": FIRST,
            "sep_token": SEPARATOR,
            "mask_token": MASK,
        },
    }[config.architecture]
    types = ["token_type_ids"] * (config.architecture == "bert")
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        model_max_length=config.context,
        model_input_names=["input_ids", *types, "attention_mask"],
        clean_up_tokenization_spaces=False,
        **roles,
    )


def _vocabulary_that_works(learn: Callable[[int], Tokenizer], learned: int) -> int | None:
    """A vocabulary that the texts give, as large as possible and tried; None if it is too small.

    Args:
        learn: learns a tokenizer of a given size.
        learned: number of tokens that were learned for a size that is too large.
    """
    size = learned
    while size >= SMALLEST_VOCABULARY:
        found = learn(size).get_vocab_size()
        if found == size:
            return size
        size = found
    return None


def new_checkpoint(
    folder: Path,
    tokenizer: "PreTrainedTokenizerFast",
    config: PretrainConfig,
    seed: int,
    head: Head | None = None,
) -> None:
    """Initialise a new language model and save it as a checkpoint.

    Args:
        folder: new folder for ``config.json``, ``model.safetensors`` and the tokenizer.
        tokenizer: result of ``tokenizer_for``.
        config: architecture, size and context.
        seed: seed of the weights; the state of global random generators does not change.
        head: the head of the task, as for ``model_class``.

    Raises:
        ConfigError: the hidden size is not a multiple of the number of heads.
        RunError: the disk is full, or writing is not permitted.
    """
    import torch
    from safetensors import SafetensorError

    with quiet(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        build: Callable[..., PreTrainedModel] = model_class(config.architecture, head).from_config
        model = build(model_config(tokenizer, config), dtype=torch.float32)
    try:
        with quiet():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except (OSError, SafetensorError) as error:
        raise errors.run.cannot_write(folder, error) from error


def model_class(architecture: str, head: Head | None = None) -> Any:
    """The ``AutoModel`` class of language models of this architecture.

    Args:
        architecture: a value of ``pretrain.architecture``.
        head: a head that the model is pretrained with, if it is another one than usual.
    """
    if head in OF_PRETRAINING:
        return auto_class(head)
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    return {"gpt2": AutoModelForCausalLM, "bert": AutoModelForMaskedLM}[architecture]


def model_config(
    tokenizer: "PreTrainedTokenizerFast", config: PretrainConfig
) -> "PreTrainedConfig":
    """The Transformers configuration of the model; dropout has the family's default.

    Args:
        tokenizer: gives the vocabulary size and the ids of the special tokens.
        config: architecture, size and context.

    Raises:
        ConfigError: the hidden size is not a multiple of the number of heads.
    """
    from transformers import BertConfig, GPT2Config

    shape = shape_of(config)
    size: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": config.context,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
    }
    if config.architecture == "gpt2":
        return GPT2Config(
            **size,
            # The same function as GPT-2's "gelu_new", but as one PyTorch kernel instead of eight.
            activation_function="gelu_pytorch_tanh",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    return BertConfig(
        **size, intermediate_size=4 * shape.hidden, pad_token_id=tokenizer.pad_token_id
    )


def _byte_level_bpe(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=_MIN_FREQUENCY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def _word_piece(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn WordPiece so that equal texts always give an equal vocabulary.

    The trainer gives ids to the characters inside words in the order of a hash table, which differs
    between processes, and breaks ties between pieces by these ids. Special tokens get their ids in
    the order of the given list. So all ``##`` characters are passed as special tokens, and the
    learned vocabulary is put into a second tokenizer, in which they are ordinary tokens.
    """
    backend = _empty_word_piece({})
    begin, inside = _characters(texts, backend, vocabulary - len(SPECIAL))
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        min_frequency=_MIN_FREQUENCY,
        special_tokens=[*SPECIAL, *(INSIDE + character for character in inside)],
        initial_alphabet=begin,
        limit_alphabet=len(begin),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend = _empty_word_piece(backend.get_vocab(with_added_tokens=False))
    backend.add_special_tokens(list(SPECIAL))
    backend.post_processor = processors.TemplateProcessing(
        single=f"{FIRST} $A {SEPARATOR}",
        pair=f"{FIRST} $A {SEPARATOR} $B:1 {SEPARATOR}:1",
        special_tokens=[(name, backend.token_to_id(name)) for name in (FIRST, SEPARATOR)],
    )
    return backend


def _empty_word_piece(vocabulary: dict[str, int]) -> Tokenizer:
    """A tokenizer with BERT's normalisation and pre-tokenisation, and this vocabulary."""
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=INSIDE)
    return backend


def _characters(
    texts: Iterable[str], backend: Tokenizer, limit: int
) -> tuple[list[str], list[str]]:
    """The most frequent characters, and those of them that occur inside a word; both sorted.

    Each character is a token at the beginning of a word, and another one inside a word.

    Args:
        texts: texts of the training rows.
        backend: tokenizer that normalises and pre-tokenises them.
        limit: largest number of tokens, the length of both lists together.
    """
    chunks: Counter[str] = Counter()  # texts split at spaces, so that each is processed once below
    for text in texts:
        chunks.update(backend.normalizer.normalize_str(text).split())
    counts: Counter[str] = Counter()
    inside: set[str] = set()
    for chunk, times in chunks.items():
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(chunk):
            for character in word:
                counts[character] += times
            inside.update(word[1:])
    common = sorted(counts, key=lambda character: (-counts[character], character))
    tokens = accumulate(1 + (character in inside) for character in common)
    common = common[: sum(total <= limit for total in tokens)]
    return sorted(common), sorted(inside.intersection(common))
