"""Checkpoints whose content cannot be used, or switches on features of Transformers."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from tests.models.test_refusals import Case, assert_says, change_weights, edit
from tests.tiny import tiny_checkpoint
from warmstart.config import ModelConfig
from warmstart.errors import ModelError
from warmstart.models.checkpoints.load import (
    find,
    load_run_model,
    model_named,
    resolve_max_tokens,
    sequence_classifier,
)
from warmstart.models.checkpoints.missing_parts import new_parts
from warmstart.models.checkpoints.quiet import quiet


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A correct checkpoint."""
    return tiny_checkpoint(tmp_path_factory.mktemp("whole"))


def a_weight(weights: dict[str, torch.Tensor]) -> str:
    return next(name for name in sorted(weights) if name.endswith("dense.weight"))


def template_with_other_ids(folder: Path) -> None:
    """The text's own tokens are in the embedding, and the special token before it is not."""
    content = json.loads((folder / "tokenizer.json").read_text())
    for token in content["post_processor"]["special_tokens"].values():
        token["ids"] = [10**6]
    (folder / "tokenizer.json").write_text(json.dumps(content))


def not_a_number(folder: Path, value: float) -> None:
    change_weights(folder, lambda w: w[a_weight(w)].view(-1)[7:8].fill_(value))


BEFORE_WEIGHTS = {
    **{
        f"model type {kind}": Case(
            lambda f, kind=kind: edit(f / "config.json", model_type=kind),  # type: ignore[misc]
            f"model_type in config.json is {kind!r}",
            "ModernBERT",
            "model.name",
        )
        for kind in (["bert"], {"bert": 1}, 5)
    },
    "config nested deeply": Case(
        lambda f: (f / "config.json").write_text('{"a":' * 10**5 + "1" + "}" * 10**5),
        "nested too deeply",
        "belongs to the weights",
        "again",
    ),
    "config nested less deeply": Case(
        lambda f: (f / "config.json").write_text('{"a":' * 300 + "1" + "}" * 300),
        "nested too deeply",
        "belongs to the weights",
        "again",
    ),
    "NaN in the config": Case(
        lambda f: edit(f / "config.json", layer_norm_eps=float("nan")),
        "it contains NaN",
        "belongs to the weights",
        "again",
    ),
    "very many layers": Case(
        lambda f: edit(f / "config.json", num_hidden_layers=10**5),
        "num_hidden_layers is 100000",
        "at most 1000",
        "config.json again",
    ),
    "very many labels": Case(
        lambda f: edit(f / "config.json", num_labels=10**9),
        "num_labels is 1000000000",
        "at most 1000000",
        "config.json again",
    ),
    **{
        f"a huge {size}": Case(
            lambda f, size=size: edit(f / "config.json", **{size: 10**9}),  # type: ignore[misc]
            "numbers, but its weights have only",
            "same checkpoint",
            "download both",
        )
        for size in ("vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings")
    },
    "quantized weights": Case(
        lambda f: edit(f / "config.json", quantization_config={"quant_method": "bitsandbytes"}),
        "quantized weights (quantization_config",
        "float32",
        "choose the model that it was made from",
    ),
    "an adapter next to the weights": Case(
        lambda f: (f / "adapter_config.json").write_text("{}"),
        "has adapter_config.json next to",
        "a model without an adapter",
        "move adapter_config.json out of the folder",
    ),
    "an adapter alone": Case(
        lambda f: (f / "config.json").rename(f / "adapter_config.json"),
        "has only an adapter",
        "a whole model",
        "merge_and_unload",
    ),
    "fewer layers than the weights have": Case(
        lambda f: edit(f / "config.json", num_hidden_layers=1),
        "fewer layers than its weights have: 16 weights are not used, e.g. encoder.layer.1.",
        "as many layers in config.json as in the weights",
        "correct the number of layers in config.json",
    ),
    "a limit that is text": Case(
        lambda f: edit(f / "tokenizer_config.json", model_max_length="512"),
        "model_max_length in tokenizer_config.json of",
        "a number of at least 3",
        '"model_max_length": 512',
    ),
    "a limit of no token": Case(
        lambda f: edit(f / "tokenizer_config.json", model_max_length=0),
        "is '0'",
        "a number of at least 3",
        '"model_max_length": 512',
    ),
    "a special token beyond the embedding": Case(
        template_with_other_ids,
        "tokenizer of",
        "at most as many tokens as embeddings",
        "resize_token_embeddings",
    ),
    "weights that are whole numbers": Case(
        lambda f: change_weights(
            f, lambda w: w.update({key: w[key].to(torch.int8) for key in [a_weight(w)]})
        ),
        "stored as I8",
        "float32, float16 or bfloat16",
        "quantized weights cannot be trained",
    ),
}

NOT_FINITE = {
    **{
        f"a weight that is {value}": Case(
            lambda f, value=value: not_a_number(f, value),  # type: ignore[misc]
            "contains NaN or infinity, so the model's outputs are not numbers",
            "weights that are numbers",
            "train.learning_rate",
        )
        for value in (torch.nan, torch.inf, -torch.inf)
    },
}


@pytest.mark.parametrize("case", BEFORE_WEIGHTS.values(), ids=BEFORE_WEIGHTS.keys())
def test_refused_before_any_weight_is_read(case: Case, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    case.fault(tmp_path)
    with pytest.raises(ModelError) as raised:
        find(ModelConfig(name=str(tmp_path)), "sequence-classification")
    assert_says(raised.value, case)
    assert str(tmp_path) in raised.value.found


@pytest.mark.parametrize("case", NOT_FINITE.values(), ids=NOT_FINITE.keys())
def test_weights_that_are_not_numbers(case: Case, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    case.fault(tmp_path)
    checkpoint = find(ModelConfig(name=str(tmp_path)))
    with pytest.raises(ModelError) as raised:
        sequence_classifier(checkpoint, ["no", "yes"], seed=1)
    assert_says(raised.value, case)


def test_weights_whose_sum_overflows_are_numbers(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    change_weights(tmp_path, lambda w: w[a_weight(w)].fill_(3e38))
    model = sequence_classifier(find(ModelConfig(name=str(tmp_path))), ["no", "yes"], seed=1)
    largest = max(float(weights.detach().abs().max()) for weights in model.parameters())
    assert largest == pytest.approx(3e38)


def test_a_run_s_model_is_checked_alike(whole: Path, tmp_path: Path) -> None:
    checkpoint = find(ModelConfig(name=str(whole)))
    sequence_classifier(checkpoint, ["no", "yes"], seed=1).save_pretrained(tmp_path)
    load_run_model(tmp_path, "sequence-classification")
    not_a_number(tmp_path, torch.nan)
    with pytest.raises(ModelError, match="outputs are not numbers"):
        load_run_model(tmp_path, "sequence-classification")


def test_an_adapter_of_a_run_leads_to_its_model(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "model")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="has only an adapter") as raised:
        find(ModelConfig(name=str(tmp_path / "adapter")))
    advised = raised.value.do.removeprefix("--set model.name=")
    assert find(ModelConfig(name=advised)).folder == tmp_path / "model"


FEATURES = {
    "attn_implementation": "org/kernel",
    "_attn_implementation": "flash_attention_2",
    "auto_map": {"AutoModel": "modeling.Mine"},
    "chunk_size_feed_forward": 7,
    "fusion_config": {"patch_embeddings": True},
    "output_attentions": True,
    "return_dict": False,
    "torchscript": True,
    "transformers_weights": "../other.safetensors",
}
"""Keys of config.json that choose how Transformers runs a model, and not which model it is."""


@pytest.mark.parametrize("key", FEATURES)
def test_features_that_a_config_switches_on_are_off_and_said(
    key: str, whole: Path, tmp_path: Path
) -> None:
    plain = sequence_classifier(find(ModelConfig(name=str(whole))), ["no", "yes"], seed=1)
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    edit(tmp_path / "config.json", **{key: FEATURES[key]})
    checkpoint = find(ModelConfig(name=str(tmp_path)))
    model = sequence_classifier(checkpoint, ["no", "yes"], seed=1)
    ids = torch.arange(10).reshape(2, 5)
    with torch.no_grad():
        assert torch.equal(model.eval()(ids).logits, plain.eval()(ids).logits)
    (said,) = new_parts(checkpoint, model.config)
    assert said.endswith(f"config.json sets {key}, which is not used")
    assert not new_parts(find(ModelConfig(name=str(whole))), plain.config)


def test_the_advice_on_fewer_layers_works(whole: Path, tmp_path: Path) -> None:
    """A model with the first N layers, saved by Transformers."""
    short = AutoModel.from_pretrained(whole, num_hidden_layers=1)
    with quiet():
        short.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(whole / name, tmp_path / name)
    found = find(ModelConfig(name=str(tmp_path)), "sequence-classification")
    assert found.config.num_hidden_layers == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bert.embeddings.more.weight", "does not use 1 weight of the checkpoint"),
        ("bert.encoder.layer.0.adapter.weight", "does not use 1 weight of the checkpoint"),
        ("bert.embeddings.position_ids", None),  # a buffer of older versions
        ("cls.seq_relationship.bias", None),  # heads for pretraining are dropped
        ("dense.weight", None),
    ],
)
def test_weights_that_the_model_does_not_have_are_said(
    name: str, said: str | None, whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    change_weights(tmp_path, lambda w: w.update({name: torch.ones(3)}))
    for head in ("sequence-classification", "token-classification", "masked-lm"):
        checkpoint = find(ModelConfig(name=str(tmp_path)), head)  # type: ignore[arg-type]
        notices = [text for text in new_parts(checkpoint, checkpoint.config) if "not use" in text]
        assert len(notices) == (said is not None)
        assert all(str(said) in text and name.removeprefix("bert.") in text for text in notices)


def test_an_old_name_of_a_layer_norm_is_used(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    new, old = "bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.gamma"
    change_weights(tmp_path, lambda w: w.update({old: torch.full_like(w.pop(new), 0.5)}))
    checkpoint = find(ModelConfig(name=str(tmp_path)), "sequence-classification")
    assert not new_parts(checkpoint, checkpoint.config)
    model = sequence_classifier(checkpoint, ["no", "yes"], seed=1)
    assert float(model.get_parameter(new).detach()[0]) == 0.5


def test_too_few_positions_for_a_text(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    edit(tmp_path / "config.json", max_position_embeddings=2)
    with pytest.raises(ModelError, match="accepts at most 2 tokens"):
        resolve_max_tokens(find(ModelConfig(name=str(tmp_path))), "auto")


@pytest.mark.parametrize("name", ["", "  ", "\ud800", "a\0b", "a" * 5000, "~nobody-here/x"])
def test_a_name_that_names_nothing(name: str) -> None:
    with pytest.raises(
        ModelError, match=r"^model\.name: .*(cannot|does not exist|no visible)"
    ) as got:
        find(model_named(name))
    str(got.value).encode()  # it can be printed
