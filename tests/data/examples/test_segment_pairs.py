"""Pairs that are put together from tokens are those that the tokenizer makes of the texts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs_in_memory import pairing_settings, pretraining_settings, write_documents
from tests.tiny import tiny_checkpoint
from warmstart import config_file
from warmstart.config import ModelConfig
from warmstart.data.examples.batches import Examples, collate
from warmstart.data.examples.masked_pairs import MaskedPairs
from warmstart.data.examples.masking import Draw
from warmstart.data.examples.segment_pairs import SegmentPairs
from warmstart.data.examples.tokenise import encode_table
from warmstart.data.segments import draw_partners
from warmstart.data.table import Table
from warmstart.models.checkpoints.load import find
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.tasks import TASKS


def prepared_of(folder: Path, **data: Any) -> Prepared:
    made = pairing_settings(folder)
    made["model"]["max_tokens"] = data.pop("max_tokens", "auto")
    return prepare(config_file.load({**made, "data": {**made["data"], **data}}))


@pytest.mark.parametrize("max_tokens", [5, 6, 9, 14, 128])
def test_tokens_are_those_of_the_two_texts(tmp_path: Path, max_tokens: int) -> None:
    prepared = prepared_of(tmp_path, segment_characters=60, max_tokens=max_tokens)
    split, found = prepared.splits["train"], prepared.examples["train"].tokens
    data = prepared.config.data
    expected = encode_table(split.table, data, prepared.checkpoint.tokenizer, max_tokens)
    for name in ("input_ids", "offsets", "rows", "full_lengths", "token_type_ids"):
        one, two = getattr(found, name), getattr(expected, name)
        assert one.dtype == two.dtype
        assert np.array_equal(one, two), name
    assert found.cut == expected.cut
    assert (found.cut[0].rows > 0) == (max_tokens < 20)
    assert set(found.token_type_ids.tolist()) == {0, 1}


def test_a_pair_of_roberta_has_its_own_special_tokens_and_no_type_ids(tmp_path: Path) -> None:
    prepared = prepared_of(tmp_path)
    table, data = prepared.tables["train"], prepared.config.data
    tokenizer = find(
        ModelConfig(name=str(tiny_checkpoint(tmp_path / "other", "roberta")))
    ).tokenizer
    found = (
        TASKS["next-sentence"]
        .from_facts(prepared.config, {})
        .encode(table, prepared.splits["train"].labels, tokenizer, 20)
    )
    expected = encode_table(table, data, tokenizer, 20)
    assert np.array_equal(found.tokens.input_ids, expected.input_ids)
    assert found.tokens.token_type_ids is None


def segments_of(examples: Examples, separator: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """The token ids of both segments of each row."""
    for row in range(len(examples)):
        ids = examples.tokens.ids_of(row).tolist()
        middle = ids.index(separator)
        yield tuple(ids[1:middle]), tuple(ids[middle + 1 : -1])


def test_an_epoch_has_the_drawn_segments(tmp_path: Path) -> None:
    prepared = prepared_of(tmp_path)
    train, tokenizer = prepared.examples["train"], prepared.checkpoint.tokenizer
    assert isinstance(train.sampled, SegmentPairs)
    first, following = zip(
        *segments_of(prepared_with_true_neighbours(prepared), tokenizer.sep_token_id), strict=True
    )
    for draw in (Draw(1, 0), Draw(1, 1)):
        partners, labels = draw_partners(train.rows, train.sampled.documents, draw)
        epoch = train.of_epoch(draw)
        found = list(segments_of(epoch, tokenizer.sep_token_id))
        expected = [(one, following[other]) for one, other in zip(first, partners, strict=True)]
        assert found == expected
        batch = collate(epoch, np.arange(len(epoch)), draw)
        assert batch.targets.values.tolist() == labels.tolist()
        # Every id of an epoch is known before the first one.
        assert set(epoch.tokens.input_ids.tolist()) <= set(train.sampled.input_ids.tolist())


def prepared_with_true_neighbours(prepared: Prepared) -> Examples:
    """The training rows, each with its own next segment."""
    table, data = prepared.tables["train"], prepared.config.data
    columns = table.columns
    true = columns["the next segment"]
    columns = columns.set_column(columns.column_names.index(data.text_pair), data.text_pair, true)
    rows = Table(columns, table.rows, table.files, table.file_index, table.lines)
    return prepared.task.encode(rows, None, prepared.checkpoint.tokenizer, prepared.max_tokens)


def test_whole_words_of_both_segments_are_masked_together(tmp_path: Path) -> None:
    made = pretraining_settings(tmp_path)
    write_documents(Path(made["data"]["train"]))
    # Words of several tokens.
    path = Path(made["data"]["train"])
    path.write_text(path.read_text().replace("the", "unbelievable").replace("very", "marvellous"))
    made["data"] |= {"whole_words": True, "mask_share": 0.4}
    prepared = prepare(config_file.load(made))
    train, tokenizer = prepared.examples["train"], prepared.checkpoint.tokenizer
    targets = train.targets
    assert isinstance(targets, MaskedPairs)
    begins = targets.hidden.begins_word
    assert begins is not None
    assert len(begins) == len(train.tokens.input_ids)
    pieces = tokenizer.convert_ids_to_tokens(train.tokens.input_ids.tolist())
    assert [not piece.startswith("##") for piece in pieces] == begins.tolist()
    batch = collate(train, np.arange(len(train)), Draw(0, 0))
    asked = batch.targets.tokens.ids.numpy() != -100
    inside = np.flatnonzero(~begins)
    assert len(inside) > 50
    assert (asked[inside] == asked[inside - 1]).all()
    second = train.tokens.token_type_ids == 1
    assert asked[second].any()
    assert asked[~second].any()
