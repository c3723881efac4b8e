"""Token classification: long texts, findings, the pipeline of Transformers, every input format."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from tests.quick import slow_except
from tests.tagging_runs import EXPORTS, Span, sentences, tagging_settings, texts, write_brat
from tests.tiny import WORDS, tiny_checkpoint
from warmstart import api, config_file, errors
from warmstart.data.examples.batches import collate
from warmstart.data.examples.token_targets import WordTags
from warmstart.models.checkpoints.tokenizer_of_words import fit_tokenizer_to_words
from warmstart.preparation.prepare import Prepared, prepare
from warmstart.serving.predictor import predict_file
from warmstart.training.train_run import train_run


def prepared(config: dict[str, Any]) -> Prepared:
    return prepare(config_file.load(config))


def sentences_of(found: Prepared) -> str:
    return "\n".join(message.text for message in found.findings.messages)


def write_long(path: Path, words: int = 40) -> Path:
    """A CoNLL file with a long sentence, a short one, and one with odd words."""
    names = ["John", "saw", "the", "red", "table"]
    tags = ["B-PER", "O", "O", "B-THING", "I-THING"]
    long = [f"{names[n % 5]}\t{tags[n % 5]}\n" for n in range(words)]
    odd = ["\u200b\tO\n", "abcdefghijklmnopqrstuvwxyz\tO\n", "John\tB-PER\n"]
    path.write_text("\n".join(map("".join, (long, long[:5], odd))) + "\n", encoding="utf-8")
    return path


def test_long_rows_become_windows_and_each_word_is_predicted_once(tmp_path: Path) -> None:
    config = tagging_settings(tmp_path)
    config["model"]["max_tokens"] = 14
    config["data"] |= {"overlap_tokens": 4, "test": str(write_long(tmp_path / "long.conll"))}
    found = prepared(config)
    test = found.examples["test"]
    targets = test.targets
    assert isinstance(targets, WordTags)
    assert targets.words.tolist() == list(range(48))  # every word, once, in order
    # 12 tokens per window, 4 of them repeated: 12 + 8 + 8 + 8 + 4 = 40, so there are 5 windows.
    # The third row has words of 1, 12 (cut from 26) and 1 tokens: no two of them fit into a window.
    assert np.bincount(test.rows).tolist() == [5, 1, 3]
    said = sentences_of(found)
    assert "test: 2 rows are longer than the model's limit and became 8 windows" in said
    assert "test: words with more tokens than fit into a window: 1;" in said
    assert "test: words for which the tokenizer has no token (invisible characters): 1;" in said
    assert "never read" not in said
    # The row with a word that was cut is marked in its prediction.
    batch = collate(test, np.arange(len(test)))
    assert batch.truncated.tolist() == [False] * 7 + [True, False]


def test_rows_that_fit_have_no_such_findings(tmp_path: Path) -> None:
    said = sentences_of(prepared(tagging_settings(tmp_path)))
    assert "window" not in said
    assert "no token" not in said


def test_an_overlap_of_more_than_half_a_window_is_refused(tmp_path: Path) -> None:
    config = tagging_settings(tmp_path)
    config["model"]["max_tokens"] = 14
    config["data"]["overlap_tokens"] = 7
    with pytest.raises(
        errors.ConfigError, match="overlap_tokens is 7, and a row has at most 14"
    ) as e:
        prepared(config)
    assert "from 0 to 6" in e.value.expected
    assert e.value.do == "remove data.overlap_tokens for the default; or --set model.max_tokens=16"
    prepared(config | {"model": config["model"] | {"max_tokens": 16}})
    del config["data"]["overlap_tokens"]
    prepared(config)


def test_windows_change_predictions_only_by_context(tmp_path: Path) -> None:
    """A text that fits, and the same text in windows: the same words, nearly the same tags."""
    settings = tagging_settings(tmp_path, epochs=6)
    train_run(prepare(config_file.load(settings)), tmp_path / "run")
    source = str(write_long(tmp_path / "long.conll"))
    whole = predict_file(api.load(tmp_path / "run").open("torch"), source).predictions
    # The same model, as if it had been trained with windows of 20 words.
    shutil.copytree(tmp_path / "run", tmp_path / "short")
    path = tmp_path / "short" / "data.json"
    before = '"max_tokens": 128'
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, '"max_tokens": 22'))
    parts = predict_file(api.load(tmp_path / "short").open("torch"), source).predictions
    assert parts.words.tolist() == whole.words.tolist()
    assert len(parts) == len(whole)
    assert float((parts.labels == whole.labels).mean()) > 0.9
    # A row that fits into one window has exactly the same predictions.
    assert parts[1].to_json()["spans"] == [
        {**span, "confidence": pytest.approx(span["confidence"], abs=1e-5)}
        for span in whole[1].to_json()["spans"]
    ]


TEXTS = (
    "the cat saw John and the red table when we read it .",
    "Mary saw my blue house !",
    "John saw it",
    "the old story , John , was very red .",
)


def pipeline_spans(folder: Path, texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
    from transformers import pipeline

    tag = pipeline("token-classification", model=str(folder), aggregation_strategy="first")
    found = [tag(text) for text in texts]
    return [[(one["start"], one["end"], one["entity_group"]) for one in row] for row in found]


def run_spans(run: api.Run, texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
    found = [run.predict([text])[0]["spans"] for text in texts]
    return [[(one["start"], one["end"], one["type"]) for one in row] for row in found]


@pytest.mark.parametrize("architecture", slow_except(["bert", "roberta"], "bert"))
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_the_pipeline_of_transformers_finds_the_same_entities(
    tmp_path: Path, architecture: str
) -> None:
    """Also with a byte-level tokenizer without ``add_prefix_space``, like published ones."""
    words = (*WORDS, "John", "Mary", ".", ",", "!")
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", architecture, vocabulary=words)
    path = checkpoint / "tokenizer.json"
    path.write_text(
        path.read_text().replace('"add_prefix_space": true', '"add_prefix_space": false')
    )
    if architecture == "roberta":
        assert '"add_prefix_space": false' in path.read_text()
    train_run(prepare(config_file.load(tagging_settings(tmp_path))), tmp_path / "run")
    run = api.load(tmp_path / "run")
    found = run_spans(run, TEXTS)
    assert pipeline_spans(tmp_path / "run" / "model", TEXTS) == found
    assert [len(row) for row in found[:2]] >= [3, 1] or sum(map(len, found)) > 4
    # For BERT's tokenizer, adjacent punctuation is a word of its own.
    if architecture == "bert":
        close = ["John, Mary saw my red table!", "(John)"]
        assert pipeline_spans(tmp_path / "run" / "model", close) == run_spans(run, close)


def test_only_byte_level_tokenizers_are_saved_differently(tmp_path: Path) -> None:
    assert not fit_tokenizer_to_words(tiny_checkpoint(tmp_path / "bert"))
    folder = tiny_checkpoint(tmp_path / "roberta", "roberta")
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    parts = [{"type": "Digits", "individual_digits": True}, content["pre_tokenizer"]]
    sequence = {"type": "Sequence", "pretokenizers": parts}
    path.write_text(json.dumps({**content, "pre_tokenizer": sequence}))
    # Here the option would add a space before each digit.
    assert not fit_tokenizer_to_words(folder)
    content["pre_tokenizer"]["add_prefix_space"] = False
    path.write_text(json.dumps(content))
    before = Tokenizer.from_file(str(path)).encode("the cat")
    assert fit_tokenizer_to_words(folder)
    after = Tokenizer.from_file(str(path)).encode("the cat")
    assert after.tokens[1:-1] == ["Ġthe", "Ġcat"] != before.tokens[1:-1]
    assert before.offsets[-2] == (3, 7)
    assert after.offsets[-2] == (4, 7)
    again = path.read_text()
    assert fit_tokenizer_to_words(folder)
    assert json.loads(path.read_text()) == json.loads(again)


def lists(path: Path, rows: int = 60) -> Path:
    lines = [json.dumps({"words": words, "tags": tags}) for words, tags in sentences(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def source_of(name: str, folder: Path) -> tuple[str | list[str], dict[str, Any]]:
    """A corpus in one of the formats, and the settings of ``data`` that it needs."""
    # Two characters before the text are two units each in UTF-16, so that a wrong unit is detected.
    marked = [("\U0001f600 " + text, _moved(spans, 2)) for text, spans in texts(60)]
    if name == "brat":
        return str(write_brat(folder / "brat", marked)), {}
    if name == "brat, files":
        made = write_brat(folder / "brat", marked)
        return [str(path) for path in sorted(made.glob("*.ann"))], {}
    if name in EXPORTS:
        path = folder / "export.json"
        # doccano counts UTF-16 units.
        units = marked if name != "doccano" else [(t, _moved(s, 1)) for t, s in marked]
        path.write_text(EXPORTS[name](units), encoding="utf-8")
        return str(path), {"format": "spans"}
    if name == "lists in JSON lines":
        return str(lists(folder / "lists.jsonl")), {}
    if name == "lists in Parquet":
        words, tags = zip(*sentences(60), strict=True)
        path = folder / "lists.parquet"
        pq.write_table(pa.table({"tokens": list(words), "ner": list(tags)}), path)
        return str(path), {"words": "tokens", "tags": "ner"}
    made_spans = [[{"start": a, "end": b, "type": k} for a, b, k in spans] for _, spans in marked]
    plain = [text for text, _ in marked]
    if name == "spans in JSON lines":
        path = folder / "spans.jsonl"
        rows = zip(plain, made_spans, strict=True)
        path.write_text("".join(json.dumps({"body": t, "ents": s}) + "\n" for t, s in rows))
        return str(path), {"text": "body", "spans": "ents"}
    path = folder / "spans.parquet"
    # Other types than warmstart's own: 32 bits, and another name of the type.
    fields = [("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())]
    renamed = [[{**s, "label": s["type"]} for s in row] for row in made_spans]
    column = pa.array(renamed, pa.list_(pa.struct(fields)))
    pq.write_table(pa.table({"text": plain, "spans": column}), path)
    return str(path), {}


def _moved(spans: Sequence[Span], by: int) -> list[Span]:
    return [(start + by, end + by, kind) for start, end, kind in spans]


FORMATS = (
    "brat",
    "brat, files",
    *EXPORTS,
    "lists in JSON lines",
    "lists in Parquet",
    "spans in JSON lines",
    "spans in Parquet",
)


@pytest.mark.parametrize(
    "name", slow_except(FORMATS, "brat, files", "lists in JSON lines", "spans in Parquet")
)
def test_every_format_trains_and_gives_back_its_own_offsets(tmp_path: Path, name: str) -> None:
    config = tagging_settings(tmp_path, epochs=1)
    source, settings = source_of(name, tmp_path)
    config["data"] = {"train": source, "validation": 0.3, **settings}
    found = prepared(config)
    assert found.task.label_names == ("O", "B-PER", "I-PER", "B-THING", "I-THING")
    finished = train_run(found, tmp_path / "run")
    assert finished.evaluations["validation"]["scores"]["entity_f1"]["n"] == 18
    rows = pq.read_table(tmp_path / "run/evaluation/validation/predictions.parquet").to_pylist()
    given = dict(texts(60))
    for row in rows:
        label = [(span["start"], span["end"], span["type"]) for span in row["label"]]
        plain, shift = row["text"].removeprefix("\U0001f600 "), 0
        if plain != row["text"]:
            shift = 2
        # Lists of words have no full stop at the end.
        expected = given.get(plain) or given.get(f"{plain} .") or []
        assert label == _moved(expected, shift)
        for span in row["prediction"]:
            assert row["text"][span["start"] : span["end"]] == span["text"]
    if "lists" not in name:
        total = sum(len(spans) for _, spans in texts(60))
        assert sum(counted(found, split)["kept"] for split in ("train", "validation")) == total


def counted(found: Prepared, split: str) -> dict[str, int]:
    return dict(found.splits[split].labels.counts)


def test_kept_snapped_and_refused_add_up_to_the_input(tmp_path: Path) -> None:
    """Also spans that are refused when the file is read, which are not in the table."""
    regions = [
        {"start": 0, "end": 4, "text": "John", "labels": ["PER"]},  # kept
        {"start": 9, "end": 11, "text": "re", "labels": ["THING"]},  # snapped to "red"
        {"start": 9, "end": 18, "text": "red table", "labels": ["THING"]},  # kept: the longest
        {"start": 1, "end": 5, "text": "Mary", "labels": ["PER"]},  # not at its offsets
        {"start": 4, "end": 4, "text": "", "labels": ["PER"]},  # empty
    ]
    record = {
        "data": {"text": "John saw red table"},
        "annotations": [{"result": [{"value": region} for region in regions]}],
    }
    path = tmp_path / "export.json"
    path.write_text(json.dumps([record] * 10))
    config = tagging_settings(tmp_path)
    config["data"] = {"train": str(path), "validation": 0.2}
    found = prepared(config)
    for split, rows in (("train", 8), ("validation", 2)):
        counts = counted(found, split)
        assert counts["kept"] + counts["snapped"] + counts["refused"] == 5 * rows
        assert counts["its text is not at its offsets"] == rows
        assert counts["kept"] == 2 * rows
    said = sentences_of(found)
    assert "training: 40 character spans: 16 kept, 0 snapped to words, 24 refused" in said
    assert "its text is not at its offsets 8" in said


def test_an_ann_file_without_its_text_is_refused(tmp_path: Path) -> None:
    folder = write_brat(tmp_path / "brat", texts(10))
    (folder / "003.txt").unlink()
    (folder / "notes.txt").write_text("not annotated")
    config = tagging_settings(tmp_path)
    config["data"] = {"train": str(folder), "validation": 0.2}
    with pytest.raises(errors.DataError, match=r"003\.ann has no text") as raised:
        prepared(config)
    assert "or remove the .ann file" in raised.value.do
    (folder / "003.ann").unlink()
    assert "Texts without an .ann file, not read: 1" in sentences_of(prepared(config))
