"""The table of architectures: one body per model type, and one look-up for all code."""

import pytest

from tests.tiny import ARCHITECTURES as ENCODERS
from tests.tiny.decoders import DECODERS
from warmstart.models.checkpoints.configuration import READS
from warmstart.models.packed.architectures import ARCHITECTURES, body_of, known_model_types


def test_a_model_type_has_one_body_with_every_head() -> None:
    assert ARCHITECTURES
    for (model_type, _), row in ARCHITECTURES.items():
        assert row.body is body_of(model_type)


def test_two_heads_are_one_for_tokens_and_one_for_rows() -> None:
    for (_, head), row in ARCHITECTURES.items():
        assert (row.row_head is not None) == (READS[head] == "both")


def test_heads_that_read_rows_have_a_last_layer_for_them_and_others_have_none() -> None:
    for (_, head), row in ARCHITECTURES.items():
        assert (row.row_vectors is not None) == (READS[head] == "first")


@pytest.mark.parametrize("model_type", [*ENCODERS, "xlm-roberta", "camembert"])
def test_an_encoder_has_every_head_of_an_encoder(model_type: str) -> None:
    heads = {head for name, head in ARCHITECTURES if name == model_type}
    of_bert = {"next-sentence", "pretraining"} if model_type == "bert" else set()
    of_all = {"sequence-classification", "token-classification", "question-answering", "masked-lm"}
    assert heads == of_all | of_bert


def test_known_model_types_are_encoders_and_decoders() -> None:
    encoders, decoders = known_model_types(causal=False), known_model_types(causal=True)
    assert set(ENCODERS) < set(encoders)
    assert set(DECODERS) < set(decoders)
    assert sorted([*encoders, *decoders]) == known_model_types()
    assert body_of("albert") is None
