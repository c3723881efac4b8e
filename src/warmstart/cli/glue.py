"""``warmstart glue``: the tasks of the GLUE benchmark with several seeds, on one page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from warmstart.cli.app import Json, Set
from warmstart.cli.output import decimal, notes, result, show, with_interval
from warmstart.cli.trial_options import Address, Cpus, Gpus, Place, Workers, chosen_place, seeds_of


def glue(
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Tasks: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli. [all that are there]",
        ),
    ] = None,
    sets: Set = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N|A,B,…", help="Number of seeds, or the seeds. [5]")
    ] = None,
    workers: Workers = None,
    engine: Place = "local",
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder; default: runs/glue-TIME."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the benchmark in DIR.")
    ] = False,
    submission: Annotated[
        bool,
        typer.Option("--submission", help="Also write the files that the GLUE server scores."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train on the GLUE tasks with several seeds: official scores next to published ones."""
    from warmstart import errors
    from warmstart.experiments.glue import glue as run
    from warmstart.experiments.glue import resume_glue

    place = chosen_place(engine, workers, address, cpus, gpus)
    with notes():
        if resume:
            if output is None:
                raise errors.glue.resume_what()
            given = {"--tasks": tasks, "--set": sets, "--seeds": seeds}
            if others := [option for option, value in given.items() if value]:
                raise errors.glue.resume_with_options(output, others)
            found = resume_glue(output, workers=place, submission=submission, on_task=show)
        else:
            found = run(
                None if tasks is None else [name.strip() for name in tasks.split(",")],
                sets or (),
                seeds=seeds_of("5" if seeds is None else seeds),
                workers=place,
                output=output,
                submission=submission,
                on_task=show,
            )
    content = found.results
    show(glue_table(content), *content["sentences"])
    text = f"benchmark   {found.path}\nreport      {found.report}"
    if content["submission"] and content["submission"]["zip"]:
        text += f"\nsubmission  {content['submission']['zip']}"
    result(content, text, as_json=as_json)


def glue_table(content: Mapping[str, Any]) -> Table:
    """Every official score next to the strongest baseline and the published ones.

    Args:
        content: the content of ``results.json``.
    """
    table = Table(
        title="GLUE, dev rows; published: BERT-base",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("task", overflow="fold")
    table.add_column("score [95 % interval]", justify="right", overflow="fold")
    table.add_column("sd", justify="right")
    table.add_column("baseline", justify="right", overflow="fold")
    table.add_column("published dev", justify="right", max_width=9, overflow="fold")
    table.add_column("published test", justify="right", max_width=9, overflow="fold")
    for score in content["scores"]:
        baseline, test = score["baseline"], score["published_test"]
        mismatched = " mismatched" if score["rows"] != "dev" else ""
        table.add_row(
            f"{score['task']}{mismatched}, {score['metric'].replace('_', ' ')}",
            with_interval({**score, "value": score["mean"]}),
            decimal(score["deviation"]),
            "" if baseline is None else decimal(baseline["value"]),
            decimal(score["published_dev"]),
            "" if test is None else decimal(test),
        )
    return table
