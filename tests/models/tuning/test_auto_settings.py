"""Settings that nobody set: the rules, and that a value set by hand stays."""

from typing import Any

import pytest
from transformers import BertConfig, GPT2Config

from warmstart.config import TrainConfig
from warmstart.models.tuning.auto_settings import Learned, resolved

CLASSIFIER = Learned("sequence-classification", probes=True)
WRITER = Learned("causal-lm", probes=False)
BASE = BertConfig()
SMALL = BertConfig(hidden_size=384, num_hidden_layers=6)
LARGE = BertConfig(hidden_size=1024, num_hidden_layers=24)


def chosen(
    model: Any = BASE, task: Learned = CLASSIFIER, rows: int = 8000, **given: Any
) -> dict[str, Any]:
    """The values that were chosen for this number of rows."""
    config = TrainConfig.model_validate(given)
    _, choices = resolved(config, model, task, lambda size: -(-rows // size))
    return {choice.setting.removeprefix("train."): choice.value for choice in choices}


@pytest.mark.parametrize(
    ("model", "task", "given", "rate"),
    [
        (BASE, CLASSIFIER, {}, 3e-5),
        (SMALL, CLASSIFIER, {}, 6e-5),
        (LARGE, CLASSIFIER, {}, 2.3e-5),
        (BertConfig(hidden_size=64, num_hidden_layers=2), CLASSIFIER, {}, 3e-4),
        (BASE, CLASSIFIER, {"batch_size": 8}, 1.5e-5),
        (BASE, CLASSIFIER, {"batch_size": 16, "gradient_accumulation": 8}, 6e-5),
        (BASE, CLASSIFIER, {"lora": {"rank": 8}}, 3e-4),
        (BASE, CLASSIFIER, {"freeze": "backbone"}, 1e-3),
        (GPT2Config(), WRITER, {}, 5e-5),
        (GPT2Config(), Learned("causal-lm", probes=False, new_model=True), {}, 3e-4),
    ],
)
def test_the_rate_falls_with_width_and_grows_with_the_batch(
    model: Any, task: Learned, given: dict[str, Any], rate: float
) -> None:
    assert chosen(model, task, **given)["learning_rate"] == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize(
    ("rows", "given", "epochs"),
    [
        (100, {}, 20),
        (3200, {}, 15),
        (9000, {}, 5),
        (10**6, {}, 3),
        (3200, {"batch_size": 64}, 20),
        (3200, {"gradient_accumulation": 2}, 20),
        (10**6, {"unfreeze_layers_per_epoch": 4}, 5),
        (3200, {"freeze": "backbone"}, 0),
        (3200, {"freeze": "backbone", "head_start": "random"}, 15),
    ],
)
def test_few_rows_get_more_epochs(rows: int, given: dict[str, Any], epochs: int) -> None:
    assert chosen(rows=rows, **given)["epochs"] == epochs


def test_the_start_of_the_head_belongs_to_tasks_that_have_one() -> None:
    assert chosen()["head_start"] == "linear-probe"
    assert chosen(task=CLASSIFIER._replace(new_model=True))["head_start"] == "random"
    assert "head_start" not in chosen(task=WRITER)


def test_a_value_set_by_hand_is_never_changed() -> None:
    given = {
        "learning_rate": 0.5,
        "epochs": 7,
        "batch_size": 3,
        "head_start": "random",
        "retry": True,
        "warmup_steps": 2,
    }
    config = TrainConfig.model_validate(given)
    train, choices = resolved(config, SMALL, CLASSIFIER, lambda size: 10)
    assert choices == []
    assert {name: getattr(train, name) for name in given} == given


def test_everything_else_stays_and_nothing_is_chosen_twice() -> None:
    config = TrainConfig.model_validate({"seed": 7, "lora": {"rank": 4}, "schedule": "cosine"})
    train, _ = resolved(config, BASE, CLASSIFIER, lambda size: 10)
    assert (train.seed, train.lora, train.schedule) == (7, config.lora, "cosine")
    assert resolved(train, BASE, CLASSIFIER, lambda size: 10) == (train, [])


def test_the_reason_names_what_was_used() -> None:
    _, choices = resolved(TrainConfig(), SMALL, CLASSIFIER, lambda size: 250)
    texts = {choice.setting.removeprefix("train."): str(choice) for choice in choices}
    assert texts["learning_rate"] == ("learning_rate=6e-05 (3e-05 × 768/384 (width))")
    assert texts["epochs"] == "epochs=6 (1,500 steps)"
