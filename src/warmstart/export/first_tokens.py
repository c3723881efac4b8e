"""The head reads each row's first token: the last layer need not be computed for the others.

A classifier's graph ends in ``Gather(hidden, 0, axis=1)``. What comes before it does to a token
what it does to every other (linear layers, norms, activations, sums), up to the attention of the
last layer, which looks around. So the first token may as well be taken before them: the same
numbers, and the larger part of one layer saved. ``packed.architectures`` does so for PyTorch; here
it is done on the graph, and so for any architecture.

Shapes: [B, L, H] becomes [B, 1, H].

Source: onnx_ir documentation, "Getting started" (values, their producers and users).
"""

import numpy as np
import onnx_ir as ir

TOKENWISE = frozenset(
    {"Add", "Div", "Gelu", "LayerNormalization", "MatMul", "Mul", "Relu", "Split", "Sub", "Tanh"}
)
"""Operators that look at one token at a time, under the conditions of ``_is_tokenwise``."""


def take_first_tokens_early(model: ir.Model) -> int:
    """Take the tokens that the head reads as early as possible.

    Args:
        model: changed in place.

    Returns:
        How many operators run for first tokens alone now.
    """
    nodes = list(model.graph)
    moved: list[ir.Node] = []
    for position, node in enumerate(nodes):
        if node.op_type == "Gather" and _reads_first_tokens(node):
            moved += _move(model.graph, nodes[:position], node)
    return len(moved)


def _reads_first_tokens(node: ir.Node) -> bool:
    _, index = node.inputs
    if node.attributes.get_int("axis", 0) != 1 or index is None or index.const_value is None:
        return False
    return bool((index.const_value.numpy() == 0).all())


def _move(graph: ir.Graph, before: list[ir.Node], reader: ir.Node) -> list[ir.Node]:
    """The operators that nobody but ``reader`` waits for, fed with first tokens alone."""
    readers = {reader}
    for node in reversed(before):
        users = [use.node for value in node.outputs for use in value.uses()]
        kept = any(value.is_graph_output() for value in node.outputs)
        if users and readers.issuperset(users) and not kept and _is_tokenwise(node):
            readers.add(node)
    moved = [node for node in before if node in readers]
    made = {value for node in moved for value in node.outputs}
    first: dict[ir.Value, ir.Value] = {}
    for node in moved:
        for place, value in enumerate(node.inputs):
            if value is not None and value.const_value is None and value not in made:
                if value not in first:
                    first[value] = _gather(graph, node, value)
                node.replace_input_with(place, first[value])
        for output in node.outputs:
            output.shape = _of_first_tokens(output)
    return moved


def _gather(graph: ir.Graph, before: ir.Node, value: ir.Value) -> ir.Value:
    """First tokens of a value, made just before the node that needs them."""
    name = f"{value.name}_first"
    index = ir.Value(name=f"{name}_index", const_value=ir.tensor(np.array([0])))
    graph.register_initializer(index)
    node = ir.node("Gather", [value, index], {"axis": 1})
    output = node.outputs[0]
    output.name, output.shape, output.type = name, _of_first_tokens(value), value.type
    graph.insert_before(before, node)
    return output


def _of_first_tokens(value: ir.Value) -> ir.Shape | None:
    """The value's shape [B, L, H] as [B, 1, H]; without it ONNX Runtime fuses less."""
    if value.shape is None or len(value.shape) != 3:
        return None
    return ir.Shape([value.shape[0], 1, value.shape[2]])


def _is_tokenwise(node: ir.Node) -> bool:
    """Whether each token's output depends on that token alone, by constants that all share."""
    if node.op_type not in TOKENWISE or node.domain:
        return False
    values = [value for value in node.inputs if value is not None]
    ranks = [None if value.shape is None else len(value.shape) for value in values]
    constant = [value.const_value is not None for value in values]
    if node.op_type == "MatMul":
        return ranks == [3, 2] and constant == [False, True]
    if node.op_type in {"LayerNormalization", "Split"}:
        return ranks[0] == 3 and node.attributes.get_int("axis", 0) in {-1, 2}
    return all(
        rank is not None and (rank <= 1 if fixed else rank == 3)
        for rank, fixed in zip(ranks, constant, strict=True)
    )
