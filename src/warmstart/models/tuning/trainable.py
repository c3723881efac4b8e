"""Choose which parts of a model are trained, and count their parameters.

The parts are those of ``parts``: embeddings, layers, the modules above them (pooler or final norm,
then the head), and adapters if there are any. If the layers of an architecture are not known, the
whole base model is one part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from warmstart.config import ResolvedTrainConfig, TrainConfig
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.tuning.adapters import adapt
from warmstart.models.tuning.freezing import Frozen, freeze, frozen_part
from warmstart.models.tuning.parts import (
    depths,
    lowest_trained,
    modules_by_depth,
    peak_rates,
)


@dataclass(frozen=True, slots=True)
class TrainedPart:
    """One part of a model, or several layers that are trained in the same way.

    Args:
        name: ``embeddings``, ``layers 0-5``, ``pooler``, ``head``, ``adapters`` …
        parameters: number of parameters.
        trained: number of trained parameters.
        lowest_rate: lowest peak learning rate of the trained parameters; 0 if there are none.
        highest_rate: highest peak learning rate of the trained parameters.
        from_epoch: first epoch (counted from 1) in which it is trained; None for never.
    """

    name: str
    parameters: int
    trained: int
    lowest_rate: float
    highest_rate: float
    from_epoch: int | None

    def to_json(self) -> dict[str, Any]:
        """The same as a mapping, for ``environment.json`` and ``warmstart info --json``."""
        return asdict(self)


def parts_from_json(content: Sequence[Mapping[str, Any]]) -> tuple[TrainedPart, ...]:
    """Read the parts from the output of ``TrainedPart.to_json``.

    Args:
        content: one mapping per part.
    """
    return tuple(TrainedPart(**part) for part in content)


def choose_trained(
    model: PreTrainedModel,
    config: TrainConfig,
    head: Head,
    *,
    new_pooler: bool,
    new_tokens: Sequence[int] = (),
) -> tuple[Frozen | None, Any]:
    """Freeze parts of a model or insert adapters, according to the settings.

    Args:
        model: changed in place.
        config: the settings.
        head: the model's head.
        new_pooler: the checkpoint had no pooler, so the new pooler is trained like the head.
        new_tokens: ids of the tokens that the checkpoint did not have; adapters train their rows.

    Returns:
        The frozen part or None, and peft's configuration of the adapters or None.

    Raises:
        ModelError: the model does not have the parts that the settings name.
    """
    if config.freeze is not None:
        frozen = frozen_part(config.freeze, model.config, head)
        freeze(model, frozen, new_pooler=new_pooler)
        return frozen, None
    if config.lora is not None:
        return None, adapt(
            model,
            config.lora,
            head,
            config.seed_of("initialization"),
            new_pooler=new_pooler,
            new_tokens=new_tokens,
        )
    return None, None


def trained_parts(model: PreTrainedModel, config: ResolvedTrainConfig) -> tuple[TrainedPart, ...]:
    """Every part of a model from bottom to top, with the number of trained parameters.

    Args:
        model: a model after ``choose_trained``; its weights are not needed.
        config: the settings.
    """
    top = len(modules_by_depth(model))
    known = top > 0
    depth_of = depths(model) if known else {}
    rates = peak_rates(model, config)
    body = model.base_model_prefix + "."
    parts: dict[tuple[str, int], list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in model.named_parameters():
        depth = depth_of.get(name, 0)
        if "lora_" in name:
            key = ("adapters", top + 1)
        elif not name.startswith(body):
            key = ("head", top + 2)
        elif not known:
            key = ("body", 0)
        elif depth < top:
            key = ("layer" if depth else "embeddings", depth)
        else:
            key = ("pooler" if "pooler" in name.split(".") else "last norm", top)
        parts.setdefault(key, []).append((name, parameter))
    counted = []
    for name, depth in sorted(parts, key=lambda key: key[1]):
        title = f"layer {depth - 1}" if name == "layer" else name
        # Adapters and head have a key above `top` only to sort them last.
        epoch = _first_epoch(config, min(depth, top), top)
        counted.append(_part(title, parts[name, depth], rates, epoch))
    return tuple(_merge_layers(counted))


def _first_epoch(config: ResolvedTrainConfig, depth: int, top: int) -> int | None:
    """The first epoch, counted from 1, in which the part at this depth is trained."""
    lowest = (lowest_trained(config, epoch, top) for epoch in range(max(config.epochs, 1)))
    return next((epoch for epoch, low in enumerate(lowest, start=1) if low <= depth), None)


def _part(
    name: str,
    members: Sequence[tuple[str, nn.Parameter]],
    rates: Mapping[str, float],
    epoch: int | None,
) -> TrainedPart:
    trained = [(n, p) for n, p in members if p.requires_grad and epoch is not None]
    peaks = [rates[n] for n, _ in trained]
    return TrainedPart(
        name,
        sum(p.numel() for _, p in members),
        sum(p.numel() for _, p in trained),
        min(peaks, default=0.0),
        max(peaks, default=0.0),
        epoch if trained else None,
    )


def _merge_layers(parts: Sequence[TrainedPart]) -> list[TrainedPart]:
    """Merge neighbouring layers with equal rates and epochs into one part: ``layers 0-3``."""

    def kind(part: TrainedPart) -> tuple[object, ...]:
        name = part.name.partition(" ")[0] if part.name.startswith("layer ") else part.name
        return name, part.lowest_rate, part.highest_rate, part.from_epoch

    merged = []
    for _, members in groupby(parts, kind):
        first, *others = members
        if others:
            last = others[-1].name.removeprefix("layer ")
            first = replace(
                first,
                name=f"layers {first.name.removeprefix('layer ')}-{last}",
                parameters=sum(part.parameters for part in (first, *others)),
                trained=sum(part.trained for part in (first, *others)),
            )
        merged.append(first)
    return merged
