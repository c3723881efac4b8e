"""The commands as functions: one run from settings to predictions, and their errors."""

import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest

import warmstart
from tests.runs_in_memory import settings, write_reviews
from warmstart import api, config_file
from warmstart.api import Run, default_output
from warmstart.errors import DataError, Interrupted, ModelError, RunError
from warmstart.runs.directory import ENTRIES, RunDirectory
from warmstart.runs.events import Event, events_of, read_events


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a small run with a test split."""
    folder: Path = tmp_path_factory.mktemp("api")
    test = write_reviews(folder / "test.csv", rows=30, seed=9)
    found = settings(folder, epochs=1, learning_rate=1e-2)
    found["data"]["test"] = str(test)
    return found


@pytest.fixture(scope="module")
def run(config: dict[str, Any]) -> Run:
    """The run, finished."""
    return warmstart.train(config, output=folder_of(config) / "run", progress=False)


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report takes longer than a small training."""
    monkeypatch.setattr(Run, "report", lambda run: run.path)


def folder_of(config: dict[str, Any]) -> Path:
    return Path(config["data"]["train"]).parent


def events(run: Run) -> list[Event]:
    return read_events(run.path / "events.jsonl")


OF_OTHER_RUNS = {
    "adapter",
    "average",
    "export",
    "head_start",
    "samples.json",
    "start",
    "tensorboard",
}
"""Files that some settings or commands write, in addition to those of every run."""


def test_a_run_directory_has_the_documented_files_and_no_others(run: Run) -> None:
    names = {path.name for path in run.path.iterdir()}
    assert names - {".lock"} == set(ENTRIES) - OF_OTHER_RUNS
    for split in ("validation", "test"):
        files = {path.name for path in (run.path / "evaluation" / split).iterdir()}
        baselines = {f"baseline-{name}.parquet" for name in ("majority", "tfidf")}
        assert files == {"predictions.parquet", "scores.json"} | baselines


def test_scores_have_n_an_interval_and_baselines(run: Run) -> None:
    assert run.scores.keys() == {"validation", "test"}
    for split, rows in {"validation": 25, "test": 30}.items():
        assert next(iter(run.scores[split])) == "matthews_correlation"
        assert run.baselines.keys() == {"majority", "tfidf"}
        for metrics in (run.scores[split], *(b[split] for b in run.baselines.values())):
            for score in metrics.values():
                assert score["n"] == rows
                if score["value"] is not None:
                    assert score["low"] <= score["value"] <= score["high"]
    json.dumps([run.scores, run.baselines], allow_nan=False)


def test_the_events_tell_the_run(run: Run) -> None:
    found = events(run)
    assert found[0]["event"] == "start"
    assert found[-1]["event"] == "finish"
    assert [event["step"] for event in events_of(found, "step")] == list(range(12))
    assert found[0]["steps"] == found[-1]["steps"] == 12
    assert sum(event["rows"] for event in events_of(found, "step")) == found[0]["rows"] == 95
    assert events_of(found, "evaluation")[0]["scores"].keys() == run.scores["validation"].keys()


def test_the_kept_model_is_the_one_that_was_scored(run: Run) -> None:
    during = events_of(events(run), "evaluation")[0]["scores"]
    for name, score in run.scores["validation"].items():
        assert score["value"] == pytest.approx(during[name]["value"], abs=1e-5)


def test_it_predicts(run: Run) -> None:
    good, bad = run.predict(["the wonderful cat saw my house", "a terrible story"])
    assert good["probabilities"] != bad["probabilities"]
    assert math.isclose(sum(good["probabilities"].values()), 1)
    assert good.keys() == {"row", "label", "probabilities", "truncated"}


def test_a_run_is_opened_by_its_path(run: Run) -> None:
    opened = warmstart.load(str(run.path))
    assert opened.path == run.path
    assert opened.scores == run.scores
    assert opened.config == run.config
    with pytest.raises(RunError, match="does not exist"):
        warmstart.load(run.path / "nowhere")


@pytest.mark.usefixtures("without_report")
def test_a_model_that_cannot_run_packed_is_reported(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "warmstart.models.packed.forward.why_not_packed", lambda *_: "its attention is unknown"
    )
    run = warmstart.train(config, output=tmp_path / "run", progress=False)
    told = "padded, in rectangles of similar length: its attention is unknown"
    notices = events_of(read_events(run.path / "events.jsonl"), "notice")
    assert notices[0]["text"] == f"the model runs {told}"
    assert RunDirectory(run.path).read_json("environment.json")["execution"] == told


@pytest.mark.usefixtures("without_report")
def test_training_from_a_runs_config_repeats_the_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from another folder: its paths are absolute."""
    monkeypatch.chdir(tmp_path)
    again = warmstart.train(run.path / "config.yaml", output=tmp_path / "again", progress=False)
    assert again.config == run.config
    assert again.scores == run.scores
    weights = [(r.path / "model" / "model.safetensors").read_bytes() for r in (run, again)]
    assert weights[0] == weights[1]
    data = [json.loads((r.path / "data.json").read_text()) for r in (run, again)]
    assert [content.pop("chosen") for content in data] == [["model.pooling"], []]
    assert data[0] == data[1]


@pytest.mark.usefixtures("without_report")
def test_the_paths_of_a_run_lead_to_its_files_from_anywhere(
    config: dict[str, Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"train": "reviews.csv", "validation": 0.2, "test": "test.csv"}
    relative = {**config, "data": data, "model": {"name": "checkpoint"}}
    monkeypatch.chdir(folder_of(config))
    trained = warmstart.train(relative, output=tmp_path / "run", progress=False)
    monkeypatch.chdir(tmp_path)
    assert trained.config == run.config
    assert warmstart.check(trained.path / "config.yaml").config == run.config


def test_report_and_card_are_made_anew(run: Run) -> None:
    before = {name: (run.path / name).read_text() for name in ("report.html", "README.md")}
    for name in before:
        (run.path / name).unlink()
    assert run.report() == run.path / "report.html"
    assert (run.path / "README.md").read_text() == before["README.md"]
    assert (run.path / "report.html").stat().st_size == pytest.approx(
        len(before["report.html"].encode()), rel=0.01
    )


def test_overrides_replace_settings(config: dict[str, Any]) -> None:
    prepared = warmstart.check(config, ["model.max_tokens=6", "data.validation=0.5"])
    assert prepared.max_tokens == 6
    assert len(prepared.tables["validation"]) in (60, 61)
    assert prepared.examples["train"].lengths.max() == 6
    assert {split.split for split in prepared.findings.splits} == {"train", "validation", "test"}


def test_an_occupied_folder_is_refused_before_anything_is_read(
    config: dict[str, Any], run: Run
) -> None:
    absent = {**config, "data": {**config["data"], "train": "no-such-file.csv"}}
    with pytest.raises(RunError, match="already contains a finished run"):
        warmstart.train(absent, output=run.path, progress=False)
    with pytest.raises(DataError):
        warmstart.train(absent, output=run.path, overwrite=True, progress=False)
    assert run.scores, "nothing is removed for a run that cannot start"


def test_nothing_is_written_for_a_run_that_cannot_start(
    config: dict[str, Any], tmp_path: Path
) -> None:
    for wrong in (
        {"model": {"name": str(tmp_path / "no-model")}},
        {"data": {**config["data"], "text": "txet"}},
        {"train": {"precision": "float16", "device": "cpu"}},
        {"train": {"best_metric": "f2"}},
    ):
        with pytest.raises(warmstart.WarmstartError):
            warmstart.train({**config, **wrong}, output=tmp_path / "run", progress=False)
        assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_report")
def test_overwriting_leaves_no_trace_of_the_earlier_run(
    config: dict[str, Any], tmp_path: Path
) -> None:
    labels = (folder_of(config) / "reviews.csv").read_text().replace("good", "fine")
    (tmp_path / "other.csv").write_text(labels)
    other = {**config, "data": {"train": str(tmp_path / "other.csv"), "validation": 0.2}}
    for settings_of_run in (config, other):
        run = warmstart.train(
            settings_of_run, output=tmp_path / "run", overwrite=True, progress=False
        )
    assert run.scores.keys() == {"validation"}
    assert len(events_of(events(run), "start")) == 1
    assert run.predict(["a cat"])[0]["probabilities"].keys() == {"bad", "fine"}


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C as that step ends."""
    from warmstart.training import loop

    original = loop.make_step

    def make_step(parts: Any, positions: Any, progress: Any) -> Any:
        if progress.step == step:
            signal.raise_signal(signal.SIGINT)
        return original(parts, positions, progress)

    monkeypatch.setattr(loop, "make_step", make_step)


@pytest.mark.usefixtures("without_report")
def test_an_interrupted_run_is_resumed_to_the_same_end(
    config: dict[str, Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as caught:  # noqa: PT012
        stop_at(patch, 4)
        warmstart.train(config, output=path, progress=False)
    assert caught.value.found.startswith("stopped after step 5")
    assert caught.value.do == f"warmstart train {path} --resume"
    with pytest.raises(RunError, match="has no finished model/"):
        warmstart.load(path).predict(["a cat"])
    resumed = warmstart.resume(path, progress=False)
    assert resumed.scores == run.scores
    assert [event["step"] for event in events_of(events(resumed), "step")] == list(range(12))
    weights = [(r.path / "model" / "model.safetensors").read_bytes() for r in (run, resumed)]
    assert weights[0] == weights[1]


def test_a_finished_run_is_not_resumed(run: Run) -> None:
    with pytest.raises(RunError, match="is finished") as caught:
        warmstart.resume(run.path)
    assert f"warmstart predict {run.path}" in caught.value.do
    with pytest.raises(RunError, match="contains no run"):
        warmstart.resume(run.path.parent)


def test_a_run_in_use_is_left_alone(config: dict[str, Any], run: Run) -> None:
    occupied = RunDirectory(run.path).locked()
    with occupied, pytest.raises(RunError, match="another process is using"):
        warmstart.train(config, output=run.path, overwrite=True, progress=False)
    assert run.scores.keys() == {"validation", "test"}


@pytest.mark.usefixtures("without_report")
def test_progress_is_on_stderr_and_can_be_silent(
    config: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    warmstart.train(config, output=tmp_path / "silent", progress=False)
    assert capfd.readouterr() == ("", "")
    warmstart.train(config, output=tmp_path / "said")
    said = capfd.readouterr()
    assert said.out == ""
    assert "epoch 1/1  step 1/12  loss" in said.err
    assert "matthews correlation" in said.err


def test_info_describes_a_run_and_a_checkpoint(config: dict[str, Any], run: Run) -> None:
    of_run = warmstart.info(run.path)
    of_checkpoint = warmstart.info(config["model"]["name"], labels=2)
    assert of_run.to_json()["parameters"] == of_checkpoint.to_json()["parameters"]
    with pytest.raises(ModelError):
        warmstart.info(run.path / "nowhere")


def test_a_new_run_is_named_after_its_config_and_the_time(tmp_path: Path) -> None:
    data = {"data": {"train": "reviews.csv"}}
    loaded = config_file.load(data)
    for config, stem in (
        (tmp_path / "film reviews.yaml", "film reviews"),
        ("cola", "cola"),
        (tmp_path / "films" / "config.yaml", "films"),  # of a run directory
        ("glue/mrpc", "mrpc"),
        (data, "text-classification"),
        (loaded, "text-classification"),
    ):
        path = default_output(config, loaded)
        assert path.parent == Path("runs")
        assert path.name.startswith(f"{stem}-2")
        assert len(path.name) == len(stem) + len("-20260102-030405")


@pytest.mark.usefixtures("without_report")
def test_without_an_output_a_run_goes_to_a_new_folder(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = api.train(config, progress=False)
    assert [tmp_path / run.path] == list((tmp_path / "runs").iterdir())
    assert RunDirectory(run.path).is_run
