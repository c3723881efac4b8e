"""Texts of the errors about what of a model trains: layers, adapters, rates, averages."""

from collections.abc import Sequence
from difflib import get_close_matches

from warmstart.errors.base import ConfigError, ModelError


def two_ways(setting: str, other: str) -> ConfigError:
    """Two settings, each of which says which weights train."""
    return ConfigError(
        found=f"{setting} and {other} are both set",
        expected="one of the two: each says by itself which weights train",
        do=f"take one of them out, {setting} or {other}",
    )


def mean_of_adapters() -> ConfigError:
    """An average of adapters that is to be kept as an adapter."""
    return ConfigError(
        found="train.average is set and train.lora.save is adapter",
        expected="train.lora.save: merged; the mean of several adapters is none of their rank",
        do="--set train.lora.save=merged, or take train.average out",
    )


def unknown_layers(setting: str, architecture: str, known: Sequence[str]) -> ModelError:
    """A setting that counts layers, of an architecture whose layers are not known here."""
    return ModelError(
        found=f"{setting} is set, and {architecture} is not an architecture whose layers it knows",
        expected=f"one of: {', '.join(known)}",
        do=f"--set {setting}=null, or choose another model.name",
    )


def too_few_evaluations(count: int, evaluations: int, per_epoch: int) -> ConfigError:
    """An average of more evaluations than the run makes; ``per_epoch`` would make enough."""
    return ConfigError(
        found=f"train.average.count is {count} and the run evaluates {evaluations} "
        f"time{'s' * (evaluations != 1)}",
        expected="at least as many evaluations as are averaged",
        do=f"--set train.evaluations_per_epoch={per_epoch}, or a smaller train.average.count (2 or "
        "more), or more train.epochs",
    )


def peft_missing() -> ConfigError:
    """The package that makes adapters is not installed."""
    return ConfigError(
        found="train.lora is set, and the package peft is not installed",
        expected="the package that makes low-rank adapters",
        do="pip install 'warmstart[lora]'",
    )


def unknown_modules(names: Sequence[str], known: Sequence[str]) -> ModelError:
    """``train.lora.modules`` names what the layers do not hold; ``known`` is what they do."""
    nearest = [near for name in names for near in get_close_matches(name, known, n=1)]
    proposed = list(dict.fromkeys(nearest)) or list(known[:1])
    return ModelError(
        found=f"train.lora.modules: the model's layers have no linear module {', '.join(names)}",
        expected=f"some of: {', '.join(known)}; or all",
        do=f"--set 'train.lora.modules=[{', '.join(proposed)}]'",
    )


def no_usual_modules(architecture: str, known: Sequence[str]) -> ModelError:
    """No ``train.lora.modules``, and none are usual in this architecture."""
    return ModelError(
        found=f"train.lora.modules is not set, and of {architecture} it is not known which make "
        "attention's queries and values",
        expected=f"some of: {', '.join(known)}; or all",
        do="--set train.lora.modules=all",
    )


def rank_too_large(rank: int, module: str, width: int) -> ModelError:
    """Adapters of a rank that no matrix of that size can have."""
    return ModelError(
        found=f"train.lora.rank is {rank}, and {module} is {width} wide",
        expected=f"1 to {width}; beyond it an adapter is larger than what it stands for",
        do=f"--set train.lora.rank={min(8, width)}",
    )


def adapter_without_head(task: str) -> ConfigError:
    """An adapter by itself, where the head that trains beside it is tied to the embedding."""
    return ConfigError(
        found=f"train.lora.save is adapter and task is {task}",
        expected="merged: the head that fills masks shares the word embedding, and peft's file "
        "cannot hold one without the other",
        do="--set train.lora.save=merged",
    )
