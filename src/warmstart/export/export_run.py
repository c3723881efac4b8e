"""Create a run's ``export/``: write, compare, quantise, measure, and move into place.

All files are written into a temporary folder, which is renamed to ``export/`` after all checks. So
``export/`` is always missing, the old one or the complete new one; if a check fails, it does not
change.
"""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from warmstart import __version__, errors
from warmstart.data.reading.fetch import sha256_of
from warmstart.export import parity
from warmstart.export.session import FILES, PARITY, OnnxModel, refuse_missing, threads
from warmstart.models.checkpoints.configuration import logit_names
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import events_of, read_events
from warmstart.runs.loaded_run import LoadedRun, RunTokenizer, load_run
from warmstart.runs.safe_files import refuse_unwritable, write_folder
from warmstart.tasks import TASKS
from warmstart.tasks.capabilities import ExportKind, Exports, with_settings
from warmstart.tasks.task_settings import INT8, ONNX

VERSIONS = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")


def export_run(
    directory: RunDirectory, *, int8: bool = False, max_drop: float = 0.01
) -> dict[str, Any]:
    """Write and verify a run's ONNX model; it replaces an earlier one.

    Args:
        directory: directory of a finished run.
        int8: also write a model with 8-bit weights.
        max_drop: largest accepted drop of the main metric for the model with 8-bit weights.

    Returns:
        The content of ``export/parity.json``.

    Raises:
        ExportError: packages are missing, the run is not finished, PyTorch cannot export its model,
            or the outputs of the ONNX model do not match PyTorch's.
        RunError: the run directory cannot be written, or is damaged.
    """
    refuse_missing("onnx", "onnxscript", "onnxruntime")
    refuse_unwritable(directory.path)
    with directory.locked():
        directory.settle()
        return _export(directory, int8=int8, max_drop=max_drop)


def _export(directory: RunDirectory, *, int8: bool, max_drop: float) -> dict[str, Any]:
    """Load the model and write its files; the directory is locked."""
    if not events_of(read_events(directory.entry("events.jsonl")), "finish"):
        raise errors.export.unfinished(directory.path)
    run = load_run(directory)
    if not isinstance(run.task, Exports):
        exported = [name for name, task in TASKS.items() if task.reads >= ONNX]
        raise errors.export.other_task(run.task.name, exported)
    exporter = _BY_KIND[run.task.export_kind]
    if int8 and not run.task.reads >= INT8:
        raise errors.export.no_int8(run.task.name)
    content: dict[str, Any] = {}

    def fill(folder: Path) -> None:
        content.update(_verified(run, folder, write))
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
        (folder / Path(PARITY).name).write_text(text + "\n", encoding="utf-8")

    write = partial(exporter, max_drop=max_drop if int8 else None)
    write_folder(directory.entry("export"), fill)
    return content


def _for_kept_rows(run: LoadedRun) -> LoadedRun:
    """The run with settings for ``predictions.parquet``, which has one column with all labels."""
    data = run.config.data.model_copy(update={"label_columns": None})
    config = run.config.model_copy(update={"data": data})
    return replace(run, config=config, task=with_settings(run.task, config))


def _verified(
    run: LoadedRun, folder: Path, write: Callable[[LoadedRun, Path], dict[str, Any]]
) -> dict[str, Any]:
    """Write the files into ``folder``, check them, and return the content of ``parity.json``.

    Args:
        run: a run loaded only for this: the last measurement modifies its model's modules.
        folder: an empty folder.
        write: writes and checks the files of this head; returns its part of the content.
    """
    from warmstart.export.onnx_file import OPSET

    start = time.perf_counter()
    result = write(run, folder)
    return {
        "warmstart": __version__,
        "versions": {name: version(name) for name in VERSIONS},
        "task": run.task.name,
        "architecture": type(run.model).__name__,
        "model_sha256": sha256_of(run.directory.model / "model.safetensors"),
        "opset": OPSET,
        "max_tokens": run.max_tokens,
        "files": {
            file.name: {"sha256": sha256_of(file), "bytes": file.stat().st_size}
            for file in sorted(folder.iterdir())
        },
        **result,
        "speed": {"processor": _processor(), "threads": threads(), **result["speed"]},
        "seconds": round(time.perf_counter() - start, 1),
    }


def _classifier(run: LoadedRun, folder: Path, max_drop: float | None) -> dict[str, Any]:
    """Export a classifier of rows or of tokens; with ``max_drop`` also in int8."""
    from warmstart.export.onnx_file import write_onnx
    from warmstart.models.packed.forward import forward_for

    run = _for_kept_rows(run)
    path = folder / FILES["onnx"]
    tokenizer = run.tokenizer
    names = [name for name in tokenizer.model_input_names if name in _INPUTS]
    assert isinstance(run.task, Exports)
    every_token = run.task.export_kind == "tokens"
    pad_token_id = run.model.config.pad_token_id or 0
    outputs = logit_names(run.task.head)
    write_onnx(run.model, names, pad_token_id, path, every_token=every_token, output_names=outputs)
    onnx_model = OnnxModel.open(path)
    shapes = parity.check_shapes(run, onnx_model)
    rows = parity.scored_rows(run)
    serving_tokenizer = RunTokenizer.open(run.directory, names)
    compared = parity.check_rows(run, rows, onnx_model, serving_tokenizer)
    engines: dict[str, Any] = {"onnx": onnx_model.logits_of}
    inputs = {name: np.ones((2, 3), dtype=np.int64) for name in names}
    fused = {"onnx": parity.fused_operators(path, _attentions(run), inputs)}
    int8 = None
    if max_drop is not None:
        int8 = _int8(run, rows, folder, onnx_model, max_drop)
        fused["int8"] = parity.fused_operators(folder / FILES["int8"], None, inputs)
        engines["int8"] = OnnxModel.open(folder / FILES["int8"]).logits_of
    forward = forward_for(run.model, run.task.head, rows.examples)
    engines = {"torch": partial(parity.torch_logits, run, forward), **engines}
    return {
        "inputs": names,
        "output": ", ".join(outputs),
        "tolerance": parity.TOLERANCE,
        "shapes": shapes,
        "rows": compared,
        "fused": fused,
        "int8": int8,
        "speed": {
            "measured": "at export, on this machine, from tokenised rows to logits",
            "engines": parity.measured(engines, rows.examples),
        },
    }


def _decoder(run: LoadedRun, folder: Path, max_drop: float | None) -> dict[str, Any]:
    """Export a decoder; int8 is not supported."""
    from warmstart.export import decoder_parity
    from warmstart.export.decoder import write_decoder
    from warmstart.export.decoder_session import OnnxDecoder

    path = folder / FILES["onnx"]
    write_decoder(run.model, path)
    decoder = OnnxDecoder.open(path)
    shapes = decoder_parity.check_decoder_shapes(run, decoder)
    split, table, examples = decoder_parity.scored_documents(run)
    compared = decoder_parity.check_documents(run, decoder, split, table, examples)
    prompts = decoder_parity.prompts_from(examples)
    greedy = decoder_parity.check_greedy(run, decoder, prompts)
    ones = np.ones((2, 3), dtype=np.int64)
    fused = parity.fused_operators(path, _attentions(run), decoder.feed(ones, ones, ones))
    engines = {"torch": decoder_parity.torch_step(run.model), "onnx": decoder.step}
    session = decoder.session
    return {
        "inputs": [tensor.name for tensor in session.get_inputs()],
        "outputs": [tensor.name for tensor in session.get_outputs()],
        "tolerance": parity.TOLERANCE,
        "relative_tolerance": decoder_parity.RELATIVE_TOLERANCE,
        "shapes": shapes,
        "rows": compared,
        "greedy": greedy,
        "fused": {"onnx": fused},
        "int8": None,
        "speed": {
            "measured": "at export, on this machine, greedy generation with the cache",
            "texts_together": len(prompts),
            "steps": greedy["steps"],
            "engines": decoder_parity.measured_decoders(engines, prompts, greedy["steps"]),
        },
    }


_BY_KIND: dict[ExportKind, Callable[..., dict[str, Any]]] = {
    "rows": _classifier,
    "tokens": _classifier,
    "decoder": _decoder,
}

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def _int8(
    run: LoadedRun, rows: parity.Rows, folder: Path, onnx_model: OnnxModel, max_drop: float
) -> dict[str, Any]:
    from warmstart.export.quantize import adds_in_32_bits, write_int8

    path = folder / FILES["int8"]
    reduce_range = not adds_in_32_bits()
    write_int8(folder / FILES["onnx"], path, reduce_range=reduce_range)
    metric = parity.check_int8(run, rows, onnx_model, OnnxModel.open(path), max_drop)
    return {"reduce_range": reduce_range, "metric": metric}


def _attentions(run: LoadedRun) -> int | None:
    """Expected number of fused attentions: one per layer with SDPA; None if it is not known."""
    config = run.model.config
    return config.num_hidden_layers if config._attn_implementation == "sdpa" else None


def _processor() -> str:
    """The name of the processor, if the system provides it; otherwise its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
