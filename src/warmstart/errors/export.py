"""Texts of the errors about ONNX: a model that cannot be exported, is not exact, or was changed."""

from collections.abc import Sequence
from pathlib import Path

from warmstart.errors.base import ExportError


def packages_missing(names: Sequence[str]) -> ExportError:
    """What ONNX needs is not installed."""
    return ExportError(
        found=f"not installed: {', '.join(names)}",
        expected="the packages that write and run ONNX models",
        do="pip install 'warmstart[onnx]'; or stay with PyTorch (--engine torch)",
    )


def unfinished(path: Path) -> ExportError:
    """The run may still find a better model."""
    return ExportError(
        found=f"the run in {path} is not finished",
        expected="a finished run: what is exported is not to be replaced by a better model",
        do=f"go on training: warmstart train {path} --resume",
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
    """PyTorch has no ONNX form of something that the model does."""
    return ExportError(
        found=f"PyTorch cannot export {architecture}: {reason}",
        expected="an architecture whose operators all have an ONNX form, as BERT, RoBERTa, ELECTRA,"
        " DistilBERT, ModernBERT, GPT-2, GPT-NeoX, Llama and Qwen2",
        do="a newer version (pip install -U torch onnxscript), another --model; or stay with"
        " PyTorch (--engine torch)",
    )


def differs(what: str, found: str, expected: str) -> ExportError:
    """The ONNX model does not answer as PyTorch does; nothing was kept."""
    return ExportError(
        found=f"the ONNX model is not the trained model, for {what}: {found}",
        expected=f"{expected}; nothing was written",
        do="another version of torch, onnxscript or onnxruntime; or stay with PyTorch"
        " (--engine torch)",
    )


def int8_worse(metric: str, drop: float, interval: str, rows: int, max_drop: float) -> ExportError:
    """Weights of 8 bits cost more of the task's metric than was allowed; nothing was kept."""
    return ExportError(
        found=f"int8 loses {drop:.4f} of {metric} {interval} on {rows:,} rows",
        expected=f"a loss of {max_drop:g} or less; nothing was written",
        do=f"allow it: --max-drop {drop + 0.00005:.4f}; or leave --int8 out",
    )


def without_rows(path: Path) -> ExportError:
    """There is nothing to compare the two models on."""
    return ExportError(
        found=f"{path}/evaluation holds neither test/ nor validation/predictions.parquet",
        expected="the rows that the run was scored on: the ONNX model must answer them alike",
        do="restore the folder, or train again from the run's config.yaml",
    )


def not_exported(path: Path, engine: str, file: str) -> ExportError:
    """An engine was asked for whose file is not there."""
    option = " --int8" if engine == "int8" else ""
    return ExportError(
        found=f"--engine {engine}, but there is no {path}/export/{file}",
        expected="an exported model",
        do=f"warmstart export {path}{option}; or --engine torch",
    )


def of_no_run(name: str) -> ExportError:
    """ONNX Runtime is to write with a checkpoint, which no run has exported."""
    return ExportError(
        found=f"--engine onnx with {name}, which is no run directory",
        expected="a run that was exported",
        do="--engine torch; or train from this model, then: warmstart export RUN",
    )


def changed(path: Path, run: Path) -> ExportError:
    """A file is not the one that was verified."""
    return ExportError(
        found=f"{path} is not the file that was verified: its sha256 is not that of parity.json",
        expected="the file as `warmstart export` wrote it",
        do=f"warmstart export {run}; or stay with PyTorch (--engine torch)",
    )
