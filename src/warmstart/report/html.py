"""The report: one self-contained HTML page about one run; its figures are also saved as PNG.

The page loads nothing from a server: style and figures are inside it, fonts are those of the
reader's system, and there is no script. It follows the reader's light or dark theme, fits a phone
and can be printed.
"""

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from warmstart import config_file
from warmstart.config import DataConfig, RunConfig
from warmstart.errors.counts import counted, form
from warmstart.report import figures
from warmstart.report.report_content import ReportContent, gather
from warmstart.report.svg import can_draw, drawing, to_png, to_svg
from warmstart.runs import words
from warmstart.runs.calibration import calibration_of
from warmstart.runs.directory import RunDirectory
from warmstart.runs.run_record import EvaluationRecord, RunRecord
from warmstart.runs.safe_files import write_atomically
from warmstart.runs.titles import Titles

FOLDER = Path(__file__).parent

SHOWN_ROWS = 20
"""Rows of a table of labels that are shown; the reader can open the others."""
SHOWN_MISTAKES = 8
"""Mistakes that are shown; the reader can open the others."""


def write_report(run_path: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` of a finished or unfinished run.

    Args:
        run_path: the run directory.

    Returns:
        The path of the page.

    Raises:
        RunError: this is not a run directory, one of its files is damaged, or it cannot be written.
    """
    run, content = RunDirectory(run_path), gather(run_path)
    pictures = {}
    labels = content.record.labels
    with drawing(labels):
        for number, (name, (figure, description)) in enumerate(draw(content).items()):
            pictures[name] = Markup(to_svg(figure, f"figure{number}", description))
            if name.endswith("confusion") and not can_draw("".join(labels)):
                figure = _numbered_confusion(content, name)
            write_atomically(run.entry(f"figures/{name}.png"), partial(to_png, figure))
    page = render(content, pictures)
    return run.write_text("report.html", page)


def _numbered_confusion(content: ReportContent, name: str) -> Figure:
    """A confusion matrix for a PNG file; in the page, the browser's fonts draw the labels."""
    folder = name.rpartition("/")[0]
    evaluation = content.record.evaluations[folder] if folder else content.evaluation
    assert evaluation is not None
    details = evaluation.details
    return figures.confusion(details["confusion_matrix"], details["labels"], numbered=True)


def draw(content: ReportContent) -> dict[str, tuple[Figure, str]]:
    """The figures for which this run has data, each with a description of its content.

    Call it inside ``svg.drawing()``.
    """
    drawn: dict[str, tuple[Figure, str]] = {}
    record = content.record
    if record.steps:
        drawn["loss"] = (
            figures.loss(record.steps, record.checks, content.overfits_after, _unit(record)),
            f"Training loss over {counted(len(record.steps), 'step')} and validation loss at "
            f"{counted(len(record.checks), 'evaluation')}.",
        )
    metric = content.training_metric
    if metric is not None:
        title = Titles.of(record.task).metric(metric)
        drawn["metric"] = (
            figures.metric(record.checks, metric, title),
            f"{title} on the validation rows at each evaluation.",
        )
    if content.lengths is not None:
        drawn["lengths"] = (
            figures.lengths(content.lengths),
            "Histogram of the training rows' lengths in tokens.",
        )
    for evaluation in content.evaluated_files:
        drawn |= {
            f"{evaluation.split}/{name}": found
            for name, found in _error_figures(evaluation).items()
        }
    return drawn | _evaluation_figures(content)


def _evaluation_figures(content: ReportContent) -> dict[str, tuple[Figure, str]]:
    evaluation = content.evaluation
    if evaluation is None:
        return {}
    drawn: dict[str, tuple[Figure, str]] = {}
    main, details = evaluation.main_metric, evaluation.details
    titles = Titles.of(content.record.task)
    systems = {"model": evaluation.scores[main]} | {
        titles.baseline_head(name): scores[main] for name, scores in evaluation.baselines.items()
    }
    drawn["scores"] = figures.scores(systems, titles.metric(main)), f"{content.verdict}"
    drawn |= _error_figures(evaluation)
    if content.points is not None:
        drawn["scatter"] = (
            figures.scatter(*content.points),
            f"Predicted against true numbers of {counted(len(content.points[0]), 'row')}.",
        )
    if details.get("matthews_per_batch") and not content.batch_note:
        whole = evaluation.scores.get("matthews_correlation")
        drawn["matthews_per_batch"] = (
            figures.matthews_per_batch(
                details["matthews_per_batch"], details["batch_rows"], whole.value if whole else None
            ),
            "Matthews correlation of each batch of rows in file order.",
        )
    return drawn


def _error_figures(evaluation: EvaluationRecord) -> dict[str, tuple[Figure, str]]:
    """The figures of one evaluation that need only its details."""
    drawn: dict[str, tuple[Figure, str]] = {}
    details = evaluation.details
    labels = details.get("labels", ())
    if "confusion_matrix" in details and len(labels) <= figures.MAX_CLASSES:
        drawn["confusion"] = (
            figures.confusion(details["confusion_matrix"], labels),
            "Counts of true against predicted labels; the table next to it has the same per label.",
        )
    if any(part["n"] for part in details.get("calibration", ())):
        drawn["calibration"] = (
            figures.calibration(
                details["calibration"], evaluation.uncalibrated.get("calibration", ())
            ),
            "Accuracy against confidence in bins, with the number of rows in each"
            f"{'; also of the uncalibrated model' if evaluation.uncalibrated else ''}.",
        )
    return drawn


def render(content: ReportContent, pictures: Mapping[str, Markup]) -> str:
    """The page as text.

    Args:
        content: the content of the report.
        pictures: ``<svg>`` elements by figure name.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    titles = Titles.of(content.record.task)
    environment.filters |= {
        "counted": counted,
        "form": form,
        "number": words.number,
        "decimals": words.decimals,
        "interval": words.interval,
        "percent": words.percent_text,
        "duration": words.duration,
        "metric_title": titles.metric,
        "baseline_head": titles.baseline_head,
        "sentence_case": partial(
            words.sentence_case, names=[file.path for file, _ in content.record.sources]
        ),
        "evaluation_title": words.evaluation_title,
        "task_title": words.task_title,
        "setting": words.setting,
        "breakable": _breakable,
        "date": _date,
    }
    template = environment.get_template("template.html.j2")
    settings = config_file.settings_read(content.record.config)
    return template.render(
        content=content,
        record=content.record,
        config=content.record.config,
        evaluation=content.evaluation,
        calibration=calibration_of(content.record),
        pictures=pictures,
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        settings=settings,
        changed=_changed(settings, content.record),
        source=_source(content.record.config.data.train),
        status=words.status(content.record),
        kept=content.record.kept,
        leader=leader,
        numbers_columns=figures.numbers_columns,
        named_classes=figures.NAMED_CLASSES,
        shown_rows=SHOWN_ROWS,
        shown_mistakes=SHOWN_MISTAKES,
        loss_note=_loss_note(content),
        loss_unit=_unit(content.record),
        command=_command(content.record),
        threads_note=words.threads_note(content.record.environment),
        environment=words.environment_in_words(content.record.environment),
    )


def _breakable(label: str) -> Markup:
    """A name in which the browser may begin a new line after ``_``, rather than within a word."""
    return Markup("_<wbr>").join(escape(word) for word in label.split("_"))


def _changed(settings: Mapping[str, Any], record: RunRecord) -> set[tuple[str, str]]:
    """Group and name of the settings that differ from their defaults and were not chosen."""
    config, chosen = record.config, set(record.chosen)
    plain = RunConfig(task=config.task, data=DataConfig(train=config.data.train)).model_dump()
    return {
        (group, name)
        for group, values in settings.items()
        if isinstance(values, Mapping)
        for name, value in values.items()
        if value != (plain[group] or {}).get(name) and f"{group}.{name}" not in chosen
    }


def _source(train: str | list[str]) -> str:
    """The training data in a heading: the name of the file, or of the first of several."""
    first, *others = [train] if isinstance(train, str) else train
    is_path = "/" in first and ":" not in first and not first.startswith("bundled/")
    name = first.rstrip("/").rsplit("/", 1)[-1] if is_path else first
    return f"{name} and {len(others)} more" if others else name


def leader(evaluation: EvaluationRecord, metric: str) -> str | None:
    """The best system by a metric: ``model``, a baseline, or ``None`` if no single one is best."""
    systems = {"model": evaluation.scores, **evaluation.baselines}
    found = {name: scores[metric] for name, scores in systems.items() if metric in scores}
    ahead = [
        name
        for name, score in found.items()
        if len(found) > 1
        and all(score.better_than(rival) for other, rival in found.items() if other != name)
    ]
    return ahead[0] if ahead else None


def _unit(record: RunRecord) -> str:
    """The unit of the run's losses."""
    return record.task.loss_unit


def _loss_note(content: ReportContent) -> str:
    """What the loss curves show about overfitting, as a sentence."""
    if not content.record.checks:
        return ""
    if len(content.record.checks) == 1:
        return "One evaluation cannot show overfitting."
    start = content.overfits_after
    if start is None:
        return "Validation loss did not only rise at the end, so no overfitting is marked."
    return (
        f"Validation loss only rises after epoch {words.number(start.epoch)}: after that the "
        "model improves on its training rows only."
    )


def _command(record: RunRecord) -> str:
    config = RunDirectory(record.path).entry("config.yaml")
    output = record.path.with_name(f"{record.path.name}-again")
    command = "pretrain" if record.config.pretrain else "train"
    return f"warmstart {command} {shlex.quote(str(config))} --output {shlex.quote(str(output))}"


def _date(seconds: float) -> str:
    """A time in seconds since 1970 as a date and time of day, UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
