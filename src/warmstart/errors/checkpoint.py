"""Error messages about what is in a checkpoint: sizes, features, weights that are no numbers."""

from collections.abc import Sequence
from pathlib import Path

from warmstart.errors.base import ConfigError, ModelError


def no_temporary_room(error: OSError) -> ModelError:
    """The temporary folder is full or cannot be used."""
    return ModelError(
        found=f"cannot write to the temporary folder: {error.strerror or error}",
        expected="a temporary folder with free space",
        do="free some space there, or set TMPDIR to another folder: TMPDIR=FOLDER warmstart …",
    )


def too_large_number(path: Path, key: str, value: int, limit: int) -> ModelError:
    """``config.json`` asks for more layers or labels than any model has."""
    return ModelError(
        found=f"cannot use {path}: {key} is {value}",
        expected=f"at most {limit}",
        do="download config.json again from the model's page; it must belong to the weights",
    )


def larger_than_weights(name: str, asked: int, held: int) -> ModelError:
    """``config.json`` describes a model that is far larger than the weights."""
    return ModelError(
        found=f"config.json of {name} describes a model of {asked} numbers, but its weights have"
        f" only {held}",
        expected="weights and config.json of the same checkpoint",
        do="download both from the same page, or choose another model.name",
    )


def layers_not_used(name: str, unused: Sequence[str]) -> ModelError:
    """``config.json`` has fewer layers than the weights; ``unused`` are names of weights."""
    return ModelError(
        found=f"config.json of {name} describes fewer layers than its weights have:"
        f" {len(unused)} weights are not used, e.g. {unused[0]}",
        expected="as many layers in config.json as in the weights",
        do="correct the number of layers in config.json, or download both again from the same"
        " page; to use only the first N layers, save such a model in a new folder with"
        " Transformers: AutoModel.from_pretrained(…, num_hidden_layers=N).save_pretrained(…)",
    )


def too_large_for_memory(
    needed: str, available: str, setting: str, value: int | None, default: int | None
) -> ConfigError:
    """``pretrain`` describes a model that does not fit into memory."""
    shown = "larger than 10^20" if value is not None and value > 10**20 else str(value)
    return ConfigError(
        found=f"a new model with these settings needs {needed} of memory in training ({setting} is"
        f" {shown})",
        expected=f"at most {available}, the memory of this machine",
        do=f"--set {setting}={'null' if default is None else default}, or another smaller number",
    )


def quantized(name: str) -> ModelError:
    """The weights are quantized, and warmstart trains in float32."""
    return ModelError(
        found=f"{name} has quantized weights (quantization_config in config.json)",
        expected="weights that are not quantized: they are trained in float32",
        do="choose the model that it was made from, usually named on its page",
    )


def adapter_beside(name: str, folder: Path) -> ModelError:
    """Transformers would load an adapter into the model without a word.

    Args:
        name: folder or Hub id.
        folder: the folder, or the place of the Hub's files in the cache.
    """
    local = Path(name).expanduser().is_dir()
    alone = (
        "move adapter_config.json out of the folder"
        if local
        else f"download the files with `hf download {name} --local-dir FOLDER`, remove"
        " adapter_config.json there, and --set model.name=FOLDER"
    )
    return ModelError(
        found=f"{folder if local else name} has adapter_config.json next to the model's own"
        " config.json",
        expected="a model without an adapter: the weights alone, or the adapter merged into them",
        do=f"to start from the weights alone, {alone}; to start from both, merge them with peft"
        " (merge_and_unload) and save the result in a new folder",
    )


def only_an_adapter(name: str, folder: Path) -> ModelError:
    """A folder or Hub repository contains an adapter and not the model that it belongs to.

    Args:
        name: folder or Hub id.
        folder: the folder, or the place of the Hub's files in the cache.
    """
    inner = folder.parent / "model"
    shown = folder if Path(name).expanduser().is_dir() else name
    return ModelError(
        found=f"model.name: {shown} has only an adapter (adapter_config.json, no config.json)",
        expected="a whole model: the adapter merged into the model that it was trained with",
        do=f"--set model.name={inner}"
        if (inner / "config.json").is_file()
        else "merge it with peft (merge_and_unload), save the result in a new folder, and name it",
    )


def unsuitable_weights(path: Path, names: Sequence[str], kind: str) -> ModelError:
    """Weights that are whole numbers."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return ModelError(
        found=f"{path}: {shown}: stored as {kind}, which is no type of a trained weight",
        expected="weights in float32, float16 or bfloat16",
        do="download the file again, or choose another model.name: quantized weights cannot be"
        " trained",
    )


def weights_not_finite(path: Path, name: str) -> ModelError:
    """A weight is NaN or infinite, so every output of the model would be."""
    return ModelError(
        found=f"{path}: the weight {name} contains NaN or infinity, so the model's outputs are not"
        " numbers",
        expected="weights that are numbers",
        do="download the file again, or choose another model.name; if a training wrote it, train"
        " again with a smaller train.learning_rate",
    )


def outputs_not_finite() -> ModelError:
    """The model's outputs are NaN or infinite."""
    return ModelError(
        found="the model's outputs are not numbers (NaN or infinity)",
        expected="numbers: its weights are damaged or too large, or its training has diverged",
        do="train again with a smaller train.learning_rate, or use another run or model",
    )


def tokenizer_limit(name: str, found: object, shortest: int) -> ModelError:
    """``model_max_length`` of the tokenizer is not a number of tokens."""
    return ModelError(
        found=f"model_max_length in tokenizer_config.json of {name} is {str(found)[:40]!r}",
        expected=f"the largest number of tokens, a number of at least {shortest}",
        do='write a number there without quotes, e.g. "model_max_length": 512; or remove the line',
    )


def too_few_positions(name: str, limit: int, shortest: int) -> ModelError:
    """The model accepts fewer tokens than a text with its special tokens has."""
    return ModelError(
        found=f"{name} accepts at most {limit} tokens (max_position_embeddings in config.json)",
        expected=f"at least {shortest}: the special tokens and one token of the text",
        do="choose another model.name",
    )


def unusable_name(name: str, reason: str) -> ModelError:
    """The name can be neither a path nor a Hub id."""
    shown = ascii(name) if len(name) <= 60 else f"{name[:60]!a}…"
    return ModelError(
        found=f"model.name: {shown} cannot be a path or a Hub id ({reason[:100]})",
        expected="a Hub id (OWNER/NAME), a folder, bundled/minilm-l6 or bundled/gpt2-mini",
        do="--set model.name=bundled/minilm-l6 (for text generation bundled/gpt2-mini)",
    )


def revision_of_auto(revision: str) -> ConfigError:
    """``model.revision`` is set for a model that is not known yet."""
    return ConfigError(
        found=f"model.revision is {revision}, and model.name is auto",
        expected="the revision of one model of the Hub, named in model.name",
        do="--set model.revision=null, or --set model.name=OWNER/NAME",
    )


def no_decoder(language: str) -> ConfigError:
    """``model.name`` is ``auto``, and no decoder is known for the language of the texts."""
    return ConfigError(
        found=f"model.name is auto, and no model is known that writes {language}",
        expected="training texts in English or Chinese, or the name of a model",
        do="--set model.name=OWNER/NAME, a decoder for this language on huggingface.co",
    )


def auto_without_rows(name: str) -> ConfigError:
    """``info`` for a config whose model depends on the rows."""
    return ConfigError(
        found=f"model.name is auto in {name}: the model depends on the training rows",
        expected="the name of a model; info does not read the rows",
        do=f"warmstart check {name} (it shows the chosen model), or --set model.name=OWNER/NAME",
    )


def no_mean_pooling(name: str, obstacle: str, known: Sequence[str]) -> ModelError:
    """``model.pooling`` is ``mean``, and this model cannot have it."""
    return ModelError(
        found=f"model.pooling is mean, which is not available for {name}: {obstacle}",
        expected=f"a checkpoint without a classifier's head, of one of: {', '.join(known)}",
        do="--set model.pooling=first",
    )
