"""``compare`` on run directories: numbers, seeds, baselines, other files, and refusals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import warmstart
from tests.evaluation.stored_run_files import (
    ROWS,
    classes,
    truth,
    write_documents,
    write_run,
)
from warmstart.errors import DataError, RunError, UsageError, WarmstartError
from warmstart.evaluation.compare import ComparedRuns
from warmstart.evaluation.other_predictions import OtherPredictions

NAMES = np.array(["bad", "good"])


def pair(found: ComparedRuns, a: str, b: str) -> dict[str, Any]:
    pairs: list[dict[str, Any]] = found.to_json()["pairs"]
    return next(one for one in pairs if [Path(one[side]).name for side in "ab"] == [a, b])


def refused(kind: type[WarmstartError], *runs: Path, **arguments: Any) -> WarmstartError:
    with pytest.raises(kind) as caught:
        warmstart.compare(*runs, **arguments)
    return caught.value


def test_differences_are_those_of_the_scores(tmp_path: Path) -> None:
    one, other = classes(0.9, 1), classes(0.7, 2)
    runs = [
        write_run(tmp_path / "a", one),
        write_run(tmp_path / "b", other, ["train.epochs=9"]),
    ]
    found = warmstart.compare(*runs, metric="accuracy")
    content = found.to_json()
    assert list(content) == ["metric", "split", "margin", "runs", "pairs"]
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    for run, shown in zip(runs, content["runs"], strict=True):
        scores = json.loads((run / "evaluation/test/scores.json").read_text())["scores"]["accuracy"]
        assert {name: shown[name] for name in ("value", "low", "high", "n")} == {
            name: scores[name] for name in ("value", "low", "high", "n")
        }
    compared = pair(found, "a", "b")
    right = one == truth(), other == truth()
    assert compared["difference"] == pytest.approx(right[0].mean() - right[1].mean())
    assert compared["low"] > 0.1
    assert compared["p"] == compared["p_adjusted"] < 0.001
    assert compared["verdict"] == "better"
    assert compared["mcnemar"]["only_first"] == (right[0] & ~right[1]).sum()
    assert compared["mcnemar"]["only_second"] == (right[1] & ~right[0]).sum()


def test_a_lower_log_loss_is_better(tmp_path: Path) -> None:
    better = write_run(tmp_path / "a", classes(0.9, 1))
    worse = write_run(tmp_path / "b", classes(0.6, 2), ["train.epochs=9"])
    found = pair(warmstart.compare(better, worse, metric="log_loss"), "a", "b")
    assert found["difference"] < 0
    assert found["verdict"] == "better"


def test_little_data_does_not_decide_and_much_says_equivalent(tmp_path: Path) -> None:
    few = [
        write_run(tmp_path / name, classes(0.8, seed, 40), [f"train.epochs={seed}"])
        for name, seed in (("a", 1), ("b", 2))
    ]
    result = warmstart.compare(*few, metric="accuracy")
    assert any(note.startswith("only 40 rows: the intervals are") for note in result.notes)
    found = pair(result, "a", "b")
    assert found["verdict"] == "not decided"
    assert found["units_needed"] > 40
    many = classes(0.8, 1, 6_000)
    right = many == truth(6_000)
    flipped = np.concatenate([np.flatnonzero(right)[:10], np.flatnonzero(~right)[:10]])
    changed = many.copy()
    changed[flipped] = 1 - changed[flipped]
    runs = [
        write_run(tmp_path / "c", many),
        write_run(tmp_path / "d", changed, ["train.epochs=9"]),
    ]
    found = pair(warmstart.compare(*runs, metric="accuracy"), "c", "d")
    assert found["verdict"] == "equivalent"
    assert found["units_needed"] is None


def test_runs_that_differ_in_seeds_are_one_setting(tmp_path: Path) -> None:
    folder = tmp_path / "repeat"
    for seed in (1, 2, 3):
        write_run(folder / f"trials/{seed}", classes(0.8, seed), [f"train.seed={seed}"])
    other = write_run(tmp_path / "b", classes(0.7, 9), ["train.epochs=9"])
    found = warmstart.compare(folder, other, metric="accuracy")
    first = found.runs[0]
    assert Path(first.name).name == "repeat (3 seeds)"
    assert [Path(run).name for run in first.runs] == ["1", "2", "3"]
    right = [(classes(0.8, seed) == truth()).mean() for seed in (1, 2, 3)]
    assert first.value == pytest.approx(np.mean(right))
    assert any("differ only in seeds" in note for note in found.notes)
    compared = pair(found, "repeat (3 seeds)", "b")
    assert compared["mcnemar"] is None
    assert compared["difference"] == pytest.approx(np.mean(right) - found.runs[1].value)


def test_the_best_run_of_an_experiment_is_not_counted_twice(tmp_path: Path) -> None:
    folder = tmp_path / "repeat"
    for name, seed in (("trials/1", 1), ("trials/2", 2), ("best", 2)):
        write_run(folder / name, classes(0.8, seed), [f"train.order_seed={seed}"])
    other = write_run(tmp_path / "b", classes(0.7, 9), ["train.epochs=9"])
    settings = warmstart.compare(folder, other, metric="accuracy").runs
    assert [Path(setting.name).name for setting in settings] == ["repeat (2 seeds)", "b"]
    assert [Path(run).name for run in settings[0].runs] == ["1", "2"]


def test_the_strongest_baseline_is_compared_too(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "a", classes(0.9, 1), baselines={"majority": np.ones(ROWS, dtype=int)}
    )
    found = warmstart.compare(run, metric="accuracy")
    (compared,) = found.pairs
    assert compared.b == f"baseline majority of {run}"
    assert found.runs[1].value == pytest.approx(truth().mean())
    assert compared.verdict.words == "better"
    rivals = {"majority": classes(0.6, 5), "tfidf": classes(0.8, 6)}
    run = write_run(tmp_path / "b", classes(0.9, 1), baselines=rivals)
    for metric in ("accuracy", "log_loss"):
        assert warmstart.compare(run, metric=metric).pairs[0].b == f"baseline tfidf of {run}"


def test_damaged_predictions_are_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", classes(0.9, 1), baselines={"tfidf": classes(0.6, 2)})
    baseline = run / "evaluation/test/baseline-tfidf.parquet"
    baseline.write_bytes(baseline.read_bytes()[:-50])
    error = refused(RunError, run)
    assert f"cannot read {baseline}" in error.found
    assert "or remove it" in error.do
    baseline.unlink()
    other = write_run(tmp_path / "b", classes(0.8, 2), ["train.epochs=9"])
    assert len(warmstart.compare(run, other).pairs) == 1
    predictions = run / "evaluation/test/predictions.parquet"
    predictions.write_bytes(b"")
    assert f"cannot read {predictions}" in refused(RunError, run, other).found


def test_holm_counts_comparisons_of_settings_and_of_baselines_apart(tmp_path: Path) -> None:
    runs = [
        write_run(
            tmp_path / f"{seed}",
            classes(0.8, seed),
            [f"train.epochs={seed}"],
            baselines={"majority": classes(0.75, 50 + seed)},
        )
        for seed in (1, 2, 3)
    ]
    found = warmstart.compare(*runs, metric="accuracy")
    for pairs in (found.pairs[:3], found.pairs[3:]):
        smallest = min(pairs, key=lambda one: one.found.p)
        assert smallest.p_adjusted == pytest.approx(min(3 * smallest.found.p, 1))


def test_only_common_rows_if_asked(tmp_path: Path) -> None:
    one, other = classes(0.9, 1), classes(0.7, 2)
    whole = write_run(tmp_path / "a", one, baselines={"tfidf": other})
    part = write_run(tmp_path / "b", other, ["train.epochs=9"], kept=range(300))
    error = refused(RunError, whole, part)
    assert "400 test rows" in error.found
    assert "300 of them are the same" in error.found
    assert "--common-rows" in error.do
    for runs in ((whole, part), (part, whole)):
        found = warmstart.compare(*runs, metric="accuracy", common_rows=True)
        assert {run.n for run in found.runs} == {300}
        assert any("300 rows" in note for note in found.notes)
        for name, predicted in ((str(whole), one), (f"baseline tfidf of {whole}", other)):
            value = next(run.value for run in found.runs if run.name == name)
            assert value == pytest.approx((predicted == truth())[:300].mean())
    elsewhere = write_run(tmp_path / "c", other, ["train.epochs=9"], sha256="cd" * 32)
    error = refused(RunError, whole, elsewhere, common_rows=True)
    assert "0 of them are the same" in error.found
    assert "--common-rows" not in error.do
    assert "data.test" in error.do


def test_copies_of_a_file_are_the_same_rows(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "here/a", classes(0.9, 1)),
        write_run(tmp_path / "there/b", classes(0.7, 2)),
    ]
    assert len(warmstart.compare(*runs).pairs) == 1


def test_predictions_of_another_program(tmp_path: Path) -> None:
    run, other = write_run(tmp_path / "a", classes(0.7, 1)), classes(0.95, 2)
    file = tmp_path / "other.csv"
    file.write_text("answer\n" + "".join(f"{NAMES[one]}\n" for one in other))
    found = warmstart.compare(
        run, metric="accuracy", predictions=OtherPredictions(str(file), "answer")
    )
    compared = pair(found, "a", "other.csv")
    assert compared["verdict"] == "worse"
    assert found.runs[1].value == pytest.approx((other == truth()).mean())
    order = np.random.default_rng(0).permutation(ROWS)
    lines = [json.dumps({"id": int(row), "answer": NAMES[other[row]]}) for row in order]
    mixed = tmp_path / "other.jsonl"
    mixed.write_text("\n".join(lines))
    again = warmstart.compare(
        run, metric="accuracy", predictions=OtherPredictions(str(mixed), "answer", "id")
    )
    assert pair(again, "a", "other.jsonl") == {**compared, "b": str(mixed)}


def test_predictions_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    run, file = write_run(tmp_path / "a", classes(0.7, 1)), tmp_path / "other.csv"

    def error(content: str, *columns: str, **arguments: str) -> WarmstartError:
        file.write_text(content)
        given = OtherPredictions(str(file), *columns)
        return refused(WarmstartError, run, predictions=given, **arguments)

    answers = "id,answer\n" + "".join(f"{row},good\n" for row in range(ROWS))
    found = error(answers, "answer", metric="roc_auc")
    assert "needs the probability" in found.found
    assert found.do == "--metric matthews_correlation"
    found = error("answer\ngood\n", "answer")
    assert "1 row" in found.found
    assert "--row-column" in found.do
    found = error(answers.replace("399,good\n", "398,good\n"), "answer", "id")
    assert "the row 398 occurs twice" in found.found
    assert "--row-column" in found.do
    found = error(answers.replace("399,good\n", ""), "answer", "id")
    assert "the row 399 is missing (1 row in all)" in found.found
    found = error(answers.replace("good", "fine"), "answer")
    assert "'fine'" in found.found
    assert "--prediction-column COLUMN" in found.do
    assert isinstance(error(answers, "wrong"), DataError)
    found = error(answers.replace("399,", "x,"), "answer", "id")
    assert "the column id has 'x'" in found.found
    assert "--row-column COLUMN" in found.do


def test_runs_that_cannot_be_compared(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", classes(0.9, 1))
    assert "given twice" in refused(UsageError, run, run).found
    assert "warmstart compare RUN RUN" in refused(UsageError, run, tmp_path / "a/../a").do
    assert "--predictions FILE" in refused(UsageError, run).do
    error = refused(RunError, run, write_run(tmp_path / "b", classes(0.9, 2), finished=False))
    assert "not finished" in error.found
    assert f"warmstart train {tmp_path / 'b'} --resume" in error.do
    held = write_run(tmp_path / "c", classes(0.9, 2), ["train.epochs=9"], splits=["validation"])
    error = refused(RunError, run, held)
    assert "no predictions for a test split" in error.found
    assert error.do.startswith("--split validation")
    assert len(warmstart.compare(run, held, split="validation").pairs) == 1
    facts = {"label_names": ["bad", "fine"]}
    error = refused(RunError, run, write_run(tmp_path / "d", classes(0.9, 2), facts=facts))
    assert "only one of them has 'fine'" in error.found
    assert "data.label_names" in error.do
    turned = {"label_names": ["good", "bad"]}
    error = refused(RunError, run, write_run(tmp_path / "e", classes(0.9, 2), facts=turned))
    assert "different orders" in error.found
    error = refused(RunError, run, write_run(tmp_path / "f", classes(0.9, 2), texts="other"))
    assert "row 0 has another text" in error.found
    assert "data.text" in error.do
    assert "contains none" in refused(RunError, run, tmp_path / "a/evaluation").found
    assert "is not a folder" in refused(RunError, run, tmp_path / "nowhere").found


def test_metrics_and_margins_that_are_not_possible(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, classes(0.9, seed), [f"train.epochs={seed}"])
        for name, seed in (("a", 1), ("b", 2))
    ]
    error = refused(UsageError, *runs, metric="F1")
    assert error.do == "--metric f1"
    for margin in (-0.01, float("nan"), float("inf")):
        assert refused(UsageError, *runs, margin=margin).do == "--margin 0.01"
    assert warmstart.compare(*runs).metric == "matthews_correlation"


def test_tasks_whose_rows_or_metrics_do_not_suffice(tmp_path: Path) -> None:
    """Runs of documents: no labels for a file, and a metric that needs the model."""
    documents = [write_documents(tmp_path / name, nats) for name, nats in (("a", 2.0), ("b", 2.1))]
    found = warmstart.compare(*documents)
    assert (found.metric, found.unit) == ("loss", "documents")
    assert found.pairs[0].verdict.words == "better"
    coarse = write_documents(tmp_path / "d", 2.2, tokens=9)
    error = refused(UsageError, documents[0], coarse)
    assert "predict different tokens" in error.found
    assert error.do == "train one of them again with these settings of the other"
    error = refused(UsageError, *documents, metric="pseudo_perplexity")
    assert "computed with the model" in error.found
    assert error.do == "--metric loss"
    other = OtherPredictions("other.csv", "answer")
    error = refused(UsageError, *documents, predictions=other)
    assert "fill-mask" in error.found
    assert error.do == "compare runs only: warmstart compare RUN RUN"
    labelled = write_run(tmp_path / "c", classes(0.9, 1))
    error = refused(RunError, labelled, documents[0])
    assert "is text-classification, and that of" in error.found
    assert error.do == "compare the runs of each task on their own"
