"""``experiment.html``: one self-contained page about all trials of an experiment.

It has the style of the report of a run, and is made from ``results.json`` and the run directories
alone. Links to the trials' own reports are relative: the folder can be moved as a whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from warmstart.experiments.experiment_folder import ExperimentFolder
from warmstart.report import experiment_figures
from warmstart.report.html import FOLDER as STYLE_FOLDER
from warmstart.report.svg import to_svg
from warmstart.runs import words
from warmstart.runs.run_record import RunRecord
from warmstart.runs.safe_files import write_atomically
from warmstart.runs.titles import Titles


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of the page.

    Args:
        title: its heading.
        figure: created inside ``svg.drawing()``.
        description: what it shows, for screen readers.
        note: a remark below it.
        wide: whether it takes the whole width of the page.
    """

    title: str
    figure: Figure
    description: str
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows in addition to ``results.json``.

    Args:
        title: the heading.
        unit: what one trial is called: ``run``, ``fold``, ``trial``.
        columns: dotted names of the settings that differ between the trials.
        pictures: made inside ``svg.drawing()``.
        notes: remarks below the tables of scores.
    """

    title: str
    unit: str
    columns: Sequence[str]
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = field(default=())


def write_page(
    folder: ExperimentFolder, content: Mapping[str, Any], record: RunRecord, page: Page
) -> Path:
    """Write ``experiment.html``; call it inside ``svg.drawing()``.

    Args:
        folder: the experiment.
        content: content of ``results.json``.
        record: one of the runs, for the titles of its task.
        page: what the kind of experiment adds.

    Raises:
        RunError: the folder cannot be written.
    """
    titles = Titles.of(record.task)
    filters = {"metric_title": titles.metric, "baseline_head": titles.baseline_head}
    pictures = [
        {
            "title": picture.title,
            "note": picture.note,
            "kind": "wide" if picture.wide else "",
            "svg": Markup(to_svg(picture.figure, f"figure{number}", picture.description)),
        }
        for number, picture in enumerate(page.pictures)
    ]
    text = rendered(
        "experiment.html.j2",
        filters,
        page=page,
        content=content,
        folder=folder.path,
        pictures=pictures,
        splits=list(
            dict.fromkeys(s for trial in content["trials"] for s in trial.get("scores", {}))
        ),
        seconds=sum(trial["seconds"] or 0 for trial in content["trials"]),
        task=words.task_title(record.config.task),
        model=record.config.model.name,
        unit=titles.unit,
        relative=lambda run: Path(run).relative_to(folder.path).as_posix(),
    )
    path = folder.entry("experiment.html")
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))
    return path


def rendered(template: str, filters: Mapping[str, Any], **values: Any) -> str:
    """The text of a page, in the style of the report of a run.

    Args:
        template: the name of its template in this folder.
        filters: filters of the template in addition to those for numbers and settings.
        values: what the template shows, in addition to the style and the time.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "decimals": words.decimals,
        "duration": words.duration,
        "setting": words.setting,
        **filters,
    }
    return environment.get_template(template).render(
        style=Markup((STYLE_FOLDER / "style.css").read_text(encoding="utf-8")),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        **values,
    )


def score_pictures(
    content: Mapping[str, Any], records: Mapping[str, RunRecord], unit: str, scored: str = ""
) -> list[Picture]:
    """The scores of all runs, and their validation curves; call it inside ``svg.drawing()``.

    Args:
        content: content of ``results.json``.
        records: the finished runs, by trial.
        unit: what one trial is called: ``run``, ``fold``.
        scored: the split of a trial whose scores belong to the pooled ones, if it has another name.
    """
    metric = content["metric"]
    titles = Titles.of(next(iter(records.values())).task)
    values, means = {}, {}
    for split, scores in content["scores"].items():
        found = scores.get(metric)
        if found is None or found["mean"] is None:
            continue
        every = (trial.get("scores", {}).get(scored or split, {}) for trial in content["trials"])
        known = [scores[metric]["value"] for scores in every if metric in scores]
        values[split] = [value for value in known if value is not None]
        means[split] = (found["mean"], found["low"], found["high"])
    pictures = []
    if values:
        first = next(iter(values))
        baselines = {
            titles.baseline_head(name).partition(" with ")[0]: scores[metric]["value"]
            for name, scores in content["baselines"].get(first, {}).items()
            if scores.get(metric, {}).get("value") is not None
        }
        title = titles.metric(metric)
        higher = content["scores"][first][metric]["higher_is_better"]
        strongest = (max if higher else min)(
            baselines.items(), key=lambda one: one[1], default=None
        )
        figure = experiment_figures.spread(values, means, strongest, title, unit)
        pictures.append(Picture(f"{title} of every {unit}", figure, " ".join(content["sentences"])))
    checks = {
        name: [check for check in record.checks if metric in check.scores]
        for name, record in records.items()
    }
    checks = {name: found for name, found in checks.items() if found}
    if any(len(found) > 1 for found in checks.values()):
        title = titles.metric(metric)
        figure = experiment_figures.curves(checks, metric, title, unit)
        text = f"{title} on the validation rows at each evaluation of {len(checks)} {unit}s."
        pictures.append(Picture("Validation curves", figure, text))
    return pictures
