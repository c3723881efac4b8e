"""A run that replaces another one shows nothing of the old one."""

import json
from pathlib import Path

from tests.contract.driven_run import without_figures
from tests.runs_in_memory import settings, writing_settings
from warmstart import api, config_file
from warmstart.preparation.prepare import prepare
from warmstart.training.train_run import train_run


def test_a_classifier_shows_no_samples_of_the_decoder_that_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "run"
    decoder = writing_settings(tmp_path, epochs=1, sample_every_steps=4)
    train_run(prepare(config_file.load(decoder)), path)
    run = api.load(path)
    with without_figures():
        run.report()
    samples = (path / "samples.json").read_text(encoding="utf-8")
    written = [sample["text"] for sample in json.loads(samples)["samples"]]
    assert any(written)
    assert "What the model generates" in (path / "report.html").read_text(encoding="utf-8")
    assert "novelty" in (path / "README.md").read_text(encoding="utf-8")

    classifier = config_file.load(settings(tmp_path, epochs=1))
    train_run(prepare(classifier), path, overwrite=True)
    assert not (path / "samples.json").exists()
    # An older version of warmstart did not move the file.
    (path / "samples.json").write_text(samples, encoding="utf-8")
    with without_figures():
        run.report()
    page = (path / "report.html").read_text(encoding="utf-8")
    card = (path / "README.md").read_text(encoding="utf-8")
    for shown in (page, card):
        assert "What the model generates" not in shown
        assert "novelty" not in shown
        assert "text-generation" not in shown
    assert "Confusion matrix" in page
    assert 'pipeline("text-classification"' in card
