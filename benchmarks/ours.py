"""warmstart as an engine, through the functions that its command line uses."""

import os
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from benchmarks.materials import Setup
from benchmarks.outcome import Row
from benchmarks.window import Window


def warmstart(setup: Setup, window: Window, *, grouped: bool = False) -> Row:
    """Train: read and check files, load the weights, run the loop.

    After each step the window tells the loop whether to stop, as Ctrl-C would. A whole run
    evaluates after each epoch and saves the best model, which is part of its time.

    Args:
        setup: files, checkpoint and settings.
        window: measures the steps.
        grouped: use batches of similar length (``train.group_by_length``).
    """
    from warmstart.errors import Interrupted
    from warmstart.preparation.prepare import prepare
    from warmstart.runs.directory import RunDirectory
    from warmstart.runs.events import events_of, read_events
    from warmstart.training.job import job_for
    from warmstart.training.loop import fit

    prepared = prepare(setup.run_config(group_by_length=grouped))
    with TemporaryDirectory() as folder:
        # An empty cache, so that the features of a frozen backbone are computed in every run.
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
        # The time of an event is the end of its step.
        window.see(step["rows"], step["tokens"], at=step["time"] - step["seconds"])
    if window.batches is not None:
        losses = [step["loss"] for step in steps[window.warmup_steps :]]
        return {"training_loss": fmean(losses)}
    metric = prepared.best_metric
    scores = [event["scores"][metric]["value"] for event in events_of(events, "evaluation")]
    defined = [score for score in scores if score is not None]
    return {"validation_mcc": max(defined, default=None)}


def warmstart_predict(setup: Setup, window: Window) -> Row:
    """Predict texts with a run's saved model, as ``warmstart predict`` does."""
    import warmstart

    run = warmstart.load(setup.folder / "run")
    run.predict(["The model is loaded at the first prediction."])
    window.start()
    window.see(len(setup.train), sum(window.lengths))
    predictions = run.predict(list(setup.train.texts))
    window.finish()
    total = sum(prediction["probabilities"]["1"] for prediction in predictions)
    return {"mean_probability": total / len(predictions)}
