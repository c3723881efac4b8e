"""The official scores of GLUE over the seeds of each task, and the page that shows them."""

from collections.abc import Mapping
from typing import Any

from warmstart.errors.counts import counted, form
from warmstart.experiments.benchmark_folder import BenchmarkFolder
from warmstart.experiments.experiment import Experiment
from warmstart.experiments.experiment_page import rendered
from warmstart.experiments.glue_tasks import (
    DEV,
    MISMATCHED_ROWS,
    OFFICIAL,
    OfficialScore,
)
from warmstart.experiments.trial_results import mean_scores_json
from warmstart.run import Run
from warmstart.runs.run_record import read_record
from warmstart.runs.safe_files import write_atomically
from warmstart.runs.titles import Titles

PUBLISHED = (
    "Published scores are of BERT-base. Dev: one run of bert-base-cased on the same dev rows, "
    "trained on all training rows (README of examples/pytorch/text-classification in "
    "Transformers). Test: on GLUE's test rows, from the GLUE server (Devlin et al. 2019, "
    "arXiv:1810.04805, table 1); these are other rows, so compare with them only roughly."
)
"""Which published score is which."""


def score_mismatched(experiment: Experiment, folder: str | None) -> None:
    """Score the runs of MNLI on the dev rows of other genres, as ``warmstart evaluate`` does.

    Args:
        experiment: the experiment of MNLI.
        folder: ``data.dir``; None for the rows of the Hub.
    """
    where = {} if folder is None else {"data.dir": folder}
    for run in experiment.runs:
        if _mismatched(run) is None:
            run.evaluate(MISMATCHED_ROWS, where)


def _mismatched(run: Run) -> str | None:
    """The name of the run's evaluation of the mismatched rows; None if there is none."""
    found = read_record(run.path).evaluations.items()
    return next(
        (name for name, one in found if any("mismatched" in file for file in one.files)), None
    )


def benchmark_results(
    folder: BenchmarkFolder,
    plan: Mapping[str, Any],
    found: Mapping[str, Experiment],
    failed: Mapping[str, str],
    submission: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The content of ``results.json``; the page is written, too.

    Args:
        folder: the folder of the benchmark.
        plan: the content of ``glue.json``.
        found: the experiment of each finished task.
        failed: the error of each task that failed.
        submission: what was written for the server; None if nothing was.
    """
    tasks: dict[str, Any] = {name: _about(experiment) for name, experiment in found.items()}
    tasks |= {name: {"status": "failed", "error": cause} for name, cause in failed.items()}
    lacking = plan["missing"].items()
    tasks |= {name: {"status": "missing", "files": list(files)} for name, files in lacking}
    scores = [_score(one, found[one.task]) for one in OFFICIAL if one.task in found]
    content = {
        "glue": str(folder.place),
        "seeds": plan["seeds"],
        "overrides": list(plan["overrides"]),
        "tasks": tasks,
        "scores": scores,
        "submission": submission,
    }
    content["sentences"] = _sentences(content)
    text = rendered("glue.html.j2", {}, content=content, folder=folder.place)
    write_atomically(folder.page, lambda place: place.write_text(text, encoding="utf-8"))
    return content


def _about(experiment: Experiment) -> dict[str, Any]:
    """How a finished task was trained."""
    results = experiment.results
    return {
        "status": "finished",
        "experiment": str(experiment.path),
        "model": experiment.best.config.model.name,
        "runs": len(experiment.runs),
        "learned_nothing": results["collapsed"],
        "seconds": sum(trial["seconds"] or 0 for trial in results["trials"]),
    }


def _score(one: OfficialScore, experiment: Experiment) -> dict[str, Any]:
    """One official score over the seeds, next to its strongest baseline and to published ones."""
    results, runs = experiment.results, experiment.runs
    records = [read_record(run.path) for run in runs]
    baselines: dict[str, Any] = {}
    if one.rows == DEV:
        score = results["scores"]["test"][one.metric]
        baselines = results["baselines"]["test"]
    else:
        name = _mismatched(runs[0])  # the same for all runs: it follows from file and settings
        assert name is not None
        score = mean_scores_json(records, name)[one.metric]
    titles = Titles.of(records[0].task)
    values = {
        titles.baseline_head(name).partition(" with ")[0]: scores[one.metric]["value"]
        for name, scores in baselines.items()
        if scores.get(one.metric, {}).get("value") is not None
    }
    strongest = max(values, key=lambda name: values[name], default=None)  # higher is better
    return {
        "task": one.task,
        "rows": one.rows,
        "metric": one.metric,
        "title": titles.metric(one.metric),
        **score,
        "baseline": None if strongest is None else {"name": strongest, "value": values[strongest]},
        "published_dev": one.dev,
        "published_test": one.test,
    }


def _sentences(content: Mapping[str, Any]) -> list[str]:
    """What the reader has to know about the scores."""
    tasks: Mapping[str, Any] = content["tasks"]
    done = [one for one in tasks.values() if one["status"] == "finished"]
    models = sorted({one["model"] for one in done})
    sentences = [
        f"Official scores of {counted(len(done), 'task')} of GLUE on the dev rows: mean over the "
        "seeds, with a 95 % interval over seeds and rows. The dev rows select nothing: the best "
        "epoch of a run is chosen on a share of the training rows.",
        f"{form(len(models), 'Model', 'Models')}: {', '.join(models)}. {PUBLISHED}",
    ]
    for name, one in tasks.items():
        if one["status"] == "failed":
            sentences.append(f"{name} failed: {one['error']}.")
    nothing = [
        f"{n} {', '.join(t['learned_nothing'])}"
        for n, t in tasks.items()
        if t.get("learned_nothing")
    ]
    if nothing:
        sentences.append(f"Learned nothing, and are in the means: {'; '.join(nothing)}.")
    missing = {name: one["files"] for name, one in tasks.items() if one["status"] == "missing"}
    if missing:
        lacks = "; ".join(f"{name} ({', '.join(files)})" for name, files in missing.items())
        sentences.append(f"Not trained, because files are missing: {lacks}.")
    if content["submission"] is not None:
        sentences += content["submission"]["notes"]
    return sentences
