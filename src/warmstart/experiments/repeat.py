"""``repeat``: one config with several seeds; how much of a score is chance?

The same fine-tuning with another seed gives another score, often by more than the difference that
one wants to see (Dodge et al. 2020, arXiv:2002.06305). A score is therefore the mean over several
seeds, with an interval for both what varies between seeds and what varies between rows. Runs that
have learned nothing are named and counted apart.

The best run by the validation score is copied to ``best/``. Its test score is optimistic: the best
of several is partly lucky, on validation rows and, through the seed, on test rows too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from warmstart import errors
from warmstart.api import ConfigSource
from warmstart.config import SEEDS
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
from warmstart.experiments.experiment_page import Page, score_pictures
from warmstart.experiments.ray_workers import RayWorkers
from warmstart.experiments.trial_results import (
    baselines_json,
    best_trial,
    keep_best,
    mean_scores_json,
    metric_of,
)
from warmstart.experiments.trials import Trial
from warmstart.runs import words
from warmstart.runs.run_record import RunRecord
from warmstart.runs.titles import Titles

Vary = Literal["all", "initialization", "order", "dropout"]

MOST_SEEDS = 1_000
"""A larger number is a seed by mistake: ``seeds=20261128`` would be 20 million runs."""


def repeat(
    config: ConfigSource,
    overrides: Overrides = (),
    *,
    seeds: int | Sequence[int] = 5,
    vary: Vary = "all",
    workers: int | RayWorkers = 1,
    output: Any = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Experiment:
    """Train one config with several seeds; mean, spread and interval of its scores.

    Args:
        config: as for ``train``.
        overrides: as for ``train``.
        seeds: a number of seeds, from the config's ``train.seed`` on, or the seeds themselves.
        vary: ``all``, or only the seed of the ``initialization`` of new weights, of the ``order``
            of the rows, or of ``dropout``; the others are then equal in all runs.
        workers: number of processes that train at the same time, or a Ray cluster.
        output: the experiment's folder; by default a new one under ``runs/``.
        overwrite: replace an earlier experiment in ``output``.
        progress: show live progress on stderr.

    Raises:
        Interrupted: a stop was requested; see ``resume_experiment``.
        WarmstartError: an error that the user can fix.
    """
    options = {"seeds": seeds if isinstance(seeds, int) else list(seeds), "vary": vary}
    return new_experiment(
        KIND,
        config,
        overrides,
        options,
        workers=workers,
        output=output,
        overwrite=overwrite,
        progress=progress,
    )


def _trials(plan: ExperimentPlan) -> list[Trial]:
    config, vary = plan.config, plan.options["vary"]
    if config.data.validation == NO_ROWS:
        raise errors.experiment.nothing_to_choose_by(plan.kind)
    varied = "train.seed" if vary == "all" else f"train.{vary}_seed"
    own = config.train.model_dump()
    for name in SEEDS[1:] if vary == "all" else (f"{vary}_seed",):
        if own[name] is not None:
            raise errors.experiment.seed_is_varied(f"train.{name}")
    seeds = chosen_seeds(plan.options["seeds"], config.train.seed)
    return [plan.trial(f"seed-{seed}", {varied: seed}) for seed in seeds]


def chosen_seeds(seeds: int | Sequence[int], first: int) -> list[int]:
    """The seeds of an experiment.

    Args:
        seeds: their number, or the seeds.
        first: the first seed if only their number is given.

    Raises:
        UsageError: there are fewer than two or too many, or two are equal.

    >>> chosen_seeds(3, 42), chosen_seeds([7, 1], 42)
    ([42, 43, 44], [7, 1])
    """
    count = seeds if isinstance(seeds, int) else len(seeds)
    if count > MOST_SEEDS:
        raise errors.experiment.too_many_seeds(count, MOST_SEEDS)
    found = list(range(first, first + count)) if isinstance(seeds, int) else list(seeds)
    if len(found) < 2:
        raise errors.experiment.too_few_seeds(len(found))
    for seed in found:
        if found.count(seed) > 1:
            raise errors.experiment.repeated_seed(seed)
    return found


def _results(
    plan: ExperimentPlan, trials: Trials, records: Mapping[str, RunRecord]
) -> dict[str, Any]:
    collapsed = [one["trial"] for one in trials if one.get("collapsed")]
    best = best_trial(records)
    keep_best(plan.folder, records[best].path)
    good = [record for name, record in records.items() if name not in collapsed]
    scores = _scores(list(records.values()))
    return {
        "vary": plan.options["vary"],
        "summary": f"mean of {counted(len(records), 'run')}",
        "metric": metric_of(records[best]),
        "best": best,
        "collapsed": collapsed,
        "scores": scores,
        "scores_without_collapsed": _scores(good) if collapsed and good else None,
        "baselines": baselines_json(records[best]),
        "sentences": _sentences(records[best], scores, len(trials), collapsed, best),
    }


def _sentences(
    record: RunRecord,
    scores: Mapping[str, Any],
    trials: int,
    collapsed: Sequence[str],
    best: str,
) -> list[str]:
    """What the experiment has shown, in sentences."""
    metric, titles = metric_of(record), Titles.of(record.task)
    split = next(iter(scores))
    found = []
    if score := scores[split].get(metric):
        found.append(
            f"{titles.metric(metric)} of {counted(score['runs'], 'run')} on the {split} rows: "
            f"{words.decimals(score['mean'])} ± {words.decimals(score['deviation'])} (mean and "
            f"standard deviation over seeds); 95 % interval of the mean over seeds and rows "
            f"[{words.decimals(score['low'])}, {words.decimals(score['high'])}]."
        )
    if collapsed:
        found.append(
            f"{len(collapsed)} of {counted(trials, 'run')} learned nothing: "
            f"{', '.join(collapsed)}. The mean contains them."
        )
    if "test" in scores:
        found.append(
            f"{best} is the best by the validation rows. Its test score is optimistic, because it "
            "was chosen among several runs; the mean is not."
        )
    return found


def _scores(records: list[RunRecord]) -> dict[str, Any]:
    """The scores over runs, by split."""
    splits = [name for name, one in records[0].evaluations.items() if not one.is_file]
    return {split: mean_scores_json(records, split) for split in splits}


def _page(content: Mapping[str, Any], records: Mapping[str, RunRecord]) -> Page:
    title = f"{content['name']} with {counted(len(content['trials']), 'seed')}"
    varied = list(content["trials"][0]["settings"])
    return Page(title, "run", varied, score_pictures(content, records, "run"))


KIND = kind_of_fixed_trials("repeat", _trials, _results, _page)
