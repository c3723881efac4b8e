"""The model card: ``README.md`` in the run directory, in the format of the Hugging Face Hub.

The card contains only what the run's files contain: language and licence must be stated by the
user, so they are left out and requested, and a base model is named only if it is on the Hub. Scores
have n and an interval, and are next to the baselines, as everywhere.

Source: Hugging Face Hub documentation, "Model Cards" (metadata, ``model-index``); the sections
follow Mitchell et al. 2019, "Model Cards for Model Reporting", arXiv:1810.03993.
"""

import re
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from warmstart import config_file
from warmstart.errors.counts import counted
from warmstart.models.checkpoints.bundled import PREFIX
from warmstart.runs import words
from warmstart.runs.calibration import calibration_of
from warmstart.runs.directory import RunDirectory
from warmstart.runs.run_record import EvaluationRecord, RunRecord, read_record
from warmstart.runs.titles import Titles
from warmstart.tasks.capabilities import ReadsWords, WritesConll

BUNDLED = {"bundled/minilm-l6": "sentence-transformers/all-MiniLM-L6-v2"}
"""Hub names of the bundled models that are on the Hub."""

HUB_METRICS = {
    "macro_f1": "f1",
    "micro_f1": "f1",
    "weighted_f1": "f1",
    "subset_accuracy": "accuracy",
    "pearson_correlation": "pearsonr",
    "spearman_correlation": "spearmanr",
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
    "entity_f1": "f1",
    "entity_precision": "precision",
    "entity_recall": "recall",
    "entity_macro_f1": "f1",
    "word_accuracy": "accuracy",
}
"""The Hub's names for metrics that have a different name there."""

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~])")


def write_card(run_path: Path) -> Path:
    """Write the model card of a finished or unfinished run.

    Args:
        run_path: the run directory.

    Returns:
        The path of ``README.md``.

    Raises:
        RunError: this is not a run directory, one of its files is damaged, or it cannot be written.
    """
    record = read_record(run_path)
    header = yaml.safe_dump(metadata(record), allow_unicode=True, sort_keys=False, width=1000)
    return RunDirectory(run_path).write_text("README.md", f"---\n{header}---\n\n{_body(record)}")


def metadata(record: RunRecord) -> dict[str, Any]:
    """The card's metadata with the Hub's own keys; unknown values are left out.

    Args:
        record: the content of the run directory's files.
    """
    base = _hub_name(record.config.model.name)
    evaluation = record.evaluation
    metrics = list(dict.fromkeys(map(_hub_metric, evaluation.scores))) if evaluation else []
    results = [_result(record, found) for found in record.evaluations.values()]
    found: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": record.task.pipeline_tag,
        "base_model": base,
        "tags": ["warmstart", record.config.task],
        "metrics": metrics,
        "model-index": [{"name": record.path.resolve().name, "results": results}]
        if results
        else [],
    }
    return {key: value for key, value in found.items() if value}


def _result(record: RunRecord, evaluation: EvaluationRecord) -> dict[str, Any]:
    """One entry of ``model-index``: the scores of one split that are defined."""
    titles = Titles.of(record.task)
    files = record.files.get(evaluation.split, ())
    names = evaluation.files or [file.path for file in files]
    dataset = {"type": "file", "name": ", ".join(map(words.base_name, names)) or evaluation.split}
    if not evaluation.is_file:
        dataset["split"] = evaluation.split
    return {
        "task": {"type": record.task.pipeline_tag, "name": words.task_title(record.config.task)},
        "dataset": dataset,
        "metrics": [
            {
                "type": _hub_metric(metric),
                "name": titles.metric(metric),
                "value": round(score.value, 4),
            }
            for metric, score in evaluation.scores.items()
            if score.value is not None
        ],
    }


def _without_folders(text: str, record: RunRecord) -> str:
    for file, _ in record.sources:
        text = text.replace(file.path, words.base_name(file.path))
    return text


def _file_names(record: RunRecord) -> list[str]:
    return [words.base_name(file.path) for file, _ in record.sources]


def _hub_name(model: str) -> str | None:
    """The model's name on the Hub, or ``None`` for a folder or a bundled model without a page."""
    if model.startswith(PREFIX):
        return BUNDLED.get(model)
    return model if _HUB_ID.fullmatch(model) and not Path(model).exists() else None


def _hub_metric(name: str) -> str:
    return HUB_METRICS.get(name, name)


def markdown(text: object) -> str:
    r"""The text with Markdown characters escaped, on one line.

    >>> print(markdown("a|b *c*"))
    a\|b \*c\*
    """
    return _MARKDOWN.sub(r"\\\1", " ".join(str(text).split()))


def _body(record: RunRecord) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # Markdown, escaped by `markdown`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    titles = Titles.of(record.task)
    environment.filters |= {
        "counted": counted,
        "md": markdown,
        "number": words.number,
        "decimals": words.decimals,
        "interval": words.interval,
        "metric_title": titles.metric,
        "baseline_head": titles.baseline_head,
        "sentence_case": partial(words.sentence_case, names=_file_names(record)),
        "file_name": words.base_name,
        "task_title": words.task_title,
        "evaluation_title": partial(words.evaluation_title, shown=words.base_name),
        "setting": words.setting,
    }
    name = record.config.model.name
    messages = record.findings.messages if record.findings else ()
    return environment.get_template("card.md.j2").render(
        record=record,
        config=record.config,
        verdict=words.verdict(record),
        status=words.status(record),
        base=_hub_name(name) or (name if name.startswith(PREFIX) else PurePath(name).name),
        findings=[(message.level, _without_folders(message.text, record)) for message in messages],
        calibration=calibration_of(record),
        new=record.config.pretrain,
        cuts=record.config.data.long_documents == "truncate"
        and not isinstance(record.task, ReadsWords),
        files=("your_file.conll", "predictions.conll")
        if isinstance(record.task, WritesConll)
        else ("your_file.csv", "predictions.parquet"),
        usage=record.task.usage(),
        training=config_file.settings_read(record.config)["train"],
        environment=words.environment_in_words(record.environment),
        threads_note=words.threads_note(record.environment),
        is_on_hub=_hub_name(name) is not None,
    )
