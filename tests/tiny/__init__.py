"""Checkpoints that can be created in a moment: random weights, a working tokenizer, no network.

``tiny_checkpoint`` writes the files of a hub checkpoint (``config.json``, ``tokenizer.json``,
``model.safetensors`` with a pretraining head), for each encoder family that is tested. Its
tokenizer has tokens for a few hundred common words and for every ASCII character, so that any
English text can be tokenised without an unknown token.

PyTorch and Transformers are imported inside the functions: ``tests.tiny.hub`` must be importable
before ``huggingface_hub``, which reads its settings as it is imported.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.decoders import ByteLevel, WordPiece

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast

ARCHITECTURES = ("bert", "roberta", "distilbert", "electra", "modernbert")

TYPED = ("bert", "electra")
"""Architectures whose tokenizer distinguishes the two texts of a pair by type ids."""

_TEXT = """
a about after again all an and any are as at be because been before best better big bought boy
boys bread but by called came can cat cats child children could day did do dog dogs each eat
eats every fast film find first food for found fourth from gave girl girls give go goes good
great had happy has have he her here herself him himself his house how i if in into is it its
itself john know knows large last left letter like liked likes little long looked love made man
many mary me men met more most movie much my near never new no not now of old on one only or
other our over own people played read said sat saw say says second see seen she should slow
small so some story table than that the their them themselves then there these they think thinks
third this those to told too two under very was we well went were what when where which while
who whose why will with without woman women would write wrote year years yes you young your
bad terrible wonderful boring excellent awful nice poor rich red green blue cold hot
"""

WORDS = tuple(_TEXT.split())
"""Words with a token of their own in the tiny tokenizers; other words are split into letters."""

_CHARACTERS = tuple(map(chr, range(33, 127)))
_POSITIONS = 128


def tiny_checkpoint(
    folder: Path,
    architecture: str = "bert",
    *,
    hidden: int = 32,
    layers: int = 2,
    vocabulary: Sequence[str] = WORDS,
    seed: int = 0,
    max_positions: int = _POSITIONS,
) -> Path:
    """Write a random checkpoint with a working fast tokenizer into ``folder``.

    Args:
        folder: created if necessary; files of the same names are replaced.
        architecture: one of ``ARCHITECTURES``.
        hidden: width, a multiple of 4.
        layers: transformer layers.
        vocabulary: lower-case words with a token of their own, in addition to single characters.
        seed: the same seed gives the same bytes.
        max_positions: longest input in tokens, special tokens included.

    Returns:
        ``folder``, ready for ``ModelConfig(name=str(folder))``.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import (
        MODEL_FOR_PRETRAINING_MAPPING,
        AutoModelForMaskedLM,
        AutoModelForPreTraining,
    )

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(architecture, vocabulary, max_positions)
    config = _config(architecture, tokenizer, hidden, layers, max_positions)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        pretraining = type(config) in MODEL_FOR_PRETRAINING_MAPPING
        family = AutoModelForPreTraining if pretraining else AutoModelForMaskedLM
        model = family.from_config(config)  # type: ignore[no-untyped-call]
    # Not model.save_pretrained, which shows a progress bar: the files are the same.
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder


def tiny_tokenizer(
    architecture: str = "bert",
    vocabulary: Sequence[str] = WORDS,
    max_positions: int = _POSITIONS,
) -> "PreTrainedTokenizerFast":
    """Only the tokenizer: byte-level BPE for RoBERTa and ModernBERT, WordPiece for the others.

    Args:
        architecture: one of ``ARCHITECTURES``.
        vocabulary: words with a token of their own.
        max_positions: ``model_max_length``, special tokens included.
    """
    from transformers import PreTrainedTokenizerFast

    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    if architecture == "roberta":  # in the order of their ids in roberta-base
        names = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
        backend = _byte_level_bpe(vocabulary, ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    elif architecture == "modernbert":
        backend = _byte_level_bpe(vocabulary, names)
    else:
        backend = _word_piece(vocabulary, names)
    pad, unknown, first, last, mask = names
    typed = architecture in TYPED
    between = f"{last} {last}" if architecture == "roberta" else last
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {between} $B{':1' * typed} {last}{':1' * typed}",
        special_tokens=[(name, backend.token_to_id(name)) for name in (first, last)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        model_max_length=max_positions,
        pad_token=pad,
        unk_token=unknown,
        cls_token=first,
        sep_token=last,
        mask_token=mask,
        model_input_names=["input_ids", *["token_type_ids"] * typed, "attention_mask"],
    )


def _word_piece(words: Sequence[str], special: Sequence[str]) -> Tokenizer:
    """Lower-cased WordPiece over whole words, characters and ``##`` characters."""
    pieces = (*special, *_CHARACTERS, *(f"##{c}" for c in _CHARACTERS), *words)
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = WordPiece()
    return backend


def _byte_level_bpe(words: Sequence[str], special: Sequence[str]) -> Tokenizer:
    """Byte-level BPE whose merges spell out ``Ġword`` from its first letter to its last."""
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        spelled = f"Ġ{word}"
        for end in range(2, len(spelled) + 1):
            merges[spelled[: end - 1], spelled[end - 1]] = None
            pieces.append(spelled[:end])
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    backend = Tokenizer(models.BPE(vocabulary, list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = ByteLevel()
    return backend


def _config(
    architecture: str,
    tokenizer: "PreTrainedTokenizerFast",
    hidden: int,
    layers: int,
    max_positions: int,
) -> "PreTrainedConfig":
    """The family's configuration with the given size; four attention heads."""
    from transformers import (
        BertConfig,
        DistilBertConfig,
        ElectraConfig,
        ModernBertConfig,
        RobertaConfig,
    )

    shared: dict[str, Any] = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    usual: dict[str, Any] = {
        **shared,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": max_positions,
    }
    ends = {
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    if architecture == "bert":
        return BertConfig(**usual)
    if architecture == "electra":
        return ElectraConfig(**usual, embedding_size=hidden // 2)
    if architecture == "roberta":  # its positions are counted from pad_token_id + 1
        positions = max_positions + shared["pad_token_id"] + 1
        return RobertaConfig(
            **{**usual, **ends, "max_position_embeddings": positions, "type_vocab_size": 1}
        )
    if architecture == "modernbert":
        special = {
            "cls_token_id": tokenizer.cls_token_id,
            "sep_token_id": tokenizer.sep_token_id,
        }
        return ModernBertConfig(**{**usual, **ends, **special}, local_attention=16)
    if architecture == "distilbert":
        return DistilBertConfig(
            **shared,
            dim=hidden,
            n_layers=layers,
            n_heads=4,
            hidden_dim=2 * hidden,
            max_position_embeddings=max_positions,
        )
    raise ValueError(f"{architecture!r} is none of {ARCHITECTURES}")


def tiny_sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences of known words with different lengths, the same for the same seed.

    Args:
        count: number of sentences.
        seed: seed of the sentences.
    """
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(WORDS) for _ in range(draw.randint(2, 12))).capitalize() + "."
        for _ in range(count)
    ]
