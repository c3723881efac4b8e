"""Rows of an embedding for new tokens, trained next to adapters.

Adapters leave the embedding frozen, and the vector of a new token would stay what it was at first.
Here a few rows are parameters of their own, and the table that every module sees is the frozen
table with these rows in it. An output layer that shares the table with the embedding shares the
rows too.

Source: PyTorch, ``torch.nn.utils.parametrize``; peft, "Efficiently train tokens alongside LoRA"
(``trainable_token_indices``), whose format ``adapter/`` has.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class NewRows(nn.Module):
    """Some rows of a table [V, H] as a parameter of their own.

    Args:
        table: [V, H]; it is not changed.
        rows: ids of the rows.
    """

    values: nn.Parameter
    """[rows, H]."""
    rows: Tensor
    """int64 [rows]."""

    def __init__(self, table: Tensor, rows: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("rows", torch.tensor(rows, device=table.device), persistent=False)
        self.values = nn.Parameter(table.detach()[self.rows])

    def forward(self, table: Tensor) -> Tensor:
        """The table with these rows in it, [V, H]."""
        return table.index_copy(0, self.rows, self.values)


def train_new_rows(model: "PreTrainedModel", rows: Sequence[int]) -> dict[str, list[int]]:
    """Train some rows of the embedding and of the output layer, whose tables stay frozen.

    Args:
        model: a decoder with a frozen embedding; changed in place.
        rows: ids of the tokens.

    Returns:
        Name of each module that has rows of its own -> ids, for ``trainable_token_indices`` of
        peft. An output layer that shares the table of the embedding is not named.
    """
    tables: dict[int, NewRows] = {}
    named = {}
    body: Any = model
    for module in (body.get_input_embeddings(), body.get_output_embeddings()):
        assert isinstance(module.weight, nn.Parameter)
        shared = tables.get(id(module.weight))
        if shared is None:
            shared = tables[id(module.weight)] = NewRows(module.weight, rows)
            named[next(name for name, one in model.named_modules() if one is module)] = [*rows]
        # `unsafe` leaves out a check that computes the whole table several times.
        parametrize.register_parametrization(module, "weight", shared, unsafe=True)
    return named


def with_new_rows(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights under Transformers' names, with the trained rows in their tables.

    Args:
        model: a model, perhaps after ``train_new_rows``; it is not changed.
        weights: its ``state_dict``, perhaps with other names of other weights.
    """
    out = {name: tensor for name, tensor in weights.items() if ".parametrizations." not in name}
    tables: dict[int, Tensor] = {}
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            parts = module.parametrizations.weight
            with torch.no_grad():
                # Modules that share the table get the same tensor, so that it is saved once.
                out[f"{name}.weight"] = tables.setdefault(id(parts[0]), parts())
    return out


def peft_names(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename trained rows as peft names them.

    Args:
        named: tensors by their names in the model.
    """
    ours, theirs = ".parametrizations.weight.0.values", ".token_adapter.trainable_tokens_delta"
    return {name.replace(ours, theirs): tensor for name, tensor in named.items()}
