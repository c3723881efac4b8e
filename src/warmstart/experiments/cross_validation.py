"""``cross-validate``: every row is predicted once, by a model that was not trained on it.

The rows of ``data.train`` are divided into folds, with the shares of the labels and without
separating a group. For each fold a model is trained on the other folds and scored on this one. A
part of the other folds (``data.validation``) selects the best epoch: if the fold itself did, its
score would be optimistic. The pooled score is computed from the predictions of all folds together,
with an interval over rows, or over groups, queries or documents where rows belong together. It says
how good models are that are trained in this way on so many rows; it is not the score of one model.

``predictions.parquet`` in the experiment's folder has the prediction of every row.

With ``final`` another run follows, on all rows and without validation rows: the model to use. It is
trained for as many epochs as the best models of the folds (their median). Its quality is what the
folds have shown; it has no score of its own, unless there are test rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from statistics import median
from typing import Any

import pyarrow.parquet

from warmstart import errors
from warmstart.api import ConfigSource
from warmstart.config import RunConfig
from warmstart.config.config_faults import SETTINGS
from warmstart.config.file_formats import NO_ROWS
from warmstart.config.overrides import Overrides, override_texts
from warmstart.data.checking.duplicates import equal_texts
from warmstart.data.folds import folds_of_rows
from warmstart.data.split import Ints, hold_out
from warmstart.data.table import Table
from warmstart.errors.counts import counted
from warmstart.experiments.experiment import (
    FINAL,
    Experiment,
    ExperimentPlan,
    Trials,
    kind_of_fixed_trials,
    new_experiment,
)
from warmstart.experiments.experiment_page import Page, score_pictures
from warmstart.experiments.out_of_fold import SPLIT, out_of_fold_rows, out_of_fold_scores
from warmstart.experiments.ray_workers import RayWorkers
from warmstart.experiments.trial_results import metric_of, scores_of_run
from warmstart.experiments.trials import Trial, workspace
from warmstart.experiments.workers import cause
from warmstart.preparation.row_ids import ranges
from warmstart.preparation.stages import group_column, learn, limited, read_sources, split_tables
from warmstart.runs import words
from warmstart.runs.run_record import RunRecord, read_record
from warmstart.runs.safe_files import write_atomically
from warmstart.runs.titles import Titles
from warmstart.tasks import task_type
from warmstart.tasks.capabilities import Stratifies
from warmstart.tasks.settings_check import leaves

OUT_OF_FOLD = "out of fold"
"""The name of the pooled scores, in place of the name of a split."""


def cross_validate(
    config: ConfigSource,
    overrides: Overrides = (),
    *,
    folds: int = 5,
    repeats: int = 1,
    group: str | None = None,
    final: bool = False,
    workers: int | RayWorkers = 1,
    output: Any = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Experiment:
    """Train and score with each fold of the training rows held out once.

    Args:
        config: as for ``train``. ``data.test`` is used only for the score of the final run.
        overrides: as for ``train``.
        folds: number of folds.
        repeats: number of times that the rows are divided in another way.
        group: column whose equal values stay in one fold; sets ``data.group``.
        final: train on all rows afterwards, in ``final/``.
        workers: number of processes that train at the same time, or a Ray cluster.
        output: the experiment's folder; by default a new one under ``runs/``.
        overwrite: replace an earlier experiment in ``output``.
        progress: show live progress on stderr.

    Raises:
        Interrupted: a stop was requested; see ``resume_experiment``.
        WarmstartError: an error that the user can fix.
    """
    if folds < 2:
        raise errors.experiment.too_few_folds(folds)
    if repeats < 1:
        raise errors.experiment.too_few_repeats(repeats)
    settings = override_texts(overrides)
    if group is not None:
        settings = [*settings, *override_texts({"data.group": group})]
    return new_experiment(
        KIND,
        config,
        settings,
        {"folds": folds, "repeats": repeats, "final": final},
        workers=workers,
        output=output,
        overwrite=overwrite,
        progress=progress,
    )


def _trials(plan: ExperimentPlan) -> list[Trial]:
    config, folds, repeats = plan.config, plan.options["folds"], plan.options["repeats"]
    if plan.options["final"]:
        _refuse_unfit_for_final(config)
    sources = read_sources(config, workspace())
    table = limited(config, {"train": sources.tables["train"]})["train"]
    trials = []
    for number in range(repeats):
        fold = _folds(config, table, folds, config.data.split_seed + number)
        for held_out in range(folds):
            rows = _rows(config, table, fold == held_out)
            name = f"fold-{held_out + 1}" if repeats == 1 else f"{number + 1}-fold-{held_out + 1}"
            ids = {split: ranges(found) for split, found in rows.items()}
            trials.append(plan.trial(name, _changes(config), ids))
    for trial in trials:  # labels that only the held-out rows have, before anything is trained
        tables = split_tables(trial.config, sources, trial.given_rows)
        learn(trial.config, tables)
    return trials


def _folds(config: RunConfig, table: Table, folds: int, seed: int) -> Ints:
    """The fold of each row, int64 [N]."""
    data, task = config.data, task_type(config)
    strata = None
    if data.stratify and issubclass(task, Stratifies):
        strata = task.strata(data, table, parts=folds)
    together = equal_texts(table, data) if data.duplicates == "together" else None
    group = group_column(config)
    return folds_of_rows(table, folds, seed, strata=strata, group_by=group, same=together)


def _rows(config: RunConfig, table: Table, held_out: Any) -> dict[str, Ints]:
    """Row ids of a trial: the fold is its test split, and validation rows come from the others."""
    data, task = config.data, task_type(config)
    fold, rest = table.filter(held_out), table.filter(~held_out)
    if not isinstance(data.validation, float):  # a file, or none
        return {"train": rest.rows, "test": fold.rows}
    strata = None
    if data.stratify and issubclass(task, Stratifies):
        strata = task.strata(data, rest)
    train, validation = hold_out(
        rest,
        data.validation,
        data.split_seed,
        strata=strata,
        group_by=group_column(config),
        same=equal_texts(rest, data) if data.duplicates == "together" else None,
    )
    return {"train": train.rows, "validation": validation.rows, "test": fold.rows}


def _changes(config: RunConfig) -> dict[str, Any]:
    """Settings that are different in a trial, because its rows are given."""
    changes: dict[str, Any] = {}
    if config.data.test is not None:
        changes["data.test"] = None
    if config.data.limit is not None:
        changes["data.limit"] = None
    if config.data.duplicates == "together":
        changes["data.duplicates"] = "keep"
    return changes


ONLY_WITH_A_SHARE = ("data.stratify", "data.split_seed", "data.duplicates")
OF_EVALUATIONS = (
    "train.best_metric",
    "train.early_stopping",
    "train.evaluations_per_epoch",
    "train.retry",
    "train.extend",
)
"""Settings that decide about the epochs of the folds, and in this way about the final run."""


def _refuse_unfit_for_final(config: RunConfig) -> None:
    train = config.train
    unfit = {
        **({"train.choose_threshold": "false"} if train.choose_threshold else {}),
        **({"train.calibrate": "null"} if train.calibrate is not None else {}),
        **({"train.average": "null"} if train.average is not None else {}),
    }
    if unfit:
        raise errors.experiment.final_without_validation(unfit)


def _final(plan: ExperimentPlan, records: Mapping[str, RunRecord]) -> Trial | None:
    """The run on all rows; None if it was not asked for."""
    if not plan.options["final"]:
        return None
    return _final_with(plan, _epochs(records.values()))


def _final_with(plan: ExperimentPlan, epochs: Mapping[str, Any]) -> Trial:
    """The run on all rows with these epochs; if the folds had no validation rows, with theirs."""
    given = leaves(plan.of_trials)
    left_out = [name for name in (*ONLY_WITH_A_SHARE, *OF_EVALUATIONS) if name in given]
    changes = {name: SETTINGS[name].default for name in left_out}
    if plan.config.data.duplicates == "drop":
        changes["data.duplicates"] = "drop"
    if plan.config.data.validation != NO_ROWS:
        changes |= {"data.validation": NO_ROWS, **epochs}
    return plan.final(changes)


def _epochs(records: Iterable[RunRecord]) -> dict[str, Any]:
    """The number of epochs of the final run: the median of the folds' best epochs, rounded up.

    If it is 0, most folds kept the linear probe, as it was before the first step.
    """
    best = [record.kept.epoch for record in records if record.kept is not None]
    epochs = ceil(median(best)) if best else 1  # without validation rows they stay as they are
    return {"train.epochs": epochs} | ({} if epochs else {"train.head_start": "linear-probe"})


def _results(
    plan: ExperimentPlan, trials: Trials, records: Mapping[str, RunRecord]
) -> dict[str, Any]:
    first = next(iter(records.values()))
    metric, folds = metric_of(first), plan.options["folds"]
    names = [trial["trial"] for trial in trials]
    repeats = [names[start : start + folds] for start in range(0, len(names), folds)]
    missing = [name for name in names if name not in records]
    rows = out_of_fold_rows([records[name] for name in names if name in records])
    write_atomically(
        plan.folder.entry("predictions.parquet"), partial(pyarrow.parquet.write_table, rows)
    )
    complete = [[records[name] for name in of] for of in repeats if not set(of) & set(missing)]
    scores, baselines = out_of_fold_scores(complete or [list(records.values())])
    return {
        "summary": f"{counted(len(records), 'fold')} together",
        "metric": metric,
        "best": None,
        "collapsed": [trial["trial"] for trial in trials if trial.get("collapsed")],
        "scores": {OUT_OF_FOLD: scores},
        "baselines": {OUT_OF_FOLD: baselines},
        "final": _final_json(plan),
        "sentences": _sentences(first, scores, baselines, plan, trials, missing),
    }


def _final_json(plan: ExperimentPlan) -> dict[str, Any] | None:
    """How the final run ended; None if there is none."""
    outcome = plan.folder.outcomes().get(FINAL)
    if not plan.options["final"] or outcome is None:
        return None
    path = plan.folder.entry(FINAL)
    if outcome.status != "finished":
        return {"run": str(path), "status": outcome.status, "error": cause(outcome)}
    record = read_record(path)
    found = {"run": str(path), "status": "finished", "epochs": record.start["epochs"]}
    return found | {"scores": scores_of_run(record)}


def _sentences(
    record: RunRecord,
    scores: Mapping[str, Any],
    baselines: Mapping[str, Any],
    plan: ExperimentPlan,
    trials: Trials,
    missing: Sequence[str],
) -> list[str]:
    """What the experiment has shown, in sentences."""
    metric, titles = metric_of(record), Titles.of(record.task)
    score = scores[metric]
    each = [trial["scores"]["test"][metric]["value"] for trial in trials if "scores" in trial]
    known = [value for value in each if value is not None]
    unit = group_column(record.config)
    over = f"groups of {unit}" if unit is not None else titles.unit
    found = [
        f"{titles.metric(metric)} of all {score['n']:,} {titles.unit}, each predicted by a model "
        f"that was not trained on it: {words.decimals(score['mean'])} "
        f"[{words.decimals(score['low'])}, {words.decimals(score['high'])}] (95 % interval over "
        f"{over})."
    ]
    if len(known) > 1:
        found.append(
            f"The {counted(len(known), 'fold')} have {words.decimals(min(known))} to "
            f"{words.decimals(max(known))}."
        )
    if missing:
        found.append(f"Not finished, and not in these scores: {', '.join(missing)}.")
    collapsed = [trial["trial"] for trial in trials if trial.get("collapsed")]
    if collapsed:
        found.append(f"These models learned nothing: {', '.join(collapsed)}.")
    if plan.options["final"]:
        found.append(_about_final(_final_json(plan), metric, titles))
    elif plan.config.data.test is not None:
        found.append("data.test was not used: it stays untouched for the final model.")
    return found


def _about_final(final: Mapping[str, Any] | None, metric: str, titles: Titles) -> str:
    """What the final run is, in a sentence."""
    if final is None or final["status"] != "finished":
        error = "it was not started" if final is None else final["error"]
        return f"The final run, on all rows, failed: {error}."
    epochs = counted(final["epochs"], "epoch")
    sentence = f"The model in {FINAL}/ was trained on all rows for {epochs}."
    if not final["scores"]:
        return f"{sentence} It has no score of its own: expect about that of the folds."
    score = final["scores"]["test"][metric]
    low_and_high = f"[{words.decimals(score['low'])}, {words.decimals(score['high'])}]"
    return (
        f"{sentence} {titles.metric(metric)} on the {score['n']:,} test {titles.unit}: "
        f"{words.decimals(score['mean'])} {low_and_high}."
    )


def _page(content: Mapping[str, Any], records: Mapping[str, RunRecord]) -> Page:
    title = f"{content['name']}, {counted(len(content['trials']), 'fold')}"
    return Page(title, "fold", [], score_pictures(content, records, "fold", scored=SPLIT))


_FOLDS = kind_of_fixed_trials(
    "cross-validate",
    _trials,
    _results,
    _page,
    final=_final,
    exports=lambda plan: bool(plan.options["final"]),
)


def _checked(plan: ExperimentPlan) -> Mapping[str, Any]:
    """As for ``Kind``; the final run is checked before the folds are trained."""
    options = _FOLDS.checked(plan)
    if plan.options["final"]:
        _final_with(plan, {"train.epochs": 1}).prepared()
    return options


def _typical(plan: ExperimentPlan) -> tuple[Trial, int]:
    trial, count = _FOLDS.typical(plan)
    return trial, count + bool(plan.options["final"])


KIND = replace(_FOLDS, checked=_checked, typical=_typical)
