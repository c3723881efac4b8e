"""What an experiment will take is said before its first trial."""

from pathlib import Path

import pytest

import warmstart
from tests.runs_in_memory import settings


def test_it_is_said_before_the_first_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(tmp_path, epochs=1)
    warmstart.repeat(config, seeds=2, output=tmp_path / "repeat", progress=True)
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("forecast: 2 runs of about ")
    assert "one after the other about" in first
    assert first.endswith(" MiB")
    assert second.startswith("seed-42  finished")


def test_a_search_counts_the_config_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space, config = {"train.batch_size": [8, 16]}, settings(tmp_path, epochs=1)
    warmstart.search(config, space=space, trials=1, output=tmp_path / "search", progress=True)
    assert "forecast: 2 runs of about " in capsys.readouterr().err


def test_weights_that_are_not_here_have_no_forecast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "warmstart.experiments.experiment_forecast.why_no_forecast", lambda _: "no forecast: why"
    )
    config = settings(tmp_path, epochs=1)
    warmstart.learning_curve(config, shares=(0.5, 1.0), output=tmp_path / "curve", progress=True)
    assert capsys.readouterr().err.splitlines()[0] == "no forecast: why"
