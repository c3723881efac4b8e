"""The model card: metadata that the Hub accepts, and no private paths."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from tests.report.example_run import example_run, write_json
from warmstart.runs.model_card import write_card


def header_of(card: str) -> dict[str, Any]:
    _, header, _ = card.split("---\n", 2)
    content: dict[str, Any] = yaml.safe_load(header)
    return content


def test_the_hub_reads_the_metadata(tmp_path: Path) -> None:
    run = example_run(tmp_path / "my-run")
    data: Any = ModelCard(write_card(run).read_text(encoding="utf-8")).data
    assert data.base_model == "google-bert/bert-base-uncased"
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert data.language is None
    assert data.license is None
    assert data.model_name == "my-run"
    first = data.eval_results[0]
    scores = json.loads((run / "evaluation" / "test" / "scores.json").read_text())["scores"]
    assert first.dataset_name == "out_of_domain_dev.tsv"
    assert first.metric_type == "matthews_correlation"
    assert first.metric_value == round(scores["matthews_correlation"]["value"], 4)


@pytest.mark.parametrize(
    "label", ["yes", "1e5", "a: b", "- x", "'\"", "---", "a|b", "可以\n接受", "🙂"]
)
def test_any_label_and_folder_name_make_valid_yaml(tmp_path: Path, label: str) -> None:
    run = example_run(tmp_path / label.replace("\n", " "), labels=(label, "other"), rows=64)
    card = write_card(run).read_text(encoding="utf-8")
    assert header_of(card)["model-index"][0]["name"] == run.name
    rows = [line for line in card.splitlines() if line.startswith("| Accuracy")]
    assert [row.count("|") for row in rows] == [5, 5]


def test_a_local_folder_is_no_base_model_and_its_place_stays_private(tmp_path: Path) -> None:
    folder = tmp_path / "secret" / "my-bert"
    folder.mkdir(parents=True)
    run = example_run(tmp_path / "run", model=str(folder))
    data = json.loads((run / "data.json").read_text())
    private = str(tmp_path / "secret" / "train.tsv")
    data["files"]["train"][0]["path"] = private
    data["findings"]["messages"][0]["text"] = f"first: {private}:17"
    write_json(run / "data.json", data)
    card = write_card(run).read_text(encoding="utf-8")
    assert "base_model" not in header_of(card)
    assert "secret" not in card
    assert "First: train.tsv:17." in card
    assert "my-bert fine-tuned for text classification" in card


def test_the_bundled_model_is_named_as_on_the_hub(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", model="bundled/minilm-l6", rows=64)
    header = header_of(write_card(run).read_text(encoding="utf-8"))
    assert header["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_bundled_model_that_is_not_on_the_hub_is_not_linked(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", model="bundled/gpt2-mini", rows=64)
    card = write_card(run).read_text(encoding="utf-8")
    assert "base_model" not in header_of(card)
    assert "bundled/gpt2-mini fine-tuned for" in card
    assert "huggingface.co" not in card


def test_scores_stand_with_interval_and_baselines(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run")
    card = write_card(run).read_text(encoding="utf-8")
    score = json.loads((run / "evaluation" / "test" / "scores.json").read_text())["scores"][
        "accuracy"
    ]
    assert f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" in card
    assert "| metric | model | majority class | TF-IDF with logistic regression |" in card
    assert 'pipeline("text-classification", model="model")' in card
    assert "a5" * 32 in card
    assert "layers 0-11: none of 85,054,464 parameters; head: all 1,538 parameters" in card
    assert "| lora | {rank: 4, alpha: 16, " in card
    assert "{'" not in card
    assert "False" not in card


def test_an_unfinished_run_has_a_card_without_results(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", epochs=0, scored=False)
    for name in ("data.json", "environment.json", "events.jsonl"):
        (run / name).unlink()
    card = write_card(run).read_text(encoding="utf-8")
    assert "model-index" not in header_of(card)
    assert "No split has been scored yet." in card
    assert "The data have not been read yet." in card


def test_labels_are_shown_as_they_are_and_not_as_markup(tmp_path: Path) -> None:
    run = example_run(tmp_path / "run", labels=("a|b", "*c*\n# d"), rows=64)
    card = write_card(run).read_text(encoding="utf-8")
    assert "Labels, in the order of the model's outputs: a\\|b, \\*c\\* \\# d." in card
