"""Every engine does the work that it is given, with the given settings."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import corpora, engines, materials, peers
from benchmarks.engines import PREDICTING, TRAINING, engines_of, measure
from benchmarks.materials import Material
from benchmarks.window import Window
from benchmarks.workloads import WORKLOADS, Workload
from tests.benchmarks.conftest import sentences
from tests.quick import slow_except
from tests.resolved import resolved
from warmstart.data.examples.targets import RowTargets, of_kind
from warmstart.training.optimizer import decays

RANDOM = [
    name for name, engine in TRAINING.items() if engine.order == "random" and not engine.fixed_width
]


@pytest.mark.parametrize(
    "name",
    slow_except(
        [name for name in TRAINING if name != "setfit"],
        "warmstart",
        "transformers-trainer",
        "tutorial-loop-64",
    ),
)
def test_a_window_is_measured(name: str, material: Material) -> None:
    row = measure(name, material, seed=1, started_at=time.time())
    steps = material.workload.fixed_steps if TRAINING[name].fixed_width else material.workload.steps
    assert (row["engine"], row["steps"], row["rows"]) == (name, steps.timed, 8 * steps.timed)
    assert row["startup_seconds"] > 0
    assert row["peak_mib"] > 50
    # The window compared the given work with the recorded work; here: that there was any.
    assert 3 * row["rows"] < row["tokens"] < 48 * row["rows"]
    assert row["least_flops"] > 0
    assert row["least_bytes"] == steps.timed * 28 * material.trained_parameters


def test_engines_with_random_batches_are_given_the_same() -> None:
    assert {"warmstart", "transformers-trainer", "sentence-transformers"} == set(RANDOM)


def test_random_batches_are_those_that_warmstart_makes(material: Material) -> None:
    setup = material.setup(3)
    one, other = (
        engines._batches(TRAINING[name], setup, material.lengths, 1, 4) for name in RANDOM[:2]
    )
    assert one == other
    assert sorted(map(len, one)) == [8] * 5
    assert engines._batches(TRAINING["warmstart-grouped"], setup, material.lengths, 1, 4) != one


def test_a_window_must_end_within_the_first_epoch(material: Material) -> None:
    with pytest.raises(ValueError, match="first epoch's 23 steps"):
        engines._batches(TRAINING["warmstart"], material.setup(1), material.lengths, 3, 20)


def test_a_grouped_window_sees_every_length_as_often_as_it_is() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 8000).tolist()
    settings = resolved(batch_size=32, seed=4)
    for steps in (10, 25, 50, 100, 130):
        longest, *fair = peers.batches_by_length(lengths, settings, steps)
        assert max(lengths[i] for i in longest) == max(lengths)
        assert len(fair) == (100 if steps == 130 else steps)
        mean = np.mean([lengths[i] for rows in fair for i in rows])
        assert mean == pytest.approx(np.mean(lengths), rel=0.04)
        spread = [max(lengths[i] for i in rows) - min(lengths[i] for i in rows) for rows in fair]
        assert np.mean(spread) < 3


def test_the_trainer_has_the_same_settings(material: Material, tmp_path: Path) -> None:
    # None of them is Transformers' own default.
    unusual = {"seed": 7, "weight_decay": 0.2, "learning_rate": 3e-4, "adam_epsilon": 1e-7}
    unusual |= {"adam_beta1": 0.8, "adam_beta2": 0.9, "max_gradient_norm": 0.5, "epochs": 5}
    config = resolved(**unusual, batch_size=8)
    setup = replace(material.setup(1), train_config=config)
    trainer = peers.trainer(setup, tmp_path, strategy="group_by_length", evaluating=True)
    group = trainer.create_optimizer().param_groups[0]
    assert (group["lr"], group["eps"]) == (config.learning_rate, config.adam_epsilon)
    assert group["betas"] == (config.adam_beta1, config.adam_beta2)
    assert {one["weight_decay"] for one in trainer.optimizer.param_groups} == {0.2, 0.0}
    assert trainer.args.max_grad_norm == 0.5
    assert trainer.args.seed == 7
    assert trainer.args.max_steps == 5 * 23 == 5 * len(trainer.get_train_dataloader())
    assert trainer.model is not None
    spared = {name for name, p in trainer.model.named_parameters() if not decays(name, p)}
    every = {name for name, _ in trainer.model.named_parameters()}
    assert set(trainer.get_decay_parameter_names(trainer.model)) == every - spared
    assert trainer.args.train_sampling_strategy == "group_by_length"


def test_warmstart_has_the_same_settings(material: Material) -> None:
    setup = material.setup(3)
    config = setup.run_config(group_by_length=True)
    given = setup.train_config.model_dump() | {"group_by_length": True}
    assert config.train.model_dump() == given | {"extend": "auto"}  # not read without a budget
    assert (config.train.batch_size, config.train.seed, config.train.epochs) == (8, 3, 2)
    assert (config.model.name, config.model.max_tokens) == (str(material.checkpoint), 48)


def test_the_peers_see_the_rows_that_warmstart_sees(material: Material) -> None:
    from transformers import AutoTokenizer

    from warmstart.preparation.prepare import prepare

    prepared = prepare(material.setup(1).run_config())
    tokenizer = AutoTokenizer.from_pretrained(material.checkpoint)
    for split, rows in (("train", material.train), ("validation", material.validation)):
        examples = prepared.examples[split]
        features = peers.features(rows, tokenizer, 48)
        assert [one["input_ids"] for one in features] == [
            examples.tokens.ids_of(i).tolist() for i in range(len(examples))
        ]
        targets = of_kind(examples.targets, RowTargets)
        assert [one["labels"] for one in features] == targets.values.tolist()
    assert list(material.lengths) == prepared.examples["train"].lengths.tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["transformers-trainer", "transformers-trainer-grouped", "tutorial-loop-64"]
)
def test_a_whole_run_is_measured_and_scored(name: str, material: Material) -> None:
    whole = replace(material, workload=replace(material.workload, kind="run"))
    row = measure(name, whole, seed=1, started_at=time.time())
    assert row["rows"] == 2 * 180 == 2 * len(material.train)
    assert row["tokens"] == 2 * sum(material.lengths)
    assert -1 <= row["validation_mcc"] <= 1
    assert row["least_flops"] == material.shape.forward_flops(
        [*material.lengths, *material.validation_lengths]
    )
    assert row["least_bytes"] == 0


def test_warmstart_makes_a_whole_run_too(material: Material) -> None:
    workload = replace(material.workload, kind="run", learning_rate=1e-2, epochs=5)
    row = measure("warmstart", replace(material, workload=workload), seed=1, started_at=time.time())
    assert row["rows"] == 5 * 180
    assert row["samples_per_second"] * row["seconds"] == pytest.approx(900)
    assert row["validation_mcc"] > 0.2  # more than random predictions: one word decides


def test_warmstart_freezes_too(material: Material) -> None:
    workload = replace(material.workload, kind="run", frozen=True)
    frozen = replace(material, workload=workload)
    assert frozen.setup(1).run_config().train.freeze == "backbone"
    assert measure("warmstart", frozen, seed=1, started_at=time.time())["rows"] == 2 * 180


@pytest.mark.parametrize(
    "name",
    slow_except(
        ["transformers-trainer", "tutorial-loop-64", "sentence-transformers"],
        "transformers-trainer",
        "tutorial-loop-64",
    ),
)
def test_a_frozen_backbone_does_not_learn(
    name: str, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = []
    monkeypatch.setattr(Window, "watch", lambda self, model: watched.append(model))
    monkeypatch.setattr(Window, "measurement", lambda self: {})
    measure(name, replace(material, workload=replace(material.workload, frozen=True)), 1, 0.0)
    (model,) = watched
    learned = {
        name.removeprefix("0.model.") for name, p in model.named_parameters() if p.requires_grad
    }
    assert learned == {"classifier.weight", "classifier.bias"}


def test_pairs_are_given_as_pairs(material: Material, tmp_path: Path) -> None:
    workload = replace(material.workload, corpus=lambda data: sentences(pairs=True), max_tokens=96)
    pairs = materials.make(workload, Path(), tmp_path, limit=100)
    assert len(pairs.train) == 90
    assert (tmp_path / "train.csv").read_text("utf-8").startswith("text,label,pair\n")
    for name in ("warmstart", "transformers-trainer", "sentence-transformers", "tutorial-loop-128"):
        row = measure(name, replace(pairs, workload=workload), seed=1, started_at=0.0)
        assert row["tokens"] / row["rows"] > 1.5 * np.mean(material.lengths)


@pytest.fixture(scope="module")
def predicting(tiny: Workload, tmp_path_factory: pytest.TempPathFactory) -> Material:
    workload = replace(tiny, kind="predict", rows=230, engines=tuple(PREDICTING))
    return materials.make(workload, Path(), tmp_path_factory.mktemp("predicting"), None)


@pytest.mark.parametrize("name", PREDICTING)
def test_a_prediction_is_measured(name: str, predicting: Material) -> None:
    row = measure(name, predicting, seed=1, started_at=0.0)
    # The corpus has 200 rows and starts again.
    assert (row["rows"], row["tokens"]) == (230, sum(predicting.lengths))
    assert row["least_bytes"] == 0
    if name != "sentence-transformers":
        assert row["mean_probability"] == pytest.approx(
            measure("warmstart", predicting, 1, 0.0)["mean_probability"], abs=1e-5
        )


def test_a_random_checkpoint_has_the_shape_and_is_the_same_each_time(
    tmp_path: Path, material: Material
) -> None:
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoTokenizer

    AutoTokenizer.from_pretrained(material.checkpoint).save_pretrained(
        tmp_path / "tokenizers" / "bert-uncased"
    )
    made = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        shape = materials.BertShape(layers=1, hidden=16, heads=2)
        made.append(materials._checkpoint(shape, tmp_path, tmp_path / name))
    config = AutoConfig.from_pretrained(made[0])
    assert (config.num_hidden_layers, config.hidden_size, config.intermediate_size) == (1, 16, 64)
    weights = [load_file(folder / "model.safetensors") for folder in made]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda workload: workload.name)
def test_the_workloads_name_engines_that_can_do_them(workload: Workload) -> None:
    assert next(iter(engines_of(workload))) == "warmstart"
    assert set(workload.targets) <= set(workload.engines)
    padded = {"tutorial-loop-64": 64, "tutorial-loop-128": 128}
    padded |= {"transformers-trainer-padded128": 128, "tutorial-loop-768": 768}
    assert all(padded.get(name, 1024) >= workload.max_tokens for name in workload.engines)


@pytest.mark.parametrize(
    ("name", "rows"), [("cola", 8551), ("wikiqa", 20347), ("short_works", 880)]
)
def test_the_corpora_are_read_whole(name: str, rows: int, shared_data: object) -> None:
    folder = shared_data(name)  # type: ignore[operator]
    found = getattr(corpora, name)(folder.parent)
    assert len(found) == len(found.labels) == rows
    assert set(found.labels) == {0, 1}
    assert all(text.strip() for column in found.columns for text in column)
    train, validation = corpora.held_out(found, limit=95)
    assert (len(train), len(validation)) == (86, 9)
    assert train.texts[:9] == list(found.texts[:9])
    assert validation.texts[0] == found.texts[9]
