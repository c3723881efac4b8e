"""warmstart itself, through the functions that its command line calls."""

import os
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from benchmarks.materials import Setup
from benchmarks.outcome import Row
from benchmarks.window import Window


def warmstart(setup: Setup, window: Window, *, grouped: bool = False) -> Row:
    """Train: files read and checked, weights loaded, then the loop.

    The loop is asked after each step whether to stop, as Ctrl-C would make it. A whole run
    evaluates after each epoch and keeps the best model, and its time holds that too.

    Args:
        setup: files, checkpoint and settings.
        window: what is timed.
        grouped: batches of rows of like length (``train.group_by_length``).
    """
    from warmstart.errors import Interrupted
    from warmstart.preparation.prepare import prepare
    from warmstart.runs.directory import RunDirectory
    from warmstart.runs.events import events_of, read_events
    from warmstart.training.job import job_for
    from warmstart.training.loop import fit

    prepared = prepare(setup.run_config(group_by_length=grouped))
    with TemporaryDirectory() as folder:
        # What a frozen backbone makes of rows is computed in every run, not found from the last.
        os.environ["WARMSTART_CACHE"] = folder
        run = RunDirectory.create(Path(folder) / "run")
        window.start()
        job = job_for(prepared, run)
        with suppress(Interrupted):
            fit(job, resume=False, stop_requested=window.tick)
        if window.batches is None:
            window.finish()
        events = read_events(job.log.path)
    steps = events_of(events, "step")
    for step in steps:
        # An event is stamped at the end of its step.
        window.see(step["rows"], step["tokens"], at=step["time"] - step["seconds"])
    if window.batches is not None:
        losses = [step["loss"] for step in steps[window.warmup_steps :]]
        return {"training_loss": fmean(losses)}
    metric = prepared.best_metric
    scores = [event["scores"][metric]["value"] for event in events_of(events, "evaluation")]
    defined = [score for score in scores if score is not None]
    return {"validation_mcc": max(defined, default=None)}


def warmstart_predict(setup: Setup, window: Window) -> Row:
    """Answer strings with a run's kept model, as ``warmstart predict`` does."""
    import warmstart

    run = warmstart.load(setup.folder / "run")
    run.predict(["The model is loaded at the first question."])
    window.start()
    window.see(len(setup.train), sum(window.lengths))
    answers = run.predict(list(setup.train.texts))
    window.finish()
    return {"mean_probability": sum(a["probabilities"]["1"] for a in answers) / len(answers)}
