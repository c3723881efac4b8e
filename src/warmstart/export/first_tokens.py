"""Optimise a classifier's ONNX graph: compute the end of the last layer for first tokens only.

The head only uses the first token of each row: the graph ends with ``Gather(hidden, 0, axis=1)``.
The operators between the last attention and this ``Gather`` (linear layers, norms, activations,
sums) process every token independently. So the ``Gather`` can be moved before them: the results are
the same, and most of the last layer's work is saved. ``packed.architectures`` does this for
PyTorch; here it is done on the graph, so it works for any architecture.

Shapes: [B, L, H] becomes [B, 1, H].

Source: onnx_ir documentation, "Getting started" (values, their producers and users).
"""

import numpy as np
import onnx_ir as ir

TOKENWISE = frozenset(
    {"Add", "Div", "Gelu", "LayerNormalization", "MatMul", "Mul", "Relu", "Split", "Sub", "Tanh"}
)
"""Operators that process tokens independently, under the conditions of ``_is_tokenwise``."""


def take_first_tokens_early(model: ir.Model) -> int:
    """Select the first tokens as early in the graph as possible.

    Args:
        model: changed in place.

    Returns:
        The number of operators that now run for first tokens only.
    """
    nodes = list(model.graph)
    moved: list[ir.Node] = []
    for position, node in enumerate(nodes):
        if node.op_type == "Gather" and _selects_first_tokens(node):
            moved += _move(model.graph, nodes[:position], node)
    return len(moved)


def _selects_first_tokens(node: ir.Node) -> bool:
    """Whether a ``Gather`` selects index 0 of axis 1."""
    _, index = node.inputs
    if node.attributes.get_int("axis", 0) != 1 or index is None or index.const_value is None:
        return False
    return bool((index.const_value.numpy() == 0).all())


def _move(graph: ir.Graph, before: list[ir.Node], gather: ir.Node) -> list[ir.Node]:
    """Find the operators that only ``gather`` depends on, and feed them with first tokens only."""
    consumers = {gather}
    # Backwards through the graph: a node qualifies if all its outputs go to qualified nodes.
    for node in reversed(before):
        users = [use.node for value in node.outputs for use in value.uses()]
        is_output = any(value.is_graph_output() for value in node.outputs)
        if users and consumers.issuperset(users) and not is_output and _is_tokenwise(node):
            consumers.add(node)
    moved = [node for node in before if node in consumers]
    internal = {value for node in moved for value in node.outputs}
    first: dict[ir.Value, ir.Value] = {}  # a value [B, L, H] and its first tokens [B, 1, H]
    for node in moved:
        for index, value in enumerate(node.inputs):
            if value is not None and value.const_value is None and value not in internal:
                if value not in first:
                    first[value] = _gather(graph, node, value)
                node.replace_input_with(index, first[value])
        for output in node.outputs:
            output.shape = _of_first_tokens(output)
    return moved


def _gather(graph: ir.Graph, before: ir.Node, value: ir.Value) -> ir.Value:
    """Insert a ``Gather`` of a value's first tokens before the node that needs them."""
    name = f"{value.name}_first"
    index = ir.Value(name=f"{name}_index", const_value=ir.tensor(np.array([0])))
    graph.register_initializer(index)
    node = ir.node("Gather", [value, index], {"axis": 1})
    output = node.outputs[0]
    output.name, output.shape, output.type = name, _of_first_tokens(value), value.type
    graph.insert_before(before, node)
    return output


def _of_first_tokens(value: ir.Value) -> ir.Shape | None:
    """The shape [B, L, H] of a value as [B, 1, H]; without shapes ONNX Runtime fuses less."""
    if value.shape is None or len(value.shape) != 3:
        return None
    return ir.Shape([value.shape[0], 1, value.shape[2]])


def _is_tokenwise(node: ir.Node) -> bool:
    """Whether the output for each token depends only on that token, in the same way for all."""
    if node.op_type not in TOKENWISE or node.domain:
        return False
    values = [value for value in node.inputs if value is not None]
    ranks = [None if value.shape is None else len(value.shape) for value in values]
    constant = [value.const_value is not None for value in values]
    if node.op_type == "MatMul":
        return ranks == [3, 2] and constant == [False, True]
    if node.op_type in {"LayerNormalization", "Split"}:
        return ranks[0] == 3 and node.attributes.get_int("axis", 0) in {-1, 2}
    # Element-wise operators: constants must be scalars or vectors [H], everything else [B, L, H].
    return all(
        rank is not None and (rank <= 1 if fixed else rank == 3)
        for rank, fixed in zip(ranks, constant, strict=True)
    )
