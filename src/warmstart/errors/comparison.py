"""Error messages of ``warmstart compare``: runs, rows and metrics that cannot be compared."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from warmstart.errors.base import DataError, RunError, UsageError
from warmstart.errors.counts import counted


def same_run(path: Path) -> UsageError:
    """One run was given twice."""
    return UsageError(
        found=f"{path} is given twice",
        expected="different runs: a run has no difference from itself",
        do="leave one of them out, or name another run: warmstart compare RUN RUN",
    )


def nothing_to_compare(names: Sequence[str]) -> UsageError:
    """There is one setting, and no baseline and no file to compare it with."""
    runs = names[0] if len(names) == 1 else "runs of the same settings with different seeds"
    return UsageError(
        found=f"only {runs}, without stored predictions of a baseline",
        expected="runs of at least two different settings, or a file with other predictions",
        do="name another run: warmstart compare RUN RUN; or give a file: --predictions FILE "
        "--prediction-column COLUMN",
    )


def no_runs_in(path: Path) -> RunError:
    """A folder that is not a run, and has no runs in it."""
    return RunError(
        found=f"{path} is not a run directory, and contains none"
        if path.is_dir()
        else f"{path} is not a folder",
        expected="a run directory, as `warmstart train` writes it, or a folder of runs",
        do="name the folder that training printed at its end: warmstart compare RUN RUN",
    )


def not_finished(path: Path) -> RunError:
    """A run that has no scores yet."""
    return RunError(
        found=f"the run in {path} is not finished, so that it has no scores yet",
        expected="finished runs",
        do=f"resume it: warmstart train {path} --resume; or leave it out",
    )


def no_split(path: Path, split: str, have: Sequence[str]) -> RunError:
    """A run without predictions for the split."""
    held = f"--split {have[0]}, which every run has" if have else "train it with --test FILE"
    also = "; validation scores are a little too high, because they chose the model"
    return RunError(
        found=f"the run in {path} has no predictions for a {split} split",
        expected=f"runs that were scored on the same {split} rows",
        do=f"{held}{also * (held.startswith('--split validation'))}",
    )


def other_task(first: Path, task: str, second: Path, other: str) -> RunError:
    """Runs of two tasks."""
    return RunError(
        found=f"the task of {first} is {task}, and that of {second} is {other}",
        expected="runs of one task",
        do="compare the runs of each task on their own",
    )


def other_label_names(
    first: Path, names: Sequence[str], second: Path, others: Sequence[str]
) -> RunError:
    """Runs with different labels, or with the same labels in another order."""
    if sorted(names) == sorted(others):
        reason = f"the labels of {first} and {second} have different orders"
    else:
        only = [*(set(names) - set(others)), *(set(others) - set(names))]
        reason = f"{first} and {second} have different labels: only one of them has {min(only)!r}"
    return RunError(
        found=reason,
        expected="runs that predict the same labels, in the same order",
        do="train one of them again with the labels of the other (data.label_names, or training "
        "rows with the same labels)",
    )


def other_rows(names: tuple[str, str], rows: tuple[int, int], split: str, both: int) -> RunError:
    """Two runs were scored on different rows; ``both`` is the number of rows in common."""
    add = "--common-rows, to compare them on the rows that all have; or " if both else ""
    return RunError(
        found=f"{names[0]} has {counted(rows[0], f'{split} row')}, {names[1]} has {rows[1]:,}, and "
        f"{both:,} of them are the same",
        expected=f"the same {split} rows in all runs: files with the same content, and the same "
        "rows of them",
        do=f"{add}train one of them again with the same data.{split}",
    )


def other_content(first: str, second: str, row: int, column: str) -> RunError:
    """The same row has another text or label in two runs."""
    return RunError(
        found=f"row {row} has another {column} in {first} than in {second}",
        expected=f"the same {column} in every run: the files are the same, so the settings that "
        "name the columns differ",
        do=f"train one of them again with the same columns (data.{column})",
    )


def metric_unknown(name: str, known: Sequence[str]) -> UsageError:
    """``--metric`` names none of the task's metrics."""
    within = [metric for metric in known if name.lower() in metric]
    nearest = within or get_close_matches(name, known, n=1) or known[:1]
    return UsageError(
        found=f"--metric {name}",
        expected=f"one of: {', '.join(known)}",
        do=f"--metric {nearest[0]}",
    )


def metric_of_whole_model(name: str, known: Sequence[str]) -> UsageError:
    """``--metric`` names a metric that does not follow from stored predictions."""
    return UsageError(
        found=f"--metric {name}, which is computed with the model, not from stored predictions",
        expected=f"one of: {', '.join(known)}",
        do=f"--metric {known[0]}",
    )


def needs_probabilities(name: str, file: str, known: Sequence[str]) -> UsageError:
    """``--metric`` needs probabilities, and the file has only labels."""
    return UsageError(
        found=f"--metric {name} needs the probability of every label, and {file} has one value "
        "for each row",
        expected=f"one of: {', '.join(known)}",
        do=f"--metric {known[0]}",
    )


def margin_below_zero(margin: float) -> UsageError:
    """``--margin`` is not a size."""
    return UsageError(
        found=f"--margin {margin:g}",
        expected="the smallest difference that matters, 0 or more, in the unit of the metric",
        do="--margin 0.01",
    )


def no_answers(task: str) -> UsageError:
    """``--predictions`` for a task whose predictions are not one value for each row."""
    return UsageError(
        found=f"--predictions, and the task of the runs is {task}",
        expected="a task with one label, list of labels or number for each row",
        do="compare runs only: warmstart compare RUN RUN",
    )


def option_without(option: str, other: str) -> UsageError:
    """An option of ``--predictions`` without it, or the other way round."""
    return UsageError(
        found=f"{option} without {other}",
        expected="a file with predictions, and the name of its column",
        do="--predictions FILE --prediction-column COLUMN",
    )


def unusable_column(error: DataError, option: str) -> DataError:
    """A column of the file with predictions is missing, or a value in it cannot be used."""
    return DataError(
        found=error.found,
        expected=error.expected,
        do=f"correct the file; or name another column: {option} COLUMN",
    )


def other_tokens(names: tuple[str, str], metric: str, *, per_byte: bool) -> UsageError:
    """A metric per token, for runs that count different tokens in the same texts."""
    also = "--metric bits_per_byte, which does not depend on the tokens; or " if per_byte else ""
    return UsageError(
        found=f"{metric} is per token, and {names[0]} and {names[1]} predict different tokens of "
        "the same texts",
        expected="runs with the same tokenizer, model.max_tokens and, for hidden tokens, "
        "data.mask_share",
        do=f"{also}train one of them again with these settings of the other",
    )


def other_number_of_rows(file: str, rows: int, expected: int, split: str) -> DataError:
    """A file without row numbers does not have one prediction for each row."""
    return DataError(
        found=f"{file} has {counted(rows, 'row')}, and the {split} split has {expected:,}",
        expected="one prediction for each row of the split, in its order",
        do="name a column with the number of each row, from 0, as in the column row of the runs' "
        "predictions.parquet: --row-column COLUMN",
    )


def rows_do_not_match(file: str, column: str, what: str) -> DataError:
    """The column with row numbers lacks rows, or has some twice; ``what`` says which."""
    return DataError(
        found=f"{file}: {what}",
        expected=f"in {column!r} the number of each row of the split once, as in the column row of "
        "the runs' predictions.parquet",
        do="complete the file; or name another column: --row-column COLUMN",
    )
