"""A run's ``export/`` in the order it is made: write, compare, quantise, measure, move.

Everything is made in a folder beside ``export/``, which takes that name when nothing is left to
check. So ``export/`` is absent, the old one or the new one; a check that fails leaves it as it was.
"""

import platform
import shutil
import time
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from warmstart import __version__, errors
from warmstart.export import parity
from warmstart.export.session import FILES, PARITY, OnnxModel, refuse_missing, sha256, threads
from warmstart.runs.directory import RunDirectory, flush_to_disk, refuse_unwritable
from warmstart.runs.events import events_of, read_events
from warmstart.runs.load import LoadedRun, RunTokenizer, load_run

VERSIONS = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")


def export_run(
    directory: RunDirectory, *, int8: bool = False, max_drop: float = 0.01
) -> dict[str, Any]:
    """Write and verify a run's ONNX model, replacing an earlier one.

    Args:
        directory: of a finished run.
        int8: also write a model with weights of 8 bits.
        max_drop: how much of the task's main metric that may cost.

    Returns:
        The content of ``export/parity.json``.

    Raises:
        ExportError: packages are missing, the run is not finished, PyTorch cannot export its model,
            or the ONNX model does not answer as it does.
        RunError: the run directory cannot be written, or is damaged.
    """
    refuse_missing("onnx", "onnxscript", "onnxruntime")
    if not events_of(read_events(directory.path / "events.jsonl"), "finish"):
        raise errors.export.unfinished(directory.path)
    refuse_unwritable(directory.path)
    run = _for_kept_rows(load_run(directory))
    if run.task.head != "sequence-classification":
        raise errors.export.other_task(run.task.name)
    names = (".export.partial", "export", ".export.old")
    made, place, old = (directory.path / name for name in names)
    with directory.locked():
        try:
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            content = _verified(run, made, max_drop if int8 else None)
            RunDirectory(made).write_json(Path(PARITY).name, content)
            for file in made.iterdir():
                flush_to_disk(file)
            shutil.rmtree(old, ignore_errors=True)
            if place.exists():
                place.rename(old)
            made.rename(place)
            flush_to_disk(directory.path)
        except OSError as error:
            raise errors.run.cannot_write(place, error) from error
        finally:
            for folder in (made, old):
                shutil.rmtree(folder, ignore_errors=True)
    return content


def _for_kept_rows(run: LoadedRun) -> LoadedRun:
    """The run as it reads ``predictions.parquet``, where columns of labels are one of lists."""
    data = run.config.data.model_copy(update={"label_columns": None})
    config = run.config.model_copy(update={"data": data})
    return replace(run, config=config, task=type(run.task).from_facts(config, run.task.facts))


def _verified(run: LoadedRun, folder: Path, max_drop: float | None) -> dict[str, Any]:
    """Write the files into ``folder`` and check them; the content of ``parity.json``.

    Args:
        run: opened for this alone: what is timed last changes its model's modules.
        folder: empty.
        max_drop: of the int8 model, None without one.
    """
    from warmstart.export.onnx import OPSET, write_onnx
    from warmstart.models.forward import forward_for

    start = time.perf_counter()
    path = folder / FILES["onnx"]
    tokenizer = run.tokenizer
    names = [name for name in tokenizer.model_input_names if name in _INPUTS]
    write_onnx(run.model, names, run.model.config.pad_token_id or 0, path)
    onnx_model = OnnxModel.open(path)
    shapes = parity.check_shapes(run, onnx_model)
    rows = parity.scored_rows(run)
    light = RunTokenizer.open(run.directory, names)
    compared = parity.check_rows(run, rows, onnx_model, light)
    engines: dict[str, Any] = {"onnx": onnx_model.logits}
    fused = {"onnx": parity.fused_operators(path, _attentions(run))}
    int8 = None
    if max_drop is not None:
        int8 = _int8(run, rows, folder, onnx_model, max_drop)
        fused["int8"] = parity.fused_operators(folder / FILES["int8"], layers=None)
        engines["int8"] = OnnxModel.open(folder / FILES["int8"]).logits
    forward = forward_for(run.model, rows.examples)
    engines = {"torch": partial(parity.torch_logits, run, forward), **engines}
    speed = parity.measured(engines, rows.examples)
    return {
        "warmstart": __version__,
        "versions": {name: version(name) for name in VERSIONS},
        "architecture": type(run.model).__name__,
        "model_sha256": sha256(run.directory.model / "model.safetensors"),
        "opset": OPSET,
        "inputs": names,
        "output": "logits",
        "max_tokens": run.max_tokens,
        "files": {
            file.name: {"sha256": sha256(file), "bytes": file.stat().st_size}
            for file in sorted(folder.iterdir())
        },
        "tolerance": parity.TOLERANCE,
        "shapes": shapes,
        "rows": compared,
        "fused": fused,
        "int8": int8,
        "speed": {
            "measured": "at export, on this machine, from tokenised rows to logits",
            "processor": _processor(),
            "threads": threads(),
            "engines": speed,
        },
        "seconds": round(time.perf_counter() - start, 1),
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
    """One for each layer, where Transformers computes attention in one call."""
    config = run.model.config
    return config.num_hidden_layers if config._attn_implementation == "sdpa" else None


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
