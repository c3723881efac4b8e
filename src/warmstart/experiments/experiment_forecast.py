"""What an experiment will take, said before its first trial: one run is timed and multiplied."""

import time
from pathlib import Path

from warmstart.errors.counts import counted
from warmstart.experiments.trials import Trial
from warmstart.runs.words import duration
from warmstart.training.forecast import forecast, why_no_forecast

MIB = 2**20


def experiment_forecast(trial: Trial, runs: int, folder: Path) -> str:
    """The time and the disk space of an experiment, in a sentence.

    A few steps of one trial are timed. Trials with other settings take another time, and those that
    are stopped early take less.

    Args:
        trial: a trial whose settings are typical.
        runs: number of runs.
        folder: the folder of the experiment, which need not exist.
    """
    began = time.perf_counter()
    prepared = trial.prepared()
    if (reason := why_no_forecast(prepared)) is not None:
        return reason
    one = forecast(prepared, folder, preparing=time.perf_counter() - began)
    whole = one.repeated(runs)
    return (
        f"forecast: {counted(runs, 'run')} of about {duration(one.seconds.total)}, "
        f"one after the other about {duration(whole.seconds.total)}; "
        f"disk about {whole.largest / MIB:,.0f} MiB"
    )
