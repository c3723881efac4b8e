"""The output of ``warmstart info`` for a terminal with 80 columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from warmstart.models.checkpoints.description import Description
    from warmstart.models.checkpoints.description import Group as ParameterGroup
    from warmstart.models.tuning.trainable import TrainedPart


def rendered_description(description: "Description") -> RenderableType:
    """Configuration, parameters with shapes, totals and memory of a model.

    The parameters of the embeddings, the first layer and the output head are listed. The other
    layers have the same shapes as the first one and are only included in the totals.

    Args:
        description: from ``warmstart.models.checkpoints.description``.
    """
    groups = description.groups
    layers = [group for group in groups if group.name.startswith("layer ")]
    listed = [group for group in groups if group not in layers[1:]]
    further: list[RenderableType] = [_trained(description.trains)] if description.trains else []
    further += [Text(description.head)] if description.head else []
    title = Text.assemble((description.name, "bold"), f"  {description.architecture}")
    return Group(
        title,
        Padding(_configuration(description), (1, 0, 1, 2), expand=False),
        *(Padding(_shapes(group, len(layers)), (0, 0, 1, 0), expand=False) for group in listed),
        Padding(_totals(description, layers), (0, 0, 1, 0), expand=False),
        *(Padding(part, (0, 0, 1, 0), expand=False) for part in further),
        _memory(description),
    )


def _configuration(description: "Description") -> Table:
    """A table of configuration values."""
    limit = description.max_tokens
    rows = {
        "model_type": description.model_type,
        **{name: f"{value:,}" for name, value in description.config.items()},
        "longest input": "unlimited" if limit is None else f"{limit:,} tokens",
    }
    if description.labels:
        rows["labels"] = ", ".join(description.labels)
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(Text(name, "dim"), Text(value))
    return table


def _shapes(group: "ParameterGroup", layers: int) -> Table:
    """Every parameter of a group with its shape."""
    others = f" (and {layers - 1} more with the same shapes)" if layers > 1 else ""
    heading = group.name + (others if group.name.startswith("layer ") else "")
    table = Table.grid(padding=(0, 1))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_row(Text(heading.capitalize(), "bold"), Text("shape", "dim"))
    for parameter in group.parameters:
        shape = " × ".join(f"{size:,}" for size in parameter.shape)
        table.add_row(Text(f"  {parameter.name}"), Text(shape))
    return table


def _totals(description: "Description", layers: list["ParameterGroup"]) -> Table:
    """Number of parameters of each group; all layers form one group."""
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right", "right"):
        table.add_column(justify=justify)
    heading = ("Parameters", "named", "count", "share")
    table.add_row(*(Text(text, "dim" if place else "bold") for place, text in enumerate(heading)))
    rows = [(group.name, [group]) for group in description.groups if group not in layers]
    rows.insert(1, (f"{len(layers)} layers", layers))
    for name, members in rows:
        count = sum(group.count for group in members)
        named = sum(len(group.parameters) for group in members)
        table.add_row(
            f"  {name}", f"{named}", f"{count:,}", f"{count / description.parameters:.1%}"
        )
    table.add_row("  all", f"{description.named_parameters}", f"{description.parameters:,}", "")
    return table


def _trained(parts: "Sequence[TrainedPart]") -> Table:
    """Parameters, trained parameters, peak learning rate and first epoch of each part."""
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "right", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    heading = ("Trained parts", "count", "trained", "peak LR", "")
    table.add_row(*(Text(text, "dim" if place else "bold") for place, text in enumerate(heading)))
    for part in parts:
        rates = dict.fromkeys(f"{rate:.3g}" for rate in (part.lowest_rate, part.highest_rate))
        later = part.from_epoch is not None and part.from_epoch > 1
        table.add_row(
            f"  {part.name}",
            f"{part.parameters:,}",
            f"{part.trained:,}" if part.trained else "–",
            " to ".join(rates) if part.trained else "–",
            f"from epoch {part.from_epoch}" if later else "",
        )
    trained, total = sum(p.trained for p in parts), sum(p.parameters for p in parts)
    table.add_row("  all", f"{total:,}", f"{trained:,}", "", f"{trained / total:.1%} trained")
    return table


def _memory(description: "Description") -> Text:
    """Memory of the model and of its training."""
    return Text.assemble(
        (f"{description.named_parameters} named parameters", "bold"),
        f"; {description.weights_mib:,.0f} MiB in float32; training with AdamW needs ",
        f"{description.training_mib:,.0f} MiB\n(weights, gradients, two moments) plus the "
        "activations of a batch.",
    )
