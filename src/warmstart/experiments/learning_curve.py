"""``learning-curve``: the same config with more and more training rows; would further rows help?

Each trial trains on a share of the training rows (``data.limit``); a larger sample contains the
smaller ones. Validation and test rows are the same for all, so the scores differ only by the
training rows, and the baselines are fitted on the same samples. A curve that still rises at its end
says that more labelled rows would probably help; a flat one, that they would not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from warmstart import errors
from warmstart.api import ConfigSource
from warmstart.config.file_formats import NO_ROWS
from warmstart.config.overrides import Overrides
from warmstart.errors.counts import counted
from warmstart.experiments.experiment import (
    Experiment,
    ExperimentPlan,
    Trials,
    kind_of_fixed_trials,
    new_experiment,
)
from warmstart.experiments.experiment_page import Page, Picture
from warmstart.experiments.ray_workers import RayWorkers
from warmstart.experiments.trial_results import baselines_json, metric_of, scores_of_run
from warmstart.experiments.trials import Trial, workspace
from warmstart.preparation.stages import read_sources, split_tables
from warmstart.report.experiment_figures import learning_curve_figure
from warmstart.runs import words
from warmstart.runs.run_record import RunRecord
from warmstart.runs.titles import Titles

SHARES = (0.1, 0.3, 1.0)
"""The shares of the training rows by default."""


def learning_curve(
    config: ConfigSource,
    overrides: Overrides = (),
    *,
    shares: Sequence[float] = SHARES,
    workers: int | RayWorkers = 1,
    output: Any = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Experiment:
    """Train on shares of the training rows, to see whether more rows would help.

    Args:
        config: as for ``train``.
        overrides: as for ``train``.
        shares: shares of the training rows, above 0 and up to 1.
        workers: number of processes that train at the same time, or a Ray cluster.
        output: the experiment's folder; by default a new one under ``runs/``.
        overwrite: replace an earlier experiment in ``output``.
        progress: show live progress on stderr.

    Raises:
        Interrupted: a stop was requested; see ``resume_experiment``.
        WarmstartError: an error that the user can fix.
    """
    if len(set(shares)) < 2 or not all(0 < share <= 1 for share in shares):
        raise errors.experiment.not_shares(shares)
    return new_experiment(
        KIND,
        config,
        overrides,
        {"shares": sorted(set(map(float, shares)))},
        workers=workers,
        output=output,
        overwrite=overwrite,
        progress=progress,
    )


def _trials(plan: ExperimentPlan) -> list[Trial]:
    config = plan.config
    if config.data.limit is not None:
        raise errors.experiment.limit_is_varied(config.data.limit)
    if config.data.validation == NO_ROWS and config.data.test is None:
        raise errors.experiment.nothing_to_choose_by(plan.kind)
    tables = split_tables(config, read_sources(config, workspace()))
    rows = len(tables["train"])
    changes = {"train.seed": config.train.seed}  # a given seed: no run is repeated
    trials = []
    for share in plan.options["shares"]:
        count = round(share * rows)
        if count < 1:
            raise errors.experiment.share_without_rows(share, rows)
        limit = {"data.limit": count} if count < rows else {}
        trials.append(plan.trial(f"rows-{count}", {**limit, **changes}))
    return trials


def _results(
    plan: ExperimentPlan, trials: Trials, records: Mapping[str, RunRecord]
) -> dict[str, Any]:
    *_, largest = records.values()
    metric = metric_of(largest)
    return {
        "summary": f"trained on {_rows(largest):,} rows",
        "metric": metric,
        "best": None,
        "collapsed": [trial["trial"] for trial in trials if trial.get("collapsed")],
        "scores": scores_of_run(largest),
        "baselines": baselines_json(largest),
        "curve": [
            {
                "rows": _rows(record),
                "scores": scores_of_run(record),
                "baselines": baselines_json(record),
            }
            for record in records.values()
        ],
        "sentences": _sentences(list(records.values()), metric),
    }


def _rows(record: RunRecord) -> int:
    """Number of training rows of a run."""
    return int(record.start["rows"])


def _sentences(records: Sequence[RunRecord], metric: str) -> list[str]:
    """Whether the curve still rises at its end, in sentences."""
    title = Titles.of(records[0].task).metric(metric)
    split = next(iter(records[0].evaluations))
    found = [(_rows(record), record.evaluations[split].scores[metric]) for record in records]
    text = ", ".join(
        f"{words.decimals(score.value)} {words.interval(score)} with {counted(rows, 'row')}"
        for rows, score in found
    )
    sentences = [f"{title} on the {split} rows: {text}."]
    if len(found) < 2:
        return sentences
    (rows_before, before), (rows_last, last) = found[-2:]
    if before.value is None or last.value is None:
        return sentences
    gain = (last.value - before.value) * (1 if last.higher_is_better else -1)
    factor = rows_last / rows_before
    margin = max(abs((last.high or 0) - (last.low or 0)) / 4, 1e-9)  # about one standard error
    if gain > margin:
        sentences.append(
            f"The last {factor:.1f} times more rows still gained {words.decimals(gain)}: more "
            "labelled rows would probably help."
        )
    else:
        sentences.append(
            f"The last {factor:.1f} times more rows gained {words.decimals(gain)}, less than one "
            "standard error: more rows of the same kind would probably help little."
        )
    return sentences


def _page(content: Mapping[str, Any], records: Mapping[str, RunRecord]) -> Page:
    metric = content["metric"]
    titles = Titles.of(next(iter(records.values())).task)
    split = next(iter(content["scores"]))
    curve = [
        (point["rows"], point["scores"][split][metric])
        for point in content["curve"]
        if point["scores"][split][metric]["mean"] is not None
    ]
    baselines = {
        titles.baseline_head(name).partition(" with ")[0]: [
            (point["rows"], point["baselines"][split][name][metric]["value"])
            for point in content["curve"]
            if point["baselines"].get(split, {}).get(name, {}).get(metric, {}).get("value")
            is not None
        ]
        for name in content["baselines"].get(split, {})
    }
    pictures = []
    if curve:
        title = titles.metric(metric)
        figure = learning_curve_figure(curve, baselines, title)
        what = f"{title} on the {split} rows against the number of training rows."
        pictures.append(Picture("Learning curve", figure, what))
    title = f"{content['name']}: learning curve"
    return Page(title, "run", ["data.limit"], pictures)


KIND = kind_of_fixed_trials("learning-curve", _trials, _results, _page, exports=lambda _plan: False)
