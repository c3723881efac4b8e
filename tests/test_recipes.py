"""Every recipe loads, names the score that it should reproduce, and has the published settings."""

import math
from pathlib import Path

import pytest

from tests.answering_runs import write_squad
from warmstart import config_file, errors
from warmstart.config.recipe_files import recipe_names, recipe_text
from warmstart.preparation.stages import read_sources, split_tables

RECIPES = recipe_names()


def _comments(name: str) -> str:
    """The recipe's comments as one text."""
    lines = recipe_text(name).splitlines()
    return " ".join(line.partition("#")[2].strip() for line in lines if "#" in line)


def test_the_recipes_there_are() -> None:
    assert {"cola", "cola-offline", "demo"} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_loads_and_repeats_from_what_it_resolves_to(name: str, tmp_path: Path) -> None:
    config = config_file.load(name)
    resolved = tmp_path / "config.yaml"
    resolved.write_text(config_file.dump(config), "utf-8")
    assert config_file.load(resolved) == config


@pytest.mark.parametrize("name", ["cola", "cola-offline", "demo"])
def test_a_recipe_says_what_is_published_and_on_what_hardware(name: str) -> None:
    comments = _comments(name)
    assert "0.498" in comments
    assert "51 s per epoch" in comments
    assert "Colab GPU of 2020" in comments or "2020 Colab GPU" in comments


def test_cola_has_the_settings_of_the_tutorials() -> None:
    config = config_file.load("cola")
    assert config.model.name == "google-bert/bert-base-uncased"
    assert config.data.dir == "https://nyu-mll.github.io/CoLA/cola_public_1.1.zip"
    assert config.data.train == "cola_public/raw/in_domain_train.tsv"
    assert config.data.test == "cola_public/raw/out_of_domain_dev.tsv"
    assert config.data.columns == ["source", "label", "mark", "sentence"]
    assert (config.data.text, config.data.label) == ("sentence", "label")
    assert (config.data.format, config.data.quoting) == ("tsv", "none")
    assert (config.data.validation, config.data.split_seed) == (0.1, 2018)
    train = config.train
    assert (train.batch_size, train.epochs, train.learning_rate) == (32, 4, 2e-5)
    assert (train.adam_epsilon, train.weight_decay, train.max_gradient_norm) == (1e-8, 0.1, 1.0)
    assert (train.schedule, train.warmup_steps) == ("linear", 0)


def test_the_steps_that_cola_counts_are_those_it_makes() -> None:
    config = config_file.load("cola")
    assert isinstance(config.data.validation, float)
    for rows in (8551 - math.floor(855.1), 8551 - math.ceil(855.1)):
        assert f"{rows:,}" in _comments("cola")
        batches = math.ceil(rows / config.train.batch_size)
        assert f"{batches} batches" in _comments("cola")
        assert f"{batches * config.train.epochs} steps" in _comments("cola")


def test_the_offline_recipe_differs_in_model_rate_and_grouping_alone() -> None:
    online, offline = config_file.load("cola"), config_file.load("cola-offline")
    assert offline.model.name == "bundled/minilm-l6"
    assert offline.train.learning_rate > online.train.learning_rate
    assert offline.data == online.data
    assert offline.model.model_copy(update={"name": online.model.name}) == online.model
    assert offline.train.group_by_length
    same = {"learning_rate": online.train.learning_rate, "group_by_length": False}
    assert offline.train.model_copy(update=same) == online.train


def test_the_demo_needs_nothing_from_outside() -> None:
    config = config_file.load("demo")
    sources = (config.model.name, config.data.train, config.data.validation, config.data.test)
    assert all(str(source).startswith("bundled/") for source in sources)


def test_a_local_copy_takes_the_place_of_the_download() -> None:
    config = config_file.load("cola", ["data.dir=/data/cola"])
    assert config.data.dir == "/data/cola"
    assert config.data.train == config_file.load("cola").data.train


def test_a_misspelt_recipe() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config_file.load("cola-ofline")
    assert caught.value.found == "there is no recipe cola-ofline"
    assert caught.value.expected == f"one of: {', '.join(RECIPES)}"
    assert caught.value.do == "cola-offline"


def test_a_name_unlike_any_recipe_may_be_a_file() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        config_file.load("quarterly")
    assert caught.value.do == "./quarterly if it is a file; `warmstart recipes` lists them"


@pytest.mark.parametrize("written", ["cola.yaml", "./cola", "cola.yml"])
def test_a_path_is_never_taken_for_a_recipe(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.ConfigError) as caught:
        config_file.load(written)
    assert caught.value.found == f"{written} does not exist"
    assert caught.value.do == "cola (the recipe)"
    (tmp_path / written).write_text("data: {train: mine.csv}")
    assert config_file.load(written).data.train == "mine.csv"


def test_a_file_does_not_shadow_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cola").write_text("data: {train: mine.csv}")
    assert config_file.load("cola").data.split_seed == 2018
    assert config_file.load("./cola").data.train == "mine.csv"


def test_cord19_has_the_settings_of_the_article() -> None:
    config = config_file.load("cord19")
    assert config.model.name == "google/bert_uncased_L-4_H-512_A-8"
    assert (config.data.text, config.data.text_pair, config.data.label) == (
        "query",
        "title",
        "label",
    )
    train = config.train
    assert config.model.max_tokens == 128
    assert (train.epochs, train.batch_size, train.warmup_steps) == (3, 16, 500)
    assert (train.weight_decay, train.freeze, train.keep_checkpoints) == (0.01, "backbone", 1)


def test_cord19_reads_a_local_copy(tmp_path: Path) -> None:
    rows = [f"query {n // 4},a title {n},{n % 2}" for n in range(40)]
    path = tmp_path / "cord19-query-title-label.csv"
    path.write_text("\n".join(["query,title,label", *rows]) + "\n")
    config = config_file.load("cord19", [f"data.dir={tmp_path}"])
    tables = split_tables(config, read_sources(config))
    assert (len(tables["train"]), len(tables["validation"])) == (32, 8)


def test_xquad_reads_a_local_copy_and_holds_out_whole_articles(tmp_path: Path) -> None:
    write_squad(tmp_path / "xquad.en.json", 40)
    config = config_file.load("xquad-offline", [f"data.dir={tmp_path}"])
    tables = split_tables(config, read_sources(config))
    assert (len(tables["train"]), len(tables["validation"])) == (68, 12)
    titles = [set(table.columns.column("title").to_pylist()) for table in tables.values()]
    assert not titles[0] & titles[1]
