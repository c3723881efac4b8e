"""A checkpoint made from nothing: a tokenizer learned from texts, and weights drawn by chance.

Pretraining is then an ordinary run whose checkpoint was made a moment before. What is made is a
function of the texts, the settings and the seed, to the last byte.

A *GPT-2* gets byte-level BPE: 256 bytes are its alphabet, so any text comes back as it was, and
nothing is unknown (Radford et al. 2019, section 2.2). ``<|endoftext|>`` begins and ends a text. A
*BERT* gets lower-cased WordPiece with BERT's five special tokens (Devlin et al. 2019,
arXiv:1810.04805, section 3); a character outside the commonest is ``[UNK]``. A piece of a word has
to occur twice to become a token.

Weights are drawn as Transformers does for each family: normal with a deviation of 0.02, in GPT-2
less where a layer adds to its input.

Source: https://huggingface.co/docs/tokenizers (``BpeTrainer``, ``WordPieceTrainer``).
"""

from collections import Counter
from collections.abc import Callable, Iterable
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
from warmstart.models.checkpoints.model_sizes import shape_of
from warmstart.models.checkpoints.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
"""GPT-2's only special token, which begins and ends a text."""
PAD, UNKNOWN, FIRST, SEPARATOR, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""BERT's special tokens, in the order of their ids."""
INSIDE = "##"
"""Begins a WordPiece token that does not begin a word."""

_LEAST_OCCURRENCES = 2


def tokenizer_for(texts: Iterable[str], config: PretrainConfig) -> "PreTrainedTokenizerFast":
    """Learn a tokenizer of ``config.vocabulary`` tokens.

    Args:
        texts: of the training rows alone; gone through one by one, for a BERT twice.
        config: architecture, vocabulary and context.

    Raises:
        ConfigError: the texts do not give so many tokens.
    """
    from transformers import PreTrainedTokenizerFast

    learn = {"gpt2": _byte_level_bpe, "bert": _word_piece}[config.architecture]
    backend = learn(texts, config.vocabulary)
    if (found := backend.get_vocab_size()) < config.vocabulary:
        raise errors.config.vocabulary_too_large(config.vocabulary, found)
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


def new_checkpoint(
    folder: Path, tokenizer: "PreTrainedTokenizerFast", config: PretrainConfig, seed: int
) -> None:
    """Draw the weights of a new language model and write it as a checkpoint.

    Args:
        folder: to be made; ``config.json``, ``model.safetensors`` and the tokenizer go there.
        tokenizer: from ``tokenizer_for``.
        config: architecture, size and context.
        seed: of the weights; no global generator moves.

    Raises:
        ConfigError: the heads do not divide the width.
        RunError: no room, or no right to write.
    """
    import torch
    from safetensors import SafetensorError

    with quiet(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        build: Callable[..., PreTrainedModel] = model_class(config.architecture).from_config
        model = build(model_config(tokenizer, config), dtype=torch.float32)
    try:
        with quiet():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except (OSError, SafetensorError) as error:
        raise errors.run.cannot_write(folder, error) from error


def model_class(architecture: str) -> Any:
    """Transformers' class of language models of this architecture.

    Args:
        architecture: as in ``pretrain.architecture``.
    """
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    return {"gpt2": AutoModelForCausalLM, "bert": AutoModelForMaskedLM}[architecture]


def model_config(
    tokenizer: "PreTrainedTokenizerFast", config: PretrainConfig
) -> "PreTrainedConfig":
    """The configuration of the model that ``config`` describes; dropout is the family's own.

    Args:
        tokenizer: gives the vocabulary's size and the ids of special tokens.
        config: architecture, size and context.

    Raises:
        ConfigError: the heads do not divide the width.
    """
    from transformers import BertConfig, GPT2Config

    shape = shape_of(config)
    if config.architecture == "gpt2":
        return GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=config.context,
            n_embd=shape.hidden,
            n_layer=shape.layers,
            n_head=shape.heads,
            # GPT-2's own activation as PyTorch's one kernel; "gelu_new" is the same in eight.
            activation_function="gelu_pytorch_tanh",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    return BertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=config.context,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.hidden,
        pad_token_id=tokenizer.pad_token_id,
    )


def _byte_level_bpe(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=_LEAST_OCCURRENCES,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def _word_piece(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """WordPiece, the same for the same texts.

    The trainer numbers the characters inside words in the order of a hash table, which differs from
    process to process, and breaks ties between pieces by these numbers. What it is given in a list
    it numbers by the list: so it gets all characters, as if they were special tokens, and the
    vocabulary it finds goes into a tokenizer to which they are not special.
    """
    backend = _empty_word_piece({})
    begin, inside = _characters(texts, backend, (vocabulary - len(SPECIAL)) // 2)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        min_frequency=_LEAST_OCCURRENCES,
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
    """BERT's way of cutting a text, over this vocabulary."""
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=INSIDE)
    return backend


def _characters(texts: Iterable[str], backend: Tokenizer, most: int) -> tuple[list[str], list[str]]:
    """The commonest characters, and those of them that occur inside a word; each list sorted.

    Args:
        texts: as read.
        backend: normalises and cuts them.
        most: length of the first list at most.
    """
    spaced: Counter[str] = Counter()
    for text in texts:
        spaced.update(backend.normalizer.normalize_str(text).split())
    every: Counter[str] = Counter()
    inside: set[str] = set()
    for piece, times in spaced.items():
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(piece):
            every.update(dict.fromkeys(word, 0))
            for character in word:
                every[character] += times
            inside.update(word[1:])
    common = sorted(every, key=lambda character: (-every[character], character))[:most]
    return sorted(common), sorted(inside.intersection(common))
