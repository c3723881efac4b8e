"""Weights of 8 bits: a quarter of the size, and faster where the processor has the instructions.

*Dynamic* quantisation: weights are rounded once, channel by channel; activations as they come, by
the largest of their batch, so a row's answer depends a little on the rows beside it.

The second product of each feed-forward network stays in float32. It reads what an activation made,
values on one side of zero with a few large ones, which one scale of 8 bits serves badly: of the
difference that int8 makes to a MiniLM's logits nearly half is from there.

Processors without VNNI add pairs of products in 16 bits, which overflows: silently wrong answers.
There the weights get 7 bits (``reduce_range``), which cannot overflow; so they do where the
processor is not known.

Source: ONNX Runtime documentation, "Quantize ONNX models" (*When and why do I need to try U8U8?*).
"""

import platform
from pathlib import Path
from typing import Any

VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Instructions that add products of bytes in 32 bits, as ``/proc/cpuinfo`` calls them."""


def adds_in_32_bits(cpuinfo: Path = Path("/proc/cpuinfo"), machine: str | None = None) -> bool:
    """Whether this processor is known to add products of bytes without overflow.

    Args:
        cpuinfo: Linux's list of what the processor can.
        machine: its architecture; by default this one's.
    """
    if (machine or platform.machine()) in {"aarch64", "arm64"}:
        return True
    try:
        flags = cpuinfo.read_text().partition("\nflags")[2].partition("\n")[0].split()
    except OSError:
        return False
    return not VNNI.isdisjoint(flags)


def write_int8(source: Path, target: Path, *, reduce_range: bool) -> None:
    """Write a model with its weights in 8 bits.

    Args:
        source: the float32 model's file.
        target: the file to write.
        reduce_range: 7 bits.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    model = onnx.load(source)
    # Some weights are turned round as they are rounded; what is noted of their shape would
    # contradict. That of other values lets ONNX Runtime fuse more.
    weights = {tensor.name for tensor in model.graph.initializer}
    shapes = [value for value in model.graph.value_info if value.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(shapes)
    add_pre_process_metadata(model)  # it was optimised already; else a warning asks for that
    quantize_dynamic(
        model,
        target,
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        reduce_range=reduce_range,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=_narrowing(model),
        use_external_data_format=source.with_name(f"{source.name}.data").exists(),
    )


def _narrowing(model: Any) -> list[str]:
    """Names of the linear layers that have more inputs than outputs."""
    shapes = {weights.name: weights.dims for weights in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul"
        and len(shape := shapes.get(node.input[1], ())) == 2
        and shape[0] > shape[1]
    ]
