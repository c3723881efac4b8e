"""What of a model trains: chosen as the settings say, and counted part by part.

The parts are those of ``parts``: embeddings, layers, what is above them (pooler or last norm, then
the head), and adapters where there are any. Of an architecture whose layers are not known the body
is one part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from warmstart.config import TrainConfig
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
    """One part of a model, or several layers that train alike.

    Args:
        name: ``embeddings``, ``layers 0-5``, ``pooler``, ``head``, ``adapters`` …
        parameters: numbers in it.
        trained: so many of them learn.
        lowest_rate: lowest peak rate of those that learn; 0 where none does.
        highest_rate: the highest.
        from_epoch: the epoch, counted from 1, in which it begins to learn; None for never.
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
    """What ``TrainedPart.to_json`` wrote, read back.

    Args:
        content: of all parts.
    """
    return tuple(TrainedPart(**part) for part in content)


def choose_trained(
    model: PreTrainedModel, config: TrainConfig, head: Head, *, new_pooler: bool
) -> tuple[Frozen | None, Any]:
    """Freeze or adapt a model as the settings say.

    Args:
        model: changed in place.
        config: the settings.
        head: what the task put on the body.
        new_pooler: the checkpoint had no pooler, so that it trains as the head does.

    Returns:
        What is frozen, or None; and peft's configuration of the adapters, or None.

    Raises:
        ModelError: the model has no such parts.
    """
    if config.freeze is not None:
        frozen = frozen_part(config.freeze, model.config, head)
        freeze(model, frozen, new_pooler=new_pooler)
        return frozen, None
    if config.lora is not None:
        return None, adapt(model, config.lora, head, config.seed, new_pooler=new_pooler)
    return None, None


def trained_parts(model: PreTrainedModel, config: TrainConfig) -> tuple[TrainedPart, ...]:
    """Every part of a model, from bottom to top, and what of it trains.

    Args:
        model: after ``choose_trained``; names and shapes are enough.
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
    found = [
        _part(f"layer {depth - 1}" if name == "layer" else name, parts[name, depth], rates, epoch)
        for name, depth in sorted(parts, key=lambda key: key[1])
        for epoch in [_first_epoch(config, min(depth, top), top)]
    ]
    return tuple(_joined(found))


def _first_epoch(config: TrainConfig, depth: int, top: int) -> int | None:
    """The epoch, counted from 1, in which a depth begins to train."""
    lowest = (lowest_trained(config, epoch, top) for epoch in range(config.epochs))
    return next((epoch for epoch, low in enumerate(lowest, start=1) if low <= depth), None)


def _part(
    name: str,
    members: Sequence[tuple[str, nn.Parameter]],
    rates: Mapping[str, float],
    epoch: int | None,
) -> TrainedPart:
    trained = [(n, p) for n, p in members if p.requires_grad and epoch is not None]
    own = [rates[n] for n, _ in trained]
    return TrainedPart(
        name,
        sum(p.numel() for _, p in members),
        sum(p.numel() for _, p in trained),
        min(own, default=0.0),
        max(own, default=0.0),
        epoch if trained else None,
    )


def _joined(parts: Sequence[TrainedPart]) -> list[TrainedPart]:
    """Neighbouring layers that train alike as one part: ``layers 0-3``."""

    def kind(part: TrainedPart) -> tuple[object, ...]:
        name = part.name.partition(" ")[0] if part.name.startswith("layer ") else part.name
        return name, part.lowest_rate, part.highest_rate, part.from_epoch

    joined = []
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
        joined.append(first)
    return joined
