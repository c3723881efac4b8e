"""The figures about a search, from ``results.json`` and the run directories."""

from collections.abc import Mapping
from typing import Any

from warmstart.experiments.experiment_page import Picture
from warmstart.report import search_figures
from warmstart.runs.run_record import RunRecord
from warmstart.runs.titles import Titles


def search_pictures(content: Mapping[str, Any], records: Mapping[str, RunRecord]) -> list[Picture]:
    """History, expected best score, importance, and the settings against the score.

    Call it inside ``svg.drawing()``.

    Args:
        content: content of ``results.json``.
        records: the finished runs, by trial.
    """
    metric = content["metric"]
    title = Titles.of(next(iter(records.values())).task).metric(metric)
    default, *trials = content["trials"]
    higher = _higher(content, metric)
    values = [_value(trial, metric) for trial in trials]
    pruned = [trial["status"] == "pruned" for trial in trials]
    figure = search_figures.history(
        values, pruned, _value(default, metric), title, higher_is_better=higher
    )
    what = f"{title} on the validation rows of each of {len(trials)} trials, and the best so far."
    pictures = [Picture("Every trial", figure, what)]
    if len(content["expected_best"]) > 1:
        figure = search_figures.expected_best(content["expected_best"], title)
        note = "If the curve is flat at its end, more trials would gain little."
        what = f"Expected best {title} of n random trials."
        pictures.append(Picture("Would more trials pay?", figure, what, note))
    if len(content["importance"]) > 1:
        figure = search_figures.importance(content["importance"])
        note = "Share of the differences between scores that a setting explains (PED-ANOVA)."
        what = "Importance of each setting."
        pictures.append(Picture("Which settings matter?", figure, what, note))
    known = [
        (value, trial["settings"])
        for value, trial in zip(values, trials, strict=True)
        if value is not None and trial["status"] == "finished"
    ]
    known.sort(key=lambda found: found[0], reverse=higher)
    if len(known) > 1:
        scores, settings = [value for value, _ in known], [chosen for _, chosen in known]
        figure = search_figures.setting_slices(settings, scores, title)
        what = f"{title} against each setting."
        pictures.append(Picture("Each setting alone", figure, what, wide=True))
        figure = search_figures.parallel(settings, scores, title)
        what = f"The settings and {title} of every finished trial."
        pictures.append(Picture("All settings together", figure, what, wide=True))
    return pictures


def _value(trial: Mapping[str, Any], metric: str) -> float | None:
    """The validation score of a trial; that of its last evaluation if it was stopped early."""
    score = trial.get("scores", {}).get("validation", {}).get(metric)
    value: float | None = trial.get("last_value") if score is None else score["value"]
    return value


def _higher(content: Mapping[str, Any], metric: str) -> bool:
    return bool(content["scores"]["validation"][metric]["higher_is_better"])
