"""Error messages about transfer learning: frozen layers, adapters, learning rates, averaging."""

from collections.abc import Sequence
from difflib import get_close_matches

from warmstart.errors.base import ConfigError, ModelError, RunError
from warmstart.errors.counts import counted


def two_ways(setting: str, other: str) -> ConfigError:
    """Two settings that both select the trained weights."""
    return ConfigError(
        found=f"{setting} and {other} are both set",
        expected="one of the two: each of them alone selects which weights are trained",
        do=f"remove one of them, {setting} or {other}",
    )


def rates_of_frozen_layers() -> ConfigError:
    """Learning rates for layers that are all frozen."""
    return ConfigError(
        found="train.layer_decay is set and train.freeze is backbone",
        expected="layers that are trained; with train.freeze: backbone only the head is trained, "
        "with the full rate",
        do="--set train.layer_decay=null, or --set train.freeze=embeddings+layers:1",
    )


def mean_of_adapters() -> ConfigError:
    """Averaged LoRA weights that would have to be saved as an adapter."""
    return ConfigError(
        found="train.average is set and train.lora.save is adapter",
        expected="train.lora.save: merged; the mean of several adapters has a higher rank and "
        "cannot be saved as one of them",
        do="--set train.lora.save=merged, or remove train.average",
    )


def unknown_layers(setting: str, architecture: str, known: Sequence[str]) -> ModelError:
    """A setting that needs the order of the layers, for an architecture that is not supported."""
    return ModelError(
        found=f"{setting} is set, but the layers of the architecture {architecture} are not known",
        expected=f"one of: {', '.join(known)}",
        do=f"--set {setting}=null, or choose another model.name",
    )


def too_few_evaluations(count: int, evaluations: int, per_epoch: int) -> ConfigError:
    """An average over more evaluations than the run has; ``per_epoch`` would be enough."""
    return ConfigError(
        found=f"train.average.count is {count} and the run evaluates {evaluations} "
        f"time{'s' * (evaluations != 1)}",
        expected="at least as many evaluations as train.average.count",
        do=f"--set train.evaluations_per_epoch={per_epoch}, or a smaller train.average.count (2 or "
        "more), or more train.epochs",
    )


def peft_missing() -> ConfigError:
    """The package ``peft``, which implements LoRA, is not installed."""
    return ConfigError(
        found="train.lora is set, but the package peft is not installed",
        expected="the package that implements low-rank adapters",
        do="pip install 'warmstart[lora]'",
    )


def unknown_modules(names: Sequence[str], known: Sequence[str]) -> ModelError:
    """``train.lora.modules`` names modules that do not exist; ``known`` are the linear modules."""
    nearest = [near for name in names for near in get_close_matches(name, known, n=1)]
    proposed = list(dict.fromkeys(nearest)) or list(known[:1])
    return ModelError(
        found=f"train.lora.modules: the model's layers have no linear module {', '.join(names)}",
        expected=f"one or more of: {', '.join(known)}; or all",
        do=f"--set 'train.lora.modules=[{', '.join(proposed)}]'",
    )


def no_usual_modules(architecture: str, known: Sequence[str]) -> ModelError:
    """``train.lora.modules`` is not set, and this architecture has no default modules."""
    return ModelError(
        found="train.lora.modules is not set, and it is not known which modules compute the "
        f"attention queries and values in {architecture}",
        expected=f"one or more of: {', '.join(known)}; or all",
        do="--set train.lora.modules=all",
    )


def rank_too_large(rank: int, module: str, width: int) -> ModelError:
    """A LoRA rank that is higher than the smaller side of the weight matrix, ``width``."""
    return ModelError(
        found=f"train.lora.rank is {rank}, but the smaller dimension of {module} is {width}",
        expected=f"1 to {width}; a higher rank gives an adapter larger than the weight matrix",
        do=f"--set train.lora.rank={min(8, width)}",
    )


def adapter_without_head(task: str) -> ConfigError:
    """``train.lora.save: adapter`` for a head that is tied to the word embedding."""
    return ConfigError(
        found=f"train.lora.save is adapter and task is {task}",
        expected="merged: the masked-language-model head is tied to the word embedding, and peft "
        "cannot save one without the other",
        do="--set train.lora.save=merged",
    )


def no_linear_probe(reason: str) -> RunError:
    """The whole training is a fit of the head, which is not possible.

    Args:
        reason: why, as a sentence without a full stop.
    """
    return RunError(
        found=f"the head cannot be fitted on the model's outputs: {reason}",
        expected="outputs of the model that are finite numbers, with which a linear model can "
        "predict the labels",
        do="--set train.epochs=3 to train the head step by step, or another model "
        "(--set model.name=NAME)",
    )


def nothing_trained(task: str, *, probes: bool) -> ConfigError:
    """``train.epochs`` is 0 and no head is fitted.

    Args:
        task: name of the task.
        probes: whether the task has a head that can be fitted before the first epoch.
    """
    start = "train.head_start is random" if probes else f"{task} has no head to fit"
    return ConfigError(
        found=f"train.epochs is 0, and {start}: nothing would be trained",
        expected="at least 1 epoch"
        + " or train.head_start=linear-probe, which fits the head alone" * probes,
        do="--set train.epochs=auto" + " or --set train.head_start=linear-probe" * probes,
    )


def cannot_freeze(architecture: str, known: Sequence[str]) -> ModelError:
    """``train.freeze`` with an architecture that is not supported."""
    return ModelError(
        found=f"train.freeze is set, but it does not support the architecture {architecture}",
        expected=f"one of: {', '.join(known)}",
        do="--set train.freeze=null, or choose another model.name",
    )


def too_many_frozen_layers(setting: str, layers: int) -> ModelError:
    """``train.freeze`` names too many layers; the model has ``layers``."""
    shown = setting if len(setting) <= 40 else f"{setting[:39]}…"
    return ModelError(
        found=f"train.freeze is {shown}, but the model has {counted(layers, 'layer')}",
        expected=f"embeddings+layers:0 to embeddings+layers:{layers - 1}",
        do="--set train.freeze=backbone, which freezes all layers",
    )
