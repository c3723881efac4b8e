"""Format numbers, settings and sentences in the same way in the report and in the model card.

Scores have three decimals so that columns line up; other numbers have three significant digits.
A value that is undefined or not finite is shown as a dash, never as another number.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from warmstart.config import DataConfig
from warmstart.config.file_formats import NO_ROWS
from warmstart.data.checking.check import Findings
from warmstart.errors.counts import counted, form
from warmstart.metrics.scores import Score
from warmstart.runs.run_record import EvaluationRecord, RunRecord
from warmstart.runs.titles import Titles

FAR = 0.25
"""A model is far behind a baseline if it misses this share of the baseline's score."""

DASH = "–"
MINUS = "−"


def number(value: float | None) -> str:
    """A number with three significant digits; whole numbers in full, with separators.

    >>> [number(x) for x in (0.0004321, 2e-5, 1.0, 12.345, 8551, None)]
    ['4.32e-4', '2e-5', '1', '12.3', '8,551', '–']
    """
    if value is None or not math.isfinite(value):
        return DASH
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", MINUS)
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", MINUS)
    if abs(value) < 1e-3:
        digits, exponent = f"{value:.2e}".split("e")
        digits = digits.rstrip("0").rstrip(".").replace("-", MINUS)
        return f"{digits}e{int(exponent)}"
    return f"{value:#.3g}".rstrip(".").replace("-", MINUS)


def decimals(value: float | None, places: int = 3) -> str:
    """A number with a fixed number of decimals, so that columns line up; a large one has none.

    >>> decimals(-0.0417), decimals(0), decimals(float("nan"))
    ('−0.042', '0.000', '–')
    >>> decimals(151756.687), decimals(23607819478.409)
    ('151,757', '2.361e10')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if abs(value) >= 1e7:
        return f"{value:.3e}".replace("e+", "e").replace("-", MINUS)
    if abs(value) >= 1e4:
        return f"{value:,.0f}".replace("-", MINUS)
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", MINUS)


def interval(score: Score, places: int = 3) -> str:
    """The 95 % interval in brackets, or an empty text if there is none.

    >>> interval(Score(0.43, 0.35, 0.512, n=516, higher_is_better=True), places=2)
    '[0.35, 0.51]'
    """
    if score.low is None or score.high is None:
        return ""
    return f"[{decimals(score.low, places)}, {decimals(score.high, places)}]"


def percent_text(share: float) -> str:
    r"""A share as a percentage with one decimal; the blank in it breaks no line.

    >>> percent_text(0.9966)
    '99.7\xa0%'
    """
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def duration(seconds: float | None) -> str:
    """A time in convenient units.

    >>> [duration(x) for x in (0.254, 7.25, 75, 3725)]
    ['0.25 s', '7.2 s', '1 min 15 s', '1 h 02 min']
    """
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def setting(value: Any) -> str:
    """A setting's value in the notation of YAML.

    >>> setting({"rank": 8, "bias": None, "modules": ["query", "value"], "on": True})
    '{rank: 8, bias: null, modules: [query, value], on: true}'
    >>> setting([0.9, 1e-8])
    '0.9, 1e-08'
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting_inside, value))
    return _setting_inside(value)


def _setting_inside(value: Any) -> str:
    """A setting's value inside another one, in which a list needs its brackets."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting_inside, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{name}: {_setting_inside(of_name)}" for name, of_name in value.items())
        return f"{{{', '.join(pairs)}}}"
    return str(value)


def environment_in_words(facts: Mapping[str, Any]) -> dict[str, str]:
    """Versions and machine, by name, each as text.

    Args:
        facts: the content of ``environment.json``.
    """
    hidden = ("settings", "base")  # to compare them on resume; the settings have their own table
    texts = {name: setting(value) for name, value in facts.items() if name not in hidden}
    if "trains" in facts:
        texts["trains"] = trained_parts_in_words(facts["trains"])
    return texts


def threads_note(facts: Mapping[str, Any]) -> str:
    """Why the same run gives another result with other threads; empty for a GPU.

    Args:
        facts: the content of ``environment.json``.

    >>> threads_note({"device": "cpu", "threads": 2}).rpartition(", ")[2]
    '2 (OMP_NUM_THREADS=2).'
    """
    count = facts.get("threads")
    if facts.get("device") != "cpu" or count is None:
        return ""
    return (
        "On a CPU, the number of threads changes the order of additions, and so the result: to get "
        f"the same numbers, use the same number as this run, {count} (OMP_NUM_THREADS={count})."
    )


def trained_parts_in_words(parts: Sequence[Mapping[str, Any]]) -> str:
    """How many parameters of each part of a model are trained, and from which epoch.

    Args:
        parts: parts in the form of ``TrainedPart.to_json``.

    >>> body = {"name": "layers 0-5", "parameters": 9000, "trained": 0, "from_epoch": None}
    >>> head = {"name": "head", "parameters": 770, "trained": 770, "from_epoch": 2}
    >>> trained_parts_in_words([body, head])
    'layers 0-5: none of 9,000 parameters; head: all 770 parameters, from epoch 2'
    """
    sentences = []
    for part in parts:
        total, trained, first = part["parameters"], part["trained"], part["from_epoch"]
        amount = {0: "none of ", total: "all "}.get(trained, f"{trained:,} of ")
        later = f", from epoch {first}" if first is not None and first > 1 else ""
        sentences.append(f"{part['name']}: {amount}{total:,} parameters{later}")
    return "; ".join(sentences)


def sentence_case(text: str, names: Collection[str] = ()) -> str:
    """The text with its first letter in upper case, unless it starts with a name.

    Args:
        text: a sentence.
        names: names of files; a word such as ``notes.conll`` or ``max_tokens`` is always a name.

    >>> sentence_case("the TF-IDF baseline")
    'The TF-IDF baseline'
    >>> sentence_case("notes.conll: read as IOB2"), sentence_case("my notes: empty", ["my notes"])
    ('notes.conll: read as IOB2', 'my notes: empty')
    """
    word = text.split(" ", 1)[0].rstrip(",:;.")
    is_name = not word.replace("-", "").isalpha() or text.startswith(tuple(f"{n}:" for n in names))
    return text if is_name else text[:1].upper() + text[1:]


def task_title(task: str) -> str:
    """The name of a task in a sentence.

    >>> task_title("text-classification"), task_title("multi-label-classification")
    ('text classification', 'multi-label classification')
    """
    return task.replace("-", " ").replace("multi ", "multi-")


def base_name(path: str) -> str:
    """A file's name without its folders, which may be private.

    >>> base_name("/home/ada/cola/train.tsv"), base_name("bundled/grammar/train")
    ('train.tsv', 'bundled/grammar/train')
    """
    if "://" in path or path.startswith(("hub:", "bundled/")):
        return path
    return PurePath(path.replace("\\", "/")).name


def evaluation_title(evaluation: EvaluationRecord, shown: Callable[[str], str] = str) -> str:
    """What was scored: a split of the run, or files, with the settings that were given for them.

    Args:
        evaluation: the evaluation.
        shown: gives the shown name of a file from the name that the user wrote.
    """
    if not evaluation.is_file:
        return f"{sentence_case(evaluation.split)} split"
    names = ", ".join(map(shown, evaluation.files)) or evaluation.split
    settings = f" ({', '.join(evaluation.overrides)})" if evaluation.overrides else ""
    return f"{names}{settings}"


def verdict(record: RunRecord) -> str:
    """The result of the run in one or two sentences that claim no more than the intervals allow."""
    sample = sample_in_words(record.config.data)
    return " ".join([_result(record), *([f"{sentence_case(sample)}."] if sample else [])])


def sample_in_words(data: DataConfig) -> str:
    """That a run used only some of its training rows; empty if it used all.

    Args:
        data: settings of the run.

    >>> sample_in_words(DataConfig(train="a.csv", limit=500))
    'the model was trained on a sample of the training rows only (data.limit=500)'
    """
    if data.limit is None:
        return ""
    return f"the model was trained on a sample of the training rows only (data.limit={data.limit})"


def _result(record: RunRecord) -> str:
    evaluation = record.evaluation
    if evaluation is None:
        return _without_scores(record)
    titles = Titles.of(record.task)
    metric = evaluation.main_metric
    score = evaluation.scores[metric]
    unit = evaluation.scored_unit
    if score.n == 1:
        unit = "query" if unit == "queries" else unit.removesuffix("s")
    what = f"{unit} of {evaluation_title(evaluation, base_name)}"
    opening = f"On {score.n:,} {what if evaluation.is_file else f'{evaluation.split} {unit}'}"
    if score.value is None:
        return f"{opening} the model has no defined {titles.metric_in_sentence(metric)}."
    reached = f"{opening} the model reaches {titles.with_value(metric, _value(score))}"
    rivals = {
        titles.baseline(name): scores[metric]
        for name, scores in evaluation.baselines.items()
        if metric in scores
    }
    leak = "" if record.findings is None else shared_texts(record.findings, evaluation.split)
    leak = f" {leak}" if leak else ""
    if not rivals:
        return f"{reached}. No baseline was scored.{leak}"
    others = [
        f"for {name} it is undefined" if rival.value is None else f"{name} reaches {_value(rival)}"
        for name, rival in best_first(rivals)
    ]
    return f"{reached}; {' and '.join(others)}. {_comparison(score, rivals)}{leak}"


def shared_texts(findings: Findings, split: str) -> str:
    """A sentence if rows of a scored split have the text of a training row; otherwise empty.

    Args:
        findings: what was found in the data of the run.
        split: ``validation`` or ``test``.
    """
    total = {found.split: found.rows for found in findings.splits}.get(split, 0)
    for repeats in findings.repeats:
        if (repeats.split, repeats.stands_in) == (split, "train"):
            have = form(repeats.rows, "has", "have")
            return (
                f"{repeats.rows:,} of {counted(total, f'{split} row')} {have} the same text as a "
                "training row, so the score may be too high (see data.duplicates)."
            )
    return ""


def status(record: RunRecord) -> str:
    """The state of the run, as a short text."""
    if record.finish:
        return f"{record.finish['status']} in {duration(record.finish['seconds'])}"
    if record.interrupted:
        return "interrupted"
    return "unfinished" if record.steps else "not started"


def _without_scores(record: RunRecord) -> str:
    if not record.steps and not record.finish:
        return "Training has not started, so there is no result yet."
    planned = record.start.get("steps")
    steps = len(record.steps)
    done = f"{steps:,} of {counted(planned, 'step')}" if planned else counted(steps, "step")
    if record.finish and record.config.data.validation == NO_ROWS:
        ended = f"Training ended after {done}. " if steps else ""
        return (
            f"{ended}There are no validation or test rows, so it is not known how well the model "
            "predicts other rows than those it was trained on."
        )
    if record.finish:
        return f"Training ended after {done}; no split has been scored."
    state = "was interrupted after" if record.interrupted else "had reached"
    return f"Training {state} {done}; no split has been scored yet."


def best_first(rivals: Mapping[str, Score]) -> list[tuple[str, Score]]:
    """The scores of the baselines, the best first; undefined ones are last.

    Args:
        rivals: scores by name of the baseline.
    """

    def rank(item: tuple[str, Score]) -> tuple[bool, float]:
        value = item[1].value
        if value is None:
            return (True, 0.0)
        return (False, -value if item[1].higher_is_better else value)

    return sorted(rivals.items(), key=rank)


def _comparison(score: Score, rivals: Mapping[str, Score]) -> str:
    name, rival = best_first(rivals)[0]
    if rival.value is None:
        return f"The model cannot be compared with {name}."
    if ahead(rival, score):
        assert score.value is not None  # an undefined score has no interval
        far = abs(rival.value - score.value) >= FAR * abs(rival.value)
        return f"The model is {'far' if far else 'clearly'} behind {name}, which is much cheaper."
    if not score.better_than(rival):
        return f"The model is not better than {name}, which is much cheaper."
    if None in (score.low, score.high, rival.low, rival.high):
        return f"The model is ahead of {name}, but without intervals this may be due to chance."
    if not ahead(score, rival):
        return (
            f"The model is ahead of {name}, but their 95 % intervals overlap: "
            "more test rows are needed to be sure of the lead."
        )
    return f"The model is clearly ahead of {name}: their 95 % intervals do not overlap."


def ahead(score: Score, rival: Score) -> bool:
    """Whether a score is better than another one, and their intervals do not overlap.

    Args:
        score: a score.
        rival: another score of the same metric.
    """
    if score.low is None or score.high is None or rival.low is None or rival.high is None:
        return False
    apart = max(score.low, rival.low) > min(score.high, rival.high)
    return apart and score.better_than(rival)


def _value(score: Score) -> str:
    """Value and interval with two decimals; an exact 0 or 1 without decimals."""
    assert score.value is not None
    value = str(int(score.value)) if score.value in (0, 1) else decimals(score.value, 2)
    if score.low == score.high == score.value:
        return value
    return f"{value} {interval(score, 2)}".rstrip()
