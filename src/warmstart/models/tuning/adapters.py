"""Low-rank adapters (LoRA): small matrices are trained next to large frozen ones.

peft inserts the adapters: a linear module with weight W then computes Wx + (alpha / rank) · BAx. A
[rank, in] is random and B [out, rank] is zero at first, so training starts from the checkpoint's
own outputs. The model is still a Transformers model with the same modules, so it can run packed or
padded. The new head of a classifier is trained in full.

``model/`` is saved with W + (alpha / rank) · BA instead of W, under Transformers' names, so peft is
not needed to load it. ``adapter/`` contains only A, B, the head and the rows of new tokens
(``new_rows``), in peft's format.

By default the query and value projections get adapters, as in the paper's experiments with RoBERTa
on GLUE. With ``all`` every linear module of the layers gets one; Dettmers et al. 2023,
arXiv:2305.14314, section 4, found this necessary to match full fine-tuning of large decoders.

Source: Hu et al. 2021, arXiv:2106.09685, section 4 and table 5; peft's documentation, "LoRA".
"""

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from warmstart import errors
from warmstart.models.checkpoints.configuration import FILLS_MASKS, Head, skeleton
from warmstart.models.tuning.new_rows import peft_names, train_new_rows, with_new_rows

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from warmstart.config import LoraConfig

NAME = "default"
"""The name that peft gives to an adapter by default."""

QUERY_AND_VALUE = {
    "camembert": ["query", "value"],
    "distilbert": ["q_lin", "v_lin"],
    "modernbert": ["Wqkv"],
}
"""Query and value projections of the model families that are missing in peft's own table."""

TASK_TYPES: Mapping[Head, str] = {
    "sequence-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "question-answering": "QUESTION_ANS",
    "causal-lm": "CAUSAL_LM",
}
"""peft's ``task_type`` of each head; other heads have none."""

_IN_A_LAYER = re.compile(r"\.\d+\.")


def refuse_unfit(setting: "LoraConfig", config: "PreTrainedConfig", head: Head, task: str) -> None:
    """Raise if adapters cannot be used; needs no weights.

    Args:
        setting: ``train.lora``.
        config: the model's configuration.
        head: the head that the task needs.
        task: name of the task.

    Raises:
        ConfigError: peft is not installed, or the head cannot be saved with the adapters.
        ModelError: the model has no such modules, or they are smaller than the rank.
    """
    if find_spec("peft") is None:
        raise errors.transfer.peft_missing()
    if setting.save == "adapter" and head in FILLS_MASKS:
        raise errors.transfer.adapter_without_head(task)
    adapted_modules(skeleton(config, head), setting)


def adapted_modules(model: PreTrainedModel, setting: "LoraConfig") -> dict[str, nn.Linear | Conv1D]:
    """The linear modules that get an adapter, by name.

    Args:
        model: a model with or without weights.
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
    known = sorted({_last_part(name) for name in linear})
    if setting.modules == "all":
        names = known
    else:
        names = setting.modules or _default_modules(model.config.model_type, known)
    unknown = [name for name in names if not any(_ends_with(full, name) for full in linear)]
    if unknown:
        raise errors.transfer.unknown_modules(unknown, known)
    adapted = {
        full: module
        for full, module in linear.items()
        if any(_ends_with(full, name) for name in names)
    }
    for full, module in adapted.items():
        if setting.rank > min(module.weight.shape):
            raise errors.transfer.rank_too_large(setting.rank, full, min(module.weight.shape))
    return adapted


def _default_modules(model_type: str, known: list[str]) -> list[str]:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFT_DEFAULTS

    names = QUERY_AND_VALUE.get(model_type) or PEFT_DEFAULTS.get(model_type)
    if not isinstance(names, list):
        raise errors.transfer.no_usual_modules(model_type, known)
    return names


def _last_part(name: str) -> str:
    return name.rpartition(".")[2]


def _ends_with(full: str, name: str) -> bool:
    """Whether a module's dotted name ends with the parts of ``name``."""
    return f".{full}".endswith(f".{name}")


def adapt(
    model: PreTrainedModel,
    setting: "LoraConfig",
    head: Head,
    seed: int,
    *,
    new_pooler: bool,
    new_tokens: Sequence[int] = (),
) -> Any:
    """Insert adapters; only they, new modules (head, pooler) and new tokens are trained.

    Args:
        model: changed in place; must not be prepared for packed execution yet.
        setting: ``train.lora``.
        head: the model's head; the output layer of a causal language model is not trained.
        seed: seed of the matrices A; the state of global random generators does not change.
        new_pooler: the checkpoint had no pooler, so the new pooler is trained like the head.
        new_tokens: ids of tokens of a decoder whose rows of the embedding are trained.

    Returns:
        peft's configuration, for ``save_adapter``.

    Raises:
        ModelError: the model has no such modules, or they are smaller than the rank.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    modules = adapted_modules(model, setting)
    new = [] if head == "causal-lm" else new_modules(model, new_pooler=new_pooler)
    # The output layer of a head may be tied to the word embedding, which stays frozen.
    words = set(model.get_input_embeddings().parameters())
    trained = [p for name in new for p in model.get_submodule(name).parameters() if p not in words]
    config = PeftConfig(
        task_type=TASK_TYPES.get(head),
        r=setting.rank,
        lora_alpha=setting.alpha,
        lora_dropout=setting.dropout,
        target_modules=list(modules),
        # GPT-2's Conv1D stores its weight as [in, out], nn.Linear as [out, in].
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in modules.values()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        inject_adapter_in_model(config, model)
    for parameter in trained:  # `inject_adapter_in_model` froze everything but the adapters
        parameter.requires_grad_(True)
    # Set only now: earlier, peft would replace these modules with wrappers.
    config.modules_to_save = new or None
    if new_tokens:
        config.trainable_token_indices = train_new_rows(model, new_tokens)
    return config


def new_modules(model: PreTrainedModel, *, new_pooler: bool) -> list[str]:
    """Names of the modules that have weights and are outside the base model, or new in it.

    Args:
        model: a model with its head.
        new_pooler: whether the pooler, if there is one, is new too.
    """
    outside = [name for name, child in model.named_children() if child is not model.base_model]
    poolers = [name for name, _ in model.named_modules() if _last_part(name) == "pooler"]
    names = outside + poolers * new_pooler
    return [name for name in names if any(True for _ in model.get_submodule(name).parameters())]


def merged(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights under Transformers' names, with the adapters merged into them.

    Args:
        model: a model with adapters; it is not changed.
        weights: its ``state_dict``, possibly with other embedding tables.
    """
    from peft.tuners.lora import Linear

    # peft stores W of the module `m` as `m.base_layer.weight`; Transformers expects `m.weight`.
    out = {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in weights.items()
        if ".lora_" not in name
    }
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            with torch.no_grad():
                delta = module.get_delta_weight(NAME)  # (alpha / rank) · BA, in the shape of W
                out[f"{name}.weight"] = out[f"{name}.weight"] + delta
    return with_new_rows(model, out)


def save_adapter(
    model: nn.Module, config: Any, folder: Path, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Save adapters and head as ``adapter_config.json`` and ``adapter_model.safetensors``.

    Args:
        model: a model with adapters.
        config: peft's configuration, from ``adapt``.
        folder: created if it does not exist.
        weights: name -> tensor; saved instead of the model's own weights of these names.

    Raises:
        OSError: the disk is full, or writing is not permitted.
    """
    # Names and files are those that `peft.PeftModel.save_pretrained` would write.
    config.save_pretrained(str(folder))
    tensors = {
        f"base_model.model.{name.replace(f'.{NAME}.', '.')}": (
            (weights or {}).get(name, parameter).detach().cpu().contiguous()
        )
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    save_file(peft_names(tensors), folder / "adapter_model.safetensors", metadata={"format": "pt"})
