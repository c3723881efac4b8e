"""``glue``: a ``repeat`` of each recipe, the official scores of all tasks, files for the server."""

import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import warmstart
from tests.cli.conftest import ran
from tests.glue_files import NAMES, write_glue
from tests.tiny import tiny_checkpoint
from warmstart import errors
from warmstart.experiments import glue as benchmark
from warmstart.experiments.benchmark_folder import BenchmarkFolder
from warmstart.experiments.glue import Glue
from warmstart.experiments.glue_submission import write_submission
from warmstart.experiments.glue_tasks import GLUE_TASKS, OFFICIAL, TEST_FILES, TEST_ROWS
from warmstart.runs.safe_files import locked_by


def small(folder: Path) -> dict[str, Any]:
    """Settings for made-up files and a tiny model."""
    if not (folder / "model").exists():
        tiny_checkpoint(folder / "model")
    found = {"data.dir": str(folder), "model.name": str(folder / "model")}
    found |= {"model.max_tokens": 64, "data.validation": 0.25, "train.device": "cpu"}
    return found | {"train.epochs": 1, "train.batch_size": 8, "train.learning_rate": 1e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a download in which only two tasks, the diagnostics and half of one are."""
    made: Path = tmp_path_factory.mktemp("glue")
    write_glue(made, ["cola", "mnli", "ax", "rte"], rows=24)
    (made / "RTE" / "dev.tsv").unlink()
    (made / "CoLA" / "test.tsv").write_text("index\tsentence\n0\tthe cat\n1\t\n2\ta house\n")
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> Glue:
    """The benchmark on the tasks that are there, with a submission."""
    output = folder / "out"
    with pytest.warns(UserWarning, match="without a text|no text"):
        return warmstart.glue(
            overrides=small(folder), seeds=2, output=output, submission=True, progress=False
        )


def test_the_official_scores_are_those_of_the_experiments(found: Glue) -> None:
    scores = {(one["task"], one["rows"], one["metric"]): one for one in found.results["scores"]}
    assert scores.keys() == {
        ("cola", "dev", "matthews_correlation"),
        ("mnli", "dev", "accuracy"),
        ("mnli", "dev mismatched", "accuracy"),
    }
    for name, metric in {"cola": "matthews_correlation", "mnli": "accuracy"}.items():
        experiment = found.experiments[name]
        score = scores[name, "dev", metric]
        mean = experiment.scores["test"][metric]
        assert {key: score[key] for key in mean} == mean
        assert score["runs"] == len(experiment.runs) == 2
        baselines = experiment.results["baselines"]["test"].values()
        assert score["baseline"]["value"] == max(one[metric]["value"] for one in baselines)
        assert experiment.results["metric"] == metric
    assert scores["cola", "dev", "matthews_correlation"]["published_test"] == 0.521


def test_the_mismatched_rows_of_mnli_are_scored_with_every_run(found: Glue, folder: Path) -> None:
    (score,) = (one for one in found.results["scores"] if one["rows"] == "dev mismatched")
    values = []
    for run in found.experiments["mnli"].runs:
        source = "hub:nyu-mll/glue/mnli:validation_mismatched"
        values.append(run.evaluate(source, {"data.dir": str(folder)})["accuracy"]["value"])
    assert score["mean"] == pytest.approx(sum(values) / 2)
    assert (score["n"], score["published_dev"], score["published_test"]) == (12, 0.841, 0.834)


def test_the_page_shows_every_score_next_to_the_published_ones(found: Glue) -> None:
    page = found.report.read_text(encoding="utf-8")
    for text in ("0.565", "0.521", "0.839", "0.834", "mismatched", "Matthews correlation"):
        assert text in page
    for name in ("cola", "mnli"):
        assert f'href="{name}/experiment.html"' in page
        assert (found.path / name / "experiment.html").is_file()
    assert "Not trained, because files are missing" in page
    assert "rte (RTE/dev.tsv)" in page
    assert "sst2 (SST-2/train.tsv, SST-2/dev.tsv)" in page
    assert "bert-base-cased" in page
    assert "from the GLUE server" in page


def test_the_submission_has_the_answers_of_the_best_run(found: Glue, folder: Path) -> None:
    content = found.results["submission"]
    assert content["files"] == ["CoLA.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"]
    missing = {file for files in TEST_FILES.values() for file, _ in files} - {*content["files"]}
    assert content["left_out"].keys() == missing
    with zipfile.ZipFile(content["zip"]) as archive:
        assert archive.namelist() == content["files"]
        packed = {name: archive.read(name).decode() for name in archive.namelist()}
    for name, text in packed.items():
        assert (found.path / "submission" / name).read_text() == text
    best = found.experiments["mnli"].best
    for name, split in {"MNLI-m": "mnli:test_matched", "AX": "ax:test"}.items():
        table = best.predict_file(f"hub:nyu-mll/glue/{split}", {"data.dir": str(folder)})
        answers = table["prediction"].to_pylist()
        lines = [f"{index}\t{answer}" for index, answer in enumerate(answers)]
        assert packed[f"{name}.tsv"].splitlines() == ["index\tprediction", *lines]
    rows = packed["CoLA.tsv"].splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == ["0", "1", "2"]
    answers = [row.split("\t")[1] for row in rows]
    assert {*answers} <= {"0", "1"}
    assert answers[1] == Counter([answers[0], answers[2]]).most_common(1)[0][0]
    note = "CoLA.tsv: 1 row has no text and gets the most frequent answer."
    assert note in found.results["sentences"]
    few = "CoLA.tsv has 3 rows; the GLUE server needs 1,063."  # the folder is a small one
    assert few in found.results["sentences"]
    assert {*TEST_ROWS} == {file for files in TEST_FILES.values() for file, _ in files}


def test_a_test_file_that_cannot_be_read_is_left_out(
    found: Glue, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "glue"
    shutil.copytree(folder, copy)
    (copy / "CoLA" / "test.tsv").write_text("")
    content = write_submission(BenchmarkFolder(tmp_path), found.experiments, str(copy))
    assert "CoLA/test.tsv" in content["left_out"]["CoLA.tsv"]
    assert content["files"] == ["MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"]
    assert Path(content["zip"]).is_file()


def test_a_finished_benchmark_is_not_trained_again(
    found: Glue, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found.results
    for name in ("repeat", "resumed_experiment"):
        monkeypatch.setattr(benchmark, name, None)
    again = warmstart.resume_glue(found.path, progress=False)
    assert again.results == before


@pytest.mark.slow
def test_all_tasks_from_the_command_line(tmp_path: Path) -> None:
    folder = write_glue(tmp_path, [*NAMES, "ax"], rows=24)
    sets = [word for name, value in small(folder).items() for word in ("--set", f"{name}={value}")]
    out = tmp_path / "out"
    done = ran("glue", *sets, "--seeds", "2", "--output", str(out), "--submission", "--json")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    shown = [(one["task"], one["rows"], one["metric"]) for one in content["scores"]]
    assert shown == [(one.task, one.rows, one.metric) for one in OFFICIAL]
    assert content["submission"]["left_out"] == {}
    similar = (out / "submission" / "STS-B.tsv").read_text().splitlines()[1:]
    assert all(0 <= float(line.split("\t")[1]) <= 5 for line in similar)
    for name, words in {"RTE": {"entailment", "not_entailment"}, "QQP": {"0", "1"}}.items():
        lines = (out / "submission" / f"{name}.tsv").read_text().splitlines()[1:]
        assert {line.split("\t")[1] for line in lines} <= words
    assert "mnli (6 of 9 tasks)" in done.err


@pytest.mark.slow
def test_an_interrupted_benchmark_continues_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = write_glue(tmp_path, ["rte", "wnli"], rows=24), tmp_path / "out"
    original, began = benchmark.repeat, []

    def stopped_in_wnli(config: Any, *given: Any, **named: Any) -> Any:
        began.append(config)
        if config == "glue/wnli":
            raise errors.experiment.interrupted(out / "wnli", "repeat", 0, 2)
        return original(config, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(benchmark, "repeat", stopped_in_wnli)
        with pytest.raises(errors.Interrupted) as caught:
            warmstart.glue(None, small(folder), seeds=2, output=out, progress=False)
    assert began == ["glue/rte", "glue/wnli"]
    assert caught.value.found.startswith("stopped in wnli, after 1 of 2 tasks;")
    assert caught.value.do == f"warmstart glue --output {out} --resume"
    assert not (out / "results.json").exists()
    done = (out / "rte" / "results.json").stat().st_mtime_ns
    monkeypatch.chdir("/")  # the paths in glue.json are absolute
    words = caught.value.do.split()[1:]
    resumed = ran(*words, "--json")
    assert resumed.code == 0, resumed.err
    assert (out / "rte" / "results.json").stat().st_mtime_ns == done
    assert [one["task"] for one in json.loads(resumed.out)["scores"]] == ["rte", "wnli"]
    alone = warmstart.repeat(
        "glue/wnli", small(folder), seeds=2, output=tmp_path / "alone", progress=False
    )
    assert alone.scores == warmstart.resume_glue(out, progress=False).experiments["wnli"].scores


@pytest.mark.slow
def test_a_task_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = write_glue(tmp_path, ["rte", "wnli"], rows=24), tmp_path / "out"
    original = benchmark.repeat
    failing = {"glue/rte"}

    def some_fail(config: Any, *given: Any, **named: Any) -> Any:
        if config in failing:
            raise errors.RunError("no memory", "enough of it", "buy some")
        return original(config, *given, **named)

    monkeypatch.setattr(benchmark, "repeat", some_fail)
    made = warmstart.glue(None, small(folder), seeds=2, output=out, progress=False)
    assert made.results["tasks"]["rte"] == {"status": "failed", "error": "no memory"}
    assert "rte failed: no memory." in made.results["sentences"]
    assert made.experiments.keys() == {"wnli"}
    failing |= {"glue/wnli"}
    with pytest.raises(errors.RunError) as caught:
        warmstart.glue(None, small(folder), seeds=2, output=tmp_path / "none", progress=False)
    assert caught.value.found == "no task was finished; rte: no memory"
    assert caught.value.do.endswith(f"warmstart glue --output {tmp_path / 'none'} --resume")
    failing.clear()
    again = warmstart.resume_glue(out, progress=False)
    assert again.experiments.keys() == {"rte", "wnli"}


def refused(kind: type[errors.WarmstartError], *given: Any, **named: Any) -> errors.WarmstartError:
    with pytest.raises(kind) as caught:
        warmstart.glue(*given, progress=False, **named)
    return caught.value


def test_names_and_settings_that_are_refused_before_any_work(tmp_path: Path) -> None:
    folder = write_glue(tmp_path, ["rte"], rows=24)
    sets, out = small(folder), tmp_path / "out"
    error = refused(errors.UsageError, ["SST-2"], sets, output=out)
    assert error.do == "--tasks sst2"
    assert all(name in error.expected for name in GLUE_TASKS)
    assert "named twice" in refused(errors.UsageError, ["rte", "rte"], sets, output=out).found
    error = refused(errors.ConfigError, ["rte"], {**sets, "data.train": "a.csv"}, output=out)
    assert error.found == "data.train is given for GLUE"
    error = refused(errors.DataError, ["rte", "qqp"], sets, output=out)
    assert "qqp needs QQP/train.tsv, QQP/dev.tsv" in error.found
    assert error.do == "add the files, or leave these tasks out of --tasks"
    (tmp_path / "empty").mkdir()
    nothing = {**sets, "data.dir": str(tmp_path / "empty")}
    error = refused(errors.DataError, None, nothing, output=out)
    assert "cola needs CoLA/train.tsv" in error.found
    assert "the folder that contains CoLA" in error.do
    refused(errors.UsageError, ["rte"], sets, seeds=1, output=out)
    refused(errors.UsageError, ["rte"], sets, workers=0, output=out)
    # A fault of the data of any task is found before the first one is trained.
    write_glue(tmp_path, ["wnli"], rows=24)
    path = folder / "WNLI" / "dev.tsv"
    path.write_text(path.read_text().replace("\t1\n", "\t7\n"))
    assert "'7'" in refused(errors.DataError, ["rte", "wnli"], sets, output=out).found
    assert not out.exists()


def test_folders_that_are_refused(found: Glue, tmp_path: Path, folder: Path) -> None:
    sets = small(folder)
    error = refused(errors.RunError, ["cola"], sets, output=found.path)
    assert f"warmstart glue --output {found.path} --resume" in error.do
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    error = refused(errors.RunError, ["cola"], sets, output=tmp_path / "other")
    assert error.found == f"{tmp_path / 'other'} already contains other files"
    assert error.do == f"choose another folder: --output {tmp_path / 'other'}-2"
    with pytest.raises(errors.RunError, match="contains no results of GLUE"):
        warmstart.resume_glue(tmp_path / "other")
    with pytest.raises(errors.RunError, match="does not exist"):
        warmstart.resume_glue(tmp_path / "nowhere")
    with (
        locked_by(found.path / ".lock", errors.glue.in_use(found.path)),
        pytest.raises(errors.RunError, match="another process works on GLUE"),
    ):
        warmstart.resume_glue(found.path, progress=False)
    (tmp_path / "damaged").mkdir()
    for content in ("{", "{}"):
        (tmp_path / "damaged" / "glue.json").write_text(content)
        with pytest.raises(errors.RunError, match=r"cannot read .*glue\.json"):
            warmstart.resume_glue(tmp_path / "damaged")


def test_options_of_the_command_that_do_not_fit_resume(found: Glue) -> None:
    done = ran("glue", "--resume")
    assert done.code == 2
    assert "warmstart glue --output DIR --resume" in done.err
    done = ran("glue", "--resume", "--output", str(found.path), "--seeds", "3", "--tasks", "cola")
    assert done.code == 2
    assert "--resume with --tasks, --seeds" in done.err
    done = ran("glue", "--resume", "--output", str(found.path), "--address", "auto")
    assert done.code == 2
    assert "--address" in done.err
    done = ran("glue", "--resume", "--output", str(found.path))
    assert done.code == 0
    assert str(found.report) in done.out
