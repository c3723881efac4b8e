"""Error messages about ONNX: a model cannot be exported, has different outputs, or was changed."""

from collections.abc import Sequence
from pathlib import Path

from warmstart.errors.base import ExportError
from warmstart.errors.counts import counted


def packages_missing(names: Sequence[str]) -> ExportError:
    """Packages that are needed for ONNX are not installed."""
    return ExportError(
        found=f"not installed: {', '.join(names)}",
        expected="the packages that export and run ONNX models",
        do="pip install 'warmstart[onnx]'; or use PyTorch (--engine torch)",
    )


def unfinished(path: Path) -> ExportError:
    """The run is not finished, so it may still replace its model with a better one."""
    return ExportError(
        found=f"the run in {path} is not finished",
        expected="a finished run, whose model no longer changes",
        do=f"resume training: warmstart train {path} --resume",
    )


def other_task(task: str, exported: Sequence[str]) -> ExportError:
    """A run whose task is not exported."""
    return ExportError(
        found=f"a run of the task {task}",
        expected=f"a run of a task that is exported: {', '.join(exported)}",
        do="use the run's model/ folder, which Transformers opens: AutoModel.from_pretrained",
    )


def no_int8(task: str) -> ExportError:
    """Weights of 8 bits for a task that does not allow them."""
    return ExportError(
        found=f"--int8 for a run of the task {task}",
        expected="a run of a classifier or a ranker: when text is generated, one token that "
        "rounding changed changes all tokens after it",
        do="leave --int8 out",
    )


def unsupported(architecture: str, reason: str) -> ExportError:
    """PyTorch cannot convert an operator of the model to ONNX."""
    return ExportError(
        found=f"PyTorch cannot export {architecture}: {reason}",
        expected="an architecture whose operators can all be converted to ONNX, such as BERT,"
        " RoBERTa, ELECTRA, DistilBERT, ModernBERT, GPT-2, GPT-NeoX, Llama and Qwen2",
        do="install a newer version (pip install -U torch onnxscript), or train another --model;"
        " or use PyTorch (--engine torch)",
    )


def differs(what: str, found: str, expected: str) -> ExportError:
    """The outputs of the ONNX model differ from PyTorch's; nothing was kept."""
    return ExportError(
        found=f"the ONNX model differs from the PyTorch model for {what}: {found}",
        expected=f"{expected}; nothing was written",
        do="install another version of torch, onnxscript or onnxruntime; or use PyTorch"
        " (--engine torch)",
    )


def int8_worse(metric: str, drop: float, interval: str, rows: int, max_drop: float) -> ExportError:
    """int8 weights lower the main metric by more than the allowed drop; nothing was kept."""
    return ExportError(
        found=f"with int8, {metric} drops by {drop:.4f} {interval} on {counted(rows, 'row')}",
        expected=f"a drop of at most {max_drop:g}; nothing was written",
        do=f"allow it: --max-drop {drop + 0.00005:.4f}; or leave --int8 out",
    )


def without_rows(path: Path) -> ExportError:
    """No rows are available on which to compare the ONNX model with PyTorch."""
    return ExportError(
        found=f"{path}/evaluation has neither test/ nor validation/predictions.parquet",
        expected="the rows that the run was scored on, to compare the ONNX model with PyTorch",
        do="restore the folder, or train again from the run's config.yaml",
    )


def not_exported(path: Path, engine: str, file: str) -> ExportError:
    """The exported file of the requested engine does not exist."""
    option = " --int8" if engine == "int8" else ""
    return ExportError(
        found=f"--engine {engine}, but there is no {path}/export/{file}",
        expected="an exported model",
        do=f"warmstart export {path}{option}; or --engine torch",
    )


def checkpoint_not_exported(name: str) -> ExportError:
    """ONNX Runtime was requested for a plain checkpoint; only runs can be exported."""
    return ExportError(
        found=f"--engine onnx with {name}, which is not a run directory",
        expected="a run that was exported",
        do="--engine torch; or train from this model, then: warmstart export RUN",
    )


def other_model(weights: Path, run: Path) -> ExportError:
    """The run's model is not the one that was exported."""
    return ExportError(
        found=f"{weights} was changed after the export: its sha256 differs from model_sha256 in "
        "parity.json",
        expected="the model that was exported, so that both give the same predictions",
        do=f"export it again: warmstart export {run}; or use PyTorch (--engine torch)",
    )


def unusable_file(path: Path, reason: str) -> ExportError:
    """ONNX Runtime cannot open the file, or it is not this run's model."""
    first_line = next(iter(reason.strip().splitlines()), "")
    return ExportError(
        found=f"cannot run {path}: {first_line[:200]}",
        expected="the model that `warmstart export` wrote for this run",
        do=f"warmstart export {path.parent.parent}; or use PyTorch (--engine torch)",
    )


def changed(path: Path, run: Path) -> ExportError:
    """An exported file changed after it was verified."""
    return ExportError(
        found=f"{path} was changed after it was verified: its sha256 differs from parity.json",
        expected="the file as `warmstart export` wrote it",
        do=f"warmstart export {run}; or use PyTorch (--engine torch)",
    )
