"""Adapters: the same steps as a plain peft loop, merged or saved alone, and errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.models.test_refusals import change_weights, edit
from tests.quick import EACH_ARCHITECTURE, slow_except
from tests.runs_in_memory import (
    filling_settings,
    job_of,
    never,
    prepared_run,
    settings,
    whole_run,
    writing_settings,
)
from tests.tiny import tiny_checkpoint
from tests.training.test_rates import losses_of, plain_losses
from warmstart import api, config_file
from warmstart.data.examples.batches import collate
from warmstart.errors import ConfigError, Interrupted, ModelError, WarmstartError
from warmstart.models.packed.forward import padded_forward
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.runs.directory import RunDirectory
from warmstart.training.job import Job, job_for
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run

LORA: dict[str, Any] = {"rank": 4, "alpha": 8}


def trained_names(model: torch.nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


DEPRECATED = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
"""A warning of peft when it wraps a model."""


@DEPRECATED
def test_steps_equal_a_plain_peft_loop(tmp_path: Path) -> None:
    """The same first matrices, the same groups, the same batches."""
    prepared = prepared_run(tmp_path, dropout=0.0, lora=LORA, learning_rate=1e-2, weight_decay=0.1)
    job = job_of(prepared, tmp_path / "run")
    base = prepared.task.model(prepared.checkpoint, seed=42)
    theirs = get_peft_model(
        base,
        LoraConfig(
            r=4, lora_alpha=8, target_modules=["query", "value"], modules_to_save=["classifier"]
        ),
    )
    first = {n: p.detach().clone() for n, p in job.model.named_parameters() if "lora_A" in n}
    for name, parameter in theirs.named_parameters():
        if "lora_A" in name:
            parameter.data.copy_(first[name.removeprefix("base_model.model.")])
    groups = [
        {"params": [p], "rate": 1e-2, "weight_decay": 0.1 * (p.ndim > 1)}
        for p in theirs.parameters()
        if p.requires_grad
    ]
    assert len(groups) == len(trained_names(job.model)) == 2 * 2 * 2 + 2
    ours = losses_of(job)[:20]
    assert len(ours) == 20
    assert abs(ours[0] - ours[-1]) > 1e-2
    np.testing.assert_allclose(ours, plain_losses(job, theirs, groups, 20), atol=1e-5)


@DEPRECATED
@pytest.mark.parametrize("modules", [None, "all"])
@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
def test_model_opens_bare_and_adapter_opens_in_peft(
    tmp_path: Path, architecture: str, modules: str | None
) -> None:
    tiny_checkpoint(tmp_path / "checkpoint", architecture)
    lora = {**LORA, "alpha": 64, "modules": modules, "save": "adapter", "dropout": 0.1}
    prepared = prepared_run(tmp_path, lora=lora, learning_rate=2e-2, epochs=1)
    job = job_of(prepared, tmp_path / "run")
    before = {n: p.detach().clone() for n, p in job.model.named_parameters()}
    fit(job, resume=False, stop_requested=never)
    after = dict(job.model.named_parameters())
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved == trained_names(job.model)
    assert any("classifier" in name for name in moved)

    ids = prepared.checkpoint.tokenizer(
        ["the cat was great", "a"], return_tensors="pt", padding=True
    )
    job.model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = job.model.eval()(**ids).logits
        bare, report = AutoModelForSequenceClassification.from_pretrained(
            job.run.model, output_loading_info=True
        )
        assert not any(report.values())
        torch.testing.assert_close(bare(**ids).logits, expected, atol=1e-5, rtol=0)
        base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint")
        adapted = PeftModel.from_pretrained(base, job.run.entry("adapter")).eval()
        torch.testing.assert_close(adapted(**ids).logits, expected, atol=1e-5, rtol=0)
    held = load_file(job.run.entry("adapter") / "adapter_model.safetensors")
    assert sum(t.numel() for t in held.values()) == sum(after[n].numel() for n in moved)


@pytest.mark.parametrize("layers", [2, 4])
@pytest.mark.parametrize("architecture", EACH_ARCHITECTURE)
def test_adapters_run_packed_as_they_run_padded(
    tmp_path: Path, architecture: str, layers: int
) -> None:
    """Trained adapters: new ones add nothing, so an error would not be visible."""
    tiny_checkpoint(tmp_path / "checkpoint", architecture, layers=layers)
    job = job_of(prepared_run(tmp_path, lora={**LORA, "modules": "all"}), tmp_path / "run")
    assert job.forward.packed is not None
    for name, parameter in job.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter.data)
    batch = collate(job.train, np.array([3, 1, 7, 2, 9]))
    with torch.no_grad():
        packed = job.forward.run(job.model.eval(), batch)
        padded = padded_forward(job.model, job.task.head).run(job.model, batch)
    torch.testing.assert_close(packed, padded, atol=1e-4, rtol=1e-4)


@DEPRECATED
def test_a_decoder_is_adapted_and_its_words_stay(tmp_path: Path) -> None:
    content = writing_settings(
        tmp_path, lora={**LORA, "save": "adapter"}, epochs=1, learning_rate=1e-2
    )
    prepared = prepare(config_file.load(content))
    job = job_of(prepared, tmp_path / "run")
    assert job.forward.packed is not None
    assert trained_names(job.model) == {
        f"transformer.h.{layer}.attn.c_attn.lora_{side}.default.weight"
        for layer in (0, 1)
        for side in "AB"
    }
    words = job.model.get_input_embeddings().weight.detach().clone()
    losses = losses_of(job)
    assert losses[-1] < losses[0]
    assert words.equal(job.model.get_input_embeddings().weight)
    ids = torch.tensor([[5, 9, 7, 12]])
    job.model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = job.model.eval()(ids).logits
        bare = AutoModelForCausalLM.from_pretrained(job.run.model)
        torch.testing.assert_close(bare(ids).logits, expected, atol=1e-5, rtol=0)
        base = AutoModelForCausalLM.from_pretrained(tmp_path / "decoder")
        assert not torch.allclose(base(ids).logits, expected, atol=1e-4)
        adapted = PeftModel.from_pretrained(base, job.run.entry("adapter")).eval()
        torch.testing.assert_close(adapted(ids).logits, expected, atol=1e-5, rtol=0)


def test_an_encoder_that_fills_masks_is_adapted(tmp_path: Path) -> None:
    job = job_of(
        prepare(config_file.load(filling_settings(tmp_path, lora=LORA, epochs=1))), tmp_path / "run"
    )
    names = trained_names(job.model)
    assert any(name.startswith("cls.predictions.transform") for name in names)
    assert not any("embeddings" in name for name in names)
    assert all(np.isfinite(losses_of(job)))


def test_a_run_stays_usable_and_reports_what_it_kept(tmp_path: Path) -> None:
    prepared = prepared_run(tmp_path, lora={**LORA, "save": "adapter"}, epochs=1)
    train_run(prepared, tmp_path / "run")
    run = RunDirectory.open(tmp_path / "run")
    assert api.load(run.path).predict(["the cat was great"])[0]["label"] in ("good", "bad")
    config = json.loads((run.entry("adapter") / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "checkpoint")
    assert (
        run.read_json("environment.json")["vocabulary"] == "all: its word embedding is not trained"
    )


Whole = tuple[Prepared, Job]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The same run as below, without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    train = {"lora": {**LORA, "dropout": 0.2}, "learning_rate": 1e-2, "checkpoint_every_steps": 2}
    prepared = prepared_run(folder, dropout=0.1, **train)
    return whole_run(prepared, folder / "run")


@pytest.mark.parametrize("stop_after", slow_except([3, 12, 15], 12))
def test_a_resumed_run_ends_with_the_same_weights(
    whole: Whole, tmp_path: Path, stop_after: int
) -> None:
    prepared, unbroken = whole
    calls = iter(range(100))
    with pytest.raises(Interrupted):
        fit(
            job_of(prepared, tmp_path / "run"),
            resume=False,
            stop_requested=lambda: next(calls) + 1 >= stop_after,
        )
    again = job_for(prepared, RunDirectory(tmp_path / "run"))
    fit(again, resume=True, stop_requested=never)
    expected = unbroken.model.state_dict()
    assert not [n for n, t in again.model.state_dict().items() if not t.equal(expected[n])]
    kept = [load_file(job.run.model / "model.safetensors") for job in (unbroken, again)]
    assert not [name for name in kept[0] if not kept[0][name].equal(kept[1][name])]


# Errors


def refused(tmp_path: Path, lora: dict[str, Any], **train: Any) -> WarmstartError:
    with pytest.raises(WarmstartError) as caught:
        prepare(config_file.load(settings(tmp_path, lora=lora, **train)))
    return caught.value


def test_modules_that_are_not_there(tmp_path: Path) -> None:
    error = refused(tmp_path, {"modules": ["querry", "value"]})
    assert isinstance(error, ModelError)
    assert error.found == "train.lora.modules: the model's layers have no linear module querry"
    assert error.expected == "one or more of: dense, key, query, value; or all"
    assert error.do == "--set 'train.lora.modules=[query]'"
    error = refused(tmp_path, {"modules": ["classifier"]})  # it is trained in full
    assert "no linear module classifier" in error.found


def test_a_rank_beyond_the_width(tmp_path: Path) -> None:
    error = refused(tmp_path, {"rank": 33})
    module = "bert.encoder.layer.0.attention.self.query"
    assert error.found == f"train.lora.rank is 33, but the smaller dimension of {module} is 32"
    assert error.do == "--set train.lora.rank=8"


def test_an_architecture_without_usual_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "peft.utils.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING", {"bert": "a pattern"}
    )
    error = refused(tmp_path, {})
    assert "attention queries and values in bert" in error.found
    assert error.do == "--set train.lora.modules=all"


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmstart.models.tuning.adapters.find_spec", lambda _: None)
    error = refused(tmp_path, {})
    assert isinstance(error, ConfigError)
    assert error.do == "pip install 'warmstart[lora]'"


def test_an_adapter_alone_for_fill_mask(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(config_file.load(filling_settings(tmp_path, lora={"save": "adapter"})))
    assert caught.value.do == "--set train.lora.save=merged"


@pytest.mark.parametrize(
    "other",
    [{"freeze": "backbone"}, {"unfreeze_layers_per_epoch": 1}, {"freeze": "embeddings+layers:1"}],
)
def test_two_ways_to_say_what_trains(tmp_path: Path, other: dict[str, Any]) -> None:
    error = refused(tmp_path, {}, **other)
    assert f"train.{next(iter(other))} and train.lora are both set" in error.found
    assert "remove one of them" in error.do


def test_faults_within_the_group_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.load(settings(tmp_path), ["train.lora.rank=0", "train.lora.modules=[1]"])
    assert "train.lora.rank is 0" in str(caught.value)
    assert "train.lora.modules is [1]" in str(caught.value)
    config = config_file.load(settings(tmp_path), ["train.lora.rank=2"]).train.lora
    assert config is not None
    assert (config.rank, config.alpha) == (2, 16)


NEW_TOKENS = ["model.special_tokens.bos=<s>", "model.special_tokens.eos=</s>"]


def test_new_tokens_are_said(tmp_path: Path) -> None:
    content = writing_settings(tmp_path, lora=LORA, epochs=1)
    said = prepare(config_file.load(content, NEW_TOKENS)).findings.messages[-1]
    assert said.level == "info"
    assert said.text.startswith("2 tokens are new (<s>, </s>): train.lora also trains")
    without = {**content, "train": {**content["train"], "lora": None}}
    whole = prepare(config_file.load(without, NEW_TOKENS))
    known = prepare(config_file.load(content, ["model.special_tokens.eos=<|endoftext|>"]))
    for prepared in (whole, known):
        assert not any("tokens are new" in one.text for one in prepared.findings.messages)


@DEPRECATED
@pytest.mark.parametrize("tied", [True, False])
def test_new_tokens_learn_next_to_adapters(tmp_path: Path, tied: bool) -> None:
    """Only their rows; ``model/`` opens in Transformers and ``adapter/`` in peft."""
    content = writing_settings(
        tmp_path, lora={**LORA, "save": "adapter"}, epochs=1, learning_rate=1e-2
    )
    if not tied:
        edit(tmp_path / "decoder" / "config.json", tie_word_embeddings=False)
        name, output = "transformer.wte.weight", "lm_head.weight"
        change_weights(tmp_path / "decoder", lambda w: w.update({output: w[name].flip(0)}))
    prepared = prepare(config_file.load(content, NEW_TOKENS))
    job = job_of(prepared, tmp_path / "run")
    layers = (job.model.get_input_embeddings(), job.model.get_output_embeddings())
    before = [layer.weight.detach().clone() for layer in layers]
    losses = losses_of(job)
    assert losses[-1] < losses[0]
    after = [layer.weight.detach() for layer in layers]
    assert (after[0] is after[1]) or torch.equal(after[0], after[1]) == tied
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[:-2], new[:-2])
        assert not torch.isclose(old[-2:], new[-2:]).all(-1).any()
    begin, end = prepared.checkpoint.new_tokens
    ids = torch.tensor([[begin, 9, 7, end, 12]])
    job.model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = job.model.eval()(ids).logits
        bare, report = AutoModelForCausalLM.from_pretrained(job.run.model, output_loading_info=True)
        assert not any(report.values())
        torch.testing.assert_close(bare(ids).logits, expected, atol=1e-5, rtol=0)
        base = AutoModelForCausalLM.from_pretrained(tmp_path / "decoder")
        base.resize_token_embeddings(len(prepared.checkpoint.tokenizer), mean_resizing=False)
        adapted = PeftModel.from_pretrained(base, job.run.entry("adapter")).eval()
        torch.testing.assert_close(adapted(ids).logits, expected, atol=1e-5, rtol=0)


def test_a_run_with_new_tokens_resumes_to_the_same_weights(tmp_path: Path) -> None:
    content = writing_settings(
        tmp_path, lora=LORA, epochs=1, learning_rate=1e-2, checkpoint_every_steps=1
    )
    prepared = prepare(config_file.load(content, NEW_TOKENS))
    _, unbroken = whole_run(prepared, tmp_path / "whole")
    calls = iter(range(100))
    with pytest.raises(Interrupted):
        fit(
            job_of(prepared, tmp_path / "run"), resume=False, stop_requested=lambda: next(calls) > 0
        )
    again = job_for(prepared, RunDirectory(tmp_path / "run"))
    fit(again, resume=True, stop_requested=never)
    kept = [load_file(job.run.model / "model.safetensors") for job in (unbroken, again)]
    assert not [name for name in kept[0] if not kept[0][name].equal(kept[1][name])]


@DEPRECATED
def test_the_ids_of_special_tokens_are_saved_with_merged_weights(tmp_path: Path) -> None:
    content = writing_settings(tmp_path, lora=LORA, epochs=1)
    overrides = ["model.special_tokens.eos=</s>", "model.special_tokens.pad=<pad>"]
    job = job_of(prepare(config_file.load(content, overrides)), tmp_path / "run")
    losses_of(job)
    for name in ("config.json", "generation_config.json"):
        saved = json.loads((job.run.model / name).read_text())
        for token in ("bos", "eos", "pad"):
            assert saved[f"{token}_token_id"] == getattr(job.tokenizer, f"{token}_token_id")
