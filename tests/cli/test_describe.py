"""A model description in the terminal."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from transformers import BertConfig, PreTrainedConfig, RobertaPreLayerNormConfig

from tests.resolved import resolved
from tests.tiny import tiny_tokenizer
from warmstart.cli.describe import rendered_description
from warmstart.models.checkpoints.description import describe, describe_training
from warmstart.models.checkpoints.load import Checkpoint


def printed(config: PreTrainedConfig) -> str:
    checkpoint = Checkpoint(
        "a/model", Path("nowhere"), config, tiny_tokenizer(), (), "sequence-classification"
    )
    screen = StringIO()
    Console(file=screen, width=80).print(rendered_description(describe(checkpoint)))
    return screen.getvalue()


def test_it_shows_what_the_tutorials_print() -> None:
    text = printed(BertConfig())
    assert "201 named parameters" in text
    assert "bert.embeddings.word_embeddings.weight" in text
    assert "30,522 × 768" in text
    assert "bert.encoder.layer.0.attention.self.query.weight" in text
    assert "layer.1." not in text
    assert "classifier.weight" in text
    assert "12 layers" in text
    assert "109,483,778" in text
    assert "418 MiB" in text
    assert "1,671 MiB" in text


@pytest.mark.parametrize("config", [BertConfig(), RobertaPreLayerNormConfig()])
def test_it_fits_80_columns_and_cuts_no_name(config: PreTrainedConfig) -> None:
    text = printed(config)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "encoder.layer.0.attention.output.dense.weight" in text


def test_what_trains_fits_80_columns_too() -> None:
    checkpoint = Checkpoint(
        "a/model", Path("nowhere"), BertConfig(), tiny_tokenizer(), (), "sequence-classification"
    )
    settings = resolved(layer_decay=0.9, unfreeze_layers_per_epoch=4, head_learning_rate=1e-3)
    screen = StringIO()
    Console(file=screen, width=80).print(
        rendered_description(describe_training(checkpoint, settings))
    )
    text = screen.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "layer 11       7,087,872   7,087,872   2.7e-05  from epoch 2" in text
    assert "layers 0-3    28,351,488           –         –" in text


def test_a_decoder_has_no_labels_to_list() -> None:
    from tests.tiny.decoders import make_decoder

    screen = StringIO()
    Console(file=screen, width=80).print(rendered_description(describe(make_decoder())))
    assert "GPT2LMHeadModel" in screen.getvalue()
    assert "labels" not in screen.getvalue()
