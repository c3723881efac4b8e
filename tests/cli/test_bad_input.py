"""Every error that a user can cause on the command line: one table, the same tests for all.

Each case describes the error and what its message must contain: what was found, what was expected,
and what to try. If the advice is a command, the test runs it, and it must then work. For every
error: nothing on stdout, no traceback, no file written or changed, no weights loaded.
"""

import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import transformers

from tests.cli.conftest import Trained, Warmstart
from tests.cli.mistakes import (
    DATA,
    ROWS,
    TRAIN,
    Case,
    bad_file,
    bad_setting,
    begun,
    fewer_embeddings,
    held,
    json_lines,
    no_weights,
    pickled,
)
from tests.cli.mistakes_of_answers import ANSWERS
from tests.cli.mistakes_of_tasks import NEW_MODELS, PROBLEMS, RANKING

READING = [
    bad_file("empty file", "", found=("bad.csv is empty",), expected=("a header line",),
             do=("written or downloaded completely",)),
    bad_file("header only", "text,label\n", found=("bad.csv:1 is a header",),
             expected=("at least one row",), do=("--set 'data.columns=[",)),
    Case("missing file", DATA, "--train row.csv", found=("data.train: row.csv does not exist",),
         expected=("rows.csv",), do=("--train rows.csv",),
         mends="--train rows.csv"),
    Case("missing column", TRAIN, "--text review", found=("rows.csv has no column 'review'",),
         expected=("one of: text, label",), do=("--text COLUMN",)),
    Case("misspelt column", TRAIN, "--label lable", found=("rows.csv has no column 'lable'",),
         expected=("one of: text, label",), mends="--label label"),
    Case("empty column name", TRAIN, "--label ''", found=("rows.csv has no column ''",),
         expected=("one of: text, label",), do=("--label COLUMN",)),
    Case("one column for two", TRAIN, "--text label", found=("are both label",),
         expected=("two different columns",), do=("--label COLUMN",)),
    bad_file("wrong delimiter", ROWS.replace(",", ";"),
             found=("bad.csv:1 has only one column", "';'"),
             expected=("separated by the delimiter",), mends="--set data.delimiter=';'"),
    bad_file("tabs in a csv", ROWS.replace(",", "\t"),
             found=(r"bad.csv:1 has only one column", r"'\t'"),
             expected=("separated by the delimiter",), mends="--set data.format=tsv"),
    bad_file("ragged row", ROWS + "a,b,c\n", found=("bad.csv:22 has 3 fields: a,b,c",),
             expected=("2 fields",), mends="--set data.ragged=drop"),
    bad_file("NUL byte", ROWS + "a\0b,good\n", found=("bad.csv:22: a NUL byte",),
             expected=("text without NUL",), do=("data.encoding=utf-16", "tr -d")),
    bad_file("bytes in no known encoding", ROWS.encode() + "café crème,good\n".encode("cp1252"),
             found=("bad.csv:22: byte 0xE9 at offset",), expected=("UTF-32 or GB18030",),
             do=("--set data.encoding=", "save the file as UTF-8")),
    Case("wrong encoding named", f"{DATA} --train bad.csv", "--set data.encoding=gb18030",
         files={"bad.csv": ROWS + "他们的猫很好,good\n"},
         found=("bad.csv is utf-8, but data.encoding is gb18030",), expected=("letters",),
         mends="--set data.encoding=utf-8"),
    Case("unknown encoding", TRAIN, "--set data.encoding=utf-9", found=("'utf-9'",),
         expected=("gb18030",), mends="--set data.encoding=auto"),
    bad_file("quotes that swallow lines", ROWS + '"the cat,good\nthe dog,bad\nthe boy,good\n',
             found=("bad.csv:22: a field", "2 lines would become"), expected=("a closing quote",),
             mends="--set data.quoting=none"),
    bad_file("empty text", ROWS + ",good\n  ,bad\n", expected=("a text in every row",),
             found=("bad.csv:22: the column 'text' (data.text) is empty here (the first of 2",),
             mends="--set data.missing=drop"),
    bad_file("null text", json_lines({"text": None, "label": "good"}) + json_lines(
             *({"text": f"it is {n}", "label": "ab"[n % 2]} for n in range(9))), "bad.jsonl",
             found=("bad.jsonl:1: the column 'text' (data.text) is empty",),
             expected=("a text in every row",),
             mends="--set data.missing=drop"),
    bad_file("null label", ROWS + "hello,\n", found=("bad.csv:22: no label in the column 'label'",),
             expected=("a label in every row",), mends="--set data.missing=drop"),
    Case("unseen label in validation", TRAIN, "--validation new.csv",
         files={"new.csv": "text,label\nso so,neutral\nnice,good\n"},
         found=("new.csv:2: no training row has the label 'neutral' (1 row)",),
         expected=("'bad', 'good'",), do=("data.validation", "data.train")),
    Case("misspelt label in test", TRAIN, "--test new.csv",
         files={"new.csv": "text,label\nnice,goood\n"}, found=("new.csv:2", "'goood'"),
         expected=("'bad', 'good'",), do=("write 'good' if you meant", "data.test")),
    bad_file("one class only", "text,label\n" + "a b,good\n" * 5,
             found=("training rows have the label 'good'",), expected=("two different labels",),
             do=("data.train", "--label COLUMN")),
    bad_file("a class with one row", ROWS + "odd,strange\n", expected=("two rows of each label",),
             found=("bad.csv:22: the label 'strange' has only this row",),
             do=("--set data.stratify=false",)),
    bad_file("labels 1.0 and 1", ROWS.replace(",good", ",1.0").replace(",bad", ",0") + "a b,1\n",
             found=("'1.0' (bad.csv:2), '1' (bad.csv:22)",), expected=("one spelling",),
             do=("write '1.0' everywhere",)),
    Case("one file for train and test", f"{TRAIN} --test rows.csv",
         found=("data.train (rows.csv) and data.test (rows.csv) have the same content",),
         expected=("different rows for training",), mends="--set data.allow_same_file=true"),
]  # fmt: skip

NO_MODEL = "train --output run --train rows.csv"
MODELS = [
    Case("max_tokens above the positions", TRAIN, "--set model.max_tokens=129",
         found=("model.max_tokens is 129, but tiny accepts at most 128",), expected=("3 to 128",),
         mends="--set model.max_tokens=128"),
    Case("unknown model", NO_MODEL, "--model no/such-model", found=("'no/such-model'", "cache"),
         expected=("a folder with config.json", "model.safetensors"),
         do=("--model FOLDER",)),
    Case("no such model folder", NO_MODEL, "--model ./nowhere", found=("nowhere does not exist",),
         expected=("a folder with config.json",), do=("check the path",)),
    Case("folder without weights", NO_MODEL, "--model copy", make=no_weights,
         found=("copy has no weights", "tokenizer.json"), expected=("model.safetensors",),
         do=("download model.safetensors",)),
    Case("pickled weights", f"{NO_MODEL} --model copy", make=pickled,
         found=("only in pytorch_model.bin, which is a pickle",), expected=("cannot contain code",),
         mends="--set model.allow_pickle=true"),
    Case("a revision of a folder", TRAIN, "--set model.revision=v2",
         found=("model.revision is 'v2'", "tiny, is not on the Hub"), expected=("on the Hub",),
         mends="--set model.revision=null"),
    Case("tokenizer larger than the embedding", NO_MODEL, "--model copy", make=fewer_embeddings,
         found=("has 393 tokens, but the model has only 50",), expected=("at most as many tokens",),
         do=("resize_token_embeddings",)),
]  # fmt: skip

SETTINGS = [
    bad_setting("train.epocs=3", "train.epochs=3", "such as train.epochs"),
    bad_setting("train.lr=1e-4", "train.learning_rate=0.0001", "such as train.learning_rate"),
    bad_setting("colour=red", "", "a known setting"),
    bad_setting("train.epochs", "", "SETTING=VALUE"),
    bad_setting("train.epochs=two", "train.epochs=auto", "a whole number ≥ 0"),
    bad_setting("train.epochs=2.5", "train.epochs=auto", "a whole number ≥ 0"),
    bad_setting("train.epochs=-1", "train.epochs=auto", "a whole number ≥ 0"),
    bad_setting("train.batch_size=-8", "train.batch_size=auto", "a whole number ≥ 1"),
    bad_setting("train.learning_rate=0", "train.learning_rate=auto", "a number > 0"),
    bad_setting("train.learning_rate=nan", "train.learning_rate=auto", "a number > 0"),
    bad_setting("train.max_gradient_norm=0", "train.max_gradient_norm=1.0", "> 0 or null"),
    bad_setting("train.warmup_steps=-1", "train.warmup_steps=null", "≥ 0 or null"),
    bad_setting("train.seed=-1", "train.seed=42", "≥ 0"),
    bad_setting("data.validation=0", "data.validation=0.1", "a number > 0 and < 1"),
    bad_setting("model.max_tokens=0", "model.max_tokens=auto", '"auto" or a whole number'),
    bad_setting("data.quoting=None", "data.quoting=none", '"double" or "none"'),
    bad_setting("train.stratify=false", "data.stratify=false", "such as data.stratify"),
    Case("wrong value of a flag", TRAIN, "--validation 2", found=("--validation",),
         expected=("a number > 0 and < 1",), mends="--validation 0.1"),
    Case("warm-up longer than the run", TRAIN, "--set train.warmup_steps=1000",
         found=("a warm-up of 1,000 steps in a run of 20",), expected=("shorter than the run",),
         mends="--set train.warmup_steps=0"),
    Case("unknown metric", TRAIN, "--set train.best_metric=acuracy",
         found=("train.best_metric is acuracy",), expected=("matthews_correlation, accuracy",),
         mends="--set train.best_metric=accuracy"),
    Case("several faults at once", "train bad.yaml", "--set train.seed=x",
         files={"bad.yaml": "data: {train: rows.csv, txt: text}\ntrain:\n  epochs: -1\n  lr: 1\n"},
         found=("bad.yaml has 4 errors", "bad.yaml:1: data.txt", "bad.yaml:3: train.epochs is -1",
                "bad.yaml:4: train.lr", "--set train.seed=x", "train.learning_rate: 1"),
         expected=("only known settings",), do=("correct all 4",)),
    Case("unknown recipe", "train colla", found=("no recipe colla",), expected=("cola", "demo"),
         do=("cola",)),
    Case("missing config", "train demo.yaml", found=("demo.yaml does not exist",),
         expected=("a YAML file",), do=("demo (the recipe)",)),
    Case("a table for a config", "train rows.csv --set train.epochs=1 --dry-run --text nowhere",
         found=("rows.csv has no column 'nowhere'",), expected=("one of: text, label",),
         do=("--text COLUMN",)),
]  # fmt: skip

FOLDERS = [
    Case("output folder with other files", "train --model tiny --train rows.csv", "--output full",
         files={"full/mine.txt": "x"}, found=("full already contains files that do not",),
         expected=("only overwritten on request",), mends="--output full-2"),
    Case("output folder with a run", "train --model tiny --train rows.csv", "--output done",
         found=("done already contains a finished run",), expected=("a new or empty folder",),
         do=("choose another folder", "--overwrite"), mends="--output done-2"),
    Case("--overwrite where no run is", "train --model tiny --train rows.csv",
         "--output full --overwrite", files={"full/mine.txt": "x"},
         found=("full contains mine.txt, but no run",), expected=("never removes",),
         mends="--output full/run"),
    Case("--overwrite and a fault", "train --model tiny --output done --overwrite --train bad.csv",
         files={"bad.csv": ""}, found=("bad.csv is empty",), expected=("a header",),
         do=("check that",)),
    Case("output is a file", "train --model tiny --train rows.csv", "--output rows.csv",
         found=("rows.csv is a file",), expected=("a folder",), mends="--output rows.csv-run"),
    Case("unwritable output", "train --model tiny --train rows.csv", "--output rows.csv/run",
         found=("cannot write rows.csv/run: Not a directory",), expected=("a writable folder",),
         do=("--output DIR",)),
    Case("a run that another process holds", f"{TRAIN} --overwrite", make=held,
         found=("another process is using run",), expected=("one process",),
         do=("--output run-2",)),
    Case("resuming what another process holds", "train run --resume", make=held,
         found=("another process is using run",), expected=("one process",), do=("wait",)),
    Case("resuming a finished run", "train done --resume", found=("done is finished",),
         expected=("an interrupted run",), do=("warmstart predict done", "--output done-2")),
    *(Case(f"{command}: no run there", words, files={"full/mine.md": "x"},
           found=("full contains no run",), expected=("a run directory",), do=("warmstart demo",))
      for command, words in {
          "predict": "predict full --text x", "evaluate": "evaluate full --data rows.csv",
          "report": "report full", "resume": "train full --resume", "train": "train full",
          "check": "check full",
      }.items()),
    Case("a run directory that is not there", "report gone", found=("gone does not exist",),
         expected=("a run directory",), do=("warmstart demo",)),
    Case("a file for a run directory", "train done/config.yaml --resume",
         found=("done/config.yaml is a file",), expected=("a run directory",),
         do=("the run that contains it: done",)),
    Case("a run that kept no model", "info run", make=begun, found=("run has no finished",),
         expected=("at least one evaluation",), do=("warmstart train run --resume",)),
]  # fmt: skip

USE = [
    Case("predictions in an unknown format", "predict done --data rows.csv", "--output p.xlsx",
         found=("--output p.xlsx",), expected=(".csv, .parquet, .jsonl",), do=("--output p.csv",)),
    Case("predictions over a file", "predict done --data rows.csv", "--output rows.csv",
         found=("rows.csv already exists",), expected=("not overwritten",),
         do=("--output rows-2.csv",)),
    Case("predictions below a file", "predict done --data rows.csv", "--output rows.csv/p.csv",
         found=("cannot write rows.csv/p.csv",), expected=("a writable folder",),
         do=("--output",)),
    *(Case(f"{command}: {setting}, which training fixed", f"{command} done --data rows.csv",
           f"--set {setting}", found=(f"--set {setting.partition('=')[0]}=",),
           expected=("the format of the file", "data.format"), do=("leave", "train another run"),
           removing=True)
      for command in ("evaluate", "predict")
      for setting in ("model.max_tokens=4", "train.epochs=2", "data.long_documents=chunk",
                      "data.overlap_tokens=4", "data.whole_words=true", "data.mask_share=0.5",
                      "train.sample_every_steps=1", "train.focal_gamma=1",
                      "generate.max_new_tokens=3", "task=text-regression")),
    *(Case(f"{command}: a setting that the task does not read", f"{command} done --data rows.csv",
           "--set data.prompt=source", found=("data.prompt is set, and text-classification",),
           expected=("is read by text-generation",), do=("remove data.prompt",), removing=True)
      for command in ("evaluate", "predict")),
    *(Case(f"{command}: the setting problem", f"{command} done --data rows.csv",
           "--set problem=regression", found=("problem is not a setting",),
           expected=("a known setting",), do=("remove it",), removing=True)
      for command in ("evaluate", "predict")),
    Case("no text to predict", "predict done --text ''", found=("text 1 of 1 is ''",),
         expected=("texts",), do=("--text 'one text'",)),
    Case("missing file to predict", "predict done", "--data row.csv",
         found=("--data: row.csv does not exist",), expected=("rows.csv",),
         mends="--data rows.csv"),
    Case("unseen label to evaluate", "evaluate done --data new.csv",
         files={"new.csv": "text,label\nso so,neutral\n"}, found=("new.csv:2", "'neutral'"),
         expected=("'bad', 'good'",), do=("--data",)),
    Case("neither text nor data", "predict done", found=("neither --text nor --data",), code=2,
         expected=("exactly one of them",), do=("--text '…'", "--data FILE", "--data - to read")),
    Case("both text and data", "predict done --text x --data rows.csv", found=("both --text and",),
         code=2, expected=("exactly one of them",), do=("--text '…'", "--data FILE")),
    Case("settings for --text", "predict done --text x --set data.text=y", code=2,
         found=("--text with --set data.text=y",), expected=("--data",), do=("--data FILE",)),
    Case("nothing to train", "train", found=("nothing to train",), expected=("a config file",),
         do=("warmstart train reviews.csv",), code=2),
    Case("config and flags", "train cola", "--label y", found=("both a config (cola) and --label",),
         expected=("changed with --set",), do=("warmstart train cola --set data.label=y",), code=2),
    Case("flags beside a config to check", "check demo --text 'my text'", code=2,
         found=("(demo) and --text",), expected=("changed with --set",),
         do=("warmstart check demo --set 'data.text=my text'",)),
    Case("--resume with others", "train done --resume --dry-run --set train.epochs=9", code=2,
         found=("--resume with --set train.epochs=9, --dry-run",), expected=("its own settings",),
         do=("warmstart train done --resume;",)),
    Case("--resume of nothing", "train --resume", found=("--resume without a run",), code=2,
         expected=("the run directory",), do=("warmstart train RUN --resume",)),
]  # fmt: skip

CASES = [*READING, *MODELS, *SETTINGS, *FOLDERS, *USE, *NEW_MODELS, *RANKING, *ANSWERS, *PROBLEMS]


@pytest.fixture
def folder(tmp_path: Path, tiny: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: rows.csv, the model ``tiny``, the finished run ``done``."""
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "tiny").symlink_to(tiny)
    (tmp_path / "done").symlink_to(trained.path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made(request: pytest.FixtureRequest, folder: Path) -> Iterator[Case]:
    """The case, with its error in the folder."""
    case: Case = request.param
    for name, content in case.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with ExitStack() as stack:
        if case.make:
            case.make(folder, stack)
        yield case


def contents(folder: Path, run: Path) -> dict[str, bytes | None]:
    """Every file and folder, with its content."""
    places = [*folder.rglob("*"), *run.rglob("*")]
    return {str(place): place.read_bytes() if place.is_file() else None for place in places}


def forbid_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """After this, loading a model's weights is a bug, with exit code 70."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were loaded")

    auto = transformers.AutoModelForSequenceClassification
    monkeypatch.setattr(auto, "from_pretrained", refuse)


@pytest.mark.parametrize("made", CASES, ids=lambda case: case.name, indirect=True)
def test_the_message_names_the_error_and_the_fix(
    made: Case,
    folder: Path,
    trained: Trained,
    warmstart: Warmstart,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(folder, trained.path)
    with monkeypatch.context() as patched:
        before_work = "--set" in made.fault or "--output" in made.fault
        if before_work or not made.words.startswith(("predict", "evaluate")):
            forbid_weights(patched)
        ran = warmstart(*shlex.split(f"{made.words} {made.fault}"))
    assert ran.code == made.code, ran.err
    assert not ran.out
    assert "Traceback" not in ran.err
    assert contents(folder, trained.path) == before

    assert ran.err.startswith("error: "), ran.err
    found, _, rest = ran.err.rpartition("\n  expected: ")
    expected, _, do = rest.partition("\n  try:      ")
    assert do.endswith("\n")
    advice = (*made.do, made.mends)
    for part, wanted in ((found, made.found), (expected, made.expected), (do, advice)):
        assert part.strip()
        for words in wanted:
            assert words in part

    if made.mends or made.removing:
        dry = ["--dry-run"] if made.words.startswith(("train", "pretrain")) else []
        mended = warmstart(*shlex.split(f"{made.words} {made.mends}"), *dry)
        assert mended.code == 0, mended.err
        if made.words.startswith("evaluate"):  # the scores of a file are saved in the run directory
            added = next(trained.path.glob("evaluation/file-rows-*"))
            shutil.rmtree(added)
        assert contents(folder, trained.path) == before
