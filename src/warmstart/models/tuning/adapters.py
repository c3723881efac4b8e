"""Low-rank adapters (LoRA): small matrices train beside large ones that stay as they are.

peft puts them in: each chosen linear module W becomes one that gives Wx + (alpha / rank) · BAx,
with A [rank, in] drawn by chance and B [out, rank] zero, so that training begins with the
checkpoint's own answers. The model stays a Transformers model whose modules are called as before,
packed or padded; a classifier's head, which is new, trains in full.

``model/`` is written with W + (alpha / rank) · BA in the place of W, under Transformers' names:
nothing that opens it needs peft. ``adapter/`` holds A, B and the head alone, in peft's own format.

By default the modules that make queries and values are adapted, as in the paper's experiments with
RoBERTa on GLUE; with ``all`` every linear module of the layers, which Dettmers et al. 2023,
arXiv:2305.14314, section 4, found to be needed to keep up with full fine-tuning of large decoders.

Source: Hu et al. 2021, arXiv:2106.09685, section 4 and table 5; peft's documentation, "LoRA".
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from warmstart import errors
from warmstart.models.checkpoints.configuration import Head, skeleton

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from warmstart.config import LoraConfig

NAME = "default"
"""What peft calls an adapter that has no name of its own."""

USUAL = {
    "camembert": ["query", "value"],
    "distilbert": ["q_lin", "v_lin"],
    "modernbert": ["Wqkv"],
}
"""Modules that make queries and values, of families that peft's own table lacks."""

TASK_TYPES: Mapping[Head, str] = {
    "sequence-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "causal-lm": "CAUSAL_LM",
}
"""peft's ``task_type`` of each head that it has one for."""

_IN_A_LAYER = re.compile(r"\.\d+\.")


def refuse_unfit(setting: "LoraConfig", config: "PreTrainedConfig", head: Head, task: str) -> None:
    """Say what stands against adapters before any weights are loaded.

    Args:
        setting: ``train.lora``.
        config: of the body.
        head: what the task puts on it.
        task: its name.

    Raises:
        ConfigError: peft is not installed, or a head cannot be kept as an adapter.
        ModelError: the model has no such modules, or they are smaller than the rank.
    """
    if find_spec("peft") is None:
        raise errors.transfer.peft_missing()
    if setting.save == "adapter" and head == "masked-lm":
        raise errors.transfer.adapter_without_head(task)
    adapted_modules(skeleton(config, head), setting)


def adapted_modules(model: PreTrainedModel, setting: "LoraConfig") -> dict[str, nn.Linear | Conv1D]:
    """The linear modules that get an adapter, by name.

    Args:
        model: with its weights or without.
        setting: ``train.lora``.

    Raises:
        ModelError: the model has no such modules, or they are smaller than the rank.
    """
    prefix = model.base_model_prefix + "."
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
        and name.startswith(prefix)
        and _IN_A_LAYER.search(name)
    }
    known = sorted({_last(name) for name in linear})
    if setting.modules == "all":
        names = known
    else:
        names = setting.modules or _usual(model.config.model_type, known)
    absent = [name for name in names if not any(_named(full, name) for full in linear)]
    if absent:
        raise errors.transfer.unknown_modules(absent, known)
    found = {
        full: module for full, module in linear.items() if any(_named(full, name) for name in names)
    }
    for full, module in found.items():
        if setting.rank > min(module.weight.shape):
            raise errors.transfer.rank_too_large(setting.rank, full, min(module.weight.shape))
    return found


def _usual(model_type: str, known: list[str]) -> list[str]:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as OF_PEFT

    usual = USUAL.get(model_type) or OF_PEFT.get(model_type)
    if not isinstance(usual, list):
        raise errors.transfer.no_usual_modules(model_type, known)
    return usual


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _named(full: str, name: str) -> bool:
    """Whether ``name`` is the end of a module's dotted name."""
    return f".{full}".endswith(f".{name}")


def adapt(
    model: PreTrainedModel, setting: "LoraConfig", head: Head, seed: int, *, new_pooler: bool
) -> Any:
    """Put adapters into a model; afterwards they train, and what is new of it.

    Args:
        model: changed in place, not yet set to packed execution.
        setting: ``train.lora``.
        head: what the task put on the body; a language model's output layer does not train.
        seed: of the first matrices; no global generator moves.
        new_pooler: the checkpoint had no pooler, so that it trains as the head does.

    Returns:
        peft's configuration, as ``save_adapter`` writes it.

    Raises:
        ModelError: the model has no such modules, or they are smaller than the rank.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    modules = adapted_modules(model, setting)
    new = [] if head == "causal-lm" else new_modules(model, new_pooler=new_pooler)
    words = set(model.get_input_embeddings().parameters())  # which a head may share
    in_full = [p for name in new for p in model.get_submodule(name).parameters() if p not in words]
    config = PeftConfig(
        task_type=TASK_TYPES.get(head),
        r=setting.rank,
        lora_alpha=setting.alpha,
        lora_dropout=setting.dropout,
        target_modules=list(modules),
        # GPT-2's layers hold their weights the other way round.
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in modules.values()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        inject_adapter_in_model(config, model)
    for parameter in in_full:
        parameter.requires_grad_(True)
    config.modules_to_save = new or None  # not sooner, or peft would exchange them too
    return config


def new_modules(model: PreTrainedModel, *, new_pooler: bool) -> list[str]:
    """Names of the modules with weights that stand outside the body, or are new in it.

    Args:
        model: with its head.
        new_pooler: whether a pooler, where there is one, is new too.
    """
    outside = [name for name, child in model.named_children() if child is not model.base_model]
    poolers = [name for name, _ in model.named_modules() if _last(name) == "pooler"]
    names = outside + poolers * new_pooler
    return [name for name in names if any(True for _ in model.get_submodule(name).parameters())]


def merged(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under Transformers' names, with what the adapters add in them.

    Args:
        model: adapted; it stays as it is.
        weights: its ``state_dict``, or that with other tables.
    """
    from peft.tuners.lora import Linear

    out = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in weights.items()
        if ".lora_" not in name
    }
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            with torch.no_grad():
                added = module.get_delta_weight(NAME)
                out[f"{name}.weight"] = out[f"{name}.weight"] + added
    return out


def save_adapter(model: nn.Module, config: Any, folder: Path) -> None:
    """Write adapters and head as peft does: ``adapter_config.json``, ``adapter_model.safetensors``.

    Args:
        model: adapted.
        config: from ``adapt``.
        folder: made if need be.

    Raises:
        OSError: no room, or no right to write.
    """
    config.save_pretrained(str(folder))
    tensors = {
        f"base_model.model.{name.replace(f'.{NAME}.', '.')}": parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
