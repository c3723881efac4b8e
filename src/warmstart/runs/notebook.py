"""A run in a notebook: its scores with their intervals next to the baselines, and its paths.

The HTML needs nothing from outside, has no script and no style sheet, and follows the colours of
the notebook.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from warmstart import errors
from warmstart.errors.counts import counted
from warmstart.runs import words
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_task
from warmstart.runs.run_record import read_evaluations
from warmstart.runs.titles import Titles


def run_html(run_path: Path) -> str:
    """The scores of a run as HTML; for a damaged run, what is wrong with it.

    Args:
        run_path: the run directory, of a finished or an unfinished run.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    try:
        directory = RunDirectory.open(run_path)
        config, task = load_task(directory)
        evaluations = read_evaluations(directory)
    except errors.WarmstartError as error:
        return Markup("<pre>{}\n{}</pre>").format(run_path, error)
    titles = Titles.of(task)
    environment.filters |= {
        "counted": counted,
        "decimals": words.decimals,
        "interval": words.interval,
        "metric_title": titles.metric,
        "baseline_head": titles.baseline_head,
        "evaluation_title": words.evaluation_title,
    }
    report = directory.entry("report.html")
    paths = {"run": directory.path, "model": directory.model, "report": report}
    return environment.get_template("notebook.html.j2").render(
        task=words.task_title(config.task),
        model=config.model.name,
        evaluations=list(evaluations.values()),
        paths={name: path for name, path in paths.items() if path.exists()},
    )
