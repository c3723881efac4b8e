"""The tables that a finished experiment prints."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from warmstart.cli.output import decimal, with_interval

if TYPE_CHECKING:
    from warmstart.runs.titles import Titles


def trials_table(content: Mapping[str, Any], titles: "Titles") -> Table:
    """One row for each trial: its main score on every split, and how it ended.

    Args:
        content: the content of ``results.json``.
        titles: names of the metrics.
    """
    metric = content["metric"]
    every = [split for trial in content["trials"] for split in trial.get("scores", {})]
    splits = list(dict.fromkeys(every))
    table = Table(
        title=f"{titles.metric(metric)} of each run",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("run", overflow="fold")
    for split in splits:
        table.add_column(f"{split} [95 % interval]", justify="right", overflow="fold")
    varied = _varied(content["trials"])
    if len(varied) > 1:  # the value of a single setting is in the name of the trial
        table.add_column("settings", overflow="fold")
    table.add_column("best epoch", justify="right")
    table.add_column("", overflow="fold")
    for trial in content["trials"]:
        scores = [trial.get("scores", {}).get(split, {}).get(metric) for split in splits]
        notes = [trial["status"]] * (trial["status"] != "finished")
        notes += ["learned nothing"] * bool(trial.get("collapsed"))
        notes += ["best by validation"] * (trial["trial"] == content.get("best"))
        epoch = trial.get("best_epoch")
        table.add_row(
            trial["trial"],
            *("" if score is None else with_interval(score) for score in scores),
            *([_shown_settings(trial["settings"], varied)] if len(varied) > 1 else []),
            "" if epoch is None else f"{round(epoch, 2):g}",
            ", ".join(notes),
        )
    return table


def _varied(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the settings that differ between trials."""
    names = dict.fromkeys(name for trial in trials for name in trial["settings"])
    return [name for name in names if len({str(t["settings"].get(name)) for t in trials}) > 1]


def _shown_settings(settings: Mapping[str, Any], names: Sequence[str]) -> str:
    from warmstart.runs.words import setting

    def short(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else setting(value)

    chosen = {name: settings[name] for name in names if name in settings}
    return ", ".join(f"{n.partition('.')[2]} {short(value)}" for n, value in chosen.items())


def mean_table(
    title: str, scores: Mapping[str, Any], baselines: Mapping[str, Any], titles: "Titles"
) -> Table:
    """Every metric over all runs: mean with interval, and standard deviation.

    Args:
        title: what the scores are of.
        scores: ``{metric: MeanScore}``.
        baselines: scores of the baselines, by name.
        titles: names of baselines, and what ``n`` counts.
    """
    n = next(iter(scores.values()))["n"] if scores else 0
    title = f"{title}, n = {n:,} {titles.unit}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    lower = any(not score["higher_is_better"] for score in scores.values())
    table.add_column("↓: lower is better" if lower else "", overflow="fold")
    table.add_column("score [95 % interval]", justify="right", overflow="fold")
    several = any(score["deviation"] is not None for score in scores.values())
    if several:
        table.add_column("sd", justify="right")
    for baseline in baselines:
        name = titles.baseline_head(baseline).partition(" with ")[0]
        table.add_column(name, justify="right", max_width=12, overflow="fold")
    for name, score in scores.items():
        table.add_row(
            name.replace("_", " ") + ("" if score["higher_is_better"] else " ↓"),
            with_interval({**score, "value": score["mean"]}),
            *([decimal(score["deviation"])] if several else []),
            *(decimal(found.get(name, {}).get("value")) for found in baselines.values()),
        )
    return table
